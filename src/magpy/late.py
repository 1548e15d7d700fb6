"""Late values: numbers that a recorded graph reads from its tensors.

The log of a run has reads (``t.item()``, ``float(t)``) and what the program computes with
their results among its operations (``engine/graph/late.c``); ``notes["late"]`` says which
those are.  Backend ``eager`` runs them where they stand.  A compiler gets the tensor
operations alone: what no tensor depends on is done *behind* its graph, in Python, from
tensors that the graph answers with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magpy import graph

if TYPE_CHECKING:
    from magpy.backends.base import Executable
    from magpy.graph import Spec

Operation = tuple[Any, Any, Any, Any]


def expect(tensor: Any, truth: bool) -> None:
    """Raise if a tensor is not as true as it was: the program would raise there.

    Operation of a graph (``assert t.all()``): then the program itself runs, and does.
    """
    if bool(tensor) is not truth:
        raise AssertionError(f"a tensor that is not {truth}")


def entries(spec: Spec) -> dict[int, tuple[bool, bool]]:
    """Return which operations make late values.

    Returns:
        Position -> (may it raise?, does the graph write to anything after it?)
    """
    found: dict[int, tuple[bool, bool]] = spec[3].get("late") or {}
    return found


def leaves(tree: Any, wanted: Callable[[object], bool]) -> Iterator[int]:
    """Walk through the Values or Numbers of a tree, by index."""
    if wanted(tree):
        yield tree.index
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item, wanted)
    elif isinstance(tree, dict):
        yield from leaves(list(tree.values()), wanted)
    elif type(tree) is slice:
        yield from leaves((tree.start, tree.stop, tree.step), wanted)


def _used(ops: Iterable[Operation], wanted: Callable[[object], bool]) -> Iterator[int]:
    for _, args, kwargs, _ in ops:
        yield from leaves((args, kwargs), wanted)


@dataclass
class Split:
    """A graph for a compiler, and what is done behind it.

    Attributes:
        main: the graph; its inputs are some of the run's, its results tensors.
        given: the positions of its inputs among those of the run.
        inside: does it make late values, which its tensors depend on?
    """

    main: Spec
    given: list[int]
    inside: bool
    _spec: Spec
    _behind: list[Operation]
    _read: dict[int, int]  # Value of a tensor -> which result of the graph it is

    def inputs(self, inputs: Sequence[Any]) -> list[Any]:
        """Return those that the graph takes."""
        return [inputs[i] for i in self.given]

    @property
    def is_empty(self) -> bool:
        """Is there nothing to compile?"""
        return not self.main[0]

    def joined(self, made: Executable | None, value_type: type | None) -> Executable:
        """Return what computes everything: what a compiler has made, and the rest.

        Args:
            made: of the graph; None if it has no operations.
            value_type: see :func:`magpy.graph.build`.
        """
        _, n_inputs, outputs, notes = self._spec
        rows = notes.get("numbers") or {}
        needed = set(_used(self._behind, graph.is_number))
        needed = _with_operands(needed, rows)
        values = {*_used(self._behind, graph.is_value), *outputs}
        taken = {i for i in values if i < n_inputs and i not in self._read}
        taken |= {i for k in needed for i in _inputs_of(rows[k])}
        ours = sorted(taken)
        results = {value: at for value, at in self._read.items() if value in values}
        module = graph.build_behind(
            (self._behind, n_inputs, outputs, notes),
            ours,
            results,
            {k: rows[k] for k in sorted(needed)},
            value_type,
        )
        behind = module.forward
        if made is None:
            return _alone(behind, ours), False
        return _after(made, behind, ours, self.given, n_inputs)


def _alone(behind: Callable[..., Any], ours: list[int]) -> Callable[..., Any]:
    def run(*inputs: Any) -> Any:
        return behind(*[inputs[i] for i in ours], ())

    return run


def _after(
    made: Executable,
    behind: Callable[..., Any],
    ours: list[int],
    given: list[int],
    n_inputs: int,
) -> Executable:
    """Return a run of the graph, followed by what is behind it."""
    compiled, boxed = made
    whole = given == list(range(n_inputs))

    def run_boxed(inputs: list[Any]) -> Any:
        kept = [inputs[i] for i in ours]
        if not whole:
            inputs[:] = [inputs[i] for i in given]
        return behind(*kept, compiled(inputs))

    def run(*inputs: Any) -> Any:
        answer = compiled(*(inputs if whole else [inputs[i] for i in given]))
        return behind(*[inputs[i] for i in ours], answer)

    return (run_boxed, True) if boxed else (run, False)


def _inputs_of(row: tuple[Any, ...]) -> list[int]:
    name, *operands = row
    return [operands[0]] if name in ("INPUT", "SIZE", "STRIDE", "OFFSET") else []


def _with_operands(numbers: set[int], rows: dict[int, Any]) -> set[int]:
    """Return the numbers and all that they are computed from."""
    todo, found = list(numbers), set(numbers)
    while todo:
        name, *operands = rows[todo.pop()]
        if name in ("INPUT", "SIZE", "STRIDE", "OFFSET", "INT", "FLOAT"):
            continue
        todo += [k for k in operands if k not in found]
        found.update(operands)
    return found


def split(spec: Spec) -> Split | None:
    """Divide a graph; None if it makes no late values."""
    ops, n_inputs, outputs, notes = spec
    late = entries(spec)
    if not late:
        return None
    made_by = {ops[at][3].index: at for at in late if graph.is_value(ops[at][3])}
    inside = _inside(ops, late, made_by)
    behind = _behind(ops, late, made_by, outputs)
    tensors = [value for value in outputs if value not in made_by]
    reads = _Reads(spec, tensors)
    done = [reads.moved(at) for at in behind]
    kept = [at for at in range(len(ops)) if at not in late or at in inside]
    main_ops, moved = reads.inserted(kept)
    rows = notes.get("numbers") or {}
    used = _with_operands(set(_used(main_ops, graph.is_number)), rows)
    given = _given(n_inputs, rows, used)
    other = ("late", "numbers", "sites")  # (operations have moved)
    main_notes = {k: v for k, v in notes.items() if k not in other}
    names = notes.get("input_names", ())
    main_notes["input_names"] = tuple(names[i] for i in given if i < len(names))
    main_notes["written"] = tuple(moved.get(at, at) for at in notes.get("written", ()))
    if used:
        main_notes["numbers"] = {k: _row(rows[k], given) for k in sorted(used)}
    if inside:
        main_notes["late"] = reads.late
    main: Spec = main_ops, len(given), tuple(reads.results), main_notes
    return Split(
        main,
        given,
        bool(inside),
        spec,
        done,
        reads.places(),
    )


def _inside(
    ops: Sequence[Operation], late: dict[int, Any], made_by: dict[int, int]
) -> set[int]:
    """Return the positions of those that tensor operations need."""
    tensor_ops = [op for at, op in enumerate(ops) if at not in late]
    todo = [made_by[i] for i in _used(tensor_ops, graph.is_value) if i in made_by]
    return _closed(ops, todo, made_by)


def _closed(
    ops: Sequence[Operation], todo: list[int], made_by: dict[int, int]
) -> set[int]:
    found = set(todo)
    while todo:
        for value in _used([ops[todo.pop()]], graph.is_value):
            at = made_by.get(value, -1)
            if at >= 0 and at not in found:
                found.add(at)
                todo.append(at)
    return found


def _behind(
    ops: Sequence[Operation],
    late: dict[int, tuple[bool, bool]],
    made_by: dict[int, int],
    outputs: Sequence[int],
) -> list[int]:
    """Return the positions of those that are results, or may raise, in order."""
    todo = [made_by[i] for i in outputs if i in made_by]
    todo += [at for at, (raises, _) in late.items() if raises]
    return sorted(_closed(ops, todo, made_by))


def _given(n_inputs: int, rows: dict[int, Any], used: set[int]) -> list[int]:
    """Return the inputs of the graph: all tensors, and the numbers that it uses."""
    numbers = {row[1]: k for k, row in rows.items() if row[0] == "INPUT"}
    return [i for i in range(n_inputs) if i not in numbers or numbers[i] in used]


def _row(row: tuple[Any, ...], given: list[int]) -> tuple[Any, ...]:
    # Tensors come before all numbers, so they keep their places.
    return (row[0], given.index(row[1]), *row[2:]) if row[0] == "INPUT" else row


class _Reads:
    """The tensors that are read behind a graph, and how it answers with them."""

    def __init__(self, spec: Spec, tensors: Sequence[int]) -> None:
        self._ops, self._n_inputs, _, _ = spec
        self._late = entries(spec)
        self.results = list(tensors)  # of the graph
        self._copies: dict[int, list[Operation]] = {}  # by position
        made = [self._ops[at][3] for at in self._late]
        self._made_by = {value.index for value in made if graph.is_value(value)}
        first = next(iter(self._late))
        self._value: type = type(made[0] or self._ops[first][1][0])
        self._next = 1 + max(
            [self._n_inputs, *(leaf for op in self._ops for leaf in _values(op))]
        )
        self._copied: dict[int, Any] = {}  # copies that stay right
        self.late: dict[int, tuple[bool, bool]] = {}  # those of the graph

    def moved(self, at: int) -> Operation:
        """Return the operation at this position, as it is done behind the graph."""
        target, args, kwargs, result = self._ops[at]
        read = [
            leaf
            for leaf in leaves((args, kwargs), graph.is_value)
            if leaf not in self._made_by
        ]
        written = self._late[at][1]
        for leaf in read:
            if leaf < self._n_inputs and not written:
                continue
            if written or leaf not in self.results:
                copy = None if written else self._copied.get(leaf)
                if copy is None:
                    copy = self._copy(leaf, at)
                if not written:  # no later read sees anything else
                    self._copied[leaf] = copy
                args = tuple([copy if _is(arg, leaf) else arg for arg in args])
        return target, args, kwargs, result

    def _copy(self, leaf: int, at: int) -> Any:
        """Return a copy that the graph makes there, of which nobody else hears.

        Neither autograd nor later writes have to do with it.
        """
        detached, copied = self._value(self._next), self._value(self._next + 1)
        self._next += 2
        made: list[Operation] = [
            ("detach", (self._value(leaf),), {}, detached),
            ("clone", (detached,), {}, copied),
        ]
        self._copies.setdefault(at, []).extend(made)
        self.results.append(copied.index)
        return copied

    def inserted(self, kept: Sequence[int]) -> tuple[list[Operation], dict[int, int]]:
        """Return the operations of the graph, and where each of them stands now."""
        ops: list[Operation] = []
        moved: dict[int, int] = {}
        stays = set(kept)
        for at, op in enumerate(self._ops):
            ops += self._copies.get(at, ())
            moved[at] = len(ops)
            if at in stays and at in self._late:
                made = self._symbolic(op)
                self.late |= {len(ops) + i: self._late[at] for i in range(len(made))}
                ops += made
            elif at in stays:
                ops.append(op)
        return ops, moved

    def _symbolic(self, op: Operation) -> list[Operation]:
        """Return a read, or arithmetic on reads, as compilers know it for symbols."""
        import torch

        target, args, kwargs, result = op
        convert = {float: torch.sym_float, int: torch.sym_int}.get(target)
        if convert is not None:
            ops: list[Operation] = []
            number = args[0]
            if graph.is_value(number) and number.index not in self._made_by:
                read = self._value(self._next)
                self._next += 1
                ops, number = [("item", args, {}, read)], read
            return [*ops, (convert, (number,), {}, result)]
        chosen: Any = {max: torch.sym_max, min: torch.sym_min}.get(target)
        if chosen is None:
            return [op]
        ops, so_far = [], args[0]
        for at, arg in enumerate(args[1:], 2):
            answer = result if at == len(args) else self._value(self._next)
            self._next += 1
            ops.append((chosen, (so_far, arg), {}, answer))
            so_far = answer
        return ops

    def places(self) -> dict[int, int]:
        """Return which result of the graph each of its results is."""
        return {value: at for at, value in enumerate(self.results)}


def _is(tree: Any, leaf: int) -> bool:
    return graph.is_value(tree) and tree.index == leaf


def _values(op: Operation) -> Iterator[int]:
    return leaves((op[1], op[2], op[3]), graph.is_value)
