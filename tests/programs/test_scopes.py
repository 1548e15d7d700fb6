"""Globals, builtins, closures and cells: read, written, deleted, changed by others."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== global_read
scale = 3
def f(x):
    return x * scale
>>> 2
!!! scale = 4
!!! scale = 4.0
!!! scale = True

=== global_read_in_callee
scale = 3
def g(x):
    return x * scale
def f(x):
    return g(x)
>>> 2
!!! scale = 4

=== global_list_read
table = [1, 2, 3]
def f(i):
    return table[i], len(table)
>>> 1
!!! table[1] = 20
!!! table.append(4)
!!! table = [7, 8]

=== global_written
last = None
def f(x):
    global last
    last = x
    return x
>>> 1
>>> 2
!!! last = "other"

=== global_counter | eager
count = 0
def f():
    global count
    count += 1
    return count
!!! count = 10

=== global_toggle
flag = False
def f():
    global flag
    flag = not flag
    return flag
>>>
>>>

=== global_created_and_deleted
def f(x):
    global temp
    temp = [x]
    y = temp
    del temp
    return y
>>> 1

=== global_deleted | eager
value = 1
def f():
    global value
    try:
        del value
    except NameError:
        return "missing"
    return "deleted"
??? value = 2

=== global_missing
def f():
    try:
        return absent
    except NameError:
        return "no"
!!! absent = 5
!!! del absent

=== global_missing_raises | eager
def f():
    return absent + 1
??? absent = 5
??? del absent

=== global_written_in_callee_read_in_caller
state = [0]
def g(x):
    global state
    state = [x]
def f(x):
    g(x)
    return state, state[0] + 1
>>> 4

=== global_same_object_two_names
a = [1]
b = a
def f():
    a.append(2)
    n = len(b)
    a.pop()
    return n, a is b
!!! b = [5, 6, 7]

=== global_function_replaced
def g(x):
    return x + 1
def f(x):
    return g(x)
>>> 1
!!! g = lambda x: x + 100
!!! g = len if False else abs

=== global_function_code_replaced
def g(x):
    return x + 1
def h(x):
    return x * 10
def f(x):
    return g(x)
>>> 2
!!! g.__code__ = h.__code__

=== own_code_replaced
def h(x):
    return x * 10
def f(x):
    return x + 1
>>> 2
!!! f.__code__ = h.__code__

=== recursion_through_global
def f(n):
    return 1 if n <= 1 else n * f(n - 1)
>>> 5
!!! f = lambda n: 7

=== mutual_recursion
def even(n):
    return True if n == 0 else odd(n - 1)
def odd(n):
    return False if n == 0 else even(n - 1)
def f(n):
    return even(n)
>>> 6
>>> 7

=== builtin_shadowed
def f(xs):
    return len(xs)
>>> [1, 2]
!!! len = lambda xs: -1
!!! del len

=== builtin_read
def f(xs):
    return max(xs), abs(-3), True, int("7")
>>> [1, 2]

=== globals_function
a = 1
def f():
    return globals()["a"]
!!! a = 2

=== globals_membership
def f():
    return "late" in globals()
!!! late = 1

=== globals_written_by_item
def f(x):
    globals()["made"] = x
    return made
>>> 3

=== import_inside
def f(x):
    import math
    from math import floor as down
    return math.ceil(x), down(x)
>>> 1.5

=== import_submodule
def f():
    import os.path
    from collections import abc
    return os.path.join("a", "b"), abc.Sequence.__name__

=== import_from_a_package_that_nobody_names
__import__("xml.dom.minidom")
def f():
    from xml.dom import minidom, Node
    return minidom.__name__, Node.__name__
!!! __import__("xml.dom").dom.minidom.__name__ = "other"
!!! __import__("xml.dom").dom.minidom.__name__ = "xml.dom.minidom"

=== module_attribute
import types
cfg = types.ModuleType("cfg")
cfg.rate = 2
def f(x):
    return x * cfg.rate
>>> 3
!!! cfg.rate = 5
!!! cfg.__dict__["rate"] = 6

=== module_attribute_written
import types
cfg = types.ModuleType("cfg")
def f(x):
    cfg.last = x
    return cfg.last
>>> 3
>>> [4]

=== module_attribute_missing
import types
cfg = types.ModuleType("cfg")
def f():
    return hasattr(cfg, "opt"), getattr(cfg, "opt", 5)
!!! cfg.opt = 1
!!! del cfg.opt

=== module_getattr
import types
cfg = types.ModuleType("cfg")
cfg.__getattr__ = lambda name: name + "!"
def f():
    return cfg.hello
!!! cfg.hello = 3

=== closure_read
def make(n):
    def f(x):
        return x + n
    return f
f = make(5)
>>> 1
!!! f.__closure__[0].cell_contents = 50
!!! cell = f.__closure__[0]; del cell.cell_contents; cell.cell_contents = 2

=== closure_written
def make():
    last = None
    def f(x):
        nonlocal last
        before, last = last, x
        return before, last
    return f
f = make()
>>> 1

=== closure_written_blind
def make():
    last = None
    def f(x):
        nonlocal last
        last = x
    def get():
        return last
    return f, get
f, get = make()
>>> 1
>>> [2]

=== closure_counter | eager
def make():
    n = 0
    def f():
        nonlocal n
        n += 1
        return n
    return f
f = make()

=== closure_mutable
def make():
    seen = []
    def f(x):
        seen.append(x)
        return x
    return f
f = make()
>>> 1
>>> [2]

=== closure_shared_by_two
def make():
    n = 1
    def get():
        return n
    def put(v):
        nonlocal n
        n = v
    return get, put
get, put = make()
def f(v):
    a = get()
    put(v)
    return a, get()
>>> 3
>>> 4
!!! put(11)

=== closure_of_callee
def make(n):
    def g(x):
        return x * n
    return g
g = make(3)
def f(x):
    return g(x)
>>> 2
!!! g.__closure__[0].cell_contents = 4
!!! g = make(5)

=== closure_made_inside
def f(x):
    y = x + 1
    def g(z):
        return y + z
    return g(10)
>>> 1

=== closure_returned
def f(x):
    y = [x]
    def g(z):
        return y, z
    return g
>>> 1

=== closures_returned_sharing_a_cell
def f(x):
    n = x
    def get():
        return n
    def put(v):
        nonlocal n
        n = v
    return get, put
>>> 1

=== closure_over_argument_rebound
def f(x):
    def g():
        return x
    x = x + 1
    a = g()
    x = [a]
    return a, g()
>>> 1

=== closure_empty_then_filled
def f(a):
    def g():
        return y
    try:
        g()
    except NameError:
        a = a + 1
    y = a
    return g()
>>> 1

=== closure_loop_variable
def f(n):
    fs = []
    for i in range(n):
        fs.append(lambda: i)
    return [g() for g in fs]
>>> 3

=== closure_loop_default
def f(n):
    fs = [lambda i=i: i * 10 for i in range(n)]
    return [g() for g in fs]
>>> 3

=== closure_deleted_cell
def f(x):
    def g():
        return x
    a = g()
    del x
    try:
        g()
    except NameError:
        return a, "gone"
>>> 4

=== closure_deep
def f(a):
    def g(b):
        def h(c):
            return a + b + c
        return h
    return g(10)(100)
>>> 1

=== class_cell_super
class A:
    def run(self):
        return 1
class B(A):
    def run(self):
        return super().run() + 10
b = B()
def f():
    return b.run()
!!! A.run = lambda self: 2

=== locals_function | eager
def f(a, b):
    c = a + b
    return sorted(locals().items())
>>> 1, 2

=== function_attribute
def g():
    return g.level
g.level = 1
def f():
    return g()
!!! g.level = 2

=== function_attribute_written
def g():
    pass
def f(x):
    g.last = x
    return g.last
>>> 1
>>> [2]

=== function_metadata
def g(a, b=2, *, c=3):
    "doc"
def f():
    return g.__name__, g.__doc__, g.__defaults__, g.__kwdefaults__
!!! g.__name__ = "h"
!!! g.__defaults__ = (9,)

=== nested_function_identity
def f():
    def g():
        return 1
    h = g
    return g is h, [g, h]

=== decorated_at_call
import functools
def twice(g):
    @functools.wraps(g)
    def inner(*a, **k):
        return g(*a, **k) * 2
    return inner
def f(x):
    @twice
    def g(y):
        return y + 1
    return g(x)
>>> 1

=== wraps_one_from_outside
import functools
def g(x):
    return x + 1
def f(x):
    @functools.wraps(g)
    def inner(y):
        return g(y) * 2
    return inner(x), inner.__name__, inner.__doc__, getattr(inner, "__type_params__", 0)
>>> 1
!!! g.__doc__ = "one more"
!!! g.__type_params__ = (int,)
!!! g.__kwdefaults__ = {"x": 2}
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scopes(case):
    check(case)
