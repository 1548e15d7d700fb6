"""CUDA graphs that nobody has to think of: ``mode="reduce-overhead"`` and ``cudagraphs``.

A CUDA graph launches all kernels of a run at once, and reads and writes the addresses that
the run had when it was captured.  What that takes of a caller elsewhere (marking steps,
copying what is kept, leaving inputs where they are) is done here:

- R: what a call has answered is never overwritten.  Results are copied out of the graph's
  memory, one kernel each.
- R: an input is read at the address that was captured, or copied there.  Each call looks at
  all addresses: parameters and caches stay where they are and cost nothing, an input that
  has moved once is copied from then on.
- A written input that is copied in is copied back; version counters tell autograd of the
  writes to the others.
- Random numbers go on from the state of the generator, as in eager.
- What cannot be captured (work on the CPU, a read of a value, memory of a kind that cannot
  be copied) runs without a CUDA graph, and a warning says why, once.

The first call runs as it is, which loads kernels and tunes them; the second is captured.
All graphs of a device share one pool of memory, since a replay needs nothing of the others:
whoever replays holds the device's lock and has copied the results out when it lets go.

Graphs for training are captured by Inductor, see ``inductor.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from magpy import notices, seal
from magpy.backends.base import Backend, Executable, Settings
from magpy.errors import describe

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

#: So many sizes of one graph are captured; others run without.
MAX_CAPTURES = 16
# An input that moves makes the next capture; then it is copied.
_MAX_MOVES = 8


def make(settings: Settings) -> Backend:
    """Return backend ``cudagraphs``: the recorded operations in CUDA graphs.

    Raises:
        ValueError: options were given, the backend has none.
    """
    settings.allow_no_options("cudagraphs")
    return Backend(
        "cudagraphs",
        _compile,
        draws_alike=True,
        cuda_graphs=True,
        dynamic=False,
        key=settings.key("cudagraphs"),
    )


def _compile(
    gm: GraphModule, inputs: Sequence[Any], mutated: Sequence[int], live: object = None
) -> Executable:
    if not trains(inputs):
        return gm.forward, False
    from torch._dynamo.backends.registry import lookup_backend

    with seal.tracing():
        trained: Callable[..., Any] = lookup_backend("cudagraphs")(gm, list(inputs))
    return trained, False


class Uncapturable(Exception):
    """The text says why there is no CUDA graph."""


class Recorder(Protocol):
    """What captures and replays: the device, or a stand-in for tests."""

    lock: Any

    def capture(
        self, run: Callable[[list[Any]], Sequence[Any]], inputs: list[Any]
    ) -> tuple[Callable[[], None], Sequence[Any]]:
        """Return what replays, and the results in the graph's memory."""

    def is_taken(self) -> bool:
        """Does somebody around us capture?"""

    def enter(self) -> None:
        """Order what follows behind the last replay."""


class Device:
    """One GPU: its pool of memory, its stream for captures, and who replays."""

    _known: dict[int, Device] = {}

    def __init__(self, index: int) -> None:
        import torch

        self.index = index
        self.lock = threading.Lock()
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(index)
        self._last: Any = None  # the stream of the last replay
        self._keeper = torch.cuda.CUDAGraph()  # a pool goes with its last graph
        with torch.cuda.stream(self._stream):
            self._keeper.capture_begin(pool=self._pool)
            torch.zeros(1, device=f"cuda:{index}")
            self._keeper.capture_end()

    @classmethod
    def of(cls, index: int) -> Device:
        """Return the one object for a GPU."""
        return cls._known.setdefault(index, cls._known.get(index) or cls(index))

    def is_taken(self) -> bool:
        """Is the current stream being captured?"""
        import torch

        return bool(torch.cuda.is_current_stream_capturing())

    def enter(self) -> None:
        """Wait, on the current stream, for the last replay on another one."""
        import torch

        now = torch.cuda.current_stream(self.index)
        if self._last is not None and self._last != now:
            now.wait_event(self._last.record_event())
        self._last = now

    def capture(
        self, run: Callable[[list[Any]], Sequence[Any]], inputs: list[Any]
    ) -> tuple[Callable[[], None], Sequence[Any]]:
        """Capture one run on a stream of its own.

        Raises:
            Uncapturable: the run computes elsewhere, too: a replay would not.
        """
        import torch

        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self.index)
        self._stream.wait_stream(torch.cuda.current_stream(self.index))
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                with _elsewhere() as found:
                    outputs = run(inputs)
            except BaseException:
                _end(graph)
                raise
            graph.capture_end()
        if found:
            raise Uncapturable(f"{found[0]} computes on the CPU")
        torch.cuda.current_stream(self.index).wait_stream(self._stream)
        return graph.replay, outputs


@contextmanager
def _elsewhere() -> Iterator[list[str]]:
    """Collect the names of operations whose results are on no GPU."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    found: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if any(getattr(x, "is_cuda", True) is False for x in tree_leaves(result)):
                found.append(str(func))
            return result

    with Watch():
        yield found


def _end(graph: Any) -> None:
    """Leave a capture that has failed; that it did is known."""
    try:
        graph.capture_end()
    except RuntimeError:
        pass


@dataclass
class _Capture:
    """One captured graph and where it reads and writes."""

    replay: Callable[[], None]
    outputs: list[
        Any
    ]  # tensors in the graph's memory, ints: inputs, others: as they are
    copied: tuple[int, ...]  # inputs that are copied in ...
    buffers: list[Any]  # ... and where to
    kept: tuple[int, ...]  # the other inputs, ...
    addresses: list[int]  # ... which must be here
    groups: list[list[int]]  # outputs that share memory
    moves: int = 0
    back: list[tuple[int, Any]] = field(default_factory=list)  # written: copied back
    written: tuple[int, ...] = ()  # written where they are


class Graphed:
    """A compiled graph for inference, replayed from CUDA graphs.

    Args:
        run: takes a list of inputs, which it may clear, and returns a tuple.
        written: positions of inputs that it writes to.
        device: captures and replays.
        name: how warnings call the graph.
        sizes_vary: sizes and numbers of inputs are not the same in each call.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], Sequence[Any]],
        written: Sequence[int],
        device: Recorder,
        name: str,
        sizes_vary: bool = True,
    ) -> None:
        self._run = run
        self._written = frozenset(written)
        self._device = device
        self._name = name
        self._sizes_vary = sizes_vary
        self._captures: dict[Any, _Capture | list[int]] = {}
        self._moving: set[int] = set()
        self.refusal = ""

    def another(self) -> Graphed:
        """Return the same graph with captures of its own: its inputs stay elsewhere."""
        return Graphed(
            self._run, [*self._written], self._device, self._name, self._sizes_vary
        )

    def __call__(self, inputs: list[Any]) -> Sequence[Any]:
        """Run once; `inputs` is not changed."""
        if self.refusal or self._device.is_taken():
            return self._run(list(inputs))
        key = self._key(inputs)
        with self._device.lock:
            known = self._captures.get(key)
            capture: _Capture | None
            if not isinstance(known, _Capture):
                capture = self._prepare(key, known, inputs)
            elif self._is_in_place(known, inputs):
                capture = known
            else:
                capture = self._moved(key, known, inputs)
            if capture is not None:
                return self._replay(capture, inputs)
        # Without the lock: an operation in Python may call the next graph.
        return self._run(list(inputs))

    # -- which capture ---------------------------------------------------------------

    def _key(self, inputs: Sequence[Any]) -> Any:
        """Return what the captured kernels depend on beside addresses."""
        if not self._sizes_vary:
            return None
        return tuple([getattr(x, "shape", x) for x in inputs])

    @staticmethod
    def _is_in_place(capture: _Capture, inputs: Sequence[Any]) -> bool:
        return [inputs[i].data_ptr() for i in capture.kept] == capture.addresses

    def _prepare(
        self, key: Any, seen: list[int] | None, inputs: list[Any]
    ) -> _Capture | None:
        """Note where the inputs of a first call are; capture the second one."""
        places = [_address(x) for x in inputs]
        if seen is None:
            if len(self._captures) < MAX_CAPTURES:
                self._captures[key] = places
            return None
        self._moving.update(i for i, at in enumerate(places) if at != seen[i])
        return self._capture(key, inputs)

    def _moved(self, key: Any, old: _Capture, inputs: list[Any]) -> _Capture | None:
        """Some inputs are elsewhere: from now on they are copied."""
        for i, at in zip(old.kept, old.addresses, strict=True):
            if inputs[i].data_ptr() != at:
                self._moving.add(i)
        found = self._capture(key, inputs)
        if found is not None:
            found.moves = old.moves + 1
            if found.moves > _MAX_MOVES:
                self._moving.update(range(len(inputs)))
        return found

    def _capture(self, key: Any, inputs: list[Any]) -> _Capture | None:
        try:
            capture = self._captured(inputs)
        except Exception as error:
            from magpy._engine import raised_by_signal

            if raised_by_signal(error):
                raise
            why = str(error) if isinstance(error, Uncapturable) else _first_line(error)
            self._refuse(why)
            return None
        self._captures[key] = capture
        return capture

    def _captured(self, inputs: list[Any]) -> _Capture:
        import torch

        tensors = [i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor)]
        copied = tuple([i for i in tensors if i in self._moving])
        fixed = list(inputs)
        with torch.no_grad():
            for i in copied:
                fixed[i] = _buffer(inputs[i])
        buffers = [fixed[i] for i in copied]
        replay, results = self._device.capture(self._run, list(fixed))
        outputs = _classify(results, fixed)
        kept = tuple([i for i in tensors if i not in self._moving])
        return _Capture(
            replay,
            outputs,
            copied,
            buffers,
            kept,
            [inputs[i].data_ptr() for i in kept],
            _groups(outputs),
            back=[(i, fixed[i]) for i in copied if i in self._written],
            written=tuple([i for i in kept if i in self._written]),
        )

    def _refuse(self, why: str) -> None:
        """Run without from now on, and say so."""
        self.refusal = why
        self._captures.clear()
        tell(self._name, why)

    # -- a call ----------------------------------------------------------------------

    def _replay(self, capture: _Capture, inputs: list[Any]) -> Sequence[Any]:
        import torch

        with torch.no_grad():
            self._device.enter()
            if capture.copied:
                given = [inputs[i] for i in capture.copied]
                torch._foreach_copy_(capture.buffers, given)
            capture.replay()
            for i, buffer in capture.back:
                inputs[i].copy_(buffer)
            if capture.written:
                _note_writes([inputs[i] for i in capture.written])
            results = [
                inputs[out] if type(out) is _Input else out for out in capture.outputs
            ]
            for group in capture.groups:
                _copy_out(results, group)
        return tuple(results)


def tell(name: str, why: str) -> None:
    """Warn that a graph runs without CUDA graphs."""
    text = describe(
        f"backend {name!r} runs a graph without CUDA graphs, {why}",
        reason="no-cuda-graph",
        hint='leave mode out, or use "max-autotune-no-cudagraphs"',
    )
    notices.warn(text)


class _Input(int):
    """A result that is the input of this number."""


def _address(x: Any) -> int:
    return x.data_ptr() if hasattr(x, "data_ptr") else 0


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _buffer(x: torch.Tensor) -> torch.Tensor:
    """Return room for an input, laid out like it."""
    import torch

    spots = sorted(
        (stride, size)
        for stride, size in zip(x.stride(), x.shape, strict=True)
        if size > 1
    )
    reach = 0
    for stride, size in spots:
        if stride <= reach:
            raise Uncapturable("an input that moves has elements that share memory")
        reach += stride * (size - 1)
    with torch.inference_mode(False):
        return torch.empty_strided(
            x.shape, x.stride(), dtype=x.dtype, device=x.device
        ).copy_(x)


def _storage(x: torch.Tensor) -> int:
    return int(x.untyped_storage()._cdata)


def _classify(results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Return the results, inputs among them as :class:`_Input`."""
    import torch

    numbers = {id(x): i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor)}
    homes = {_storage(inputs[i]) for i in numbers.values()}
    outputs: list[Any] = []
    for result in results:
        if not isinstance(result, torch.Tensor):
            outputs.append(result)
        elif id(result) in numbers:
            outputs.append(_Input(numbers[id(result)]))
        elif type(result) is not torch.Tensor or result.layout is not torch.strided:
            raise Uncapturable("a result is no plain tensor")
        elif result.requires_grad:
            raise Uncapturable("a result has gradients")
        elif _storage(result) in homes:
            raise Uncapturable("a result is a view of an input")
        else:
            outputs.append(result)
    return outputs


def _groups(outputs: Sequence[Any]) -> list[list[int]]:
    """Return the positions of tensors, those together that share memory."""
    import torch

    groups: dict[int, list[int]] = {}
    for at, out in enumerate(outputs):
        if isinstance(out, torch.Tensor):
            groups.setdefault(_storage(out), []).append(at)
    return list(groups.values())


def _copy_out(results: list[Any], group: Sequence[int]) -> None:
    """Put copies in the place of results that share memory; they share theirs."""
    import torch

    first = results[group[0]]
    if all(results[at] is first for at in group):
        copy = first.clone()
        if copy.stride() == first.stride():
            for at in group:
                results[at] = copy
            return
    room = first.untyped_storage().clone()
    copies: dict[int, torch.Tensor] = {}
    for at in group:
        x = results[at]
        copy = copies.get(id(x))
        if copy is None:
            copy = torch.empty(0, dtype=x.dtype, device=x.device)
            copy.set_(room, x.storage_offset(), x.shape, x.stride())
            copies[id(x)] = copy
        results[at] = copy


def _note_writes(tensors: Sequence[torch.Tensor]) -> None:
    """Tell autograd that they were written to."""
    import torch

    for x in tensors:
        if not x.is_inference():
            torch.autograd.graph.increment_version(x)


def trains(inputs: Sequence[Any]) -> bool:
    """Is a graph over these inputs one that autograd goes back through?"""
    import torch

    return torch.is_grad_enabled() and any(
        isinstance(x, torch.Tensor) and x.requires_grad for x in inputs
    )


def wrap(
    made: Executable, inputs: Sequence[Any], notes: Mapping[str, Any], name: str
) -> Executable:
    """Return a graph for inference behind CUDA graphs; as it is, where there are none.

    Args:
        made: what the backend has made.
        inputs: of the first call.
        notes: of the spec, see ``engine/plan/plan.h``.
        name: how warnings call it.
    """
    import torch

    run, boxed = made
    devices = {x.device for x in inputs if isinstance(x, torch.Tensor)}
    first = next((device for device in devices if device.type == "cuda"), None)
    why = ""
    if first is None:
        why = "no input is on a GPU"
    elif len(devices) > 1:
        others = sorted(str(device) for device in devices - {first})
        why = f"an input is on {others[0]}"
    elif notes.get("restated"):
        why = "an input becomes another tensor"
    if first is None or why:
        tell(name, why)
        return made
    plain = run if boxed else lambda given: run(*given)
    device = Device.of(first.index or 0)
    written, varies = notes.get("mutated", ()), bool(notes.get("numbers"))
    return Graphed(plain, written, device, name, varies), True
