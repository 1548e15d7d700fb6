"""warnings.warn, and what changes the filters.

Filters and registries are the process's own, so the two worlds of the oracle would help
each other out.  Here a program is run from the start to the end in eager mode, then from
the same start compiled; what is shown, call after call, must be the same text.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import linecache
import logging
import sys
import warnings
from typing import Any

import pytest

from oracle import Case, cases, engine_compile, reasons, whole_hits

START = [
    ("always", None, DeprecationWarning, "world", 0),
    ("ignore", None, DeprecationWarning, None, 0),
    ("ignore", None, ImportWarning, None, 0),
]
CALLS = 4  # in each state: the first may record, and so may one that meets a registry


pytestmark = pytest.mark.usefixtures("own_warnings")


class Run:
    """One world: its program, and what it has shown so far."""

    def __init__(self, case: Case, compiled: bool, segments: bool = True) -> None:
        file = f"<program {case.name}>"
        lines = case.source.splitlines(keepends=True)
        linecache.cache[file] = (len(case.source), None, lines, file)
        self.names: dict[str, Any] = {
            "__name__": "world",
            "warnings": warnings,
            "sys": sys,
            "op": itertools.count().__next__,  # a C function without a row: a break
        }
        exec(compile(case.source, file, "exec", dont_inherit=True), self.names)
        fn = self.names[case.target]
        self.fn = engine_compile(fn, segments=segments) if compiled else fn
        self.seen: list[Any] = []

    def call(self, args: str) -> None:
        file = self.names.get("file") or io.StringIO()
        old, sys.stderr = sys.stderr, file
        before = warnings.filters
        try:
            values = eval(f"({args},)" if args else "()", self.names)
            answer: Any = self.fn(*values)
        except Exception as error:
            answer = type(error), str(error)
        finally:
            text, sys.stderr = file.getvalue(), old
        same = warnings.filters is before
        filters = [str(item) for item in warnings.filters]
        self.seen.append((answer, text, self.told(), same, filters))

    def told(self) -> Any:
        """What the registry knows, unless it is about to forget that."""
        registry: dict[Any, Any] = {}
        with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
            warnings.warn_explicit("", ImportWarning, "", 1, "", registry)
        found = self.names.get("__warningregistry__", {})
        if not isinstance(found, dict) or found.get("version") != registry.get(
            "version"
        ):
            return []
        return [str(key) for key in found if key != "version"]

    def rounds(self, case: Case) -> list[int]:
        """How many hits answered a whole call in each state."""
        with pytest.MonkeyPatch.context() as m:  # what pytest itself may not meet
            for name in ("filters", "showwarning", "_showwarnmsg_impl"):
                m.setattr(warnings, name, getattr(warnings, name))
            return self._rounds(case)

    def _rounds(self, case: Case) -> list[int]:
        hits = []
        warnings.filters = list(START)
        warnings._filters_mutated()  # type: ignore[attr-defined]
        for change, _ in [("", True), *case.changes]:
            exec(change, self.names)
            before = whole_hits(self.fn) if hasattr(self.fn, "stats") else 0
            for _ in range(CALLS):
                for args in case.calls:
                    self.call(args)
            after = whole_hits(self.fn) if hasattr(self.fn, "stats") else 0
            hits.append(after - before)
        return hits


CASES = cases("""
=== plain
def f(x):
    warnings.warn("plain")
    return x
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.simplefilter("ignore")
!!! warnings.simplefilter("once")
!!! warnings.simplefilter("module")
??? warnings.simplefilter("error")
!!! warnings.resetwarnings()
!!! warnings.defaultaction = "always"
??? warnings.defaultaction = "error"
!!! warnings.defaultaction = "default"

=== filters_that_change_without_notice
def f(x):
    warnings.warn("plain")
    return x
>>> 1
!!! warnings.filters.insert(0, ("always", None, UserWarning, None, 0))
!!! warnings.filters[0] = ("ignore", None, UserWarning, None, 0)
??? warnings.filters[0] = ("error", None, UserWarning, None, 0)
!!! warnings.filters = []
??? warnings.filters = ()
??? warnings.filters = [["ignore", None, UserWarning, None, 0]]
!!! warnings.filters = []

=== categories
class Mine(UserWarning):
    pass
def f(x):
    warnings.warn("user")
    warnings.warn("deprecated", DeprecationWarning)
    warnings.warn("later", category=PendingDeprecationWarning)
    warnings.warn("import", ImportWarning, 1, None)
    warnings.warn("mine", Mine, stacklevel=0)
    return x
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.filterwarnings("ignore", category=Mine)
!!! warnings.filterwarnings("ignore", message="US")
!!! warnings.filterwarnings("ignore", module="wor")

=== messages_that_are_warnings
class Mine(UserWarning):
    pass
def f(x):
    warnings.warn(UserWarning("user"), ImportWarning)
    warnings.warn(Mine("mine"))
    warnings.warn(RuntimeWarning(f"number {x}"))
    return x
>>> 1
>>> 2
!!! warnings.filterwarnings("ignore", message="number 2")
!!! warnings.simplefilter("always")

=== where
def helper():
    warnings.warn("here")
    warnings.warn("there", stacklevel=2)
def between(): helper()
def generator():
    yield warnings.warn("in a generator")
    yield warnings.warn("around a generator", stacklevel=2)
class C:
    def __init__(self):
        warnings.warn("in a class",
            stacklevel=
            2)
def f(x):
    helper()
    between(
    )
    [*generator()]
    list(map(lambda _: warnings.warn("below C", stacklevel=2), [1]))
    C()
    return x
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.filters.insert(0, ("ignore", None, Warning, None, 2))
!!! warnings.filters.insert(0, ("ignore", None, Warning, None, 3))

=== the_caller | eager
def f(x):
    warnings.warn("caller", stacklevel=2)
    return x
>>> 1
!!! warnings.simplefilter("always")

=== nowhere | eager
def f(x):
    warnings.warn("nowhere", stacklevel=1000)
    sys.__dict__.pop("__warningregistry__", None)
    return x
>>> 1

=== order
def f(x):
    print("one", file=sys.stderr)
    warnings.warn("two")
    print("three", file=sys.stderr)
    warnings.warn("four")
    return x
>>> 1
!!! warnings.simplefilter("always")

=== in_a_handler
out = []
def f(x):
    try:
        warnings.warn("text")
        out.append(x)
        raise KeyError
    except KeyError:
        warnings.warn("handler")
    finally:
        warnings.warn("finally")
>>> 1
!!! warnings.simplefilter("always")

=== ignored_for_a_while
def f(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("hidden")
    warnings.warn("shown")
    return x
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.simplefilter("ignore")
!!! warnings.resetwarnings()
??? warnings.showwarning = lambda *args: print("mine", args[0], file=sys.stderr)
!!! warnings.showwarning = warnings._showwarning_orig

=== ignored_by_message
def f(x):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="hid", category=UserWarning)
        warnings.filterwarnings("error", category=RuntimeWarning, append=True)
        warnings.warn("Hidden")
    return x
>>> 1
!!! warnings.simplefilter("always")

=== shown_for_a_while | eager
def f(x):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("shown")
    return x
>>> 1
??? warnings.simplefilter("ignore")
??? warnings.simplefilter("module")

=== filters_change_later | eager
def f(x):
    warnings.warn("shown")
    warnings.simplefilter("ignore")
    return x
>>> 1
??? warnings.simplefilter("always")

=== filters_change_before
def f(x):
    warnings.simplefilter("always")
    warnings.warn("shown")
    return x
>>> 1
!!! warnings.simplefilter("ignore")
!!! warnings.resetwarnings()

=== filters_are_reset
def f(x):
    warnings.resetwarnings()
    warnings.warn("shown")
    warnings.warn("deprecated", DeprecationWarning)
    return x
>>> 1
!!! warnings.simplefilter("ignore")

=== a_catch_makes_registries_forget
def f(x):
    warnings.warn("shown each time")
    with warnings.catch_warnings():
        pass
    return x
>>> 1
!!! warnings.simplefilter("module")

=== catches_before_and_behind
def f(x):
    with warnings.catch_warnings():
        pass
    warnings.warn("shown each time")
    with warnings.catch_warnings():
        pass
    return x
>>> 1

=== a_catch_elsewhere_makes_this_forget
def helper(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x + 1
def f(x):
    warnings.warn("shown each time")
    return helper(x)
>>> 1

=== nested
def f(x):
    with warnings.catch_warnings(action="ignore"):
        warnings.warn("one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.warn("two", DeprecationWarning)
        warnings.warn("three")
    warnings.warn("four")
    return x
>>> 1

=== left_by_an_exception
def g(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if x > 1:
            raise KeyError(x)
        warnings.warn("hidden")
    return x
def f(x):
    try:
        return g(x)
    except KeyError:
        warnings.warn("shown")
        return -x
>>> 1
>>> 2

=== recorded | eager
def f(x):
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        warnings.warn("text")
        warnings.warn("more")
    return [str(w.message) for w in log], len(log)
>>> 1
??? warnings.simplefilter("error")

=== the_caller_keeps_a_log
log = []
def f(x):
    warnings.warn("text")
    return len(log)
old = warnings._showwarnmsg_impl
>>> 1
??? warnings._showwarnmsg_impl = log.append
??? warnings.simplefilter("always")
??? warnings._showwarnmsg_impl = old; log.clear()

=== a_hook
log = []
def hook(message, category, filename, lineno, file=None, line=None):
    log.append((str(message), category, filename, lineno))
def f(x):
    warnings.warn("text")
    return list(log)
>>> 1
!!! warnings.simplefilter("always")
??? warnings.showwarning = hook
??? warnings.simplefilter("ignore")
??? warnings.showwarning = warnings._showwarning_orig; warnings.simplefilter("default")

=== a_format
old = warnings.formatwarning
def f(x):
    warnings.warn("text")
>>> 1
!!! warnings.simplefilter("always")
??? warnings.formatwarning = lambda *args, **kw: "mine"
!!! warnings.formatwarning = old

=== a_class_with_a_text
class Mine(UserWarning):
    pass
def f(x):
    warnings.warn("text", Mine)
    warnings.warn(Mine("more"))
>>> 1
!!! warnings.simplefilter("always")
??? Mine.__str__ = lambda self: "changed"
??? del Mine.__str__

=== a_text_that_reads_what_the_run_writes
class Mine(UserWarning):
    pass
n = 0
def f(x):
    global n
    n = 1
    warnings.warn("text", Mine)
    n = 2
>>> 1
!!! warnings.simplefilter("always")
??? Mine.__str__ = lambda self: str(n)
??? del Mine.__str__; Mine.__format__ = lambda self, spec: str(n)
??? del Mine.__format__; Mine.__init__ = lambda self, text: print(n, file=sys.stderr)
??? del Mine.__init__; Mine.__del__ = lambda self: print(n, file=sys.stderr)

=== a_file_that_reads_what_the_run_writes
class Log:
    text = ""
    def write(self, text):
        self.text += f"{n}: {text}"
    def getvalue(self):
        return self.text
n = 0
def f(x):
    global n
    n = 1
    warnings.warn("text")
    n = 2
>>> 1
!!! warnings.simplefilter("always")
??? file = Log()

=== a_class_with_a_constructor | eager
count = []
class Mine(UserWarning):
    def __init__(self, text):
        count.append(text)
def f(x):
    warnings.warn("text", Mine)
    return len(count)
>>> 1
??? warnings.simplefilter("always")

=== a_class_of_another_kind
class Base(UserWarning):
    pass
class Other(UserWarning):
    pass
class Mine(Base):
    pass
def f(x):
    warnings.warn("text", Mine)
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.filters.insert(0, ("ignore", None, Other, None, 0))
!!! Mine.__bases__ = (Other,)
!!! Mine.__bases__ = (Base,)
!!! warnings.filters[0] = ("ignore", None, Base, None, 0)
!!! Mine.__bases__ = (Other,)

=== messages_of_other_kinds | eager
def f(x):
    warnings.warn(x)
    warnings.warn(("a", x))
>>> 3
>>> "text"

=== an_old_message | eager
old = UserWarning("old")
def f(x):
    warnings.warn(old)
>>> 1

=== not_a_category | eager
def f(x):
    warnings.warn("text", int)
>>> 1

=== a_source | eager
def f(x):
    warnings.warn("text", source=f)
>>> 1

=== text_of_a_number
def f(x):
    warnings.warn(f"value {x}")
    return x
>>> 1
>>> 2
!!! warnings.simplefilter("always")

=== not_ascii
def f(x):
    warnings.warn("é" + chr(0x1F600))
>>> 1
!!! warnings.simplefilter("always")

=== a_lone_surrogate | eager
def f(x):
    warnings.warn(chr(0xD800))
>>> 1

=== a_registry_that_the_program_empties | eager
def f(x):
    globals().get("__warningregistry__", {}).clear()
    warnings.warn("text")
>>> 1

=== a_registry_that_the_program_removes | eager
def f(x):
    warnings.warn("text")
    del globals()["__warningregistry__"]
>>> 1

=== a_registry_that_the_program_replaces | eager
def f(x):
    global __warningregistry__
    warnings.warn("text")
    __warningregistry__ = {}
>>> 1

=== a_registry_that_the_program_reads | eager
def f(x):
    warnings.warn("text")
    return len(globals()["__warningregistry__"])
>>> 1
!!! __warningregistry__.clear()
!!! __warningregistry__.update({"version": 0, "x": 1, "y": 2})

=== a_registry_that_the_caller_empties
def f(x):
    warnings.warn("text")
    return x
>>> 1
!!! __warningregistry__.clear()
!!! del __warningregistry__
!!! __warningregistry__["version"] = -1
??? __warningregistry__ = 3
!!! del __warningregistry__

=== a_module_name_that_changes
def f(x):
    warnings.warn("text", DeprecationWarning)
>>> 1
!!! __name__ = "other"
??? __name__ = None

=== without_stderr
def f(x):
    warnings.warn("text")
    return x
def g(x):
    old, sys.stderr = sys.stderr, None
    try:
        return f(x)
    finally:
        sys.stderr = old
>>> 1
!!! warnings.simplefilter("always")

=== stderr_is_changed_in_the_run | of g | eager
import io
def f(x):
    warnings.warn("text")
def g(x):
    old, sys.stderr = sys.stderr, io.StringIO()
    try:
        f(x)
        return sys.stderr.getvalue()
    finally:
        sys.stderr = old
>>> 1

=== stderr_in_python | of g | eager
class Log:
    def __init__(self):
        self.lines = []
    def write(self, text):
        self.lines.append(text)
def f(x):
    warnings.warn("text")
def g(x):
    old, sys.stderr = sys.stderr, Log()
    try:
        f(x)
        return sys.stderr.lines
    finally:
        sys.stderr = old
>>> 1

=== in_code_of_a_text | eager
def f(x):
    names = {"warnings": warnings}
    exec("warnings.warn('text')", names)
    return "__warningregistry__" in names
>>> 1

=== in_code_over_a_dict | eager
code = compile("warnings.warn('text')", "<text>", "exec")
def f(names):
    exec(code, names)
>>> {"warnings": warnings, "__name__": "world", "__builtins__": __builtins__}

=== text_that_warns_when_it_is_compiled | eager
texts = ["'\\\\d'", " 1 is 1", "0x1for x in ()", b"'\\\\d'"]
def f(i):
    names = {}
    exec(compile(texts[i], "<it>", "exec") if i == 4 else texts[i], names)
    return eval(texts[i], names) if i < 2 else i
>>> 0
>>> 1
>>> 3
??? warnings.simplefilter("ignore")
??? warnings.simplefilter("error")
??? warnings.simplefilter("always")

=== text_that_does_not_warn
def f(i):
    names = {}
    exec("x = r'\\\\d' == 1", names)
    return eval(" 'x' + x * 'y'", names), names["x"]
>>> 0
!!! warnings.simplefilter("error")
!!! warnings.simplefilter("always")

=== in_code_over_a_dict_that_stays
code = compile("warnings.warn('text')", "<text>", "exec")
names = {"warnings": warnings, "__name__": "world"}
def f(x):
    exec(code, names)
>>> 1
!!! warnings.simplefilter("always")
!!! names["__name__"] = "other"
??? names = {"warnings": warnings, "__name__": "another"}

=== deprecated_through_the_module | of h
def f(x):
    warnings._deprecated("it", remove=(4, 0))
    return x
def g(x):
    return f(x)
def h(x):
    return g(x)
>>> 1
""")


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_shown(case, segments):
    eager = Run(case, compiled=False)
    eager.rounds(case)
    fast = Run(case, compiled=True, segments=segments)
    hits = fast.rounds(case)
    assert fast.seen == eager.seen, fast.fn.stats()
    if segments:  # a run that may not break is not tried again for a while
        wanted = [case.hit, *(case.hit and hit for _, hit in case.changes)]
        enough = [
            n >= (w and len(case.calls)) for n, w in zip(hits, wanted, strict=True)
        ]
        assert all(enough), (hits, fast.fn.stats())


BEHIND = cases("""
=== break_between
def f(x):
    warnings.warn("one")
    op()
    warnings.warn("two")
    return x
>>> 1
!!! warnings.simplefilter("always")
!!! warnings.simplefilter("ignore")

=== break_while_they_are_ignored
def f(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("one")
        op()
        warnings.warn("two")
    warnings.warn("three")
    return x
>>> 1
!!! warnings.simplefilter("always")

=== break_while_they_are_shown
def f(x):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        op()
        warnings.warn("two")
        op()
    op()
    warnings.warn("three")
    return x
>>> 1

=== break_in_the_helper
def helper():
    op()
    warnings.warn("where", stacklevel=2)
def f(x):
    helper()
    helper(
    )
    return x
>>> 1
!!! warnings.simplefilter("always")
""")


@pytest.mark.parametrize("case", BEHIND, ids=str)
def test_around_a_break(case):
    eager = Run(case, compiled=False)
    eager.rounds(case)
    fast = Run(case, compiled=True)
    fast.rounds(case)
    assert fast.seen == eager.seen, fast.fn.stats()
    assert fast.fn.stats()["partial_hits"] >= 2, fast.fn.stats()


def test_a_hit_warns_on_the_stderr_of_that_time(monkeypatch):
    def f(x):
        warnings.warn("now")

    warnings.simplefilter("always")
    fast = engine_compile(f)
    files = [io.StringIO() for _ in range(4)]
    for file in files:
        monkeypatch.setattr(sys, "stderr", file)
        fast(1)
    monkeypatch.undo()
    text = files[0].getvalue()
    line = f.__code__.co_firstlineno + 1
    assert text.startswith(f"{__file__}:{line}: UserWarning: now\n")
    assert [file.getvalue() for file in files] == [text] * 4
    assert fast.stats()["hits"] == 3


def test_logging_takes_warnings_over(caplog, monkeypatch):
    def f(x):
        warnings.warn("text")

    warnings.simplefilter("always")
    fast = engine_compile(f)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for _ in range(3):
        fast(1)
    assert whole_hits(fast) == 2
    logging.captureWarnings(True)
    try:
        with caplog.at_level(logging.WARNING):
            for number in range(1, 4):
                fast(1)
                assert len(caplog.records) == number
    finally:
        logging.captureWarnings(False)
    assert whole_hits(fast) == 2


@pytest.mark.parametrize(
    "call",
    [
        "warn('text', stacklevel=2)",
        "warn('text', stacklevel=True)",
        "warn('text', source=x)",
        "warn(str(id([])))",
        "warn(UserWarning())",
        "warn(UserWarning('a', 'b'))",
        "warn_explicit('text', UserWarning, 'file', 1)",
    ],
)
def test_what_keeps_a_run_eager(call, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    names: dict[str, Any] = {"warnings": warnings, "__name__": "world"}
    exec(f"def f(x):\n    warnings.{call}\n    return x\n", names)
    fast = engine_compile(names["f"], segments=False)
    assert fast(1) == 1
    assert reasons(fast) <= {"side-effect", "opaque-call"}
    assert reasons(fast)


def test_effects_have_a_text(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    def f(x):
        with warnings.catch_warnings():
            pass
        warnings.warn("text")
        return x

    fast = engine_compile(f)
    assert fast(1) == 1
    line = f.__code__.co_firstlineno + 3
    mutated, *_, warned, answer = fast.entries()[0]["effects"][1:]
    assert mutated.endswith("warnings._filters_mutated()")
    assert warned.endswith(
        f".warn(UserWarning, 'text', '{__file__}', {line}, '{__name__}', <dict object>)"
    )
    assert answer == "return 1"
