"""Where the arms of a branch begin and meet: how the instructions of a function follow.

The engine asks :func:`branch_shape` when a tensor decides where the program goes on
(``engine/graph/branch.c``).
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from typing import Any


@functools.lru_cache(maxsize=1024)
def is_tested(code: types.CodeType, index: int) -> bool:
    """Is what the call at a code unit answers tested at once?"""
    return len(code.co_code) <= _LONGEST and _test_of(_Flow(code), index) is not None


def _test_of(flow: _Flow, index: int) -> int | None:
    """Return the jump that tests what a call answers, with a variable between or not."""
    at = flow.at.get(index)
    if at is None or flow.code[at].opname != "CALL" or at + 1 >= flow.end:
        return None
    at += 1
    first = flow.code[at]
    if first.opname == "STORE_FAST" and at + 2 < flow.end:
        again = flow.code[at + 1]
        if again.opname.startswith("LOAD_FAST") and again.arg == first.arg:
            at += 2
    name = flow.code[at].opname
    jumps = "JUMP" in name and name.endswith(("_TRUE", "_FALSE", "_POP"))
    return at if jumps and (at == flow.at[index] + 1 or "_OR_POP" not in name) else None


@functools.lru_cache(maxsize=1024)
def branch_shape(code: types.CodeType, index: int) -> tuple[int, int, int, bytes] | str:
    """Return where the arms of a jump begin and meet; a text if they do not.

    Args:
        code: the function.
        index: code unit of the jump, or of the call of bool() whose answer is tested: then
            both arms begin behind it, with the answer on the stack.

    Returns:
        Code units of the arm for False, of that for True, of the place where they meet
        (-1: both return), and for each local whether its value may be needed there.
    """
    if sys.version_info >= (3, 13):
        return "a CPython whose pairs of instructions are not read here"
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
    unit = -1 if place == flow.end else flow.units[place]
    live = flow.live(place) if place != flow.end else frozenset()
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    mask = bytes([i in live for i in range(len(names))])
    return flow.units[arms[0]], flow.units[arms[1]], unit, mask


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

    def meet(self, at: int) -> int | None:
        """Return the first place through which all ways from `at` go."""
        every = frozenset(range(self.end + 1))
        after = {i: every for i in range(self.end)}
        after[self.end] = frozenset({self.end})
        changed = True
        while changed:
            changed = False
            for i in reversed(range(self.end)):
                ways = [after[n] for n in self.next[i]]
                if not ways:
                    continue  # it raises: no way that meets another
                new = frozenset.intersection(*ways) | {i}
                if new != after[i]:
                    after[i], changed = new, True
        shared = after[at] - {at}
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
        taker = place if "_OR_POP" in self.code[jump].opname else at
        if taker < self.end and self.code[taker].opname == "STORE_FAST":
            return self.code[taker].arg
        return None

    def forgets(self, place: int, variable: int | None) -> int | None:
        """Return the first place from `place` on where nobody reads the variable."""
        now: int | None = place
        while variable is not None and now is not None and now != self.end:
            before = self.code[now - 1]  # (has it just been put on the stack?)
            loaded = before.opname.startswith("LOAD_FAST") and before.arg == variable
            taken = now == place and self.code[now].opname == "STORE_FAST"
            if not (loaded or taken or variable in self.live(now)):
                break
            now = self.meet(now)
        return now

    def live(self, place: int) -> frozenset[int]:
        """Return the locals whose values may be read from `place` on.

        To delete one that is not set raises, so that reads it, too.
        """
        alive: list[frozenset[int]] = [frozenset()] * (self.end + 1)
        changed = True
        while changed:
            changed = False
            for i in reversed(range(self.end)):
                new = frozenset().union(*(alive[n] for n in self.next[i]))
                name, arg = self.code[i].opname, self.code[i].arg or 0
                if name == "STORE_FAST":
                    new -= {arg}
                elif name.startswith("LOAD_FAST") or name in (
                    "DELETE_FAST",
                    "LOAD_CLOSURE",
                    "LOAD_DEREF",
                    "LOAD_CLASSDEREF",
                    "STORE_DEREF",
                    "DELETE_DEREF",
                ):
                    new |= {arg}
                new = new.union(*(alive[n] for n in self.caught[i]))
                if new != alive[i]:
                    alive[i], changed = new, True
        return alive[place]


_LONGEST = 8000  # bytes of code
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
