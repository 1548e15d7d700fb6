"""What a run writes to text files: print, write, flush, logging, warnings.

A program prints to the sys.stdout of its world; what arrives there, call after call, must
be what eager writes, in the same pieces where a program could tell.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Any

import pytest

from oracle import cases, check, engine_compile, reasons, whole_hits

CASES = cases("""
=== file_of_the_program
class Log:
    def __init__(self):
        self.lines = []
        self.flushed = False
    def write(self, text):
        self.lines.append(text)
    def flush(self):
        self.flushed = True
log = Log()
def f(x):
    print("a", x, [x], file=log, sep="-", flush=True)
    return log.flushed
>>> 1

=== file_of_the_program_that_counts
class Log:
    n = 0
    def write(self, text):
        Log.n = Log.n * 10 % 100 + len(text)
        return len(text)
log = Log()
def f(x):
    Log.n = 0
    print("total", x, file=log)
    return Log.n
>>> 1
!!! Log.write = lambda self, text: None

=== stdout_of_the_program
import sys, contextlib
class Log:
    def write(self, text):
        self.text += text
log = Log()
def f(x):
    log.text = ""
    with contextlib.redirect_stdout(log):
        print("inside", x)
    return log.text
>>> 1

=== an_attribute_hides_the_method | eager
class Log:
    def write(self, text): pass
log = Log()
out = []
log.write = out.append
def f(x):
    print(x, file=log)
>>> 1

=== a_file_that_raises | eager
class Log:
    def write(self, text):
        raise KeyError(text)
log = Log()
def f(x):
    print(x, file=log)
>>> 1

=== a_file_that_raises_and_is_caught
class Log:
    def write(self, text):
        raise KeyError(text)
log = Log()
def f(x):
    try:
        print(x, file=log)
    except KeyError as e:
        return e.args
>>> 1

=== no_stdout
import sys
def f(x):
    old, sys.stdout = sys.stdout, None
    print(x)
    sys.stdout = old
    return x
>>> 1

=== no_file_at_all | eager
def f(x):
    print(x, file=3)
>>> 1

=== options_of_another_type | eager
def f(x):
    print(x, sep=x)
>>> 1

=== unknown_option | eager
def f(x):
    print(x, color=1)
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check(case)


class Shape:
    def __repr__(self) -> str:
        return "Shape()"


BODIES = [
    "print()",
    "print('a', x, 1.5, None, True, b'b', sep='-', end='!')",
    "print([x, (1, 'a')], {'k': {x}}, frozenset(), range(3), ...)",
    "print(x, sep=None, end=None, file=None, flush=True)",
    "print(f'{x:>4}|{x!r}'); print('%s' % x)",
    "print('one'); log.append(x); print('two')",
    "print('é', chr(0x1F600))",
    "sys.stdout.write('a'); sys.stderr.write('b'); print('c', file=sys.stderr)",
    "sys.stdout.write('a'); sys.stdout.flush(); log.append(sys.stdout.write('abc'))",
    "[print(i, end=' ') for i in range(x)]",
    "print(f'{shape}', str(shape))",
    "for i in range(3): print(i, file=other)",
    "other.write('text')",
    "sys.stdout = other; print('there'); sys.stdout = sys.__stdout__",
    "with contextlib.redirect_stdout(other): print('there')",
]
NOT_RECORDED = [
    "print(shape)",
    "print(1, [shape])",
    "try: print(x)\n    except ValueError: pass",
    "print(chr(0xD800))",
    "print(x, file=low)",
    "print('é', file=narrow)",
    "print(x, file=shadowed)",
    "print(*map(str, [x]), file=loud)",
    "other.writelines(['a', 'b'])",
    "log.append(other.getvalue())",
    "logging.getLogger('magpy.prints').error('text')",
    "open('/dev/null').close()",
]


class World:
    """Names that a body uses, and what it wrote."""

    def __init__(self, body: str) -> None:
        class Loud(io.StringIO):
            def write(self, text: str) -> int:
                return super().write(text.upper())

        class Raw(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: Any) -> int:
                return len(data)

        self.below = [io.BytesIO(), io.BytesIO()]
        self.out, self.err = (
            io.TextIOWrapper(b, "utf-8", newline="\n") for b in self.below
        )
        self.log: list[Any] = []
        self.other = io.StringIO()
        self.shadowed = io.StringIO()
        self.shadowed.write = self.log.append  # type: ignore[assignment,method-assign]
        self.names: dict[str, Any] = {
            "__name__": "world",
            "sys": sys,
            "contextlib": contextlib,
            "logging": logging,
            "log": self.log,
            "other": self.other,
            "shape": Shape(),
            "low": io.TextIOWrapper(Raw()),
            "narrow": io.TextIOWrapper(io.BytesIO(), "latin-1"),
            "shadowed": self.shadowed,
            "loud": Loud(),
        }
        exec(f"def f(x):\n    {body}\n    return x\n", self.names)

    def call(self, fn: Any, monkeypatch: Any) -> Any:
        with monkeypatch.context() as m:
            m.setattr(sys, "stdout", self.out)
            m.setattr(sys, "__stdout__", self.out)
            m.setattr(sys, "stderr", self.err)
            try:
                answer: Any = fn(3)
            except Exception as e:
                answer = type(e)
        self.out.flush()
        self.err.flush()
        found = [b.getvalue() for b in self.below]
        return answer, found, self.other.getvalue(), list(self.log)


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("body", [*BODIES, *NOT_RECORDED])
def test_what_is_written(body, segments, monkeypatch):
    eager, fast = World(body), World(body)
    compiled = engine_compile(fast.names["f"], segments=segments)
    for _ in range(5):
        expected = eager.call(eager.names["f"], monkeypatch)
        assert fast.call(compiled, monkeypatch) == expected
    assert (whole_hits(compiled) > 0) == (body in BODIES), compiled.stats()
    if body in NOT_RECORDED:
        kinds = {"side-effect", "opaque-call", "opaque-type"}
        assert reasons(compiled) & kinds, compiled.stats()
        assert segments or compiled.stats()["hits"] == 0


def test_a_hit_prints_to_the_stdout_of_that_time(monkeypatch):
    def f(x):
        print("now", x)

    fast = engine_compile(f)
    files = [io.StringIO() for _ in range(4)]
    for file in files:
        monkeypatch.setattr(sys, "stdout", file)
        fast(1)
    monkeypatch.undo()
    assert [file.getvalue() for file in files] == ["now 1\n"] * 4
    assert fast.stats()["hits"] == 3


def test_capsys_sees_what_hits_print(capsys):
    def f(x):
        print("value", x)
        print("error", x, file=sys.stderr)

    fast = engine_compile(f)
    for _ in range(3):
        fast(1)
        assert capsys.readouterr() == ("value 1\n", "error 1\n")
    assert fast.stats()["hits"] == 2


def test_a_closed_file_raises_as_in_eager():
    out = io.StringIO()
    log: list[int] = []

    def f(x):
        log.append(1)
        print(x, file=out)
        log.append(2)

    fast = engine_compile(f)
    fast(1)
    fast(1)
    assert whole_hits(fast) == 1
    out.close()
    log.clear()
    for _ in range(4):
        with pytest.raises(ValueError, match="closed file"):
            fast(1)
    assert log == [1] * 4
    assert whole_hits(fast) == 1, "a call of a closed file is no whole hit"
    assert reasons(fast) == {"side-effect"}


def test_pieces_go_out_as_in_eager():
    """A raw file tells how often it is written to."""

    def f(x, out):
        print("a", x, file=out)
        out.write("b")
        out.flush()

    def pieces(fn: Any) -> list[bytes]:
        below = io.BytesIO()
        out = io.TextIOWrapper(below, "utf-8", write_through=True, newline="\n")
        found = []
        for _ in range(3):
            fn(1, out)
            found.append(below.getvalue())
        return found

    fast = engine_compile(f)
    assert pieces(fast) == pieces(f)
    assert fast.stats()["hits"] >= 2


def test_levels_of_a_logger_are_reads(caplog):
    logger = logging.getLogger("magpy.test_prints")
    logger.setLevel(logging.WARNING)

    def f(x):
        logger.debug("value %s", x)
        logger.info("value %s", x)
        return x + 1

    fast = engine_compile(f)
    assert [fast(1) for _ in range(4)] == [2] * 4
    whole = whole_hits(fast)
    assert whole >= 2, fast.stats()
    logger.setLevel(logging.INFO)
    for number in range(1, 4):
        with caplog.at_level(logging.INFO):
            assert fast(1) == 2
        assert [r.getMessage() for r in caplog.records] == ["value 1"] * number
    assert whole_hits(fast) == whole
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("segments", [True, False])
def test_every_call_warns(segments):
    import warnings

    def f(x):
        warnings.warn("text", stacklevel=1)
        return x

    fast = engine_compile(f, segments=segments)
    line = f.__code__.co_firstlineno + 1
    for _ in range(4):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert fast(1) == 1
        assert [(w.lineno, w.filename) for w in caught] == [(line, __file__)]
        assert [str(w.message) for w in caught] == ["text"]
    assert whole_hits(fast) == 0
    assert segments or fast.stats()["hits"] == 0
    assert reasons(fast) and reasons(fast) <= {"side-effect", "opaque-call"}
