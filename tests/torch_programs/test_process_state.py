"""State of the process, the thread and the context: what was computed under it is not
used under another (docs/internals/ambient.md)."""

from __future__ import annotations

import codecs
import contextlib
import json
import locale
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
magpy = pytest.importorskip("magpy")


@contextlib.contextmanager
def changed(
    get: Callable[[], Any], put: Callable[[Any], Any], value: Any
) -> Iterator[None]:
    old = get()
    put(value)
    try:
        yield
    finally:
        put(old)


def digits() -> Any:
    return changed(sys.get_int_max_str_digits, sys.set_int_max_str_digits, 700)


def denormal() -> Any:
    return changed(lambda: False, torch.set_flush_denormal, True)


def numbers() -> Any:
    """Some locale that writes numbers in another way, or under another name."""
    old = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "en_US.UTF-8", "C.UTF-8"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_NUMERIC, name)
            break
    locale.setlocale(locale.LC_NUMERIC, old)
    return changed(lambda: old, lambda v: locale.setlocale(locale.LC_NUMERIC, v), name)


def handler() -> Any:
    return changed(
        lambda: codecs.ignore_errors,
        lambda found: codecs.register_error("magpy.test", found),
        codecs.replace_errors,
    )


def legacy() -> Any:
    return np.printoptions(legacy="1.13")


BIG, TINY = 10**1000, 1e-310
ONE, ZERO = np.array([1.0]), np.float64(0)
codecs.register_error("magpy.test", codecs.ignore_errors)

CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any], int]] = {
    # program, state, hits of whole calls in three calls
    "str": (lambda: str(BIG)[:3], digits, 2),
    "int": (lambda: int("9" * 1000) % 7, digits, 2),
    "f_string": (lambda: len(f"{BIG}"), digits, 2),
    "percent": (lambda: len("%d" % BIG), digits, 2),  # noqa: UP031
    "json": (lambda: json.dumps(BIG)[:4], digits, 2),
    "float": (lambda: TINY * 1.0, denormal, 2),
    "float_of_a_tensor": (
        lambda: (torch.tensor(TINY, dtype=torch.float64) * 1.0).item(),
        denormal,
        2,
    ),
    "float_of_numpy": (lambda: float(np.float64(TINY) * np.float64(1)), denormal, 2),
    "format_n": (lambda: f"{1234567.5:n}", numbers, 2),
    "str_format_n": (lambda: "{:n}".format(1234567), numbers, 2),  # noqa: UP032
    "division": (lambda: float(ONE[0] / ZERO), lambda: np.errstate(divide="raise"), 0),
    "integers": (
        lambda: int(np.int8(100) + np.int8(100)),
        lambda: np.errstate(over="raise"),
        2,
    ),
    "text_of_numpy": (lambda: repr(np.float64(1.25)), legacy, 2),
    "text_of_an_array": (lambda: str(ONE), lambda: np.printoptions(precision=1), 0),
    "codec": (lambda: "\u00e9".encode("ascii", "magpy.test"), handler, 0),
    "codec_of_bytes": (lambda: bytes("\u00e9", "ascii", "magpy.test"), handler, 0),
    "codec_by_name": (
        lambda: "\u00e9".encode("ascii", errors="magpy.test"),
        handler,
        0,
    ),
    "text_of_a_tensor": (
        lambda: str(torch.ones(2)),
        lambda: changed(lambda: 4, lambda v: torch.set_printoptions(precision=v), 2),
        2,
    ),
}


def answer(fn: Callable[[], Any]) -> Any:
    try:
        return fn()
    except (ValueError, FloatingPointError) as error:
        return type(error), str(error)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow")
@pytest.mark.parametrize(("program", "state", "hits"), CASES.values(), ids=CASES)
def test_process_state(program: Any, state: Any, hits: int) -> None:
    fast = magpy.compile(program, backend="eager")
    for _ in range(3):
        assert answer(fast) == answer(program)
    counted = magpy.stats(fast)
    assert counted["hits"] - counted["partial_hits"] == hits
    for _ in range(2):
        with state():
            for _ in range(2):
                assert answer(fast) == answer(program)
        assert answer(fast) == answer(program)


WARNS: dict[str, tuple[Callable[[], Any], bool]] = {
    # program; is it recorded whole?
    "scalars": (lambda: ONE[0] / ZERO, False),
    "arrays": (lambda: ONE / ZERO, False),
    "ufunc": (lambda: np.log(np.array([0.0])), False),
    "method": (lambda: np.array([1e200, 1e300]).prod(), False),
    "overflow": (lambda: np.float32(1e38) * np.float32(1e10), False),
    "power": (lambda: np.float64(10) ** 400, False),
    "nothing": (lambda: np.sqrt(np.array([2.0])) * np.float64(3), True),
}


@pytest.mark.parametrize(("program", "whole"), WARNS.values(), ids=WARNS)
def test_warnings_of_numpy(program: Any, whole: bool) -> None:
    fast = magpy.compile(program, backend="eager")
    for filters in ("ignore", "default", "always", "error", "always", "ignore"):
        for _ in range(2):
            told = []
            for fn in (program, fast):
                with warnings.catch_warnings(record=True) as shown:
                    warnings.simplefilter(filters)  # type: ignore[arg-type]
                    try:
                        result = repr(fn())
                    except RuntimeWarning as warning:
                        result = str(warning)
                found = {str(w.message) for w in shown if w.category is RuntimeWarning}
                told.append((result, found))
            assert told[0] == told[1], filters
    counted = magpy.stats(fast)
    assert (counted["hits"] > counted["partial_hits"]) == whole


def test_levels_that_change_while_a_graph_runs() -> None:
    """As another thread would do it: what the logger would remember is out of date."""
    log = logging.Logger("of a test", logging.WARNING)
    levels = [logging.WARNING]

    def backend(graph: Any, inputs: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            if log.level != levels[-1]:
                log.setLevel(levels[-1])
                log._cache.clear()  # type: ignore[attr-defined]
            return graph(*args)

        return run

    def f(x: torch.Tensor) -> tuple[torch.Tensor, bool]:
        return x + 1, log.isEnabledFor(logging.INFO)

    fast = magpy.compile(f, backend=backend)
    for _ in range(3):
        log._cache.clear()  # type: ignore[attr-defined]
        assert not fast(torch.ones(2))[1]
        assert log._cache == {logging.INFO: False}  # type: ignore[attr-defined]
    assert magpy.stats(fast)["hits"] >= 2
    log._cache.clear()  # type: ignore[attr-defined]
    levels.append(logging.INFO)
    assert not fast(torch.ones(2))[1]  # it asked before the graph ran
    assert log._cache == {} and log.level == logging.INFO  # type: ignore[attr-defined]
    assert fast(torch.ones(2))[1]
