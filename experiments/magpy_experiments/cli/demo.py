"""Compile two models, show what was recorded, and compare with eager and torch.compile.

A small BERT from transformers (skipped if that is not installed) and a ResNet-18, with
random weights, on the CPU.  Exit code 0 means: one graph each, and the results agree
with eager.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import magpy
from magpy.seal import sealed
from magpy_experiments.measure import duration, interleaved, once, step

_TOLERANCE = 1e-3  # relative to the largest result; float32, other order of sums
_SHOWN = 5


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--full", action="store_true", help="BERT-base instead of a small BERT"
    )
    parser.add_argument(
        "--no-torch-compile", action="store_true", help="leave torch.compile out"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backend", default="inductor", help="backend of MagPy")


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0 if every model gave one graph and the right results, else 1.
    """
    import torch

    names = ["bert-base" if args.full else "bert-small", "resnet18"]
    if find_spec("transformers") is None:
        print("transformers is not installed: no BERT", file=sys.stderr)
        del names[0]
    torch.manual_seed(0)
    with torch.no_grad():
        good = [_show(name, args) for name in names]
    return 0 if all(good) else 1


def _show(name: str, args: argparse.Namespace) -> bool:
    from magpy_experiments.workloads import WORKLOADS, first_tensor

    device: str = args.device
    model, inputs = WORKLOADS[name](device)

    def call(callee: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: callee(*inputs)

    with step(f"{name}: eager"):
        call(model)()
        eager_time = min(once(call(model), device) for _ in range(3))
        expected = first_tensor(model(*inputs))
    compiled: Any = magpy.compile(model, backend=args.backend, name=name)
    with step(f"{name}: recording"):
        once(call(compiled), device)
    with step(f"{name}: compiling with {args.backend}"):
        once(call(compiled), device)
    difference = _difference(first_tensor(compiled(*inputs)), expected)
    functions = {"eager": call(model), "magpy": call(compiled)}
    if not args.no_torch_compile:
        reference = torch_compile(model)
        with (
            step(f"{name}: torch.compile"),
            sealed(),
        ):  # its Inductor changes sys limits
            reference(*inputs)
        functions["torch.compile"] = call(reference)
    with step(f"{name}: measuring"):
        times = interleaved(functions, device, rounds=30)
    _print_recording(name, compiled, eager_time)
    _print_times(times, compiled, difference)
    counted = magpy.stats(compiled)
    return counted["graphs"] == 1 and counted["hits"] > 0 and difference <= _TOLERANCE


def torch_compile(model: Any) -> Any:
    """Return `model` compiled by torch.compile with Inductor."""
    import torch

    return torch.compile(model)


def _difference(result: Any, expected: Any) -> float:
    largest = max(float(expected.abs().max()), 1e-12)
    return float((result - expected).abs().max()) / largest


def _print_recording(name: str, compiled: Any, eager_time: float) -> None:
    counted = magpy.stats(compiled)
    function = compiled_entries(compiled)
    print(f"== {name}")
    if not function:
        print(f"not recorded; reasons: {counted['reasons']}")
        return
    entry = function[0]
    spec = entry["graph"]
    seconds = counted["seconds"]
    print(f"graphs                 {counted['graphs']}")
    print(f"operations             {len(spec[0]) if spec else 0}")
    print(f"instructions watched   {entry['instructions']}")
    for title in ("guards", "effects"):
        _print_excerpt(title, entry[title])
    record = seconds["record"]
    print(
        f"recording              {duration(record)} "
        f"({record / eager_time:.1f}x one eager run of {duration(eager_time)})"
    )
    print(f"backend compile        {duration(seconds['compile'])}")


def compiled_entries(compiled: Any) -> list[dict[str, Any]]:
    """Return the engine's entries of a compiled module."""
    from magpy.module import compiled_function

    entries: list[dict[str, Any]] = compiled_function(compiled).entries()
    return entries


def _print_excerpt(title: str, lines: list[str]) -> None:
    print(f"{title:<22} {len(lines)}")
    for line in lines[:_SHOWN]:
        print(f"    {line}")
    if len(lines) > _SHOWN:
        print(f"    ... {len(lines) - _SHOWN} more")


def _print_times(times: dict[str, float], compiled: Any, difference: float) -> None:
    print("per call, median of 30 interleaved")
    for name, seconds in times.items():
        ratio = times["eager"] / seconds
        print(f"    {name:<18} {duration(seconds):>10}   {ratio:.2f}x eager")
    print(f"hits                   {magpy.stats(compiled)['hits']}")
    print(f"largest difference     {difference:.2e} of the largest result")
