"""Small random programs as text: state that callers change, read and written by code.

A program is a fixed prelude (classes, helpers, state), a function `f` made of drawn
statements, and a script of calls and changes of state.  Expressions are typed (number,
truth, list of numbers, node) so that most programs run; those that raise are welcome,
because exceptions and what happened before them must be equal too.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from oracle import Case

PRELUDE = """
class Node:
    shared = 1
    def __init__(self, a, b):
        self.a = a
        self.b = b
    def bump(self, k):
        self.a = (self.a + k) % 5
        return self.b
    @property
    def size(self):
        return len(self.b) + self.shared
class Other(Node):
    shared = 4
    def bump(self, k):
        return super().bump(k + 1)
class Ctx:
    def __enter__(self):
        d["depth"] = 1
        return n1
    def __exit__(self, kind, value, tb):
        d["depth"] = 0
        return kind is KeyError
g = 1
xs, ys = [1, 2, 3], [4]
n1, n2 = Node(1, [1, 2]), Node(2, ys)
d = {"a": 1, "b": [2]}
def helper(x, y=2, *rest, k=3):
    return (x * y + k + len(rest)) % 7
def keep(x, acc=[]):
    acc[:] = acc[-2:]
    acc.append(x)
    return acc
def make():
    v = 0
    def get():
        return v
    def put(w):
        nonlocal v
        v = w
    return get, put
get, put = make()
def gen(n):
    for i in range(n % 4):
        yield i
        if i > g:
            return
def twice(fn):
    def inner(*args, **kw):
        fn(*args, **kw)
        return fn(*args, **kw)
    return inner
@twice
def step(k):
    n2.a = (n2.a + k) % 3
    return n2.a
"""

CHANGES = [
    "g = (g + 1) % 3",
    "g = True",
    "g = 1.0",
    "xs.append(1)",
    "xs[:] = [3, 1]",
    "xs = [5, 6]",
    "ys = xs",
    "ys = [4]",
    "n1.b = xs",
    "n1.b = [1, 2]",
    "n2 = n1",
    "n2 = Node(0, [])",
    "n1.__class__ = Other",
    "n1.__class__ = Node",
    "n1.c = 1",
    "vars(n1).pop('c', None)",
    "n1.__dict__ = {'b': [0], 'a': 3}",
    "d['a'] = 5",
    "d.pop('x', None)",
    "d['b'] = xs",
    "d['b'] = [2]",
    "d = dict(reversed(d.items()))",
    "Node.shared = 7",
    "Other.shared = 2",
    "Node.bump = lambda self, k: self.b",
    "Node.size = property(lambda self: 0)",
    "helper.__defaults__ = (4,)",
    "helper.__kwdefaults__ = {'k': 0}",
    "keep.__defaults__[0].append(9)",
    "put(9)",
    "put(True)",
    "helper = lambda *a, **k: 0",
    "len = lambda v: 2",
    "globals().pop('len', None)",
]
NUMBERS = ["0", "1", "2", "-1", "True", "a", "b", "i", "g"]
LISTS = ["xs", "ys", "l", "n1.b", "n2.b", "d['b']"]
NODES = ["n1", "n2", "n"]
KEYS = ["'a'", "'x'", "'y'"]


def one_of(draw: st.DrawFn, options: list) -> str:
    return draw(st.sampled_from(options))


@dataclass
class Maker:
    """Draws text; `depth` bounds how far expressions and blocks nest."""

    draw: st.DrawFn

    def number(self, depth: int = 2) -> str:
        if depth == 0:
            return one_of(self.draw, NUMBERS)
        form = one_of(self.draw, self.NUMBER_FORMS)
        return self.fill(form, depth - 1)

    def truth(self, depth: int = 1) -> str:
        return self.fill(one_of(self.draw, self.TRUTH_FORMS), depth)

    def numbers(self, depth: int = 1) -> str:
        if depth == 0:
            return one_of(self.draw, LISTS)
        return self.fill(one_of(self.draw, self.LIST_FORMS), depth - 1)

    def node(self, depth: int = 0) -> str:
        return one_of(self.draw, NODES)

    def fill(self, form: str, depth: int) -> str:
        """Replace I, B, L, N, K in a form by drawn text."""
        parts = []
        for word in form.split("$"):
            if word in self.HOLES:
                parts.append(self.HOLES[word](self, depth))
            else:
                parts.append(word)
        return "".join(parts)

    def key(self, depth: int) -> str:
        return one_of(self.draw, KEYS)

    def name(self, depth: int) -> str:
        return one_of(self.draw, LISTS)

    HOLES = {
        "I": number, "B": truth, "L": numbers, "N": node, "K": key, "V": name,
    }  # fmt: skip

    NUMBER_FORMS = [
        *NUMBERS,
        "($I$ + $I$)", "($I$ - $I$)", "($I$ * $I$)", "$I$ % 3", "-$I$", "abs($I$)",
        "($I$ if $B$ else $I$)", "($I$ or $I$)", "($I$ and $I$)",
        "len($L$)", "sum($L$)", "max($L$, default=0)", "$V$[0]", "$V$[-1]",
        "helper($I$)", "helper($I$, $I$, k=$I$)", "helper(*$V$[:3])",
        "$N$.a", "$N$.size", "$N$.shared", "getattr($N$, 'c', $I$)", "$N$.c",
        "Node.shared", "get()", "step($I$)", "sum(gen($I$))", "int($B$)",
        "d['a']", "d.get($K$, $I$)", "d[$K$]", "sum(x for x in $L$ if x)",
        "(lambda x: x + $I$)($I$)", "len(d)", "min($I$, $I$)", "n.missing",
        "$I$ // $I$", "$V$.count($I$)", "next(iter($V$), 0)", "keep($I$)[0]",
    ]  # fmt: skip
    TRUTH_FORMS = [
        "$I$ < $I$", "$I$ == $I$", "$I$ in $L$", "$K$ in d", "not $I$", "$V$",
        "$V$ is $V$", "$V$ == $V$", "$N$ is $N$", "hasattr($N$, 'c')",
        "isinstance($I$, bool)", "isinstance($N$, Other)", "any($L$)", "all($L$)",
        "$I$ < $I$ <= $I$", "type($N$) is Node", "$N$.b is $V$", "d['b'] is $V$",
    ]  # fmt: skip
    LIST_FORMS = [
        *LISTS,
        "[$I$, $I$]", "$L$ + [$I$]", "sorted($L$)", "$L$[:2]", "list($L$)",
        "[x + 1 for x in $L$ if x != $I$]", "list(gen($I$))", "[*$L$, $I$]",
        "$N$.bump($I$)", "keep($I$)", "list(map(helper, $L$))", "$L$[::-1]",
        "[x * y for x, y in zip($L$, $L$)]", "list(range($I$ % 4))", "[]",
        "[v for v in d.values() if isinstance(v, int)]", "list(reversed($L$))",
        "[x for x, in zip($L$)]", "list(filter(None, $L$))", "$L$.copy()",
    ]  # fmt: skip
    LINES = [
        "i = $I$", "l = $L$", "n = $N$", "n = Node($I$, $L$)", "i += $I$",
        "g = ($I$) % 3", "put(($I$) % 3)", "$N$.a = ($I$) % 5", "$N$.b = $L$",
        "$N$.c = ($I$) % 2", "del $N$.c", "Node.shared = ($I$) % 3",
        "$V$[0] = ($I$) % 5", "$V$[-1:] = [($I$) % 5]", "$V$.append(($I$) % 5)",
        "$V$.insert(0, ($I$) % 5)", "$V$.pop()", "$V$.sort()", "$V$.reverse()",
        "$V$.clear()", "del $V$[4:]", "del $V$[0]", "l += [($I$) % 5]",
        "d[$K$] = ($I$) % 5", "d.pop($K$, None)", "del d[$K$]", "d['b'] = $L$",
        "d.update(x=($I$) % 5)", "d.setdefault($K$, ($I$) % 5)", "d.popitem()",
        "n1.b, n2.b = n2.b, n1.b", "setattr($N$, 'c', ($I$) % 3)", "$N$.bump($I$)",
        "xs, ys = ys, xs", "d['b'], n1.b = n1.b, d['b']", "log.append(($I$) % 9)",
        "assert $B$ or True", "$V$.extend([($I$) % 5])", "n2 = $N$", "keep($I$)",
        "i, *l = [$I$, *$L$]", "l = [($I$, 0)[0] for _ in $L$]",
        "fns.append(lambda x=$I$: x + i)", "i = fns[-1]() if fns else 0",
        "vars($N$)['c'] = ($I$) % 2", "$N$.__dict__.pop('c', None)",
    ]  # fmt: skip

    def block(self, depth: int, indent: str) -> list[str]:
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += self.statement(depth, indent)
        return lines

    def statement(self, depth: int, indent: str) -> list[str]:
        kind = one_of(self.draw, self.KINDS) if depth else "line"
        inner = indent + "    "
        if kind == "line":
            return [indent + self.fill(one_of(self.draw, self.LINES), 1)]
        body = self.block(depth - 1, inner)
        if kind == "if":
            other = self.block(depth - 1, inner)
            return [f"{indent}if {self.truth()}:", *body, f"{indent}else:", *other]
        if kind == "for":
            head = f"{indent}for i in {self.numbers()}[:3]:"
            return [head, *body]
        if kind == "while":
            k = f"k{depth}"  # nested loops must not share their counters
            head = [f"{indent}{k} = 0", f"{indent}while {k} < 2 and ({self.truth()}):"]
            return [*head, f"{inner}{k} += 1", *body]
        if kind == "try":
            other = self.block(depth - 1, inner)
            caught = "except (LookupError, AttributeError, ZeroDivisionError) as e:"
            return [
                f"{indent}try:", *body, indent + caught,
                f"{inner}log.append(type(e).__name__)", *other,
            ]  # fmt: skip
        if kind == "finally":
            other = self.block(0, inner)
            return [f"{indent}try:", *body, f"{indent}finally:", *other]
        if kind == "with":
            return [f"{indent}with Ctx() as n:", *body]
        if kind == "dict":
            return [f"{indent}for key in list(d):", f"{inner}i = len(key)", *body]
        if kind == "return":
            return [f"{indent}if {self.truth()}:", f"{inner}return {self.number()}, l"]
        raise AssertionError(kind)

    KINDS = [
        "line", "line", "line", "line", "if", "for", "while", "try", "try", "finally",
        "with", "dict", "return",
    ]  # fmt: skip


CAUGHT = """
def f(*args, **kw):
    try:
        return body(*args, **kw)
    except (LookupError, AttributeError, ZeroDivisionError) as e:
        return type(e), e.args
"""
BARE = """
def f(*args, **kw):
    return body(*args, **kw)
"""


@st.composite
def programs(draw: st.DrawFn) -> tuple[Case, list[tuple[str, str]]]:
    maker = Maker(draw)
    body = maker.block(2, "    ") + maker.block(1, "    ")
    result = f"i, l, {maker.number()}, {maker.numbers()}, n, fns"
    source = "\n".join(
        [
            PRELUDE,
            "log = []",
            "def body(a, b=1, *args, c=2):",
            "    global g, xs, ys, n2",
            "    i, l, n, fns = a, [b], n1, []",
            "    del log[:-1]",
            *body,
            f"    return {result}",
            # An exception that gets out is eager by design: few of those.
            draw(st.sampled_from([CAUGHT] * 4 + [BARE])),
        ]
    )
    arguments = draw(st.sampled_from(["1", "2, 0", "0, b=True", "1, 2, 3, c=0"]))
    script = [("call", arguments)] * 3
    for _ in range(draw(st.integers(1, 3))):
        for change in draw(st.lists(st.sampled_from(CHANGES), max_size=2)):
            script.append(("change", change))
        script += [("call", arguments)] * 3
    return Case("drawn", source, (arguments,), hit=False), script
