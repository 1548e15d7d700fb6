"""Where the arms of a branch begin and meet: how the instructions of a function follow.

The engine asks :func:`branch_shape` when a tensor decides where the program goes on
(``engine/graph/branch.c``).
"""

from __future__ import annotations

import dis
import functools
import types
from typing import Any, NamedTuple


@functools.lru_cache(maxsize=1024)
def is_tested(code: types.CodeType, index: int) -> bool:
    """Is what the call at a code unit answers tested at once?"""
    return len(code.co_code) <= _LONGEST and _test_of(_Flow(code), index) is not None


def _test_of(flow: _Flow, index: int) -> int | None:
    """Return the jump that tests what an instruction answers.

    There may be a variable between, and from 3.13 on the conversion of what is no bool.
    """
    at = flow.at.get(index)
    if at is None or not flow.answers(at) or at + 1 >= flow.end:
        return None
    at += 1
    stored = flow.loads_stored(at)
    if stored:
        at += stored
    elif flow.code[at].opname == "COPY" and flow.code[at].arg == 1:
        at += 1
    if at < flow.end and flow.code[at].opname == "TO_BOOL":
        at += 1
    name = flow.code[at].opname if at < flow.end else ""
    jumps = "JUMP" in name and name.endswith(("_TRUE", "_FALSE", "_POP"))
    return at if jumps and not (stored and flow.keeps(at)) else None


@functools.lru_cache(maxsize=1024)
def branch_shape(
    code: types.CodeType, index: int
) -> tuple[int, int, bytes, bytes] | str:
    """Return where the arms of a jump begin and meet; a text if they do not.

    Args:
        code: the function.
        index: code unit of the jump, or of what asks for the truth and whose answer is
            tested (a call of bool(); from 3.13 on also TO_BOOL and a comparison): then both
            arms begin behind it, with the answer on the stack.

    Returns:
        Code units of the arm for False and of that for True; for each code unit whether
        they meet there (empty: both return), and for each local whether its value may be
        needed there.
    """
    if len(code.co_code) > _LONGEST:
        return "a function that is too long"
    flow = _Flow(code)
    at, tested = flow.at.get(index), _test_of(flow, index)
    jump = at if tested is None else tested
    if at is None or jump is None or len(flow.next[jump]) != 2:
        return "a jump of another kind"
    if tested is None:
        fall, target = flow.next[jump]
        name = flow.code[jump].opname
        arms = (fall, target) if "IF_TRUE" in name else (target, fall)
    else:
        arms = (at + 1, at + 1)
    place = flow.meet(jump)
    if tested is not None and place is not None:
        place = flow.forgets(place, flow.held(at + 1, jump, place))
    if place is None:
        return "its arms do not meet in this frame"
    meets = bytearray(0 if place == flow.end else len(code.co_code) // 2)
    for twin in flow.twins(place) if meets else ():
        meets[flow.units[twin]] = True
    live = flow.live(place) if place != flow.end else frozenset()
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    mask = bytes([i in live for i in range(len(names))])
    return flow.units[arms[0]], flow.units[arms[1]], bytes(meets), mask


@functools.lru_cache(maxsize=1024)
def raising_arms(code: types.CodeType, index: int) -> int:
    """Return which answers of a test only lead to an exception: `assert`, `if x: raise`.

    Args:
        code: the function.
        index: code unit of the jump, or from 3.13 on of what asks for the truth before it.

    Returns:
        1 for False, 2 for True, or their sum.
    """
    if len(code.co_code) > _LONGEST:
        return 0
    flow = _Flow(code)
    at = flow.at.get(index)
    if at is not None and flow.answers(at):
        at = _test_of(flow, index)
    if at is None or len(flow.next[at]) != 2:
        return 0
    fall, target = flow.next[at]
    name = flow.code[at].opname
    arms = (fall, target) if "IF_TRUE" in name else (target, fall)
    return sum(1 << i for i, arm in enumerate(arms) if flow.raises(arm))


class _Touch(NamedTuple):
    """One local that an instruction stores, or needs."""

    stores: bool
    local: int


_NEEDS = (
    "DELETE_FAST",
    "LOAD_CLOSURE",
    "LOAD_DEREF",
    "LOAD_CLASSDEREF",
    "STORE_DEREF",
    "DELETE_DEREF",
)


def _touched(each: dis.Instruction) -> list[_Touch]:
    """Return the locals that an instruction touches, in the order in which it does.

    To delete one that is not set raises, so that needs it, too.
    """
    name, arg = each.opname, each.arg or 0
    if name in _NEEDS:
        return [_Touch(False, arg)]
    parts = [part for part in ("STORE_FAST", "LOAD_FAST") if name.startswith(part)]
    if not parts:
        return []
    if name.count("_FAST") == 1:
        return [_Touch(parts[0] == "STORE_FAST", arg)]
    # From 3.13 on one instruction can be two.
    second = "STORE_FAST" if name.endswith("STORE_FAST") else "LOAD_FAST"
    return [
        _Touch(p == "STORE_FAST", a)
        for p, a in ((parts[0], arg >> 4), (second, arg & 15))
    ]


class _Flow:
    """The instructions of a function and how they follow each other."""

    def __init__(self, code: types.CodeType) -> None:
        found = list(dis.get_instructions(code))
        self.code: list[dis.Instruction] = []
        self.units: list[int] = []  # where an instruction begins, with its prefixes
        start = None
        for each in found:
            start = each.offset if start is None else start
            if each.opname == "EXTENDED_ARG":
                continue
            self.code.append(each)
            self.units.append(start // 2)
            start = None
        self.at = {unit: i for i, unit in enumerate(self.units)}
        offsets = {each.offset: i for i, each in enumerate(self.code)}
        for i, unit in enumerate(self.units):
            offsets[unit * 2] = i
        self.end = len(self.code)
        self.locals = [*map(_touched, self.code), []]
        self.next: list[list[int]] = []
        for i, each in enumerate(self.code):
            name, follows = each.opname, []
            if name.startswith(("RETURN", "RAISE", "RERAISE")):
                follows = [self.end] if name.startswith("RETURN_") else []
            else:
                if name not in ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE") and (
                    name != "JUMP_BACKWARD_NO_INTERRUPT"
                ):
                    follows.append(i + 1)
                if each.opcode in _JUMPS:
                    follows.append(offsets[each.argval])
            if name == "RETURN_GENERATOR":
                follows = [i + 1]
            self.next.append(follows)
        #: Handlers that an exception of an instruction may go to.
        self.caught: list[list[int]] = [[] for _ in self.code]
        table: Any = dis.Bytecode(code)  # (typeshed does not know the attribute)
        for entry in table.exception_entries:
            for i in range(len(self.code)):
                if entry.start <= self.code[i].offset < entry.end:
                    self.caught[i].append(offsets[entry.target])
        self.same = self._copies()

    def _copies(self) -> list[int]:
        """Return for each instruction the first that it is a copy of, or itself.

        From 3.12 on the compiler copies the end of a function, if it is short, to each
        place that leads there.  What is the same up to a return is one place for us.
        """
        same = list(range(self.end + 1))
        ends = [False] * self.end  # the way from there returns, without a jump
        known: dict[Any, int] = {}
        for i in reversed(range(self.end)):
            each, after = self.code[i], self.next[i]
            ends[i] = after == [self.end] or (after == [i + 1] and ends[i + 1])
            if ends[i]:
                what = (each.opname, each.arg, each.positions, *self.caught[i])
                same[i] = known.setdefault((what, same[after[0]]), i)
        return same

    def twins(self, place: int) -> list[int]:
        """Return all copies of an instruction."""
        return [i for i, first in enumerate(self.same) if first == self.same[place]]

    def keeps(self, jump: int) -> bool:
        """Does what is tested stay on the stack where the jump leads?"""
        before = self.code[self.before(jump)].opname
        return "_OR_POP" in self.code[jump].opname or before == "COPY"

    def before(self, at: int) -> int:
        """Return the instruction that has put there what is on the stack."""
        return at - 2 if self.code[at - 1].opname == "TO_BOOL" else at - 1

    def answers(self, at: int) -> bool:
        """Does an instruction leave an answer on the stack that may be a truth?"""
        name, arg = self.code[at].opname, self.code[at].arg or 0
        return name in ("CALL", "TO_BOOL") or (
            name == "COMPARE_OP" and arg & _ASKS != 0
        )

    def loads_stored(self, at: int) -> int:
        """How many instructions from `at` on store a local and load it again?"""
        touched = self.locals[at]
        used = touched + self.locals[at + 1] if len(touched) == 1 else touched
        again = (
            [_Touch(True, used[0].local), _Touch(False, used[0].local)] if used else []
        )
        return 3 - len(touched) if used and used[:2] == again else 0

    def raises(self, at: int) -> bool:
        """Does the only way from `at` lead to a `raise`?"""
        seen = set()
        while at != self.end and len(self.next[at]) == 1 and at not in seen:
            seen.add(at)
            at = self.next[at][0]
        return at != self.end and self.code[at].opname == "RAISE_VARARGS"

    def meet(self, at: int) -> int | None:
        """Return the first place through which all ways from `at` go."""
        every = frozenset(range(self.end + 1))
        after = {i: every for i in range(self.end)}
        after[self.end] = frozenset({self.end})
        changed = True
        while changed:
            changed = False
            for i in reversed(range(self.end)):
                ways = [after[self.same[n]] for n in self.next[i]]
                if not ways:
                    continue  # it raises: no way that meets another
                new = frozenset.intersection(*ways) | {self.same[i]}
                if new != after[i]:
                    after[i], changed = new, True
        shared = after[at] - {self.same[at]}
        if not shared or len(shared) == self.end:
            return None
        return max(shared, key=lambda i: len(after[i]))

    def held(self, at: int, jump: int, place: int) -> int | None:
        """Return the variable that keeps an answer which is on the stack at `at`.

        Args:
            at: where it is on the stack.
            jump: what tests it.
            place: where the arms of the jump meet.
        """
        taker = place if self.keeps(jump) else at
        touched = self.locals[taker][:1]
        return touched[0].local if touched and touched[0].stores else None

    def forgets(self, place: int, variable: int | None) -> int | None:
        """Return the first place from `place` on where nobody reads the variable."""
        now: int | None = place
        while variable is not None and now is not None and now != self.end:
            # (Has it just been put on the stack?)
            touch = _Touch(False, variable)
            loaded = any(
                touch in self.locals[self.before(twin)] for twin in self.twins(now)
            )
            taken = now == place and self.locals[now][:1] == [_Touch(True, variable)]
            if not (loaded or taken or variable in self.live(now)):
                break
            now = self.meet(now)
        return now

    def live(self, place: int) -> frozenset[int]:
        """Return the locals whose values may be read from `place` on."""
        alive: list[frozenset[int]] = [frozenset()] * (self.end + 1)
        changed = True
        while changed:
            changed = False
            for i in reversed(range(self.end)):
                new = frozenset().union(*(alive[n] for n in self.next[i]))
                for touch in reversed(self.locals[i]):
                    new = new - {touch.local} if touch.stores else new | {touch.local}
                new = new.union(*(alive[n] for n in self.caught[i]))
                if new != alive[i]:
                    alive[i], changed = new, True
        return alive[place]


_LONGEST = 8000  # bytes of code
_ASKS = 16  # set in the argument of a comparison that goes on with the truth (3.13)
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
