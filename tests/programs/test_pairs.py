"""Two objects of one C type, used alike: told apart, or refused.

For every type written in C that a program can reach there is a pair of objects that differ
in what they hold, and every way to use one of them. A compiled function sees the first
until it hits, then the second, and must answer as eager does each time.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import types
import warnings
from typing import Any

import pytest

from magpy._engine import CompiledFunction

MODULES = """
    _random array ast codecs collections contextvars csv ctypes datetime decimal fractions
    functools hashlib io itertools json math mmap operator os pickle random re struct sys
    time types typing weakref zlib copy bisect heapq
""".split()

STATE = """
class K:
    def __init__(self, v): self.v = v
    def m(self, *a): return self.v
    def __call__(self, *a): return self.v
class Slots:
    __slots__ = ("a", "b")
KEPT = []
def kept(v):
    KEPT.append(K(v))
    return KEPT[-1]
def generate(n): yield n
async def coroutine(n): return n
async def asynchronous(n): yield n
def matched(o):
    match o:
        case [a, *b]: return a
        case {1: a}: return a
        case int(): return 1
        case str(): return 2
def raised(o):
    try: raise o
    except BaseException as e: return repr(e)
def entered(o):
    with o as x: return x is o
def unpacked(o):
    a, *b = o
    return a
def first(o):
    for x in o: return x
"""

#: What differs is on both sides of the bar.
PAIRS = r"""
staticmethod(lambda *a: 1)  |  staticmethod(lambda *a: 2)
classmethod(lambda *a: 1)  |  classmethod(lambda *a: 2)
property(lambda s: 1)  |  property(lambda s: 2)
CompiledFunction(lambda *a: 1)  |  CompiledFunction(lambda *a: 2)
CompiledFunction(K(1).m)  |  CompiledFunction(K(2).m)
staticmethod(CompiledFunction(lambda *a: 1))
  |  staticmethod(CompiledFunction(lambda *a: 2))
(5).__add__  |  (6).__add__
[1].__len__  |  [1, 2].__len__
[1].__getitem__  |  [2].__getitem__
{1: 2}.__contains__  |  {2: 2}.__contains__
[1].append  |  [1, 2].append
[1].copy  |  [2].copy
{1: 2}.get  |  {1: 3}.get
"ab".upper  |  "cd".upper
re.compile("a").match  |  re.compile("b").match
bytearray(b"a").copy  |  bytearray(b"b").copy
{1}.copy  |  {2}.copy
collections.deque([1]).copy  |  collections.deque([2]).copy
functools.cmp_to_key(lambda a, b: 1)  |  functools.cmp_to_key(lambda a, b: -1)
functools.cmp_to_key(lambda a, b: a - b)(1)
  |  functools.cmp_to_key(lambda a, b: a - b)(2)
functools.partial(pow, 2)  |  functools.partial(pow, 3)
functools.partial(lambda *a: 1)  |  functools.partial(lambda *a: 2)
functools.partial(CompiledFunction(lambda *a: 1))
  |  functools.partial(CompiledFunction(lambda *a: 2))
functools.partial(staticmethod(lambda *a: 1))
  |  functools.partial(staticmethod(lambda *a: 2))
functools.lru_cache(lambda *k: 1)  |  functools.lru_cache(lambda *k: 2)
functools.lru_cache(None)(lambda *k: 1)  |  functools.lru_cache(None)(lambda *k: 2)
operator.itemgetter(0)  |  operator.itemgetter(1)
operator.attrgetter("real")  |  operator.attrgetter("imag")
operator.methodcaller("upper")  |  operator.methodcaller("title")
operator.methodcaller("split", sep="a")  |  operator.methodcaller("split", sep="b")
list[int]  |  list[str]
typing.List[int]  |  typing.List[str]
typing.Optional[int]  |  typing.Optional[str]
int | str  |  int | float
(int | str, list)  |  (float | str, list)
((int,), str)  |  ((float,), str)
(int, (str, (float | None,)))  |  (float, (str, (str | None,)))
re.compile("a(b)?")  |  re.compile("b(a)?")
re.match("a(.)", "ab")  |  re.match("a(.+)", "acc")
re.compile("a").scanner("ab")  |  re.compile("b").scanner("ab")
(lambda: 1).__code__  |  (lambda: 2).__code__
types.CellType(1)  |  types.CellType(2)
types.MappingProxyType({1: 2})  |  types.MappingProxyType({1: 3})
types.SimpleNamespace(a=1)  |  types.SimpleNamespace(a=2)
types.MethodType(len, [1])  |  types.MethodType(len, [1, 2])
types.MethodType(CompiledFunction(lambda s: 1), 0)
  |  types.MethodType(CompiledFunction(lambda s: 2), 0)
types.ModuleType("a")  |  types.ModuleType("b")
weakref.ref(kept(1))  |  weakref.ref(kept(2))
weakref.proxy(kept(1))  |  weakref.proxy(kept(2))
weakref.WeakMethod(kept(1).m)  |  weakref.WeakMethod(kept(2).m)
weakref.proxy(kept(lambda *a: 1))  |  weakref.proxy(kept(lambda *a: 2))
slice(1, 2)  |  slice(0, 2)
range(2)  |  range(3)
memoryview(b"ab")  |  memoryview(b"cd")
struct.Struct("<i")  |  struct.Struct(">i")
struct.Struct("i").iter_unpack(b"abcd")  |  struct.Struct("i").iter_unpack(b"abcf")
datetime.date(2020, 1, 1)  |  datetime.date(2020, 1, 2)
datetime.timedelta(1)  |  datetime.timedelta(2)
datetime.timezone.utc  |  datetime.timezone(datetime.timedelta(hours=1))
datetime.time(1)  |  datetime.time(2)
decimal.Decimal(1)  |  decimal.Decimal(2)
decimal.Context(prec=3)  |  decimal.Context(prec=5)
fractions.Fraction(1, 2)  |  fractions.Fraction(1, 3)
itertools.repeat(1, 2)  |  itertools.repeat(2, 2)
itertools.chain([1])  |  itertools.chain([2])
itertools.islice([1, 2], 1)  |  itertools.islice([1, 2], 2)
itertools.accumulate([1, 2])  |  itertools.accumulate([2, 2])
itertools.groupby([1])  |  itertools.groupby([2])
itertools.product([1])  |  itertools.product([2])
itertools.permutations([1])  |  itertools.permutations([2])
itertools.combinations([1], 1)  |  itertools.combinations([2], 1)
itertools.combinations_with_replacement([1], 1)
  |  itertools.combinations_with_replacement([2], 1)
itertools.starmap(pow, [(1, 2)])  |  itertools.starmap(pow, [(2, 2)])
itertools.takewhile(bool, [1])  |  itertools.takewhile(bool, [2])
itertools.dropwhile(bool, [0, 1])  |  itertools.dropwhile(bool, [0, 2])
itertools.filterfalse(bool, [0])  |  itertools.filterfalse(bool, [""])
itertools.compress([1], [1])  |  itertools.compress([2], [1])
itertools.zip_longest([1])  |  itertools.zip_longest([2])
itertools.pairwise([1, 2])  |  itertools.pairwise([2, 2])
itertools.tee([1])[0]  |  itertools.tee([2])[0]
map(abs, [1])  |  map(abs, [2])
filter(None, [1])  |  filter(None, [2])
zip([1])  |  zip([2])
enumerate([1])  |  enumerate([2])
reversed([1])  |  reversed([2])
reversed((1,))  |  reversed((2,))
iter([1])  |  iter([2])
iter((1,))  |  iter((2,))
iter({1: 1})  |  iter({2: 1})
iter({1: 1}.items())  |  iter({1: 2}.items())
iter({1: 1}.values())  |  iter({1: 2}.values())
reversed({1: 1})  |  reversed({2: 1})
reversed({1: 1}.values())  |  reversed({1: 2}.values())
reversed({1: 1}.items())  |  reversed({1: 2}.items())
iter({1})  |  iter({2})
iter("a")  |  iter("b")
iter("\u20ac")  |  iter("\u20ad")
iter(b"a")  |  iter(b"b")
iter(bytearray(b"a"))  |  iter(bytearray(b"b"))
iter(range(1))  |  iter(range(1, 2))
iter(range(10**20, 10**20 + 1))  |  iter(range(10**20 + 1, 10**20 + 2))
iter(collections.deque([1]))  |  iter(collections.deque([2]))
reversed(collections.deque([1]))  |  reversed(collections.deque([2]))
iter(collections.OrderedDict({1: 1}))  |  iter(collections.OrderedDict({2: 1}))
iter(iter([1, 2]).__next__, 2)  |  iter(iter([3, 2]).__next__, 2)
iter(memoryview(b"a"))  |  iter(memoryview(b"b"))
iter(array.array("i", [1]))  |  iter(array.array("i", [2]))
contextvars.ContextVar("a", default=1)  |  contextvars.ContextVar("a", default=2)
contextvars.copy_context()  |  contextvars.Context()
contextvars.ContextVar("a").set(1)  |  contextvars.ContextVar("b").set(2)
K.__dict__["__dict__"]  |  types.FunctionType.__dict__["__code__"]
Slots.a  |  Slots.b
str.upper  |  str.title
int.__add__  |  int.__mul__
dict.__dict__["fromkeys"]  |  bytes.__dict__["fromhex"]
len  |  sum
math.sin  |  math.cos
dict.fromkeys  |  bytes.fromhex
collections.deque([1])  |  collections.deque([2])
collections.deque([1], 1)  |  collections.deque([1], 2)
collections.OrderedDict({1: 2})  |  collections.OrderedDict({1: 3})
collections.defaultdict(int)  |  collections.defaultdict(list)
collections.namedtuple("A", "a b").a  |  collections.namedtuple("A", "a b").b
{1: 2}.keys()  |  {2: 2}.keys()
{1: 2}.items()  |  {1: 3}.items()
{1: 2}.values()  |  {1: 3}.values()
collections.OrderedDict({1: 2}).keys()  |  collections.OrderedDict({2: 2}).keys()
collections.OrderedDict({1: 2}).values()
  |  collections.OrderedDict({2: 3}).values()
collections.OrderedDict({1: 2}).items()  |  collections.OrderedDict({2: 3}).items()
[1]  |  [2]
{1: 2}  |  {1: 3}
{1}  |  {2}
frozenset({1})  |  frozenset({2})
(1, [2])  |  (1, [3])
bytearray(b"a")  |  bytearray(b"b")
ValueError(1)  |  ValueError(2)
OSError(1, "a")  |  OSError(2, "a")
StopIteration(1)  |  StopIteration(2)
ImportError("a", name="b")  |  ImportError("a", name="c")
UnicodeDecodeError("a", b"b", 0, 1, "c")
  |  UnicodeDecodeError("a", b"c", 0, 1, "c")
SyntaxError("a", ("f", 1, 1, "t"))  |  SyntaxError("a", ("f", 2, 1, "t"))
AttributeError("a", name="b")  |  AttributeError("a", name="c")
NameError("a", name="b")  |  NameError("a", name="c")
ExceptionGroup("a", [ValueError(1)])  |  ExceptionGroup("a", [ValueError(2)])
super(K, kept(1))  |  super(K, kept(2))
K(1).m  |  K(2).m
generate(1)  |  generate(2)
coroutine(1)  |  coroutine(2)
asynchronous(1)  |  asynchronous(2)
io.StringIO("a")  |  io.StringIO("b")
io.BytesIO(b"a")  |  io.BytesIO(b"b")
io.BytesIO(b"a").getbuffer()  |  io.BytesIO(b"b").getbuffer()
io.TextIOWrapper(io.BytesIO(b"a"))  |  io.TextIOWrapper(io.BytesIO(b"b"))
io.BufferedReader(io.BytesIO(b"a"))  |  io.BufferedReader(io.BytesIO(b"b"))
io.BufferedWriter(io.BytesIO())  |  io.BufferedWriter(io.BytesIO(b"b"))
io.BufferedRandom(io.BytesIO(b"a"))  |  io.BufferedRandom(io.BytesIO(b"b"))
io.IncrementalNewlineDecoder(None, True)
  |  io.IncrementalNewlineDecoder(None, False)
random.Random(1)  |  random.Random(2)
_random.Random(1)  |  _random.Random(2)
array.array("i", [1])  |  array.array("i", [2])
(ctypes.c_int * 1)(1)  |  (ctypes.c_int * 1)(2)
ctypes.c_int(1)  |  ctypes.c_int(2)
ctypes.c_char_p(b"a")  |  ctypes.c_char_p(b"b")
ctypes.py_object(1)  |  ctypes.py_object(2)
zlib.decompressobj()  |  zlib.decompressobj(-15)
zlib.compressobj(1)  |  zlib.compressobj(9)
hashlib.md5(b"a")  |  hashlib.md5(b"b")
hashlib.blake2b(b"a")  |  hashlib.blake2b(b"b")
ElementTree.Element("a")  |  ElementTree.Element("b")
ElementTree.fromstring("<a><b/></a>")  |  ElementTree.fromstring("<a><c/><b/></a>")
ElementTree.fromstring("<a><b/></a>").iter()
  |  ElementTree.fromstring("<c><b/></c>").iter()
csv.reader(["a,b"])  |  csv.reader(["b,c"])
csv.writer(io.StringIO())  |  csv.writer(io.StringIO(), delimiter=";")
csv.get_dialect("excel")  |  csv.get_dialect("excel-tab")
json.scanner.make_scanner(json.JSONDecoder(parse_int=float))
  |  json.scanner.make_scanner(json.JSONDecoder())
json.JSONEncoder(indent=1)  |  json.JSONEncoder(indent=2)
ast.Constant(1)  |  ast.Constant(2)
os.terminal_size((1, 2))  |  os.terminal_size((2, 2))
time.struct_time((1,) * 9)  |  time.struct_time((2,) * 9)
os.stat_result((1,) * 10)  |  os.stat_result((2,) * 10)
mmap.mmap(-1, 1)  |  mmap.mmap(-1, 2)
pickle.PickleBuffer(b"a")  |  pickle.PickleBuffer(b"b")
pickle.Unpickler(io.BytesIO(b"K\x01."))  |  pickle.Unpickler(io.BytesIO(b"K\x02."))
codecs.lookup("utf-8")  |  codecs.lookup("latin-1")
types.TracebackType(None, sys._getframe(), 0, 1)
  |  types.TracebackType(None, sys._getframe(), 0, 2)
typing.TypeVar("A", int, str)  |  typing.TypeVar("B", int, float)
functools.singledispatch(lambda *a: 1)  |  functools.singledispatch(lambda *a: 2)
functools.cached_property(lambda s: 1)  |  functools.cached_property(lambda s: 2)
"""

#: Ways to use o.
USES = """
    o(); o(1); o(1, 2); o("ab"); o("ab c"); o([3, 1, 2]); o((5, 6)); o({1: 2}); o(*[1])
    (lambda f: f(1))(o); (lambda f: f)(o)(1); [o][0](1); {1: o}[1](1); K(o).v(1)
    K(K(o)).v.v(1); o.__call__(1); functools.partial(o)(1); functools.partial(o, 1)(2)
    list(map(o, [1, 2])); sorted([3, 1, 2], key=o); max([1, 2], key=o)
    list(filter(o, [1, 0])); functools.reduce(o, [1, 2])
    list(itertools.starmap(o, [(1,)])); getattr(o, "__func__", len)(1)
    getattr(o, "__wrapped__", len)([1]); type(o)(o); callable(o); o.__class__; o.__doc__
    vars(o); len(o); list(o); tuple(o); set(o); dict(o); bool(o); int(o); float(o)
    complex(o); bytes(o); repr(o); str(o); f"{o}"; format(o, ""); "%s" % (o,); "a" % o
    memoryview(o).tolist(); round(o); o[0]; o[1]; o[:1]; o["a"]; [1, 2, 3][o]; "abc"[o]
    [1] * o; range(o); slice(o).start; abs(o); o + 1; 1 + o; o * 2; -o; o | {1}; o & {1}
    1 in o; "a" in o; o == 1; o < 2; o == [1]; o != o; isinstance(1, o)
    isinstance(1.0, o); isinstance("", (o, int)); isinstance([], (str, (o,)))
    issubclass(int, o); issubclass(float, o); issubclass(str, (int, (o,))); o is o
    next(o); next(iter(o)); [x for x in o]; [*o]; {**o}; (lambda *a: a)(*o); sorted(o)
    sum(o); max(o); list(zip(o, [1])); list(enumerate(o)); list(map(str, o))
    ",".join(map(str, o)); list(reversed(o)); copy.copy(o); divmod(o, 2)
    struct.pack("i", o); hasattr(o, "v"); {o: 1}.get(1); {1: 2, 3: 4}.get(o); len({o})
    o in [1, 2]; [1, 2].index(o); "abc".find(o); "a1b1".split(o); iter(o); matched(o)
    raised(o); entered(o); unpacked(o); first(o); getattr(o, "__self__", 0) == 0
    hash(o) == hash(o); heapq.nsmallest(1, o); bisect.bisect(o, 1)
"""

#: Attributes that wait, end something, or show frames of this test.
DENIED = """
    acquire get wait poll recv read readinto accept close gi_frame cr_frame ag_frame
    tb_frame f_back clear __reduce__ __reduce_ex__ __getstate__ __sizeof__ __dir__
    __subclasses__ __init_subclass__ __subclasshook__ __enter__ __builtins__ __globals__
    __format__ __hash__ __setattr__ __delattr__ __setstate__ __del__ now today utcnow
""".split()

#: What this test does not make objects of: files, sockets, threads, ours; or slow to make.
NOT_MADE = {"_io", "_socket", "_ssl", "_thread", "mmap", "posix", "select", "sqlite3"}
NOT_MADE |= {
    "_lzma",
    "magpy._engine",
    "_engine_testing",
    "magpy._engine_testing",
    "_asyncio",
}
# CPython 3.12.1 itself crashes when it is asked for what such a one holds.
NOT_MADE |= {"_pickle"}
ENDLESS = {"itertools.count", "itertools.cycle", "itertools.repeat"}
ADDRESS = re.compile(r"0x[0-9a-f]+|\bat [^>]*|[\w.-]+\(\)")


def namespace() -> dict[str, Any]:
    space: dict[str, Any] = {name: importlib.import_module(name) for name in MODULES}
    space["ElementTree"] = importlib.import_module("xml.etree.ElementTree")
    space["CompiledFunction"] = CompiledFunction
    exec(STATE, space)
    return space


SPACE = namespace()


def uses_of(o: Any, calls: bool = True) -> list[str]:
    found = [u.strip() for line in USES.strip().splitlines() for u in line.split("; ")]
    names = {n for cls in type(o).__mro__ for n in vars(cls)} - set(DENIED)
    for name in sorted(n for n in names if n.isidentifier()):
        found.append(f"o.{name}")
        if calls and callable(getattr(type(o), name, None)):
            found += [f"o.{name}()", f"o.{name}(1)", f"o.{name}('ab')"]
    return found


def text(value: Any, depth: int = 0) -> str:
    kind = type(value)
    if kind in (list, tuple) and depth < 3:
        return kind.__name__ + str([text(v, depth + 1) for v in value])
    if kind in (set, frozenset):
        return kind.__name__ + str(sorted(text(v, depth + 1) for v in value))
    if kind is dict and depth < 3:
        return str({text(k, 3): text(v, depth + 1) for k, v in value.items()})
    if kind is int and abs(value) > 10**6:
        return "int"  # an address
    return kind.__name__ + ADDRESS.sub("", repr(value))[:200]


def outcome(f: Any, o: Any) -> str:
    try:
        return text(f(o))
    except Exception as error:
        return type(error).__name__ + ADDRESS.sub("", str(error))[:80]
    except (SystemExit, GeneratorExit, KeyboardInterrupt) as error:
        return type(error).__name__


def differences(make: Any, uses: list[str]) -> list[str]:
    """make(0) and make(1) give the objects of a new pair."""
    found = []
    for use in uses:
        f = eval("lambda o: " + use, SPACE)
        compiled = CompiledFunction(f)
        plain, watched = (make(0), make(1)), (make(0), make(1))
        for step, which in enumerate((0, 0, 0, 1, 1, 0)):
            expected, got = outcome(f, plain[which]), outcome(compiled, watched[which])
            if expected != got:
                found.append(f"{use}, call {step}: eager {expected}, compiled {got}")
                break
    return found


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coroutines that nobody awaits
        yield
    SPACE["KEPT"].clear()


ROWS = [
    tuple(part.strip() for part in row.split("  |  "))
    for row in PAIRS.replace("\n  |  ", "  |  ").strip().splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].replace(" ", ""))
def test_pairs(row):
    codes = [compile(part, "<pair>", "eval") for part in row]
    assert len(codes) == 2
    assert (
        differences(lambda i: eval(codes[i], SPACE), uses_of(eval(codes[0], SPACE)))
        == []
    )


def c_types() -> list[type]:
    """Types written in C that are loaded now, and that the table does not name."""
    found: set[type] = set()
    todo: list[type] = [object]
    while todo:
        for sub in type.__subclasses__(todo.pop()):
            if sub not in found:
                found.add(sub)
                todo.append(sub)
    named = {type(eval(row[0], SPACE)) for row in ROWS}
    return sorted(
        (t for t in found if is_c_type(t) and t not in named),
        key=lambda t: (str(t.__module__), t.__qualname__),
    )


def is_c_type(tp: type) -> bool:
    is_heap, is_immutable = tp.__flags__ >> 9 & 1, tp.__flags__ >> 8 & 1
    module = sys.modules.get(tp.__module__)
    in_library = tp.__module__ in sys.stdlib_module_names or module is None
    return (not is_heap or bool(is_immutable)) and in_library


SAMPLES = [
    ((), ()),
    ((1,), (2,)),
    (("a",), ("b",)),
    ((b"a",), (b"b",)),
    (([1],), ([2],)),
    ((len,), (sum,)),
    (([1], [2]), ([2], [2])),
    (({1: 2},), ({1: 3},)),
]


def made(tp: type) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    found = []
    for pair in SAMPLES:
        if len(found) == 2:
            break
        with contextlib.suppress(BaseException):
            tp(*pair[0]), tp(*pair[1])
            found.append(pair)
    return found


def test_every_type_that_can_be_made():
    count, wrong = 0, []
    for tp in c_types():
        name = f"{tp.__module__}.{tp.__qualname__}"
        if (
            tp.__module__ in NOT_MADE
            or name in ENDLESS
            or issubclass(tp, types.ModuleType)
        ):
            continue
        for pair in made(tp):
            count += 1
            copies = [tuple(SPACE["copy"].copy(a) for a in args) for args in pair]
            found = differences(
                lambda i, t=tp, c=copies: t(*c[i]), uses_of(tp(*pair[0]), False)
            )
            wrong += [f"{name}{pair}: {line}" for line in found]
    assert wrong == []
    assert count > 30
