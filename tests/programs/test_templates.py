"""pattern.sub, subn and match.expand: a text becomes a template by Python code of `re`.

What that code reads may be replaced, and it asks a cache, which counts."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from oracle import Case, cases, check, engine_compile

P = re.compile(r"(?P<a>\w)(\d)?")

PROGRAMS = """
=== names_and_numbers
import re
P = re.compile(r"(?P<a>[a-z])([0-9])?")
def f(s):
    return (P.sub(r"<\\g<a>-\\2>", s), P.subn(r"\\n\\1\\\\", s, 1),
            P.match(s).expand(r"\\1!\\g<0>"), P.groups,
            P.flags, P.pattern, P.groupindex["a"], dict(P.groupindex))
>>> "a1b"
>>> "b"

=== bytes
import re
P = re.compile(rb"(a)")
def f(s):
    return P.sub(rb"<\\1\\n\\101>", s), P.groupindex, P.groups
>>> b"banana"

=== groups_without_names
import re
P = re.compile("(a)(b)?")
def f(s):
    return P.sub(r"\\2\\1", s), len(P.groupindex), list(P.groupindex)
>>> "ab a"

=== another_pattern
import re
P = re.compile("(a)(b)?")
def f(s):
    return P.sub(r"<\\1>", s), P.groups
>>> "ab a"
!!! P = re.compile("(b)")
!!! P = re.compile("(a)(b)?")

=== texts_of_the_program | eager
import re
class S(str): pass
T = S(r"[\\1]")
def f(s):
    return re.sub("(a)", T, s), re.sub("(a)", S("x"), s)
>>> "ab a"
!!! T = S(r"{\\1}")

=== a_cache_with_patterns_as_keys
import re, functools
P, Q = re.compile("a"), re.compile("b")
@functools.lru_cache
def count(p, s):
    return len(p.findall(s))
def f(s):
    return count(P, s) + count(Q, s)
>>> "abab"
!!! P, Q = Q, P
!!! P = re.compile("c")
!!! count.cache_clear()
"""


# From 3.12 on, C code asks for a template that no cache can keep: a break.
if sys.version_info < (3, 12):
    PROGRAMS += """
=== raises
import re
P = re.compile("(a)")
def f(s):
    out = []
    for t in (r"\\2", r"\\g<b>", r"\\q", "\\\\"):
        try:
            P.sub(t, s)
        except (re.error, IndexError) as e:
            out.append((type(e).__name__, str(e)))
    return out
>>> "a"
"""


@pytest.mark.parametrize("case", cases(PROGRAMS), ids=str)
def test_programs(case: Case) -> None:
    check(case)


def both(s: str) -> Any:
    """What the functions that are replaced below have a part in."""
    m = P.match(s)
    return (
        P.sub(r"<\g<a>\n\1>", s),
        P.subn(r"\1\\", s),
        None if m is None else m.expand(r"\1\g<0>"),
    )


def outcome(f: Callable[[str], Any], s: str) -> Any:
    """What f returns or raises, with a cache that has no templates."""
    re.purge()
    try:
        return f(s)
    except Exception as e:
        return type(e), str(e)


def replaced(owner: Any, name: str, patch: pytest.MonkeyPatch) -> None:
    """Another object there, which makes a difference."""
    real = getattr(owner, name)
    if isinstance(real, type):
        patch.setattr(real, "get", lambda self: None)
    elif isinstance(real, dict):
        patch.setitem(real, r"\n", (real[r"\n"][0], ord("N")))
    elif isinstance(real, int):
        patch.setattr(owner, name, 0)
    else:

        def other(*args: Any) -> Any:
            return "other" if name == "_subx" else real(*args)[:0]

        other.cache_clear = lambda: None  # type: ignore[attr-defined]
        patch.setattr(owner, name, other)


PLACES = [
    (module, name)
    for module in (re, sys.modules.get("re._parser"))
    for name in (
        "_subx",
        "_expand",
        "_compile_repl",
        "parse_template",
        "expand_template",
    )
    + ("Tokenizer", "ESCAPES", "MAXGROUPS")
    if hasattr(module, name) and not (module is re and sys.version_info >= (3, 12))
]


@pytest.mark.parametrize("place", PLACES, ids=lambda p: str(p[1]))
def test_what_makes_templates_is_replaced(
    place: tuple[Any, str], monkeypatch: Any
) -> None:
    outcome(both, "a1b")
    fast = engine_compile(both)
    for _ in range(4):
        assert fast("a1b") == both("a1b")
    assert fast.stats()["hits"] > 0
    with monkeypatch.context() as patch:
        replaced(*place, patch)
        expected = [outcome(both, "a1b") for _ in range(3)]
        assert [outcome(fast, "a1b") for _ in range(3)] == expected
    outcome(both, "a1b")
    assert [fast("a1b") for _ in range(3)] == [both("a1b")] * 3


@pytest.mark.skipif(
    not hasattr(re, "_compile_repl"), reason="its cache has another name"
)
def test_the_cache_counts() -> None:
    def count(f: Callable[[str], Any]) -> tuple[int, int]:
        before = re._compile_repl.cache_info()  # type: ignore[attr-defined]
        f("a1b")
        after = re._compile_repl.cache_info()  # type: ignore[attr-defined]
        return after.hits - before.hits, after.misses - before.misses

    fast = engine_compile(both)
    re.purge()
    expected = [count(both) for _ in range(3)]
    re.purge()
    assert [count(fast) for _ in range(3)] == expected
    assert [count(fast) for _ in range(3)] == expected[1:] + expected[-1:]
    assert fast.stats()["hits"] > 0


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="an error since then")
def test_templates_warn() -> None:
    def f(s: str) -> str:
        return P.sub(r"\g<+1>", s)

    def shown(g: Callable[[str], str]) -> list[str]:
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            re.purge()
            g("a1b")
        return [str(w.message) for w in log]

    fast = engine_compile(f)
    fast("a1b")
    fast("a1b")
    assert [shown(fast) for _ in range(3)] == [shown(f)] * 3
