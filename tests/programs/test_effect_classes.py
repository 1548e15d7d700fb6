"""C code by effect class: programs that go wrong if a class in builtins.def were wrong."""

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== value_pattern_of_a_global
import re
P = re.compile("a+")
def f(s):
    return P.sub("b", s), P.split(s), P.findall(s), P.match(s) is None
>>> "aac"
>>> "caa"
!!! P = re.compile("c")

=== value_pattern_attribute
import re
class Words:
    pass
words = Words()
words.pattern = re.compile(r"\w+")
def f(s):
    m = words.pattern.search(s)
    return m.group(), m.span(), m[0], m.start(), m.groups(), m.groupdict()
>>> "  one two"
!!! words.pattern = re.compile(r"t\w+")

=== value_replacement_calls_back | eager
import re
seen = []
P = re.compile("a")
def f(s):
    return P.sub(lambda m: str(len(seen)), s)
>>> "banana"
!!! seen.append(1)

=== value_replacement_with_c_side_effect | eager
import re
P = re.compile("a")
seen = []
def note(m):
    seen.append(m)
    return ""
def f(s):
    P.sub(seen.append, s) if 0 else P.sub(note, s)
    return len(seen)
>>> "banana"

=== value_date_of_a_global
import datetime
D = datetime.date(2020, 2, 28)
T = datetime.timedelta(days=1)
def f():
    return (
        D.isoformat(), D.toordinal(), D.weekday(), (D + T).isoformat(),
        D < datetime.date(2021, 1, 1), T.total_seconds(), bool(T), [D] == [D + T],
        max(D, D + T).isoformat(),
    )
!!! D = datetime.date(2022, 2, 28)
!!! T = datetime.timedelta(0)
!!! T = datetime.timedelta(-3)

=== value_date_subclass
import datetime
class Day(datetime.date):
    shift = 1
D = Day(2020, 1, 1)
def f():
    return D.isoformat(), (D - datetime.date(2019, 1, 1)).total_seconds(), D.shift
!!! D = Day(2021, 1, 1)
!!! Day.shift = 2

=== value_itemgetter_as_key
from operator import itemgetter
G = itemgetter(0)
def f(xs):
    return sorted(xs, key=G), list(map(G, xs)), max(xs, key=G)
>>> [(1, 5), (0, 7)]
!!! G = itemgetter(1)

=== value_struct_of_a_global
import struct
S = struct.Struct("<hh")
def f(a, b):
    return S.pack(a, b), S.unpack(S.pack(b, a)), struct.pack(">i", a)
>>> 1, 2
!!! S = struct.Struct(">hh")

=== value_slice_of_a_global
S = slice(0, 2)
def f(xs):
    return xs[S], "abcdef"[S]
>>> [1, 2, 3]
!!! S = slice(1, 3)

=== opaque_decimal | eager
from decimal import Decimal, getcontext
import math
D = Decimal("4")
def f():
    return math.sqrt(D)
!!! D = Decimal("9")

=== opaque_decimal_operator | eager
import decimal
D = decimal.Decimal(1)
def f():
    return str(D / 3)
!!! decimal.getcontext().prec = 5
!!! D = decimal.Decimal(2)
??? decimal.getcontext().prec = 28

=== opaque_array | eager
import array
A = array.array("i", [1, 2])
def f():
    return list(A)
!!! A[0] = 5

=== opaque_array_subclass | eager
import array
class A(array.array):
    pass
a = A("i", [1, 2])
def f():
    return list(a), sum(a)
!!! a[0] = 9

=== opaque_array_in_a_list | eager
import array
A = array.array("i", [1, 2])
def f():
    return [A] == [[1, 2]], sum([len(x) for x in [A]])
!!! A.append(3)

=== opaque_memoryview | eager
B = bytearray(b"abc")
V = memoryview(B)
def f():
    return bytes(V), V[0], V.tolist()
!!! B[0] = 65

=== opaque_bytearray
B = bytearray(b"abc")
def f():
    return b"-".join([B]), B.decode(), b"abc".find(B)
!!! B[0] = 65

=== own_match_of_a_global | eager
import re
B = bytearray(b"abc")
M = re.match(b"a", B)
def f():
    return M.group()
!!! B[0] = 65

=== own_exception_text | eager
class Wrong(Exception):
    def __str__(self):
        return "wrong " + super().__str__()
E = Wrong("a")
def f():
    return str(E)
!!! E.args = ("b",)

=== own_iterator_of_a_global | eager
import itertools
C = itertools.count()
def f():
    return list(itertools.islice(C, 2))

=== own_cached_function_info | eager
import functools
@functools.lru_cache
def g(x):
    return x
def f(x):
    g(x)
    return g.cache_info().hits > 2
>>> 1
>>> 2

=== own_proxy_deep
import types
d = {"a": [1]}
P = types.MappingProxyType(d)
def f():
    return max([P["a"], [0]]), dict(P), len(P)
!!! d["a"].append(2)
!!! d["b"] = 3

=== pure_math_and_cmath
import cmath, math
xs = [1.0, 4.0]
def f(x):
    return (
        math.fsum(xs), math.hypot(x, 3), math.prod(xs), math.dist(xs, [0, 0]),
        cmath.phase(complex(x, 1)), math.isclose(x, 4), math.gcd(12, 18)
    )
>>> 4
!!! xs[0] = 9.0

=== pure_text_tables
import binascii, unicodedata, zlib
B = b"abc"
def f(s):
    return binascii.hexlify(B), unicodedata.name(s), zlib.crc32(B), unicodedata.category(s)
>>> "a"
>>> "\u00e9"
!!! B = b"abd"

=== pure_json_strings
import json
data = {"a": "x"}
def f():
    return json.encoder.encode_basestring_ascii(data["a"])
!!! data["a"] = "\u20ac"

=== json_dumps | eager
import json
data = {"a": [1, None, True, 2.5, "x"]}
def f():
    return json.dumps(data), json.dumps(data, sort_keys=True, indent=1)
!!! data["a"].append({"b": ()})
!!! data["c"] = float("nan")

=== json_default_is_c | eager
import json
seen = []
def f():
    text = json.dumps({"a": 1j}, default=seen.append)
    return text, len(seen)

=== json_loads | eager
import json
text = '{"a": [1, 2.5, null]}'
def f():
    return json.loads(text)
!!! text = "[]"

=== operator_module
import operator
xs = [1, 2, 3]
def f(a, b):
    return (
        operator.add(a, b), operator.lt(a, b), operator.contains(xs, a),
        operator.countOf(xs, a), operator.indexOf(xs, 3), operator.concat(xs, [a]),
        operator.truth(xs), operator.getitem(xs, 0), operator.index(a),
        operator.length_hint(xs)
    )
>>> 1, 2
!!! xs.insert(0, 1)

=== slots_by_type
xs = [1]
t = (xs, 2)
s = {1, 2}
d = {"a": 1}
def f(y):
    return (
        xs + [y], xs * 2, t + (y,), t == ([1], 2), s | {y}, s - {1}, d | {"b": y},
        xs < [2], y + 1, -y, y ** 2, "%s" % xs, xs.__add__([y]), (1).__add__(y)
    )
>>> 3
!!! xs.append(4)
!!! s.add(7)
!!! d["a"] = 2

=== string_module
import string
def f(x):
    return string.capwords(x), string.digits, string.Formatter().parse(x) is None
>>> "a b"

=== string_template | eager
import string
words = {"a": 1}
def f(text):
    return string.Template(text).substitute(words)
>>> "$a b"
!!! words["a"] = 2

=== copying
import copy
class P:
    pass
p = P()
p.x = [1]
xs = [[1], {"a": (2,)}]
def f():
    a, b = copy.copy(xs), copy.deepcopy(xs)
    return a, b, a[0] is xs[0], b[0] is xs[0]
!!! xs[0].append(5)
!!! xs.append(3)

=== environment
import os
def f():
    return os.environ.get("MAGPY_TEST_ROWS"), os.getenv("MAGPY_TEST_ROWS", "no")
!!! import os; os.environ["MAGPY_TEST_ROWS"] = "1"
!!! import os; os.environ["MAGPY_TEST_ROWS"] = "2"
!!! import os; os.environ.pop("MAGPY_TEST_ROWS", None)

=== paths_as_text
import os.path, posixpath
base = "a"
def f(x):
    return os.path.join(base, x), os.path.basename(x), os.path.splitext(x), os.fspath(x)
>>> "b/c.txt"
!!! base = "/z"

=== logging_below_the_level
import logging
log = logging.getLogger("magpy.test.rows")
log.setLevel(logging.WARNING)
def f(x):
    log.debug("x is %s", x)
    return x, log.isEnabledFor(logging.INFO)
>>> 1
>>> 2

=== logging_at_the_level | eager
import logging
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())
log = logging.Logger("kept")
log.addHandler(Keep())
log.setLevel(logging.WARNING)
def f(x):
    log.info("x is %s", x)
    return x, len(records)
>>> 1
!!! log.setLevel(logging.INFO)

=== thread_local_attributes | eager
import threading
local = threading.local()
local.x = 1
def f():
    return local.x
!!! local.x = 2

=== signatures
import inspect
def g(a, b=2, *, c: int = 3):
    return a
def f():
    return (
        inspect.isfunction(g), inspect.isclass(g), inspect.ismethod(g),
        inspect.isbuiltin(len), inspect.isgeneratorfunction(g)
    )

=== type_hints | eager
import typing
class A:
    x: int
    y: "str"
def f():
    return typing.get_type_hints(A), typing.cast(int, 3), typing.get_origin(list[int])
!!! A.__annotations__["z"] = float

=== aliases_of_types
import typing
L = list[int]
def f(x):
    return isinstance(x, int | str), L == list[int]
>>> 1
>>> "s"
>>> []
!!! L = list[str]

=== alias_that_is_looked_for | eager
L = list[int]
def f():
    return L in [list[str]]
>>>
!!! L = list[str]

=== single_dispatch | eager
import functools
@functools.singledispatch
def g(x):
    return "any"
@g.register
def _(x: int):
    return "int"
def f(x):
    return g(x)
>>> 1
>>> "s"
!!! g.register(str, lambda x: "str")

=== counters_and_chains
import collections
c = collections.Counter("aab")
m = collections.ChainMap({"a": 1}, {"b": 2})
def f(x):
    d = collections.Counter(x)
    return d["a"], c["a"], m["b"], sorted(d.items()), c.total()
>>> "aba"
!!! c["a"] = 7
!!! m.maps[1]["b"] = 5
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check(case)


HIDDEN = """
random.random()
random.randint(0, 10**9)
random.choice([1, 2, 3])
random.getrandbits(8)
random.gauss(0, 1)
random.Random(1).random()
random.seed(3)
time.time()
time.time_ns()
time.perf_counter()
time.monotonic()
time.process_time_ns()
time.localtime().tm_sec
time.strftime("%S")
time.sleep(0)
datetime.datetime.now()
datetime.datetime.utcnow()
datetime.date.today()
datetime.datetime.fromtimestamp(0).hour
datetime.datetime(2020, 1, 1).timestamp()
datetime.date(2020, 1, 1).strftime("%A")
os.getpid()
os.getcwd()
os.urandom(2)
os.listdir("/")
os.path.exists("/")
os.stat("/").st_size
os.cpu_count()
secrets.token_hex(2)
secrets.randbelow(100)
uuid.uuid4()
uuid.uuid1()
threading.get_ident()
threading.get_native_id()
gc.get_count()
gc.isenabled()
gc.collect()
len(gc.get_objects())
sys.getsizeof([])
sys.getrefcount(x)
sys.gettrace()
sys.getswitchinterval()
sys._getframe().f_back.f_lineno
sys.getallocatedblocks()
locale.setlocale(locale.LC_ALL)
locale.localeconv()
inspect.currentframe().f_back.f_lineno
hash(x)
object.__hash__(x)
tempfile.mktemp()
platform.node() + str(os.getpid())
next(counter)
warnings.warn("w")
io.StringIO().getvalue()
open("/dev/null").close()
eval("x")
exec("1")
compile("1", "", "eval", 1024)
weakref.getweakrefcount(x)
x.__sizeof__()
x.__reduce_ex__(2)
object.__subclasses__()
decimal.getcontext().prec
"""


@pytest.mark.parametrize("expression", HIDDEN.split("\n")[1:-1])
@pytest.mark.filterwarnings("ignore")
def test_hidden_state_is_never_folded(expression):
    """What depends on state that no guard sees makes the call eager, every time."""
    source = f"def f():\n    return {expression}\n"
    names = "datetime decimal gc inspect io itertools locale os platform random secrets"
    names += " sys tempfile threading time uuid warnings weakref"
    space = {name: __import__(name) for name in names.split()}
    space |= {"x": object(), "counter": space["itertools"].count()}
    exec(compile(source, "<hidden>", "exec", dont_inherit=True), space)
    fast = engine_compile(space["f"])
    for _ in range(4):
        try:
            fast()
        except StopIteration:
            break
    assert fast.stats()["hits"] == 0
    assert "unknown-value" not in fast.stats()["reasons"]


def test_random_state_goes_on():
    """Each call draws the next number, as eager does."""
    import random

    def draw():
        return random.random(), random.randint(0, 99)

    fast = engine_compile(draw)
    random.seed(5)
    expected = [draw() for _ in range(4)]
    random.seed(5)
    assert [fast() for _ in range(4)] == expected


def test_hash_of_texts_is_a_constant():
    """Within a process the hash of a str never changes."""

    def f(s):
        return hash(s) == hash("a"), hash((1, s))

    fast = engine_compile(f)
    assert [fast("a") for _ in range(3)] == [f("a")] * 3
    assert fast.stats()["hits"] >= 1
