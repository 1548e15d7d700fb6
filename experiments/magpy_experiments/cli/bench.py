"""Measure MagPy, torch.compile and eager in one process and compare medians.

capture   first call with a backend that does nothing, in units of one eager run
overhead  what one call of a tiny module costs on top of its compiled graph
models    one call at batch size 1, with Inductor
sharing   graphs that are compiled for many instances of a block, and for calls whose
          argument is another user each time; quick
dynamic   graphs, recordings and eager calls of programs whose sizes and numbers change;
          takes a while, so only on demand: python -m magpy bench dynamic
symbols   what a hit and a recording with symbols cost beside static ones; on demand, too
hits      what a hit costs more than a graph that does nothing, of functions and of models
          with many parameters, and of sizes that take turns; on demand, too
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import magpy
from magpy_experiments.measure import duration, interleaved, once, step

_SUITES = ("capture", "overhead", "models", "sharing")
_ON_DEMAND = ("dynamic", "symbols", "hits")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    names = (*_SUITES, *_ON_DEMAND)
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help=f"of {', '.join(names)}"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="small models, few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results there")
    parser.add_argument(
        "--suite", choices=names, action="append", help="only this one; repeatable"
    )
    dynamic = parser.add_argument_group("dynamic")
    dynamic.add_argument("--backend", default="eager", help="of both compilers")
    dynamic.add_argument("--only", metavar="TEXT", help="workloads whose name has it")
    dynamic.add_argument("--alone", action="store_true", help="without torch.compile")


def run(args: argparse.Namespace) -> int:
    """Run the suites; print a table and write the JSON file."""
    import torch

    suites = {
        "symbols": _symbols,
        "capture": _capture,
        "overhead": _overhead,
        "models": _models,
        "sharing": _sharing,
        "hits": _hits,
    }
    chosen = [*args.suites, *(args.suite or ())] or _SUITES
    for name in chosen:
        if name not in (*_SUITES, *_ON_DEMAND):
            print(
                f"no suite {name!r}; there are {', '.join((*_SUITES, *_ON_DEMAND))}",
                file=sys.stderr,
            )
            return 2
    results: dict[str, Any] = {"environment": _environment(args)}
    torch.manual_seed(0)
    over = 0
    for name in chosen:
        if name == "dynamic":
            results[name] = _dynamic(args)
            over += sum(bool(row["over the bar"]) for row in results[name])
            continue
        with torch.no_grad():
            results[name] = suites[name](args.device, args.quick)
        _print(name, results[name])
    if args.json is not None:
        args.json.write_text(json.dumps(results, indent=2) + "\n")
        print(f"written to {args.json}", file=sys.stderr)
    return int(over > 0)


def _dynamic(args: argparse.Namespace) -> list[dict[str, Any]]:
    from magpy_experiments.dynamic import report

    cases = report.cases(args.quick)
    chosen = [case for case in cases if (args.only or "") in case.name]
    rows = report.run(chosen, args.backend, args.alone)
    print("== dynamic", *report.table(rows), sep="\n")
    return rows


def _environment(args: argparse.Namespace) -> dict[str, Any]:
    from magpy.cli.env import collect

    environment = collect()
    environment["device"] = args.device
    environment["quick"] = args.quick
    environment["processor"] = platform.processor() or platform.machine()
    return environment


def _workloads(quick: bool) -> tuple[str, ...]:
    return ("bert-small", "resnet18") if quick else ("bert-base", "resnet101")


def _bind(function: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: function(*inputs)


def _capture(device: str, quick: bool) -> list[dict[str, Any]]:
    """Time of the first call, in seconds and in eager runs."""
    import torch

    from magpy_experiments.workloads import WORKLOADS

    rows = []
    for name in _workloads(quick):
        model, inputs = WORKLOADS[name](device)
        _bind(model, inputs)()
        eager = statistics.median(once(_bind(model, inputs), device) for _ in range(5))
        firsts: dict[str, list[float]] = {"magpy": [], "torch.compile": []}
        with step(f"capture {name}"):
            for _ in range(1 if quick else 3):
                ours = magpy.compile(model, backend="eager")
                firsts["magpy"].append(once(_bind(ours, inputs), device))
                torch.compiler.reset()
                theirs = torch.compile(model, backend="eager")
                firsts["torch.compile"].append(once(_bind(theirs, inputs), device))
        row: dict[str, Any] = {"name": name, "eager": eager}
        for who, times in firsts.items():
            row[who] = statistics.median(times)
            row[f"{who} / eager"] = row[who] / eager
        rows.append(row)
    return rows


def _overhead(device: str, quick: bool) -> list[dict[str, Any]]:
    """Time of one call minus the time of the bare graph."""
    import torch

    from magpy_experiments.cli.demo import compiled_entries
    from magpy_experiments.workloads import WORKLOADS

    model, inputs = WORKLOADS["add"](device)
    ours, theirs = magpy.compile(model), torch.compile(model)
    with step("overhead: compiling"):
        for _ in range(3):
            ours(*inputs)
            theirs(*inputs)
    functions = {
        "eager": _bind(model, inputs),
        "magpy": _bind(ours, inputs),
        "torch.compile": _bind(theirs, inputs),
    }
    entries = compiled_entries(ours)
    if entries and entries[0]["callable"] is not None:
        functions["graph"] = _graph_call(entries[0], model, inputs)
    rounds, inner = (20, 200) if quick else (50, 1000)
    with step("overhead: measuring"):
        times = interleaved(functions, device, rounds=rounds, inner=inner)
    row: dict[str, Any] = {"name": "one addition", **times}
    if "graph" in times:
        for who in ("magpy", "torch.compile"):
            row[f"{who} - graph"] = times[who] - times["graph"]
    return [row]


def _graph_call(
    entry: dict[str, Any], model: Any, inputs: tuple[Any, ...]
) -> Callable[[], Any]:
    """Return a call of the compiled graph of :class:`Add` alone."""
    graph, (x,) = entry["callable"], inputs
    bias = model.bias
    x_first = "bias" not in str(entry["inputs"][0])

    def boxed() -> Any:
        return graph([x, bias] if x_first else [bias, x])

    def unboxed() -> Any:
        return graph(x, bias) if x_first else graph(bias, x)

    try:
        boxed()
    except TypeError:
        return unboxed
    return boxed


def _models(device: str, quick: bool) -> list[dict[str, Any]]:
    """Time of one call with Inductor."""
    import torch

    from magpy_experiments.workloads import WORKLOADS, first_tensor

    rows = []
    for name in _workloads(quick):
        model, inputs = WORKLOADS[name](device)
        ours, theirs = magpy.compile(model), torch.compile(model)
        expected = first_tensor(model(*inputs))
        with step(f"models {name}: compiling"):
            for _ in range(3):
                result = first_tensor(ours(*inputs))
                theirs(*inputs)
        functions = {
            "eager": _bind(model, inputs),
            "magpy": _bind(ours, inputs),
            "torch.compile": _bind(theirs, inputs),
        }
        with step(f"models {name}: measuring"):
            times = interleaved(functions, device, rounds=10 if quick else 50)
        counted = magpy.stats(ours)
        rows.append(
            {
                "name": name,
                **times,
                "graphs": counted["graphs"],
                "hits": counted["hits"],
                "max difference": float((result - expected).abs().max()),
            }
        )
    return rows


class _Counted:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module: Any, inputs: Any) -> Any:
        self.count += 1
        return module.forward


def _sharing(device: str, quick: bool) -> list[dict[str, Any]]:
    """Graphs that each compiler hands to its backend; the limit is one."""
    import torch

    def block() -> Any:
        parts = torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.ReLU()
        return torch.nn.Sequential(*parts).to(device)

    def moved(x: Any, user: Any) -> Any:
        return {"result": x + 1, "user": user}

    count = 10 if quick else 40
    x = torch.ones(2, 8, device=device)
    blocks = [(block(), [(x,), (x,)]) for _ in range(count)]
    programs: dict[str, list[Any]] = {
        f"{count} instances": blocks,
        f"{count} users, numbers": [(moved, [(x, 1000 + i) for i in range(count)])],
        f"{count} users, texts": [(moved, [(x, f"user {i}") for i in range(count)])],
        f"{count} users in a dict": [
            (lambda x, d: d["x"] + x, [(x, {"x": x, "user": i}) for i in range(count)])
        ],
    }
    rows = []
    for name, callables in programs.items():
        row: dict[str, Any] = {"name": name, "limit": 1}
        for who, compile_with in (
            ("magpy", magpy.compile),
            ("torch.compile", torch.compile),
        ):
            torch.compiler.reset()
            backend = _Counted()
            compiled = [compile_with(f, backend=backend) for f, _ in callables]
            start = time.perf_counter()
            for fast, (_, calls) in zip(compiled, callables, strict=True):
                for args in calls:
                    fast(*args)
            row[who] = backend.count
            row[f"{who}, seconds"] = time.perf_counter() - start
            if who == "magpy":
                counts = [magpy.stats(fast) for fast in compiled]
                row["recordings"] = sum(each["recordings"] for each in counts)
        rows.append(row)
    return rows


def _symbols(device: str, quick: bool) -> list[dict[str, Any]]:
    import torch

    from magpy_experiments.dynamic import cost

    rounds = 10 if quick else 50
    torch.set_num_threads(1)
    times = cost.guards(rounds)
    alone = {"name": "no graph", "hit": times["symbols"], "static hit": times["static"]}
    alone["hit / static hit"] = times["symbols"] / times["static"]
    return [alone, *cost.rows(rounds)]


def _hits(device: str, quick: bool) -> list[dict[str, Any]]:
    import torch

    from magpy_experiments import hits

    torch.set_num_threads(1)
    return hits.rows(device, quick)


def _print(suite: str, rows: list[dict[str, Any]]) -> None:
    print(f"== {suite}")
    for row in rows:
        print(row["name"])
        for key, value in row.items():
            if key == "name":
                continue
            if " / " in key:
                text = f"{value:.2f}x"
            elif key == "max difference":
                text = f"{value:.2e}"
            elif isinstance(value, float):
                text = duration(value)
            else:
                text = str(value)
            print(f"    {key:<24} {text:>10}")
