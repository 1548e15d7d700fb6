"""The replay program: every row, order of commits, failures, references, text."""

from __future__ import annotations

import collections
import datetime
import functools
import gc
import inspect
import io
import os
import sys
import time
import types
import warnings
import weakref
from typing import Any, NamedTuple

import pytest

testing = pytest.importorskip("magpy._engine_testing")

MISSING = object()


class Program:
    """Builds a replay program op by op; remembers its sources and graph outputs."""

    def __init__(self, *sources: Any, graph: tuple[Any, ...] = ()) -> None:
        self.sources = sources
        self.graph = graph
        self.handle = testing.replay_new(len(sources), len(graph), [])

    def emit(
        self,
        kind: str,
        *items: int,
        a: int = -1,
        b: int = -1,
        obj: Any = MISSING,
    ) -> int:
        op = (kind, a, b, items) if obj is MISSING else (kind, a, b, items, obj)
        return testing.replay_emit(self.handle, op)

    def const(self, value: Any) -> int:
        return self.emit("CONST", obj=value)

    def returns(self, register: int) -> Program:
        self.emit("RETURN", a=register)
        return self

    def run(self, times: int = 1) -> Any:
        return testing.replay_run(self.handle, self.sources, self.graph, times)

    def text(self, *names: str) -> list[str]:
        return testing.replay_text(self.handle, list(names))


def build(kind: str, *values: Any, a: Any = MISSING, **kw: Any) -> Any:
    """Run one builder over constants."""
    program = Program()
    items = [program.const(value) for value in values]
    if a is not MISSING:
        kw["a"] = program.const(a)
    return program.returns(program.emit(kind, *items, **kw)).run()


class Forbidden:
    """Anything that user code could notice while it is rebuilt raises."""

    def __new__(cls, *args: Any, **kw: Any) -> Any:
        raise AssertionError("__new__ ran")

    def __init__(self, *args: Any, **kw: Any) -> None:
        raise AssertionError("__init__ ran")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError("__setattr__ ran")


class Plain(Forbidden):
    pass


class Slotted(Forbidden):
    __slots__ = ("x", "y")


class Covered(Forbidden):
    @property
    def x(self) -> int:
        return 42

    @x.setter
    def x(self, value: int) -> None:
        raise AssertionError("property ran")


class Point(NamedTuple):
    x: int
    y: int


class MyDict(Forbidden, dict):
    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("__setitem__ ran")

    __getitem__ = get = clear = update = __iter__ = __len__ = keys = __setitem__  # type: ignore


class MyODict(Forbidden, collections.OrderedDict):
    __setitem__ = __delitem__ = clear = update = __iter__ = MyDict.__setitem__  # type: ignore


class MyDefault(Forbidden, collections.defaultdict):
    __setitem__ = MyDict.__setitem__  # type: ignore


class MyList(Forbidden, list):
    append = extend = __setitem__ = __iter__ = __len__ = MyDict.__setitem__  # type: ignore


class MySet(Forbidden, set):
    add = update = clear = MyDict.__setitem__  # type: ignore


class MyFrozen(Forbidden, frozenset):
    pass


class MyDeque(Forbidden, collections.deque):
    append = extend = clear = __len__ = __getitem__ = MyDict.__setitem__  # type: ignore


class MyPartial(Forbidden, functools.partial):
    pass


class MyError(Forbidden, KeyError):
    pass


class MyNamespace(Forbidden, types.SimpleNamespace):
    pass


class MyStr(Forbidden, str):
    __hash__ = __eq__ = __str__ = MyDict.__setitem__  # type: ignore


class MyInt(Forbidden, int):
    __int__ = __index__ = MyDict.__setitem__  # type: ignore


class MyFloat(Forbidden, float):
    __float__ = MyDict.__setitem__  # type: ignore


class MyBytes(Forbidden, bytes):
    __bytes__ = MyDict.__setitem__  # type: ignore


class MyComplex(Forbidden, complex):
    __complex__ = MyDict.__setitem__  # type: ignore


class Watched:
    """Calls back when it dies."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def __del__(self) -> None:
        self.callback()


# -- Builders ------------------------------------------------------------------------


def test_const() -> None:
    value = object()
    assert build("TUPLE", value)[0] is value


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tuple(n: int) -> None:
    assert build("TUPLE", *range(n)) == tuple(range(n))


def test_struct_namedtuple() -> None:
    value = build("STRUCT", 1, 2, obj=Point)
    assert value == Point(1, 2) and type(value) is Point


def test_struct_runs_no_new() -> None:
    class Strict(Point):
        def __new__(cls, *args: Any) -> Any:
            raise AssertionError("__new__ ran")

    value = build("STRUCT", 1, 2, obj=Strict)
    assert type(value) is Strict and value.y == 2


def test_struct_sequence() -> None:
    value = build("STRUCT", *range(11), obj=time.struct_time)
    assert type(value) is time.struct_time and tuple(value) == tuple(range(9))
    assert (value.tm_zone, value.tm_gmtoff) == (9, 10)
    assert build("STRUCT", *range(9), obj=time.struct_time).tm_zone is None
    with pytest.raises(TypeError, match="too many fields"):
        build("STRUCT", *range(12), obj=time.struct_time)


def test_struct_of_a_c_type() -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        pytest.skip("torch is not loaded")
    value = build("STRUCT", 2, 3, obj=torch.Size)
    assert type(value) is torch.Size and value == (2, 3)


def test_list() -> None:
    assert build("LIST", 1, "a", None) == [1, "a", None]


def test_dict() -> None:
    assert list(build("DICT", "b", 1, "a", 2).items()) == [("b", 1), ("a", 2)]


def test_set_and_frozenset() -> None:
    assert build("SET", 1, 2, 1) == {1, 2}
    value = build("FROZENSET", 1, 2)
    assert value == {1, 2} and type(value) is frozenset


def test_slice() -> None:
    assert build("SLICE", 1, None, 2) == slice(1, None, 2)


def test_cell() -> None:
    assert build("CELL", a=7).cell_contents == 7
    with pytest.raises(ValueError, match="empty"):
        _ = build("CELL").cell_contents


def test_method() -> None:
    def function(self: Any) -> Any:
        return self

    program = Program(function, 5)
    method = program.returns(program.emit("METHOD", a=0, b=1)).run()
    assert type(method) is types.MethodType and method() == 5


def test_weakref() -> None:
    class Target:
        pass

    target = Target()
    program = Program(target)
    ref = program.returns(program.emit("WEAKREF", a=0)).run()
    assert type(ref) is weakref.ref and ref() is target


def test_bound() -> None:
    items: list[Any] = []
    method = build("BOUND", a=items, obj=list.append)
    assert type(method) is types.BuiltinMethodType and method.__self__ is items
    own = list.__new__(MyList)
    build("BOUND", a=own, obj=list.append)(1)
    assert list.__len__(own) == 1, "the override ran"
    wrapper = build("BOUND", a=items, obj=list.__len__)
    assert type(wrapper) is types.MethodWrapperType and wrapper() == 0
    with pytest.raises(TypeError, match="'bound' on an object of type int"):
        build("BOUND", a=5, obj=list.append)
    with pytest.raises(SystemError, match="ill-formed"):
        build("BOUND", a=items, obj=len)


@pytest.mark.parametrize("cls", [functools.partial, MyPartial])
def test_partial(cls: type) -> None:
    inner = functools.partial(int, base=2)
    args, keywords = (1,), {"k": []}
    value = build("PARTIAL", inner, args, keywords, obj=cls)
    assert type(value) is cls and value.func is inner, "a partial was taken apart"
    assert value.args is args and value.keywords is keywords and not vars(value)


@pytest.mark.parametrize("cls", [Exception, ValueError, KeyError, MyError])
def test_exception(cls: type) -> None:
    args = (1, [2])
    value = build("EXCEPTION", obj=cls, a=args)
    assert type(value) is cls and value.args is args
    assert value.__traceback__ is value.__cause__ is value.__context__ is None
    assert not value.__suppress_context__


@pytest.mark.parametrize(
    ("cls", "plain"),
    [
        (MyStr, "a\N{GRINNING FACE}"),
        (MyInt, -(2**70)),
        (MyFloat, -0.0),
        (MyBytes, b"a\0"),
        (MyComplex, complex(-0.0, -0.0)),
    ],
)
def test_scalar(cls: type, plain: Any) -> None:
    value = build("SCALAR", obj=cls, a=plain)
    base = type(plain)
    assert type(value) is cls and base.__repr__(value) == repr(plain)
    with pytest.raises(SystemError, match="does not extend"):
        build("SCALAR", obj=cls, a=None)


def test_bytearray_and_proxy() -> None:
    value = build("BYTEARRAY", a=b"a\0")
    assert type(value) is bytearray and value == b"a\0"
    mapping = {"a": 1}
    proxy = build("PROXY", a=mapping)
    mapping["b"] = 2
    assert type(proxy) is types.MappingProxyType and proxy == {"a": 1, "b": 2}


def test_array() -> None:
    np = pytest.importorskip("numpy")
    held = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    program = Program()
    program.returns(program.emit("ARRAY", obj=held))
    first, second = program.run(), program.run()
    assert first is not held and not np.shares_memory(first, second)
    assert first.flags.owndata and first.flags.writeable and first.strides == (8, 16)
    assert first.dtype == held.dtype and (first == held).all()
    program = Program()
    root = program.emit("ARRAY", obj=held)
    spec = ((2,), held.dtype, 40, (-16,), False)
    program.returns(program.emit("ARRAY_VIEW", a=root, obj=spec))
    view = program.run()
    assert view.base is not held and view.tolist() == [5, 4]
    assert view.strides == (-16,) and not view.flags.writeable
    program = Program()
    program.returns(program.emit("ARRAY_VIEW", a=program.const(1), obj=spec))
    with pytest.raises(SystemError, match="a view of a int"):
        program.run()
    for wrong in (held.view(np.matrix), [1]):
        with pytest.raises(SystemError, match="ill-formed"):
            Program().emit("ARRAY", obj=wrong)


@pytest.mark.parametrize(
    "sequence", [[1, 2, 3], (1, 2, 3), range(1, 4), "abc", "\u20acbc"]
)
def test_iterator(sequence: Any) -> None:
    cls = type(iter(sequence))
    value = build("ITERATOR", sequence, 1, obj=cls)
    assert type(value) is cls and list(value) == list(sequence)[1:]
    used = build("ITERATOR", obj=cls)
    assert type(used) is cls and list(used) == []
    with pytest.raises(TypeError, match="cannot rebuild"):
        build("ITERATOR", set(), 0, obj=type(iter(set())))


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_iterator_of_a_dict(view: str) -> None:
    table = {"a": 1, "b": 2, "c": 3}
    cls = type(iter(getattr(table, view)()))
    value = build("ITERATOR", table, 1, obj=cls)
    assert type(value) is cls and list(value) == list(getattr(table, view)())[1:]
    used = build("ITERATOR", obj=cls)
    assert type(used) is cls and list(used) == []
    changed = build("ITERATOR", table, 1, obj=cls)
    table["d"] = 4
    with pytest.raises(RuntimeError, match="changed size"):
        next(changed)


def test_iterator_of_a_list_that_grows() -> None:
    items = [1]
    value = build("ITERATOR", items, 2, obj=type(iter([])))
    items += [2, 3]
    assert list(value) == [3]


def test_iterators_that_are_called() -> None:
    one, two = iter([1, 2]), iter("ab")
    assert list(build("ITER_CALL", one, 5, obj=enumerate)) == [(5, 1), (6, 2)]
    assert list(build("ITER_CALL", iter([1]), two, obj=zip)) == [(1, "a")]
    assert list(build("ITER_CALL", str, iter([1]), obj=map)) == ["1"]
    assert list(build("ITER_CALL", None, iter([0, 1]), obj=filter)) == [1]
    with pytest.raises(TypeError, match="cannot rebuild"):
        build("ITER_CALL", [1], obj=reversed)


@pytest.mark.parametrize("cls", [types.SimpleNamespace, MyNamespace])
def test_namespace(cls: type) -> None:
    program = Program()
    made = program.emit("INSTANCE", obj=cls)
    program.emit("FILL_ATTRS", program.const("x"), made, a=made)
    value = program.returns(made).run()
    assert type(value) is cls and vars(value) == {"x": value}


def test_function() -> None:
    def outer() -> Any:
        free = 1

        def inner(x: int, y: int = 2, *, z: int = 3) -> int:
            """Doc."""
            return free + x + y + z

        return inner

    model = outer()
    parts = {
        "globals": globals(),
        "name": "named",
        "qualname": "outer.named",
        "defaults": (20,),
        "kwdefaults": {"z": 30},
        "dict": {"mark": 1},
        "annotations": ("x", int),
        "doc": "Other.",
        "module": "elsewhere",
    }
    program = Program()
    at = {name: program.const(value) for name, value in parts.items()}
    cell = program.emit("CELL", a=program.const(100))
    at["closure"] = program.emit("TUPLE", cell)
    order = (
        "globals name qualname defaults kwdefaults closure dict annotations doc module"
    )
    made = program.emit(
        "FUNCTION", *(at[name] for name in order.split()), obj=model.__code__
    )
    function = program.returns(made).run()
    assert function(1) == 151
    assert (function.__name__, function.__qualname__) == ("named", "outer.named")
    assert (function.__doc__, function.__module__) == ("Other.", "elsewhere")
    assert function.__annotations__ == {"x": int} and function.mark == 1


def test_function_with_only_what_it_needs() -> None:
    code = (lambda: 1).__code__
    program = Program(globals())
    name = program.const("f")
    made = program.emit("FUNCTION", 0, name, name, *[-1] * 7, obj=code)
    function = program.returns(made).run()
    assert function() == 1 and function.__module__ == __name__
    assert function.__defaults__ is function.__closure__ is function.__doc__ is None


def test_function_refuses_a_closure_of_the_wrong_size() -> None:
    free = 1
    program = Program(globals())
    name = program.const("f")
    made = program.emit(
        "FUNCTION", 0, name, name, *[-1] * 7, obj=(lambda: free).__code__
    )
    with pytest.raises(SystemError, match="do not fit"):
        program.returns(made).run()


def test_instance_and_fill_attrs() -> None:
    program = Program()
    made = program.emit("INSTANCE", obj=Plain)
    x, one = program.const("x"), program.const(1)
    program.emit("FILL_ATTRS", x, one, program.const("me"), made, a=made)
    value = program.returns(made).run()
    assert type(value) is Plain and value.x == 1 and value.me is value


def test_fill_attrs_goes_past_data_descriptors() -> None:
    program = Program()
    made = program.emit("INSTANCE", obj=Covered)
    program.emit("FILL_ATTRS", program.const("x"), program.const(1), a=made)
    value = program.returns(made).run()
    assert value.x == 42 and vars(value) == {"x": 1}


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        ("INSTANCE", int),
        ("INSTANCE", ValueError),
        ("INSTANCE", functools.partial),
        ("INSTANCE", MyDict),
        ("INSTANCE", types.ModuleType),
        ("DICT_LIKE", list),
        ("LIST_LIKE", dict),
        ("LIST_LIKE", tuple),
        ("STRUCT", list),
        ("STRUCT", type(sys.version_info)),
        ("STRUCT", os.stat_result),
        ("PARTIAL", functools.partialmethod),
        ("EXCEPTION", OSError),
        ("EXCEPTION", StopIteration),
        ("EXCEPTION", type("Own", (ImportError,), {})),
        ("EXCEPTION", Plain),
        ("SCALAR", int),
        ("SCALAR", bool),
        ("SCALAR", MyList),
    ],
)
def test_types_with_another_layout_are_refused(kind: str, cls: type) -> None:
    with pytest.raises(TypeError, match="cannot rebuild"):
        Program().emit(kind, obj=cls)


@pytest.mark.parametrize(
    "cls",
    [
        dict,
        MyDict,
        collections.Counter,
        collections.OrderedDict,
        MyODict,
        collections.defaultdict,
        MyDefault,
    ],
)
def test_dict_like(cls: type) -> None:
    value = build("DICT_LIKE", "b", 1, "a", 2, obj=cls)
    assert type(value) is cls
    assert list(dict.items(value)) == [("b", 1), ("a", 2)]
    if issubclass(cls, collections.OrderedDict):
        assert list(collections.OrderedDict.items(value)) == [("b", 1), ("a", 2)]
    if issubclass(cls, collections.defaultdict):
        assert value.default_factory is None


def test_default_factory() -> None:
    assert build("DICT_LIKE", obj=MyDefault, a=list).default_factory is list
    assert build("DICT_LIKE", obj=collections.defaultdict, a=list)["new"] == []


@pytest.mark.parametrize(
    "cls",
    [list, MyList, set, MySet, frozenset, MyFrozen, collections.deque, MyDeque],
)
def test_list_like(cls: type) -> None:
    value = build("LIST_LIKE", 3, 1, obj=cls)
    base = next(
        b for b in (list, set, frozenset, collections.deque) if issubclass(cls, b)
    )
    assert type(value) is cls and base(base.__iter__(value)) == base([3, 1])


def test_deque_maxlen() -> None:
    assert build("LIST_LIKE", 1, 2, 3, obj=collections.deque, a=2).maxlen == 2
    assert list(build("LIST_LIKE", 1, 2, 3, obj=collections.deque, a=2)) == [2, 3]


# -- Cycles and identity -------------------------------------------------------------


def test_fill_list_makes_cycles() -> None:
    program = Program()
    made = program.emit("LIST")
    program.emit("FILL_LIST", made, made, a=made)
    value = program.returns(made).run()
    assert len(value) == 2 and value[0] is value[1] is value


def test_fill_dict_makes_cycles() -> None:
    program = Program()
    made = program.emit("DICT_LIKE", obj=MyODict)
    program.emit("FILL_DICT", program.const("me"), made, a=made)
    value = program.returns(made).run()
    assert next(iter(collections.OrderedDict.values(value))) is value


def test_fill_slot() -> None:
    program = Program()
    made = program.emit("INSTANCE", obj=Slotted)
    program.emit("FILL_SLOT", a=made, b=made, obj=Slotted.x)
    value = program.returns(made).run()
    assert value.x is value and not hasattr(value, "y")


def test_fill_cell_and_deque_and_set() -> None:
    program = Program()
    cell = program.emit("CELL")
    deque = program.emit("LIST_LIKE", obj=collections.deque)
    members = program.emit("SET")
    program.emit("FILL_CELL", a=cell, b=deque)
    program.emit("FILL_LIST", deque, cell, a=deque)
    program.emit("FILL_LIST", program.const("x"), a=members)
    deque_value, cell_value, set_value = program.returns(
        program.emit("TUPLE", deque, cell, members)
    ).run()
    assert deque_value[0] is deque_value and deque_value[1] is cell_value
    assert cell_value.cell_contents is deque_value and set_value == {"x"}


def test_identity_is_shared() -> None:
    tensor, existing = object(), []
    program = Program(existing, graph=(tensor,))
    inner = program.emit("LIST", 1)
    out = program.emit("TUPLE", inner, inner, 0, 0, 1, 1)
    value = program.returns(out).run()
    assert value[0] is value[1] and value[2] is value[3] is existing
    assert value[4] is value[5] is value[0][0] is tensor


def test_result_may_be_a_source_or_a_graph_output() -> None:
    source, tensor = object(), object()
    assert Program(source, graph=(tensor,)).returns(0).run() is source
    assert Program(source, graph=(tensor,)).returns(1).run() is tensor


def test_no_result_is_none() -> None:
    assert Program().run() is None


def test_many_registers() -> None:
    program = Program()
    made = program.emit("LIST", *[program.const(i) for i in range(1000)])
    assert program.returns(made).run() == list(range(1000))


# -- Writes --------------------------------------------------------------------------


def apply(
    target: Any, kind: str, *values: Any, b: Any = MISSING, obj: Any = MISSING
) -> None:
    """Run one write on target."""
    program = Program(target)
    items = [program.const(value) for value in values]
    right = -1 if b is MISSING else program.const(b)
    program.emit(kind, *items, a=0, b=right, obj=obj)
    assert program.run() is None


@pytest.mark.parametrize("cls", [dict, MyDict, collections.OrderedDict, MyODict])
def test_dict_set_and_del(cls: type) -> None:
    target = build("DICT_LIKE", "a", 1, "b", 2, obj=cls)
    apply(target, "DICT_SET", obj="c", b=3)
    apply(target, "DICT_SET", obj="a", b=4)
    apply(target, "DICT_DEL", obj="b")
    apply(target, "DICT_DEL", obj="absent")
    base = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    assert list(base.items(target)) == [("a", 4), ("c", 3)]


def test_dict_set_with_a_key_register() -> None:
    key, target = Point(1, 2), {}
    program = Program(target, key)
    value = program.const(3)
    program.emit("DICT_SET", 1, a=0, b=value)
    program.run()
    assert next(iter(target)) is key
    program = Program(target, key)
    program.emit("DICT_DEL", 1, a=0)
    program.run()
    assert target == {}


def test_dict_set_does_not_ask_default_factory() -> None:
    target = collections.defaultdict(lambda: pytest.fail("factory ran"))
    apply(target, "DICT_SET", obj="a", b=1)
    assert target == {"a": 1}


def test_attrs_set_and_del() -> None:
    value = build("INSTANCE", obj=Covered)
    apply(vars(value), "ATTRS_SET", obj="x", b=1)
    apply(vars(value), "ATTRS_SET", obj="z", b=2)
    assert vars(value) == {"x": 1, "z": 2} and value.z == 2
    apply(vars(value), "ATTRS_DEL", obj="z")
    apply(vars(value), "ATTRS_DEL", obj="z")
    assert vars(value) == {"x": 1}


def test_attrs_set_on_a_module_is_seen_by_its_code() -> None:
    module = types.ModuleType("m")
    exec("x = 1\ndef read(): return x", vars(module))  # noqa: S102
    for _ in range(100):
        module.read()
    apply(vars(module), "ATTRS_SET", obj="x", b=2)
    assert module.read() == 2


def test_slot_set_and_del() -> None:
    value = build("INSTANCE", obj=Slotted)
    apply(value, "SLOT_SET", obj=Slotted.y, b=1)
    assert value.y == 1
    apply(value, "SLOT_DEL", obj=Slotted.y)
    apply(value, "SLOT_DEL", obj=Slotted.y)
    assert not hasattr(value, "y")


def test_cell_set_and_del() -> None:
    cell = types.CellType(1)
    apply(cell, "CELL_SET", b=2)
    assert cell.cell_contents == 2
    apply(cell, "CELL_DEL")
    apply(cell, "CELL_DEL")
    assert cell == types.CellType()


def test_type_set_and_del() -> None:
    class Meta(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise AssertionError("metaclass __setattr__ ran")

        __delattr__ = __setattr__  # type: ignore

        @property
        def guarded(cls) -> int:
            return 1

        @guarded.setter
        def guarded(cls, value: int) -> None:
            raise AssertionError("metaclass property ran")

    class Base(metaclass=Meta):
        def __call__(self) -> int:
            return self.x

        x = 1

    class Sub(Base):
        pass

    sub = Sub()
    assert [sub() for _ in range(100)] == [1] * 100
    apply(Base, "TYPE_SET", obj="x", b=2)
    apply(Base, "TYPE_SET", obj="__len__", b=lambda self: 7)
    assert sub() == 2 and len(sub) == 7
    apply(Base, "TYPE_DEL", obj="__len__")
    apply(Base, "TYPE_DEL", obj="__len__")
    with pytest.raises(TypeError):
        len(sub)
    for cls, name in ((Base, "guarded"), (int, "x")):
        with pytest.raises(TypeError, match="cannot replay"):
            apply(cls, "TYPE_SET", obj=name, b=1)


@pytest.mark.parametrize("cls", [list, MyList])
def test_list_append_and_assign(cls: type) -> None:
    target = build("LIST_LIKE", 1, 2, obj=cls)
    apply(target, "LIST_APPEND", b=3)
    assert list(list.__iter__(target)) == [1, 2, 3]
    apply(target, "LIST_ASSIGN", *range(20))
    assert list(list.__iter__(target)) == list(range(20))
    apply(target, "LIST_ASSIGN")
    assert list.__len__(target) == 0
    list.append(target, 1)
    assert list(list.__iter__(target)) == [1]


@pytest.mark.parametrize("cls", [set, MySet])
@pytest.mark.parametrize("before", [0, 3, 100])
@pytest.mark.parametrize("after", [0, 3, 100])
def test_set_assign(cls: type, before: int, after: int) -> None:
    target = build("LIST_LIKE", *range(before), obj=cls)
    apply(target, "SET_ASSIGN", *range(50, 50 + after))
    assert sorted(set.__iter__(target)) == list(range(50, 50 + after))
    set.add(target, -1)
    assert set.__contains__(target, -1) and set.__len__(target) == after + 1


@pytest.mark.parametrize(
    "cls",
    [dict, MyDict, collections.OrderedDict, MyODict, collections.defaultdict],
)
def test_dict_assign(cls: type) -> None:
    target = build("DICT_LIKE", *range(40), obj=cls)
    apply(target, "DICT_ASSIGN", "z", 1, 0, 2, "a", 3)
    base = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    assert list(base.items(target)) == [("z", 1), (0, 2), ("a", 3)]
    assert list(dict.keys(target)) == ["z", 0, "a"]
    apply(target, "DICT_ASSIGN")
    assert dict.__len__(target) == 0
    dict.__setitem__(target, 1, 2) if base is dict else base.__setitem__(target, 1, 2)
    assert list(base.items(target)) == [(1, 2)]


def test_dict_assign_on_the_dict_of_an_instance() -> None:
    class Thing:
        pass

    thing, other = Thing(), Thing()
    thing.x, other.x = 1, 2
    apply(vars(thing), "DICT_ASSIGN", "y", 3, "x", 4)
    assert list(vars(thing).items()) == [("y", 3), ("x", 4)]
    assert (thing.y, other.x) == (3, 2)


@pytest.mark.parametrize("cls", [collections.deque, MyDeque])
def test_deque_assign(cls: type) -> None:
    target = build("LIST_LIKE", *range(200), obj=cls, a=100)
    apply(target, "DEQUE_ASSIGN", *range(5))
    assert list(collections.deque.__iter__(target)) == list(range(5))
    assert target.maxlen == 100


@pytest.mark.parametrize("items", [(), (1,), (1, 2)])
def test_iterators_over_a_deque_notice(items: tuple[int, ...]) -> None:
    target = collections.deque(items)
    before = iter(target)
    apply(target, "DEQUE_ITEMS", *items)
    assert list(before) == list(items)
    before = iter(target)
    apply(target, "DEQUE_ASSIGN", *items)
    with pytest.raises(RuntimeError, match="mutated"):
        next(before)
    assert list(target) == list(items)


@pytest.mark.parametrize("after", [b"", b"ab", b"c" * 1000])
def test_bytes_assign(after: bytes) -> None:
    target = bytearray(b"ab")
    program = Program(target)
    program.emit("BYTES_ASSIGN", a=0, b=program.const(after))
    program.run(2)
    assert target == after


def test_bytes_assign_where_memory_is_shared() -> None:
    target, log = bytearray(b"ab"), []
    view = memoryview(target)
    for after, error in ((b"cd", None), (b"c", BufferError), ("cd", TypeError)):
        program = Program(target, log)
        value = program.const(after)
        program.emit("LIST_APPEND", a=1, b=1)
        program.emit("BYTES_ASSIGN", a=0, b=value)
        if error is None:
            program.run()
            continue
        with pytest.raises(error):
            program.run()
    assert bytes(view) == b"cd"
    assert len(log) == 1


@pytest.mark.parametrize(
    "items", [[1, 2], (1, 2), {1: 3, 2: 4}, {3: 1, 4: 2}.values(), range(1, 3)]
)
def test_advance(items: Any) -> None:
    it = iter(items)
    program = Program(it)
    program.emit("ADVANCE", a=0)
    program.run()
    assert next(it) == 2
    program.run()  # exhausted, and stays so
    program.run()
    assert list(it) == []


def test_what_an_exhausted_iterator_went_through_dies_after_the_writes() -> None:
    class Watched(list):
        def __del__(self) -> None:
            seen.append(list(log))

    log: list[Any] = []
    seen: list[Any] = []
    program = Program(list.__iter__(Watched()), log)
    one = program.const(1)
    program.emit("ADVANCE", a=0)
    program.emit("LIST_APPEND", a=1, b=one)
    program.run()
    assert seen == [[1]]


def test_write_and_flush() -> None:
    below = io.BytesIO()
    program = Program(io.StringIO(), io.TextIOWrapper(below, "utf-8"))
    for text, at in (("a", 0), ("é", 1), ("b", 0)):
        program.emit("WRITE", a=at, obj=text)
    program.run()
    assert program.sources[0].getvalue() == "ab"
    assert below.getvalue() == b""
    program.emit("FLUSH", a=1)
    program.run()
    assert below.getvalue() == "éé".encode()


@pytest.mark.usefixtures("own_warnings")
def test_warn_asks_the_registry_and_the_filters_of_that_moment(monkeypatch) -> None:
    names: dict[str, Any] = {}
    told = (UserWarning, "text", "file", 3, "module", names)
    program = Program(warnings.warn, warnings._filters_mutated)  # type: ignore[attr-defined]
    program.emit("WARN", a=0, obj=told)
    shown = []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for _ in range(2):
        program.run()
        shown.append(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert shown == ["file:3: UserWarning: text\n"] * 2, "once for a place"
    assert names["__warningregistry__"][("text", UserWarning, 3)]
    program.emit("FILTERS", a=1)
    for _ in range(2):
        program.run()
        shown.append(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert shown[2:] == [shown[0], shown[0] * 2], "forgotten behind each warning"
    warnings.filters.insert(0, ("error", None, UserWarning, None, 0))  # type: ignore[attr-defined]
    with pytest.raises(UserWarning, match="text"):
        program.run()


def tuples() -> list[Any]:
    """One object of each class that extends tuple, as far as this process has any."""
    found: dict[type, Any] = {}
    known = [
        time.gmtime(0), os.times(), os.uname(), os.terminal_size((1, 2)),
        os.statvfs("/"), os.stat("/"), sys.version_info, sys.flags, sys.float_info,
        sys.int_info, sys.hash_info, sys.thread_info, sys.get_asyncgen_hooks(),
        datetime.date(2024, 5, 6).isocalendar(), inspect.getfullargspec(tuples),
    ]  # fmt: skip
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        known += [torch.Size([1, 300]), torch.ones(2, 2).max(0), torch.ones(2).sort()]
    for o in [*known, *gc.get_objects()]:
        if issubclass(type(o), tuple) and type(o) is not tuple:
            found.setdefault(type(o), o)
    return list(found.values())


def test_tuples_are_made_as_they_are_or_refused() -> None:
    made = 0
    for o in tuples():
        kind, program = type(o), Program()
        items = [program.const(item) for item in tuple.__iter__(o)]
        try:
            program.returns(program.emit("STRUCT", *items, obj=kind))
        except TypeError:
            continue  # no such layout, or nobody can make one
        again = program.run()
        assert type(again) is kind
        both = zip(tuple.__iter__(o), tuple.__iter__(again), strict=True)
        assert all(x is y or (type(x) in (int, str) and x == y) for x, y in both)
        made += 1
    assert made >= 10


def test_caches_count_and_keep() -> None:
    bounded, unbounded = functools.lru_cache(2)(abs), functools.lru_cache(None)(abs)
    for cache in (bounded, unbounded):
        cache(1)
        program = Program(cache, answer := [2])
        program.emit("CACHED_MISS", a=0)
        program.emit("CACHED_FILL", a=0, b=1, obj=(2, "k"))
        program.emit("CACHED_HIT", a=0, obj=1)
        program.emit("CACHED_HIT", a=0, obj=1)
        program.run()
        assert cache.cache_info()[:2] == (2, 2)
        assert cache(2, "k") is answer
        assert cache(1) == 1
        assert cache.cache_info()[:2] == (4, 2)
    program = Program(bounded, [3])
    program.emit("CACHED_FILL", a=0, b=1, obj=(2, "k"))
    program.run()
    assert bounded(2, "k") == [2]  # what is there stays
    assert bounded(1) == 1
    assert bounded.cache_info() == (6, 2, 2, 2)
    bounded(3)  # throws out what was not asked for longest
    assert bounded(1) == 1
    assert bounded.cache_info()[:2] == (7, 3)
    with pytest.raises(TypeError):
        bounded(2, "k")
    kept = weakref.ref(held := type("Held", (), {})())
    program = Program(unbounded, held)
    program.emit("CACHED_FILL", a=0, b=1, obj="k")
    program.run()
    del program, held
    assert kept() is unbounded("k")
    unbounded.cache_clear()
    gc.collect()
    assert kept() is None
    for obj in (MISSING, [], {}):
        with pytest.raises(SystemError):
            Program(unbounded).emit("CACHED_HIT", a=0, obj=obj)


def test_a_warning_is_told_whole() -> None:
    program = Program(warnings.warn)
    good = (UserWarning, "text", "file", 3, "module", {})
    for i, bad in enumerate([1, 2, 3, "4", None, None]):
        with pytest.raises(SystemError):
            program.emit("WARN", a=0, obj=(*good[:i], bad, *good[i + 1 :]))
    with pytest.raises(SystemError):
        program.emit("WARN", a=0, obj=good[:5])


def test_a_file_may_raise() -> None:
    """All other writes are done by then; what comes after in a file is not written."""
    log: list[Any] = []
    program = Program(log, io.TextIOWrapper(io.BytesIO(), "ascii"))
    program.emit("LIST_APPEND", a=0, b=0)
    program.emit("WRITE", a=1, obj="é")
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(UnicodeEncodeError):
        program.run()
    assert log == [log, log]


def test_writes_happen_in_order() -> None:
    target: list[Any] = []
    program = Program(target)
    one, two, three = (program.const(i) for i in (1, 2, 3))
    program.emit("LIST_APPEND", a=0, b=one)
    program.emit("LIST_ASSIGN", two, two, a=0)
    program.emit("LIST_APPEND", a=0, b=three)
    program.run()
    assert target == [2, 2, 3]


def test_a_write_may_store_what_another_write_changes() -> None:
    first: list[Any] = []
    second: dict[str, Any] = {}
    program = Program(first, second)
    program.emit("LIST_ASSIGN", 1, 0, a=0)
    program.emit("DICT_SET", a=1, b=0, obj="first")
    program.run()
    assert first[0] is second and first[1] is first and second["first"] is first


# -- Failures ------------------------------------------------------------------------


class Unhashable:
    """Stands for an allocation that fails: using it as a key raises."""

    def __hash__(self) -> int:
        raise MemoryError


def test_a_failing_builder_commits_nothing() -> None:
    target: list[Any] = [1]
    program = Program(target, Unhashable())
    program.emit("LIST", 0)
    program.emit("SET", 1)
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(MemoryError):
        program.run()
    assert target == [1]


@pytest.mark.parametrize("kind", ["SET_ASSIGN", "DICT_ASSIGN"])
def test_failing_to_stage_commits_nothing(kind: str) -> None:
    first, target = [1], {0} if kind == "SET_ASSIGN" else {0: 0}
    before = type(target)(target)
    program = Program(first, target, Unhashable())
    program.emit("LIST_APPEND", a=0, b=0)
    program.emit(kind, 2, 2, a=1)
    with pytest.raises(MemoryError):
        program.run()
    assert first == [1] and target == before


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("DICT_SET", "k"),
        ("ATTRS_SET", "k"),
        ("SLOT_SET", Slotted.x),
        ("CELL_SET", MISSING),
        ("TYPE_SET", "k"),
        ("LIST_APPEND", MISSING),
        ("LIST_ASSIGN", MISSING),
        ("SET_ASSIGN", MISSING),
        ("DICT_ASSIGN", MISSING),
        ("DEQUE_ASSIGN", MISSING),
        ("DEQUE_ITEMS", MISSING),
        ("BYTES_ASSIGN", MISSING),
        ("ADVANCE", MISSING),
        ("CACHED_HIT", 1),
        ("CACHED_MISS", MISSING),
        ("CACHED_FILL", 1),
        ("WRITE", "text"),
        ("FLUSH", MISSING),
        ("WARN", (UserWarning, "text", "file", 3, "module", {})),
        ("FILTERS", MISSING),
        ("FILL_LIST", MISSING),
        ("FILL_DICT", MISSING),
        ("FILL_ATTRS", "attrs"),
        ("FILL_SLOT", Slotted.x),
        ("FILL_CELL", MISSING),
    ],
)
def test_a_target_of_another_type_commits_nothing(kind: str, obj: Any) -> None:
    first: list[Any] = []
    program = Program(first, 5)
    if kind.startswith("FILL"):
        items = []
        if obj == "attrs":
            items, obj = [program.const("x"), 0], MISSING
        program.emit(kind, *items, a=1, b=0, obj=obj)
    program.emit("LIST_APPEND", a=0, b=0)
    if not kind.startswith("FILL"):
        program.emit(kind, a=1, b=0, obj=obj)
    with pytest.raises((TypeError, AttributeError)):
        program.run()
    assert first == []


@pytest.mark.parametrize(
    ("kind", "items", "kw"),
    [
        ("NO_SUCH", [], {}),
        ("CONST", [], {}),
        ("TUPLE", [5], {}),
        ("TUPLE", [-1], {}),
        ("TUPLE", [0], {"obj": 1}),
        ("DICT", [0], {}),
        ("SLICE", [0, 0], {}),
        ("CELL", [0], {}),
        ("CELL", [], {"a": 9}),
        ("METHOD", [], {"a": 0}),
        ("INSTANCE", [], {"obj": 1}),
        ("FUNCTION", [0] * 10, {"obj": 1}),
        ("FILL_LIST", [0], {}),
        ("SLOT_SET", [], {"a": 0, "b": 0, "obj": "x"}),
        ("SLOT_SET", [], {"a": 0, "b": 0, "obj": Covered.x}),
        ("ATTRS_SET", [], {"a": 0, "b": 0, "obj": 1}),
        ("DICT_SET", [], {"a": 0, "b": 0}),
        ("DICT_SET", [0], {"a": 0, "b": 0, "obj": "k"}),
        ("DICT_SET", [], {"a": 0, "obj": "k"}),
        ("RETURN", [], {}),
    ],
)
def test_ill_formed_ops_are_refused(kind: str, items: list[int], kw: Any) -> None:
    program = Program([])
    before = testing.replay_info(program.handle)
    with pytest.raises(SystemError, match="ill-formed"):
        program.emit(kind, *items, **kw)
    assert testing.replay_info(program.handle)["n_ops"] == before["n_ops"]


def test_builders_may_not_follow_writes() -> None:
    program = Program([])
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(SystemError, match="ill-formed"):
        program.emit("LIST")


def test_counters() -> None:
    program = Program([], graph=(1,))
    program.emit("LIST", 1)
    program.emit("FILL_LIST", 1, a=2)
    program.emit("LIST_ASSIGN", 2, a=0)
    program.returns(2)
    expected = {"n_ops": 4, "n_regs": 4, "n_commit": 2, "result": 2}
    assert testing.replay_info(program.handle) == expected


@pytest.mark.parametrize("kind", ["builders", "writes"])
def test_out_of_memory_anywhere_before_the_commit(kind: str) -> None:
    memory = pytest.importorskip("_testcapi")
    target: list[Any] = []
    program = Program(target)
    one = program.const(1)
    items = [program.emit("LIST", one, one) for _ in range(90)]
    instance = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), items[0], a=instance)
    program.emit("DICT_LIKE", one, one, obj=collections.OrderedDict)
    out = program.emit("TUPLE", *items)
    if kind == "writes":
        program.emit("LIST_ASSIGN", *items, a=0)
    program.returns(out)
    failures = 0
    for start in range(1000):
        memory.set_nomemory(start, start + 1)
        try:
            program.run()
        except MemoryError:
            failures += 1
        else:
            break
        finally:
            memory.remove_mem_hooks()
        assert target == []
    assert failures > 3


# -- Release of what was replaced ----------------------------------------------------


def holder(kind: str, old: Any) -> tuple[Any, dict[str, Any]]:
    """A container that holds old, and the write that replaces it."""
    if kind == "DICT_SET":
        return {"k": old}, {"obj": "k"}
    if kind == "DICT_DEL":
        return {"k": old}, {"obj": "k"}
    if kind == "ATTRS_SET":
        return {"k": old}, {"obj": "k"}
    if kind == "SLOT_SET":
        value = build("INSTANCE", obj=Slotted)
        Slotted.x.__set__(value, old)
        return value, {"obj": Slotted.x}
    if kind == "CELL_SET":
        return types.CellType(old), {}
    if kind == "TYPE_SET":
        return type("Fresh", (), {"k": old}), {"obj": "k"}
    if kind == "LIST_ASSIGN":
        return [old], {}
    if kind == "SET_ASSIGN":
        return {old}, {}
    if kind == "DICT_ASSIGN":
        return {"k": old}, {}
    return collections.deque([old]), {}


REPLACERS = [
    "DICT_SET",
    "DICT_DEL",
    "ATTRS_SET",
    "SLOT_SET",
    "CELL_SET",
    "TYPE_SET",
    "LIST_ASSIGN",
    "SET_ASSIGN",
    "DICT_ASSIGN",
    "DEQUE_ASSIGN",
]


@pytest.mark.parametrize("kind", REPLACERS)
def test_old_values_are_released_after_all_commits(kind: str) -> None:
    last: list[Any] = []
    seen: list[Any] = []
    target, kw = holder(kind, Watched(lambda: seen.append(list(last))))
    program = Program(target, last)
    value = program.const(1)
    b = value if kind.endswith("_SET") else -1
    program.emit(kind, a=0, b=b, **kw)
    program.emit("LIST_APPEND", a=1, b=value)
    program.run()
    assert seen == [[1]]


@pytest.mark.parametrize(
    "kind", ["LIST_ASSIGN", "SET_ASSIGN", "DICT_ASSIGN", "DEQUE_ASSIGN"]
)
def test_a_released_value_may_change_the_container(kind: str) -> None:
    target: Any = None
    olds = [Watched(lambda: target.clear()) for _ in range(5)]
    if kind == "DICT_ASSIGN":
        target = {i: old for i, old in enumerate(olds)}
    else:
        make = {
            "LIST_ASSIGN": list,
            "SET_ASSIGN": set,
            "DEQUE_ASSIGN": collections.deque,
        }
        target = make[kind](olds)
    del olds
    program = Program(target)
    one = program.const(1)
    program.emit(kind, one, one, a=0)
    program.returns(0)
    result = program.run()
    assert result is target and len(target) == 0


def test_a_released_value_may_raise() -> None:
    def fail() -> None:
        raise ValueError("in __del__")

    target = [Watched(fail)]
    raised: list[Any] = []
    program = Program(target)
    program.emit("LIST_ASSIGN", a=0)
    hook, sys.unraisablehook = (
        sys.unraisablehook,
        lambda info: raised.append(info.exc_type),
    )
    try:
        assert program.run() is None
    finally:
        sys.unraisablehook = hook
    assert target == [] and raised == [ValueError]


def test_many_old_values() -> None:
    died: list[int] = []
    target = {i: Watched(lambda: died.append(len(target))) for i in range(500)}
    program = Program(target)
    one = program.const(1)
    for i in range(100):
        program.emit("DICT_SET", a=0, b=one, obj=i)
    program.emit("DICT_ASSIGN", one, one, a=0)
    program.run()
    assert died == [1] * 500


# -- References ----------------------------------------------------------------------


def test_runs_leave_no_references() -> None:
    class Factory(list):
        pass  # list itself is used by everybody

    tensor, source, old = object(), Plain.__mro__, object()
    target: dict[str, Any] = {"k": old}
    items, members, order = [old], {old}, collections.OrderedDict(k=old)
    deque, cell = collections.deque([old]), types.CellType(old)
    instance = build("INSTANCE", obj=Slotted)
    key = Point(1, 2)
    cls = type("Fresh", (), {})
    program = Program(
        target,
        items,
        members,
        order,
        deque,
        cell,
        instance,
        cls,
        source,
        graph=(tensor,),
    )
    t = 9
    const = program.const(key)
    made = program.emit("LIST", t, const)
    program.emit("FILL_LIST", t, a=made)
    fresh = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), t, program.const("y"), made, a=fresh)
    slotted = program.emit("INSTANCE", obj=Slotted)
    program.emit("FILL_SLOT", a=slotted, b=t, obj=Slotted.x)
    out = [
        fresh,
        slotted,
        program.emit("STRUCT", t, t, obj=Point),
        program.emit("STRUCT", *[t] * 11, obj=time.struct_time),
        program.emit("DICT", const, t),
        program.emit("SET", const, t),
        program.emit("FROZENSET", t),
        program.emit("SLICE", t, t, t),
        program.emit("CELL", a=t),
        program.emit("DICT_LIKE", const, t, obj=MyODict),
        program.emit("DICT_LIKE", const, t, obj=MyDefault, a=program.const(Factory)),
        program.emit("LIST_LIKE", const, t, obj=MyDeque, a=program.const(4)),
        program.emit("LIST_LIKE", const, t, obj=MySet),
    ]
    result = program.emit("TUPLE", *out)
    program.emit("DICT_SET", a=0, b=t, obj="k")
    program.emit("DICT_SET", t, a=0, b=t)
    program.emit("DICT_DEL", t, a=0)
    program.emit("ATTRS_SET", a=0, b=t, obj="attr")
    program.emit("LIST_ASSIGN", t, const, a=1)
    program.emit("LIST_APPEND", a=1, b=t)
    program.emit("SET_ASSIGN", t, a=2)
    program.emit("DICT_ASSIGN", const, t, a=3)
    program.emit("DICT_ASSIGN", const, t, a=0)
    program.emit("DEQUE_ASSIGN", t, t, a=4)
    program.emit("CELL_SET", a=5, b=t)
    program.emit("SLOT_SET", a=6, b=t, obj=Slotted.x)
    program.emit("TYPE_SET", a=7, b=t, obj="k")
    program.returns(result)
    watched = [
        tensor,
        source,
        old,
        key,
        Plain,
        Slotted,
        Point,
        MyODict,
        MyDefault,
        Factory,
    ]
    program.run(3)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    objects = len(gc.get_objects())
    program.run(1000)
    gc.collect()
    assert [sys.getrefcount(o) for o in watched] == before
    assert abs(len(gc.get_objects()) - objects) < 20


def test_a_failing_run_leaves_no_references() -> None:
    tensor, bad = object(), Unhashable()
    program = Program([], bad, graph=(tensor,))
    program.emit("LIST", 2, 1)
    program.emit("SET", 2, 1)
    before = sys.getrefcount(tensor), sys.getrefcount(bad)
    for _ in range(100):
        with pytest.raises(MemoryError):
            program.run()
    assert (sys.getrefcount(tensor), sys.getrefcount(bad)) == before


def test_the_program_owns_its_constants() -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    program = Program()
    program.const(thing)
    program.emit("INSTANCE", obj=Thing)
    owned = testing.replay_visit(program.handle)
    assert owned[0] is thing and owned[1] is Thing and len(owned) == 2
    del thing, owned
    assert gone() is not None
    del program
    assert gone() is None


# -- Text ----------------------------------------------------------------------------


def test_text_inlines_what_is_used_once() -> None:
    program = Program({}, {}, graph=(1, 2))
    inner = program.emit("LIST", 2, program.const(1.5))
    shared = program.emit("LIST", 3)
    pair = program.emit("TUPLE", inner, shared)
    single = program.emit("TUPLE", shared)
    program.emit("DICT_SET", a=0, b=pair, obj="k'")
    program.emit("DICT_DEL", 3, a=0)
    program.emit("ATTRS_SET", a=1, b=single, obj="hidden")
    program.emit("ATTRS_DEL", a=0, obj="x")
    program.returns(shared)
    assert program.text("self.cache", "self.__dict__") == [
        "r1 = [graph[1]]",
        'self.cache["k\'"] = ([graph[0], 1.5], r1)',
        "self.cache.pop(graph[1], None)",
        "self.hidden = (r1,)",
        "del self.cache['x']",
        "return r1",
    ]


def test_text_of_builders() -> None:
    program = Program()
    c = program.const
    cell = program.emit("CELL")
    name = c("f")
    closure = program.emit("TUPLE", cell)
    code = test_text_of_builders.__code__
    fn = program.emit(
        "FUNCTION", c({}), name, name, -1, -1, closure, -1, -1, c("Doc."), -1, obj=code
    )
    instance = program.emit("INSTANCE", obj=Slotted)
    program.emit("FILL_SLOT", a=instance, b=c(None), obj=Slotted.x)
    program.emit("FILL_CELL", a=cell, b=instance)
    ordered = collections.OrderedDict
    out = program.emit(
        "LIST",
        fn,
        program.emit("SET", c(1), c(2)),
        program.emit("FROZENSET"),
        program.emit("DICT", c("a"), c(1), c("b"), c((1, ("x",)))),
        program.emit("DICT_LIKE", c("a"), c(b"1"), obj=ordered),
        program.emit("DICT_LIKE", obj=collections.defaultdict, a=c(list)),
        program.emit("LIST_LIKE", c(1), obj=MyList),
        program.emit("STRUCT", c(1), c(2), obj=Point),
        program.emit("SLICE", c(1), c(2), c(...)),
        program.emit("METHOD", a=c(holder), b=instance),
        program.emit("CELL", a=c(len)),
        c(Watched(lambda: None)),
        c(holder),
    )
    program.returns(out)
    here = __name__
    assert program.text() == [
        "r1 = cell()",
        f"r2 = new {here}.Slotted()",
        "r2.x = None",
        "r1.cell_contents = r2",
        (
            "return [function(test_text_of_builders, closure=(r1,), doc='Doc.'), "
            "set([1, 2]), frozenset([]), {'a': 1, 'b': (1, ('x',))}, "
            "new collections.OrderedDict() {'a': b'1'}, "
            "new collections.defaultdict(list) {}, "
            f"new {here}.MyList() [1], {here}.Point(1, 2), slice(1, 2, Ellipsis), "
            f"{here}.holder.__get__(r2), cell(len), <{here}.Watched object>, "
            f"{here}.holder]"
        ),
    ]


def test_text_of_writes() -> None:
    program = Program(*range(6))
    one = program.const(1)
    cyclic = program.emit("LIST")
    program.emit("FILL_LIST", cyclic, a=cyclic)
    mapping = program.emit("DICT")
    program.emit("FILL_DICT", one, mapping, a=mapping)
    instance = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), one, a=instance)
    program.emit("SLOT_SET", a=0, b=one, obj=Slotted.x)
    program.emit("SLOT_DEL", a=0, obj=Slotted.x)
    program.emit("CELL_SET", a=1, b=one)
    program.emit("CELL_DEL", a=1)
    program.emit("TYPE_SET", a=2, b=one, obj="attr")
    program.emit("TYPE_DEL", a=2, obj="attr")
    program.emit("LIST_APPEND", a=3, b=one)
    program.emit("LIST_ASSIGN", one, one, a=3)
    program.emit("SET_ASSIGN", one, a=4)
    program.emit("DICT_ASSIGN", one, one, a=5)
    program.emit("DEQUE_ASSIGN", a=5)
    program.emit("BYTES_ASSIGN", a=5, b=one)
    program.emit("ADVANCE", a=5)
    program.emit("CACHED_MISS", a=5)
    program.emit("CACHED_FILL", a=5, b=one, obj=(1, "k"))
    program.emit("CACHED_HIT", a=5, obj=3)
    program.emit("WRITE", a=5, obj="text\n")
    program.emit("FLUSH", a=5)
    program.emit("WARN", a=5, obj=(UserWarning, "text", "file", 3, "module", {}))
    program.emit("FILTERS", a=5)
    assert program.text(*"stuvwx") == [
        "r1 = []",
        "r1.extend([r1])",
        "r2 = {}",
        "r2.update({1: r2})",
        f"r3 = new {__name__}.Plain()",
        "r3.__dict__.update({'x': 1})",
        "s.x = 1",
        "del s.x",
        "t.cell_contents = 1",
        "del t.cell_contents",
        "u.attr = 1",
        "del u.attr",
        "v.append(1)",
        "v[:] = [1, 1]",
        "w <- set([1])",
        "x <- {1: 1}",
        "x <- deque([])",
        "x[:] = 1",
        "next(x, None)",
        "x misses",
        "x keeps 1 for (1, 'k')",
        "x hits at 3",
        "x.write('text\\n')",
        "x.flush()",
        "x(UserWarning, 'text', 'file', 3, 'module', <dict object>)",
        "x()",
    ]


def test_text_never_asks_user_objects() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError("metaclass ran")

        def __repr__(cls) -> str:
            raise AssertionError("repr ran")

    class Loud(str, metaclass=Meta):
        def __repr__(self) -> str:
            raise AssertionError("repr ran")

    program = Program()
    out = program.emit("TUPLE", program.const(Loud("x")), program.const(Loud))
    where = "test_text_never_asks_user_objects.<locals>.Loud"
    assert program.returns(out).text() == [
        f"return (<{__name__}.{where} object>, {__name__}.{where})"
    ]


def test_text_of_deep_nesting_does_not_crash() -> None:
    program = Program()
    register = program.emit("TUPLE")
    for _ in range(100_000):
        register = program.emit("TUPLE", register)
    program.returns(register)
    with pytest.raises(RecursionError):
        program.text()
    value, depth = program.run(), 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 100_000


def test_text_needs_a_name_for_every_source() -> None:
    program = Program(1, 2).returns(1)
    for names in ([], ["x"], ["x", 2], "xy"):
        with pytest.raises(SystemError):
            testing.replay_text(program.handle, names)


def test_every_row_has_a_test() -> None:
    with open(__file__, encoding="utf-8") as file:
        source = file.read()
    assert [kind for kind in testing.replay_kinds() if f'"{kind}"' not in source] == []
