"""What instructions read beyond their operands: each is guarded, or a break."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import magpy
from oracle import Case, cases

#: Modules that the programs import.
MODULES = """
import sys, types, importlib.machinery
def module(name, **names):
    m = types.ModuleType(name)
    vars(m).update(names)
    m.__spec__ = importlib.machinery.ModuleSpec(
        name, None, is_package="__path__" in names)
    sys.modules[name] = m
    return m
pkg = module("opcodes_pkg", value=1, __path__=[])
pkg.sub = module("opcodes_pkg.sub", value=2)
module("opcodes_pkg.hidden", value=3)
plain = module("opcodes_plain", value=4)
spare = module("opcodes_spare", value=5)
"""

PROGRAMS = """
=== except_tuple
ERRORS = (KeyError, ValueError)
def f(d, k):
    try:
        return d[k]
    except ERRORS:
        return "caught"
    except Exception:
        return "else"
>>> {}, 1
!!! ERRORS = (ValueError,)
!!! ERRORS = (ValueError, KeyError)
!!! ERRORS = ()
!!! ERRORS = KeyError
!!! ERRORS = LookupError

=== except_tuple_in_attribute
class C:
    errors = (ValueError,)
c = C()
def f(d, k):
    try:
        return d[k]
    except c.errors:
        return "caught"
    except KeyError:
        return "else"
>>> {}, 1
!!! c.errors = (KeyError,)
!!! c.errors = (TypeError, LookupError)

=== except_tuple_in_argument
def f(errors):
    try:
        raise KeyError
    except errors:
        return "caught"
    except KeyError:
        return "else"
>>> (ValueError,)
>>> (KeyError,)
>>> ()
>>> (TypeError, LookupError)

=== except_nested_tuple | eager
ERRORS = (ValueError, (KeyError,))
def f(d, k):
    try:
        return d[k]
    except KeyError:
        try:
            raise
        except ERRORS:
            return "caught"
>>> {}, 1
??? ERRORS = (ValueError, KeyError)

=== except_tuple_subclass
class T(tuple):
    def __iter__(self): return iter(())
ERRORS = T((KeyError,))
def f(d, k):
    try:
        return d[k]
    except ERRORS:
        return "caught"
    except KeyError:
        return "else"
>>> {}, 1
!!! ERRORS = T((ValueError,))

=== except_bases_change
class E(Exception): pass
class H(Exception): pass
class G(E): pass
def f():
    try:
        raise G
    except E:
        return "caught"
    except Exception:
        return "else"
>>>
!!! G.__bases__ = (H,)

=== import_plain
def f():
    import opcodes_plain
    return opcodes_plain.value
>>>
!!! plain.value = 6
!!! sys.modules["opcodes_plain"] = spare
??? sys.modules["opcodes_plain"] = None
!!! sys.modules["opcodes_plain"] = plain

=== search_for_a_module
import importlib, importlib.util
def f(name):
    found = importlib.util.find_spec(name)
    return found is None, importlib.import_module("opcodes_plain").value
>>> "opcodes_nowhere"
>>> "opcodes_plain_of_none"
!!! plain.value = 6

=== import_that_fails
def f(x):
    try:
        import opcodes_nowhere
    except ImportError as e:
        return str(e), x
>>> 1

=== import_under_another_name
sys.modules["opcodes_alias"] = plain
def f():
    import opcodes_alias
    return opcodes_alias.value
>>>
!!! sys.modules["opcodes_alias"] = spare

=== import_none
sys.modules["opcodes_none"] = None
def f():
    try:
        import opcodes_none
    except ImportError:
        return "none"
    return opcodes_none.value
>>>
!!! sys.modules["opcodes_none"] = plain
!!! sys.modules["opcodes_none"] = None

=== import_dotted
def f():
    import opcodes_pkg.sub
    return opcodes_pkg.sub.value
>>>
!!! pkg.sub = spare
!!! sys.modules["opcodes_pkg.sub"] = spare
??? sys.modules["opcodes_pkg"] = None

=== import_dotted_as
def f():
    import opcodes_pkg.sub as s
    return s.value
>>>
!!! pkg.sub = spare
!!! sys.modules["opcodes_pkg"] = types.SimpleNamespace(sub=plain)

=== from_import
def f():
    from opcodes_plain import value
    return value
>>>
!!! plain.value = 7
!!! sys.modules["opcodes_plain"] = spare

=== from_import_of_submodule
def f():
    from opcodes_pkg import sub
    return sub.value
>>>
!!! pkg.sub = spare

=== from_import_falls_back
pkg.__path__ = None
del pkg.__path__
def f():
    from opcodes_pkg import hidden
    return hidden.value
>>>
!!! sys.modules["opcodes_pkg.hidden"] = spare
!!! pkg.hidden = plain
!!! del pkg.hidden
!!! pkg.__name__ = "opcodes_other"; sys.modules["opcodes_other.hidden"] = plain

=== from_import_of_nothing
def f():
    try:
        from opcodes_plain import nothing
    except ImportError as e:
        return str(e)
    return nothing.value
>>>
!!! plain.__file__ = "somewhere"
!!! sys.modules["opcodes_plain.nothing"] = spare
!!! plain.nothing = pkg
!!! del plain.nothing

=== from_import_with_getattr
plain.__getattr__ = lambda name: 8
def f():
    from opcodes_plain import other
    return other
>>>
!!! plain.__getattr__ = lambda name: 9
!!! plain.other = 10

=== from_import_loads | eager
def f():
    from opcodes_pkg import hidden
    return hidden.value
>>>
??? sys.modules["opcodes_pkg.hidden"] = spare

=== import_replaced
import builtins
def f():
    import opcodes_plain
    return opcodes_plain.value
real = builtins.__import__
def other(*args):
    return spare if args[0].startswith("opcodes") else real(*args)
space = {"__builtins__": dict(vars(builtins)), "spare": spare}
exec("def g():\\n import opcodes_plain\\n return opcodes_plain.value", space)
g = space["g"]
def f():
    return g()
>>>
??? g.__builtins__["__import__"] = other
??? g.__builtins__["__import__"] = real

=== import_relative
__package__ = "opcodes_pkg"
__spec__ = importlib.machinery.ModuleSpec("opcodes_pkg.me", None)
def f():
    from . import sub
    from .sub import value
    return sub.value, value
>>>
!!! pkg.sub = spare
!!! sys.modules["opcodes_pkg.sub"] = plain
!!! two = module("opcodes_two", __path__=[]); two.sub = module("opcodes_two.sub", value=1)
!!! __package__ = "opcodes_two"; __spec__.name = "opcodes_two.me"

=== import_relative_without_spec
__package__ = "opcodes_pkg"
__spec__ = None
def f():
    from .sub import value
    return value
>>>
!!! __spec__ = importlib.machinery.ModuleSpec("opcodes_pkg", None, is_package=True)
!!! __spec__ = None

=== function_takes_names
def f():
    def g(): pass
    return g.__module__
>>>
!!! __name__ = "another"
!!! del __name__

=== match_registered
import collections.abc
class K:
    def __len__(self): return 2
    def __getitem__(self, i): return (5, 6)[i]
k = K()
def f():
    match k:
        case [a, b]: return a, b
    return "none"
>>>
??? collections.abc.Sequence.register(K)

=== match_metaclass
class M(type):
    def __instancecheck__(cls, x): return x in cls.these
class C(metaclass=M):
    these = [1]
def f(x):
    match x:
        case C(): return "yes"
    return "no"
>>> 1
??? C.these.clear()

=== match_abc
import abc
class A(abc.ABC): pass
class K: pass
k = K()
def f():
    match k:
        case A(): return "yes"
    return "no"
>>>
!!! A.register(K)

=== match_args
class C:
    __match_args__ = ("a", "b")
    def __init__(self): self.a, self.b = 1, 2
c = C()
def f():
    match c:
        case C(x): return x
>>>
!!! C.__match_args__ = ("b", "a")

=== match_len
class L(list):
    def __len__(self): return self.n
    n = 2
k = L([1, 2])
def f():
    match k:
        case [a, b]: return a, b
    return "none"
>>>
!!! k.n = 3
"""


def play(case: Case, compiled: bool) -> tuple[list[str], list[bool]]:
    """One world after the other: they share sys.modules."""
    space: dict = {"__name__": "program"}
    log, hits = [], []
    try:
        exec(MODULES + case.source, space)
        f = space["f"]
        if compiled:
            f = space["f"] = magpy.compile(f, backend="eager")
        for change, _ in (("", True), *case.changes):
            exec(change, space)
            for call in case.calls:
                for _ in range(4):
                    before = magpy.stats(f)["hits"] if compiled else 0
                    try:
                        log.append(repr(eval(f"f({call})", space)))
                    except Exception as e:
                        log.append(repr(e))
                hits.append(compiled and magpy.stats(f)["hits"] > before)
        return log, hits
    finally:
        for name in [n for n in sys.modules if n.startswith("opcodes_")]:
            del sys.modules[name]


@pytest.mark.parametrize("case", cases(PROGRAMS), ids=str)
def test_opcodes(case: Case) -> None:
    eager, _ = play(case, False)
    ours, hits = play(case, True)
    assert ours == eager
    wanted = [case.hit, *(must and case.hit for _, must in case.changes)]
    wanted = [must for must in wanted for _ in case.calls]
    assert [a or not b for a, b in zip(hits, wanted, strict=True)] == [True] * len(hits)


def whole(f: object) -> tuple[int, int, int]:
    """Calls that eager answered, recordings, and hits without a break."""
    counted = magpy.stats(f)
    return (
        counted["fallbacks"],
        counted["recordings"],
        counted["hits"] - counted["partial_hits"],
    )


def by_statement() -> int:
    import opcodes_late  # type: ignore[import-not-found]

    return opcodes_late.value


def by_from() -> int:
    from opcodes_late import value

    return value


def by_function() -> int:
    return importlib.import_module("opcodes_late").value


def after_a_search() -> int:
    found = importlib.util.find_spec("opcodes_late") is not None
    return importlib.import_module("opcodes_late").value + found


@pytest.mark.parametrize("f", [by_statement, by_from, by_function, after_a_search])
def test_a_first_import_is_done_once(
    f: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that imports breaks; the next one is recorded whole."""
    (tmp_path / "opcodes_late.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fast = magpy.compile(f, backend="eager")
    first = f is after_a_search
    try:
        assert [fast() for _ in range(4)] == [3 + first] * 4
        assert whole(fast) == (0, 2, 2)
        sys.modules["opcodes_late"].value = 4
        assert [fast() for _ in range(3)] == [4 + first] * 3
        del sys.modules["opcodes_late"]
        assert [fast() for _ in range(3)] == [3 + first] * 3
        assert magpy.stats(fast)["fallbacks"] == 0
    finally:
        sys.modules.pop("opcodes_late", None)
