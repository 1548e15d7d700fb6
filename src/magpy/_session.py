"""What one compiled object needs from Python: its backend, its logs, its messages.

The engine calls a session only while it records, compiles or reports; never on a hit.
"""

from __future__ import annotations

import logging
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from magpy import copies, logs, notices, records, torch_logs
from magpy.backends import Backend, Settings, resolve
from magpy.config import config
from magpy.counters import Stats, in_order
from magpy.errors import BackendError, MagpyError, Recompile, Unsupported, describe
from magpy.places import frames

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy._transaction import Undo
    from magpy.graph import Spec
    from magpy.late import Split
    from magpy.shapes import Term
    from magpy.shapes.case import Case
    from magpy.shapes.world import Live

_KEPT_BREAKS = 16
_KEPT_PLACES = 256
_told_watcher: list[str] = []


class Compiled(NamedTuple):
    """What a backend has made of a graph, in the order in which the engine takes it.

    Attributes:
        run: takes the inputs; None if the guards do not hold for those of this call.
        boxed: in one list.
        undo: how to undo a run that raises.
        guards: what must hold besides the guards of the entry.
        why: why numbers that could vary are constants, "" if they are not.
        owner: what lives as long as the entry does.
        reused: it was there already, made for another recording.
    """

    run: Callable[..., Any] | None
    boxed: bool
    undo: Undo | None
    guards: list[Term]
    why: str
    owner: object = None
    reused: bool = False


class Session:
    """The Python half of a compiled object.

    Args:
        name: how messages call the object.
        backend: compiles its graphs.
        fullgraph: an aborted recording raises instead of staying eager.
        options: what compiles a copy, see api.Options.
    """

    def __init__(
        self, name: str, backend: Backend, *, fullgraph: bool, options: Any = None
    ) -> None:
        self.name = name
        self.backend = backend
        self.fullgraph = fullgraph
        self.options = options
        #: the latest different reasons why runs broke, or stayed eager
        self.breaks: deque[Unsupported] = deque(maxlen=_KEPT_BREAKS)
        #: the latest reasons why calls were recorded again
        self.recompiles: deque[Recompile] = deque(maxlen=_KEPT_BREAKS)
        #: places of numbers that have become dynamic, in order
        self.dynamic: dict[str, None] = {}
        self._pins: dict[str, str] = {}  # place of a number: where it was last pinned
        self._told_pins: set[tuple[str, str | None, int]] = set()
        self._told = ""  # why the latest graph runs as recorded
        self._raised = ""  # what the graph raised last
        self._compiled: weakref.ref[Any] | None = None
        self._value_type: type | None = None
        self._traced = torch_logs.Compilation()

    def attach(self, compiled: Any, value_type: type | None) -> None:
        """Tell the session which compiled function it belongs to.

        Args:
            compiled: the engine's object, which is not kept alive.
            value_type: what stands for tensors in its operator logs.
        """
        self._compiled = weakref.ref(compiled)
        self._value_type = value_type

    # -- called by the engine --------------------------------------------------------

    def compile(self, spec: Spec, inputs: Sequence[Any]) -> Compiled:
        """Return something that runs a recorded run, sealed off the program.

        Another recording of the same graph may have it already (:mod:`magpy.reuse`).

        Args:
            spec: the recorded graph.
            inputs: tensors, and exact ints and floats if it has numbers that vary.

        Raises:
            Exception: whatever the backend raises; the engine then stays eager.
        """
        from magpy import reuse

        key = reuse.key_of(self.backend, spec, inputs)
        made = reuse.find(key, spec, inputs)
        if made is not None:
            logs.write("graph", f"{self.name}: the same graph as that of {made.name}")
            if made.told:
                logs.write("breaks", made.told)
            return Compiled(*made.answer(), owner=made, reused=True)
        self._told = ""
        compiled = self._compile_new(spec, inputs)
        run, boxed, undo, guards, why, _, _ = compiled
        if run is None:
            return compiled
        made = reuse.Made(run, boxed, undo, guards, why, self.name, self._told)
        reuse.keep(key, made)
        return compiled._replace(owner=made)

    def _compile_new(self, spec: Spec, inputs: Sequence[Any]) -> Compiled:
        from magpy import late

        parts = late.split(spec)
        if parts is None:
            return self._compile_symbols(spec, inputs)
        return self._compile_split(parts, spec, inputs)

    def _compile_split(
        self, parts: Split, spec: Spec, inputs: Sequence[Any]
    ) -> Compiled:
        """Compile a graph with numbers that it reads from its tensors."""
        from magpy._transaction import Transaction
        from magpy.shapes import proof

        given = parts.inputs(inputs)
        in_order = self.backend.as_recorded and not self.backend.cuda_graphs
        if in_order and not proof.varies(parts.main):
            return Compiled(*self._compile(spec, inputs, None), [], "")
        made = None
        guards: list[Term] = []
        why = ""
        if not parts.is_empty:
            main = self._compile_symbols(parts.main, given)
            guards, why = main.guards, main.why
            if main.run is None:
                return main
            made = main.run, main.boxed
        run, boxed = parts.joined(made, self._value_type)
        transaction = Transaction(spec, inputs, in_order=False)
        return Compiled(run, boxed, transaction.undo(), guards, why)

    def _compile_symbols(self, spec: Spec, inputs: Sequence[Any]) -> Compiled:
        """Compile a graph of which sizes and numbers may vary."""
        from magpy import seal

        notes = spec[3]
        if not any(map(notes.get, ("numbers", "dynamic", "selects", "late"))):
            return Compiled(*self._compile(spec, inputs, None), [], "")
        from magpy.shapes import case as cases
        from magpy.shapes import world

        try:
            with seal.sealed():
                case = cases.of(spec, inputs, self.backend)
            while case.fits:
                try:
                    made = self._compile(case.spec, inputs, case)
                    return Compiled(*made, case.all_guards(), case.why)
                except Exception as error:
                    case = case.after(error, spec, inputs)
            return Compiled(None, False, None, case.guards, case.why)
        finally:
            world.forget()

    def recorder(self) -> Any:
        """Return what answers questions about sizes while one run is recorded."""
        from magpy.shapes.recorder import Recorder

        return Recorder()

    def _compile(
        self, spec: Spec, inputs: Sequence[Any], case: Case | None
    ) -> tuple[Callable[..., Any], bool, Undo | None]:
        from magpy import graph, pieces, policy, seal
        from magpy._transaction import Transaction
        from magpy.backends import cuda_graphs, gradients

        backend, ops = self.backend, spec
        if not backend.as_recorded:
            ops = policy.without_parameters(spec)
            why, reason = policy.runs_as_recorded(ops)
            if not why and case is not None and case.refused:
                why, reason = case.refused, "dynamic-shape"
            if not why and spec[3].get("hooked"):
                # They count and compare what each operation saves.
                why, reason = "hooks for saved tensors are on", "saved-hooks"
            cuts = not why and not pieces.takes(backend, ops, inputs)
            if cuts and (why := pieces.refuses(ops)):
                reason = "control-flow"
            if cuts and not why:
                return self._compile_pieces(ops, inputs)
            if not why and (why := gradients.refuses(ops, inputs)):
                reason = "gradients"
            if why:
                self._tell(self._as_recorded_text(why, reason))
                backend, ops = resolve("eager", Settings()), spec
        live = None if case is None or backend.as_recorded else case.live
        module = graph.build(
            ops,
            name=self.name,
            value_type=self._value_type,
            float_tensors=live is not None,
        )
        with seal.sealed(), self._traced.entered():
            self._show(module, inputs, spec, live)
            with gradients.node_classes() as classes:
                made = self._made_by(backend, module, inputs, spec, live)
        run, boxed, recorded = made
        if recorded is not None:
            module, ops = recorded, spec
        elif classes:
            # It must not hold the session, whose object may die before the graph.
            replay = partial(_recorded_forward, spec, self.name, self._value_type)
            run = gradients.adopt(classes, run, spec, replay)
            boxed = False
        if self.backend.cuda_graphs and not cuda_graphs.trains(inputs):
            run, boxed = cuda_graphs.wrap(
                (run, boxed), inputs, spec[3], self.backend.name
            )
        in_order = recorded is not None or backend.as_recorded
        transaction = Transaction(ops, inputs, in_order=in_order)
        if in_order:
            transaction.follows(
                module.forward.__code__, graph.operations_of_lines(module)
            )
        return transaction.audible(run), boxed, transaction.undo()

    def _compile_pieces(
        self, spec: Spec, inputs: Sequence[Any]
    ) -> tuple[Callable[..., Any], bool, Undo | None]:
        """Return what runs a graph with branches piece by piece."""
        from magpy import graph, pieces
        from magpy._transaction import Transaction

        # It must not hold this session, whose object may die before the graph.
        session = Session(self.name, self.backend, fullgraph=False)
        session._value_type = self._value_type
        whole = pieces.cut(spec, session.compile_piece)
        module = graph.build(whole, name=self.name, value_type=self._value_type)
        self._show(module, inputs, spec, None)
        transaction = Transaction(spec, inputs, in_order=False)
        return transaction.audible(module.forward), False, transaction.undo()

    def compile_piece(
        self, spec: Spec, inputs: Sequence[Any]
    ) -> tuple[Callable[..., Any], bool, object]:
        """Return what runs a piece of a graph, and what must live as long."""
        from magpy._engine import raised_by_signal

        try:
            compiled = self.compile(spec, inputs)
        except Exception as error:
            if raised_by_signal(error):
                raise
            self._tell(self._failure_text(error, "a piece of it runs as recorded"))
            return self._recorded(spec).forward, False, None
        assert compiled.run is not None  # no number of a piece varies
        return compiled.run, compiled.boxed, compiled.owner

    def _show(
        self, module: GraphModule, inputs: Sequence[Any], spec: Spec, live: Live | None
    ) -> None:
        """Log and trace a graph that is about to be compiled."""
        calls = sum(node.op.startswith("call_") for node in module.graph.nodes)
        torch_logs.count(stats={"unique_graphs": 1, "calls_captured": calls})
        if not (logs.enabled("graph") or torch_logs.traces()):
            return
        from magpy import origins
        from magpy.backends import examples

        if live is None:  # (else the backend's own run says what the sizes are)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the program gets those of its calls
                examples.annotate(module, inputs)
        logs.write("graph", self._graph_text(module))
        if torch_logs.traces():
            known = origins.of(spec[3])
            stack = known.stack(known.row(0)) if known is not None else ()
            torch_logs.trace_graph(module, inputs, stack)

    def _made_by(
        self,
        backend: Backend,
        module: GraphModule,
        inputs: Sequence[Any],
        spec: Spec,
        live: Live | None,
    ) -> tuple[Callable[..., Any], bool, GraphModule | None]:
        """Return what the backend makes, or what runs the recorded operations.

        In that case their module, too.
        """
        from magpy import seal
        from magpy.backends import check, cuda_graphs, refusals

        compile_graph = seal.without_dynamo(backend.compile)
        recorded = None
        try:
            if not backend.as_recorded:
                why = refusals.foreseen(spec, self._forward_of, inputs)
                if why:
                    self._tell(self._as_recorded_text(why, "refused"))
                    recorded = self._recorded(spec)
                    return recorded.forward, False, recorded
            made = compile_graph(module, inputs, spec[3].get("mutated", ()), live)
            if live is not None:
                made = live.adapted(made, cuda_graphs.trains(inputs))
            why, reason = "", "differs"
            if backend.checked and config.check_compiled:
                recorded = self._recorded(spec)
                alike = backend.draws_alike
                wrong = check.difference(spec, recorded.forward, made, inputs, alike)
                why = wrong and f"what it computes differs from eager: {wrong}"
            if not why:
                return (*made, None)
        except Exception as error:
            why, reason = refusals.reason_in(error), "refused"
            if not why:
                raise
        self._tell(self._as_recorded_text(why, reason))
        recorded = recorded or self._recorded(spec)
        return recorded.forward, False, recorded

    def _forward_of(self, spec: Spec) -> Callable[..., Any]:
        return _recorded_forward(spec, self.name, self._value_type)

    def _recorded(self, spec: Spec) -> GraphModule:
        """Return a module of the recorded operations."""
        from magpy import graph

        return graph.build(spec, name=self.name, value_type=self._value_type)

    def on_abort(self, info: Mapping[str, Any]) -> MagpyError:
        """Return the exception that fullgraph raises: no recording, or no graph."""
        if info["reason"] != "backend-failed":
            return abort_error(self.name, info)
        error = info["exception"]
        raised = BackendError(self._failure_text(error, "and fullgraph=True"))
        raised.__cause__ = error
        return raised

    def on_copy(self, compiled: Any, how: str, memo: Any) -> Any:
        """Return a copy of the compiled object, or what it is pickled as."""
        return copies.make(compiled, how, memo, self.options)

    def on_event(self, kind: str, info: Mapping[str, Any]) -> None:
        """Log or warn about what happened to the compiled object."""
        handler = getattr(self, f"_on_{kind}", None)
        if handler is not None:
            handler(info)
        if kind not in ("miss", "break", "abort"):  # told by their handlers
            records.emit(kind, self, info)

    # -- events ----------------------------------------------------------------------

    def _on_record(self, info: Mapping[str, Any]) -> None:
        torch_logs.count(frames={"total": 1, "ok": 1})
        wanted = [name for name in ("guards", "effects") if logs.enabled(name)]
        if not wanted and not torch_logs.traces():
            return
        entry = self._entry(info["entry"])
        guards = [*entry.get("guards", ()), *entry.get("ambient", ())]
        self._traced.artifact("magpy_guards", "\n".join(guards))
        for artifact in wanted:
            lines = [*entry.get(artifact, ())]
            if artifact == "guards":
                lines += entry.get("ambient", ())
            text = "".join(f"\n  {line}" for line in lines)
            logs.write(artifact, f"{self.name}, entry {info['entry']}:{text}")

    def entries(self) -> list[Mapping[str, Any]]:
        """Return the recorded runs of the compiled object, as the engine tells them."""
        compiled = self._compiled() if self._compiled is not None else None
        return list(compiled.entries()) if compiled is not None else []

    def stats(self) -> Stats:
        """Return what was counted of the compiled object."""
        compiled = self._compiled() if self._compiled is not None else None
        counted = compiled.stats() if compiled is not None else {}
        return in_order(counted, list(self.dynamic))

    def _entry(self, number: int) -> Mapping[str, Any]:
        return next((e for e in self.entries() if e["id"] == number), {})

    def _on_break(self, info: Mapping[str, Any]) -> None:
        self._on_abort(info)

    def _on_abort(self, info: Mapping[str, Any]) -> None:
        error = abort_error(self.name, info)
        if str(error) not in map(str, self.breaks):
            self.breaks.append(error)
            records.emit("break", self, error)
            torch_logs.count(graph_break={error.what: 1})
            self._traced.artifact("dynamo_graph_break_reason", str(error))
        logs.write("breaks", str(error))
        if info["reason"] == "watcher" and not _told_watcher:
            _told_watcher.append(self.name)  # once in a process: it concerns all calls
            notices.warn(f"nothing is recorded for now; {error}")

    def _on_miss(self, info: Mapping[str, Any]) -> None:
        miss = Recompile(
            name=self.name,
            entry=info["entry"],
            source=info["source"],
            guard=info["guard"],
            found=info.get("difference") or "",
            stack=frames(info.get("stack")),
        )
        self.recompiles.append(miss)
        records.emit("recompile", self, miss)
        self._traced.artifact("recompile_reasons", str(miss))
        logs.write("recompiles", str(miss))

    def _on_dynamic(self, info: Mapping[str, Any]) -> None:
        from magpy import shapes

        shapes.prepare()
        texts = []
        for place, then, now in info["places"]:
            known = then is not None
            texts.append(f"{place}, which was {then} and is {now}" if known else place)
            if len(self.dynamic) < _KEPT_PLACES:
                self.dynamic[place] = None
        text = f"dynamic from now on, as nothing else has changed: {'; '.join(texts)}"
        logs.write("recompiles", f"{self.name}: {text}")

    def _on_pinned(self, info: Mapping[str, Any]) -> None:
        for place, file, line, marked in info["places"]:
            where = f" at {file}:{line}" if file else ""
            text = f"{place} is a constant: its value is needed{where}"
            logs.write("recompiles", f"{self.name}: entry {info['entry']}: {text}")
            if file and len(self._pins) < _KEPT_PLACES:
                self._pins[place] = f"{file}:{line}"
            if marked and (place, file, line) not in self._told_pins:
                self._told_pins.add((place, file, line))
                notices.warn(
                    f"{self.name}: {place} is marked as dynamic, but {where.strip()} the "
                    "program needs its value, so each value is recorded"
                )

    def _pinned_at(self, source: str) -> str:
        """Where a number of this object, or the object itself, was pinned."""
        parts = (f"{source}.shape[", f"len({source})")
        places = (p for p in self._pins if p == source or p.startswith(parts))
        return self._pins[found] if (found := next(places, None)) else ""

    def _on_static(self, info: Mapping[str, Any]) -> None:
        text = f"the numbers of entry {info['entry']} stay static: {info['why']}"
        logs.write("recompiles", f"{self.name}: {text}")

    def _on_trial(self, info: Mapping[str, Any]) -> None:
        error = abort_error(self.name, info)
        logs.write(
            "breaks",
            f"told that a compiler is at work, it is not whole either: {error}",
        )

    def _on_differs(self, info: Mapping[str, Any]) -> None:
        text = f"told that a compiler is at work, it answers otherwise: {info['what']}"
        logs.write("breaks", f"{self.name}: {text} [is_compiling-differs]")

    def _on_compile(self, info: Mapping[str, Any]) -> None:
        text = f"compiled by {self.backend.name} in {info['seconds']:.3f} s"
        logs.write("graph", f"{self.name}: {text}", logging.DEBUG)

    def _on_compile_failed(self, info: Mapping[str, Any]) -> None:
        then = "so it runs eager from now on"
        notices.warn(self._failure_text(info["exception"], then))

    def _on_graph_raised(self, info: Mapping[str, Any]) -> None:
        error = info["exception"]
        then = "ran eager instead" if info["rerun"] else "it cannot be undone"
        self._raised = self._error_text(error)
        logs.write("breaks", f"{self.name}: the graph raised {self._raised}; {then}")

    def _on_graph_useless(self, info: Mapping[str, Any]) -> None:
        notices.warn(
            describe(
                f"{self.name}: the graph compiled by backend {self.backend.name!r} "
                f"raised where eager does not, so the call ran eager: {self._raised}",
                reason="graph-raised",
                hint='try another mode or backend; backend="eager" runs the recorded '
                "operations as they are",
            )
        )

    def _on_bare_result(self, info: Mapping[str, Any]) -> None:
        notices.warn(
            describe(
                f"{self.name}: what backend {self.backend.name!r} made of the graph "
                "answers a tensor, where it should answer a tuple or list of one",
                reason="bare-result",
                hint="return (result,) from the compiled callable",
            )
        )

    def _on_stopped(self, info: Mapping[str, Any]) -> None:
        reason, hint = info["reason"], info["hint"]
        if reason == "backoff":
            what = f"{info['detail']} is another one call after call, so the next calls"
            what += " run eager without being recorded"
            hint = "keep it out of the compiled function, or make it constant"
            if needed := self._pinned_at(info["detail"]):
                hint = (
                    f"turn what needs its value at {needed} into operations, or {hint}"
                )
        elif reason == "entry-limit":
            what = "it has as many recorded runs as it may keep, all of them in use; "
            what += "calls that none of them fits run eager"
            hint = "raise magpy.config.max_entries, or compile what varies less"
        else:
            detail = f": {info['detail']}" if info["detail"] else ""
            what = f"it runs eager, recording it fails again and again: {info['what']}"
            what += detail
        where = {"file": info["file"], "line": info["line"]}
        text = describe(f"{self.name}: {what}", reason=reason, hint=hint, **where)
        notices.warn(text)

    # -- texts -----------------------------------------------------------------------

    def _graph_text(self, module: Any) -> str:
        count = sum(node.op.startswith("call_") for node in module.graph.nodes)
        code = torch_logs.readable(module).strip()
        return f"{self.name}: {count} operations\n{code}"

    def _tell(self, text: str) -> None:
        self._told = text
        logs.write("breaks", text)

    def _as_recorded_text(self, why: str, reason: str) -> str:
        hints = {
            "grad-later": "register the function as an operator: "
            "torch.library.custom_op",
            "tensor-state": "make parameters and set their state outside of the call",
            "differs": "report it to the authors of the backend",
            "memory": "use operations that follow strides: narrow, chunk, select",
            "dynamic-shape": "use operations with fixed shapes, for example torch.where",
            "refused": "compile the parts around it by themselves",
            "saved-hooks": "compile what calls checkpoint, too",
            "replaced": "replace functions of torch before anything is compiled",
            "generator": "draw from torch's own generators, or outside of the call",
            "hooks": "set hooks outside of the call, or on its arguments",
            "gradients": "compile the parts that do neither by themselves",
            "tensor-subclass": "compile what works with dense tensors by itself",
            "control-flow": "compile what is heavy in it by itself",
        }
        return describe(
            f"{self.name}: the graph runs as recorded, not compiled by backend "
            f"{self.backend.name!r}: {why}",
            reason=reason,
            hint=hints[reason],
        )

    def _error_text(self, error: BaseException) -> str:
        if config.verbose_errors:
            return "".join(traceback.format_exception(error)).rstrip()
        lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
        text = lines[0] if lines else type(error).__name__
        return f"{text} {lines[1]}" if text.endswith(":") and len(lines) > 1 else text

    def _failure_text(self, error: BaseException, then: str) -> str:
        return describe(
            f"{self.name}: backend {self.backend.name!r} could not compile the graph, "
            f"{then}: {self._error_text(error)}",
            reason="backend-failed",
            hint="see everything with MAGPY_LOGS=graph and MAGPY_VERBOSE_ERRORS=1",
        )


def _recorded_forward(spec: Spec, name: str, value_type: Any) -> Callable[..., Any]:
    from magpy import graph

    forward: Callable[..., Any]
    forward = graph.build(spec, name=name, value_type=value_type).forward
    return forward


def abort_error(name: str, info: Mapping[str, Any]) -> Unsupported:
    """Word the engine's description of an aborted recording."""
    detail = f": {info['detail']}" if info["detail"] else ""
    return Unsupported(
        f"{name}: {info['what']}{detail}",
        reason=info["reason"],
        file=info["file"],
        line=info["line"],
        hint=info["hint"],
        stack=frames(info.get("stack")),
    )
