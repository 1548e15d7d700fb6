"""Builders of effect programs: every kind of object, cycles, identity."""

from __future__ import annotations

import collections
import functools
import os
import sys
import time
import types
import weakref
from typing import Any

import pytest
from effect_program import (
    Covered,
    MyBytes,
    MyComplex,
    MyDefault,
    MyDeque,
    MyDict,
    MyError,
    MyFloat,
    MyFrozen,
    MyInt,
    MyList,
    MyNamespace,
    MyODict,
    MyPartial,
    MySet,
    MyStr,
    Plain,
    Point,
    Program,
    Slotted,
    build,
)

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
        "globals name qualname defaults kwdefaults closure dict annotations annotate"
        " doc module"
    )
    made = program.emit(
        "FUNCTION", *(at.get(name, -1) for name in order.split()), obj=model.__code__
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
    made = program.emit("FUNCTION", 0, name, name, *[-1] * 8, obj=code)
    function = program.returns(made).run()
    assert function() == 1 and function.__module__ == __name__
    assert function.__defaults__ is function.__closure__ is function.__doc__ is None


def test_function_refuses_a_closure_of_the_wrong_size() -> None:
    free = 1
    program = Program(globals())
    name = program.const("f")
    made = program.emit(
        "FUNCTION", 0, name, name, *[-1] * 8, obj=(lambda: free).__code__
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
