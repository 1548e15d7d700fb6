"""Control flow: branches, loops, exceptions, match, recursion."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== if_chain
def f(x):
    if x < 0:
        return "neg"
    elif x == 0:
        return "zero"
    else:
        return "pos"
>>> -1
>>> 0
>>> 1

=== branch_on_state
mode = "a"
def f(x):
    return x + 1 if mode == "a" else x - 1
>>> 5
!!! mode = "b"
!!! mode = "a"

=== boolean_operators
def f(a, b, c):
    return a and b, a or b, not a, a and b or c, (a or b) and c
>>> 0, 1, 2
>>> [], "x", None
>>> [1], {}, 3

=== chained_comparison
def f(a, b, c):
    return a < b < c, a <= b != c, 0 < a < 10 < c
>>> 1, 2, 30
>>> 3, 2, 1

=== identity_tests
def f(a):
    return a is None, a is not None, a == None, type(a) is int
>>> None
>>> 1

=== user_comparison
class V:
    def __init__(self, n):
        self.n = n
    def __eq__(self, o):
        return self.n == o.n
    def __lt__(self, o):
        return self.n < o.n
    __hash__ = None
def f(a, b):
    return a == b, a != b, a < b, a > b, max(a, b).n, sorted([b, a])[0].n
>>> V(1), V(2)
>>> V(2), V(2)

=== not_implemented_retry
class A:
    def __add__(self, o):
        return NotImplemented
    def __eq__(self, o):
        return NotImplemented
class B:
    def __radd__(self, o):
        return "radd"
    def __eq__(self, o):
        return True
def f(a, b):
    return a + b, a == b, a == a, a != a
>>> A(), B()

=== operator_overloads
class V:
    def __init__(self, n):
        self.n = n
    def __add__(self, o):
        return V(self.n + (o.n if isinstance(o, V) else o))
    __radd__ = __add__
    def __mul__(self, k):
        return V(self.n * k)
    def __neg__(self):
        return V(-self.n)
    def __iadd__(self, k):
        self.n += k
        return self
    def __getitem__(self, i):
        return self.n + i
    def __bool__(self):
        return self.n != 0
    def __int__(self):
        return self.n
    def __index__(self):
        return self.n
    def __abs__(self):
        return abs(self.n)
def f(v):
    w = (v + 1) * 2 + v
    u = 5 + -v
    v += 3
    return (
        w, u, v, v[2], bool(u), int(v), v.__index__(), abs(u),
        sum([v, w], V(0))
    )
>>> V(1)

=== index_hook | eager
class V:
    def __index__(self):
        return 2
def f(v):
    return [0, 1, 2, 3][v], range(v), [5] * v, hex(v)
>>> V()

=== while_loop
def f(n):
    i = total = 0
    while i < n:
        i += 1
        if i == 2:
            continue
        if i > 5:
            break
        total += i
    else:
        total += 100
    return total
>>> 3
>>> 8

=== for_else
def f(xs, v):
    for i, x in enumerate(xs):
        if x == v:
            break
    else:
        return "none"
    return i
>>> [1, 2], 2
>>> [1, 2], 3
>>> [], 0

=== nested_loops
def f(n):
    out = []
    for i in range(n):
        for j in range(i):
            if (i + j) % 3 == 0:
                break
            out.append((i, j))
    return out
>>> 5

=== loop_over_state
xs = [1, 2, 3]
def f():
    total = 0
    for x in xs:
        if x % 2:
            total += x
    return total
!!! xs.append(5)
!!! xs[0] = 2

=== long_loop
def f(n):
    s = 0
    for i in range(n):
        s += i * i
    return s
>>> 3000

=== try_not_firing
def f(x):
    try:
        y = x + 1
    except TypeError:
        return "no"
    else:
        y += 1
    finally:
        z = 5
    return y, z
>>> 1

=== try_firing
def f(x):
    try:
        y = x + 1
    except TypeError as e:
        return type(e).__name__, e.args
    return y
>>> 1
>>> "a"
>>> None

=== try_key_index_attribute
def f(d, xs, o):
    out = []
    steps = lambda: d["k"], lambda: xs[5], lambda: o.z, lambda: int("q"), lambda: 1 / 0
    for g in steps:
        try:
            out.append(g())
        except (KeyError, IndexError) as e:
            out.append(type(e))
        except AttributeError:
            out.append("attr")
        except Exception as e:
            out.append(e.args)
    return out
>>> {}, [], 1
>>> {"k": 1}, [0] * 9, 1

=== raise_and_catch
class Stop(Exception):
    def __init__(self, v):
        super().__init__(v)
        self.v = v
def g(x):
    if x > 2:
        raise Stop([x])
    return x
def f(x):
    try:
        return g(x)
    except Stop as e:
        return e.v, e.args
>>> 1
>>> 5

=== raise_class_and_reraise
def g(x):
    try:
        raise ValueError
    except ValueError:
        if x:
            raise
        return "swallowed"
def f(x):
    try:
        return g(x)
    except ValueError as e:
        return e.args, e.__cause__, e.__context__
>>> 0
>>> 1

=== raise_from
def f():
    try:
        try:
            {}["a"]
        except KeyError as e:
            raise ValueError("v") from e
    except ValueError as e:
        return type(e.__cause__), e.__cause__.args, e.__suppress_context__

=== exception_context
def f():
    try:
        try:
            {}["a"]
        except KeyError:
            [][1]
    except IndexError as e:
        return type(e.__context__), e.__cause__

=== finally_order
def f(x):
    log = []
    def g():
        try:
            log.append("try")
            if x:
                raise KeyError(x)
            return "ret"
        except KeyError:
            log.append("except")
            return "handled"
        finally:
            log.append("finally")
    r = g()
    return r, log
>>> 0
>>> 1

=== finally_overrides
def f():
    for i in range(3):
        try:
            continue
        finally:
            if i == 1:
                break
    try:
        return i
    finally:
        i = 50

=== nested_handlers
def f(x):
    try:
        try:
            if x == 1:
                raise KeyError("k")
            if x == 2:
                raise ValueError("v")
        except KeyError:
            return "inner"
        finally:
            x += 10
    except ValueError as e:
        return "outer", x, e.args
    return x
>>> 0
>>> 1
>>> 2

=== handler_depends_on_state
d = {"a": 1}
def f(k):
    try:
        return d[k]
    except KeyError:
        return "missing"
>>> "a"
>>> "b"
!!! d["b"] = 2
!!! del d["a"]

=== raises_out | eager
def f(x):
    raise ValueError("bad", x)
>>> 1

=== raises_out_after_effect | eager
log = []
def f(x):
    log.append(x)
    raise ValueError(x)
>>> 1

=== raises_out_of_callee | eager
class E(Exception):
    pass
def g(x):
    return x / 0
def f(x):
    try:
        return g(x)
    except ZeroDivisionError as e:
        raise E("wrapped") from e
>>> 1

=== raises_only_for_one_input
def f(x):
    return 10 // x
>>> 5
??? f.__defaults__ = (0,)

=== raises_sometimes | eager
def f(x):
    return 10 // x
>>> 5
>>> 0
>>> 2

=== stop_iteration_from_next
def f(xs):
    it = iter(xs)
    out = []
    try:
        while True:
            out.append(next(it))
    except StopIteration as e:
        return out, e.value
>>> [1, 2]

=== exception_group_free_except_star | eager
def f():
    try:
        raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
    except* ValueError as e:
        a = len(e.exceptions)
    except* KeyError as e:
        b = e.exceptions[0].args
    return a, b

=== assert_holds
def f(x):
    assert x > 0, "positive"
    return x
>>> 1

=== assert_fails | eager
def f(x):
    assert x > 0, f"positive, not {x}"
    return x
>>> -1

=== assert_caught
def f(x):
    try:
        assert x > 0, "positive"
    except AssertionError as e:
        return e.args
    return x
>>> -1
>>> 1

=== named_modules_style
class Node:
    def __init__(self, *kids):
        self.kids = {str(i): k for i, k in enumerate(kids)}
    def named(self, prefix=""):
        yield prefix, self
        for name, kid in self.kids.items():
            yield from kid.named(prefix + "." + name)
root = Node(Node(), Node(Node()))
def f():
    return [name for name, node in root.named()], len(list(root.named()))
!!! root.kids["new"] = Node()

=== match_values
def f(x):
    match x:
        case 1 | 2:
            return "small"
        case str() as s if len(s) > 2:
            return "long", s
        case str():
            return "short"
        case None:
            return "none"
        case _:
            return "other"
>>> 1
>>> "abc"
>>> "a"
>>> None
>>> 2.5

=== match_structures
class P:
    __match_args__ = ("x", "y")
    def __init__(self, x, y):
        self.x, self.y = x, y
def f(v):
    match v:
        case [a, b, *rest]:
            return "seq", a, b, rest
        case {"k": k, **rest}:
            return "map", k, rest
        case P(0, y=y):
            return "p0", y
        case P(x, y):
            return "p", x, y
        case []:
            return "empty"
>>> [1, 2, 3]
>>> {"k": 1, "z": 2}
>>> P(0, 5)
>>> P(1, 5)
>>> []

=== match_enum_and_class
import enum
class E(enum.Enum):
    A = 1
    B = 2
def f(v):
    match v:
        case E.A:
            return "A"
        case int(n):
            return n
        case E():
            return "E"
>>> E.A
>>> E.B
>>> 5

=== walrus
def f(xs):
    if (n := len(xs)) > 2:
        return n
    while (n := n + 1) < 5:
        pass
    return n, [y for x in xs if (y := x + 1)]
>>> [1, 2, 3]
>>> [1]

=== conditional_expression_nested
def f(a):
    return "a" if a > 5 else "b" if a > 2 else "c" if a else "d"
>>> 9
>>> 3
>>> 1
>>> 0

=== recursion_list
def depth(t):
    return 1 + max((depth(x) for x in t), default=0) if isinstance(t, list) else 0
def f(t):
    return depth(t)
>>> [1, [2, [3]]]

=== recursion_deep
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def f(n):
    return down(n)
>>> 200

=== recursion_too_deep | eager
def down(n):
    return down(n + 1)
def f():
    try:
        return down(0)
    except RecursionError:
        return "deep"

=== fibonacci
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def f(n):
    return fib(n)
>>> 9

=== del_statements
def f():
    a = [1, 2, 3]
    d = {"x": 1, "y": 2}
    b = a
    del a, b[0], d["x"]
    return b, d

=== global_loop_variable
def f(n):
    global i
    for i in range(n):
        pass
    return i
>>> 3

=== multiple_targets
def f():
    a = b = [1]
    c, (d, *e) = 1, (2, 3, 4)
    a[0], a = 9, 5
    return a, b, c, d, e

=== augmented_targets
class C:
    pass
def f(o, d, xs):
    o.n += 1
    d["k"] -= 2
    xs[0] *= 3
    xs[1:] += [4]
    return o, d, xs
>>> (o := C(), setattr(o, "n", 1))[0], {"k": 5}, [1, 2]

=== evaluation_order
log = []
def t(x):
    log.append(x)
    return x
def f():
    d = {t("k1"): t("v1"), t("k2"): t("v2")}
    x = t(1) + t(2) * t(3)
    [t("a"), t("b")][t(0)]
    return x, (t(5), *[t(6)], t(7))

=== try_in_loop
def f(xs):
    out = []
    for x in xs:
        try:
            if x is None:
                raise ValueError
            out.append(10 // x)
        except ZeroDivisionError:
            out.append("zero")
        except ValueError:
            continue
        finally:
            out.append("|")
    return out
>>> [1, 0, None, 5]

=== exception_variable_cleared
def f():
    e = "outer"
    try:
        raise KeyError(1)
    except KeyError as e:
        pass
    try:
        return e
    except UnboundLocalError as err:
        return "cleared"

=== sys_exc_info | eager
import sys
def f():
    try:
        raise KeyError("k")
    except KeyError:
        return sys.exc_info()[0].__name__

=== sys_exception_of_none
import sys
def f(x):
    return [x, sys.exception()]
>>> 3

=== sys_exception | eager
import sys
def f():
    try:
        raise KeyError("k")
    except KeyError:
        return type(sys.exception()).__name__

=== class_hierarchy_dispatch
class Op:
    def __call__(self, x):
        return self.run(x)
class Add(Op):
    def __init__(self, n):
        self.n = n
    def run(self, x):
        return x + self.n
class Seq(Op):
    def __init__(self, *ops):
        self.ops = list(ops)
    def run(self, x):
        for op in self.ops:
            x = op(x)
        return x
net = Seq(Add(1), Seq(Add(2), Add(3)))
def f(x):
    return net(x)
>>> 0
!!! net.ops[0].n = 100
!!! net.ops[1].ops.append(Add(7))
!!! net.ops[0] = Seq()
!!! Add.run = lambda self, x: x * self.n

=== async_function | eager
import asyncio
async def g(x):
    return x + 1
def f(x):
    c = g(x)
    try:
        c.send(None)
    except StopIteration as e:
        return e.value
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_control(case):
    check(case)
