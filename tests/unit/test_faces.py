"""Copies, pickles and wrappers: a compiled object acts as what it was made from."""

import copy
import functools
import importlib
import io
import pickle
import sys
import types

import pytest

pytest.importorskip("torch")

import torch

import magpy

eager = functools.partial(magpy.compile, backend="eager")


class Net(torch.nn.Module):
    def __init__(self, value=1.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.full((2,), value))

    def forward(self, x):
        return x * self.w


class Other(Net):
    def forward(self, x):
        return x + 100


class Scale:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by

    def apply(self, x):
        return x * self.by


def plain(x):
    return x + 1


@eager
def decorated(x):
    return x + 2


again = eager(decorated)  # another object around the same function
X = torch.ones(2)


def twice(fn, *args):
    """Call a few times: recorded, compiled, hit; answer the last result."""
    return [fn(*args) for _ in range(4)][-1]


def in_place():
    net = Net()
    net.forward = eager(net.forward)
    return net


def layers():
    return torch.nn.Sequential(eager(Net()), torch.nn.Sequential(eager(Net(2.0))))


def with_function():
    net = Net()
    net.act = eager(plain)
    return net


def with_itself():
    net = Net()
    net.forward = eager(net.forward)
    net.__dict__["face"] = eager(net)
    net.__dict__["bound"] = eager(net.forward)
    return net


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda obj: pickle.loads(pickle.dumps(obj)),
    "python": lambda obj: pickle._loads(pickle._dumps(obj)),
}


@pytest.fixture(params=COPIES)
def duplicate(request):
    return COPIES[request.param]


@pytest.mark.parametrize("make", [in_place, layers, with_function, with_itself])
@pytest.mark.parametrize("warm", [False, True])
def test_a_copy_has_its_own_weights(duplicate, make, warm):
    net = make()
    if warm:
        twice(net, X)
    before = twice(net, X)
    twin = duplicate(net)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.fill_(5.0)
    power = len(list(twin.parameters()))
    assert torch.equal(twice(twin, X), X * 5.0**power)
    assert torch.equal(twice(net, X), before)


def test_a_copied_method_is_bound_to_the_copy(duplicate):
    twin = duplicate(in_place())
    assert twin.forward.__self__ is twin
    assert type(twin.forward) is type(in_place().forward)
    twice(twin, X)
    assert magpy.stats(twin.forward)["hits"] == 3


def test_a_copy_that_holds_itself(duplicate):
    twin = duplicate(with_itself())
    assert twin.face._magpy_original is twin
    assert twin.bound.__self__ is twin
    face = duplicate(with_itself().face)
    assert face._magpy_original.face._magpy_original is face._magpy_original
    assert torch.equal(twice(face, X), X)


def test_functions_are_copied_as_functions_are():
    net = with_function()
    assert copy.deepcopy(net).act is net.act
    assert copy.copy(net.act) is net.act
    local = eager(lambda x: x)
    assert copy.deepcopy([local])[0] is local
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


def test_a_decorated_function_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    other = pickle.loads(pickle.dumps(again))
    assert other.__wrapped__ is decorated.__wrapped__
    assert torch.equal(twice(other, X), X + 2)


def test_a_function_is_pickled_with_its_options():
    first = magpy.compile(plain, backend="inductor", mode="max-autotune", name="n")
    twin = pickle.loads(pickle.dumps(first))
    assert twin.__wrapped__ is plain
    options = magpy.api._sessions[twin].options
    assert (options.backend, options.mode) == ("inductor", "max-autotune")
    assert options.name == "n"


def backend(gm, inputs):
    return gm.forward


class Backend:
    """A backend that is an object."""

    def __call__(self, gm, inputs):
        return gm.forward


def test_a_copy_has_the_same_backend():
    mine = Backend()
    for model in (Net(), Scale(3)):
        face = magpy.compile(model, backend=mine)
        twin = copy.deepcopy(face)
        assert twin is not face
        assert torch.equal(twice(twin, X), twice(face, X))
        inner = getattr(twin, "_magpy_call", twin)
        assert magpy.api._sessions[inner].options.backend is mine
    assert pickle.loads(pickle.dumps(magpy.compile(Net(), backend=backend)))


def test_partials_and_objects_are_copied_as_they_are():
    for model in (functools.partial(torch.mul, torch.ones(2)), Scale(torch.ones(2))):
        face = eager(model)
        deep, shallow = copy.deepcopy(face), copy.copy(face)
        assert deep.__wrapped__ is not model
        assert shallow.__wrapped__ is not model
        held = [
            each.__wrapped__.args[0]
            if isinstance(model, functools.partial)
            else each.by
            for each in (face, deep, shallow)
        ]
        assert held[2] is held[0]
        held[1].fill_(3.0)
        assert torch.equal(twice(deep, X), X * 3)
        assert torch.equal(twice(face, X), X)


def test_a_shallow_copy_of_a_module_has_a_dict_of_its_own():
    face = eager(Net())
    twin, right = copy.copy(face), copy.copy(Net())
    assert vars(twin) is not vars(face)
    assert vars(twin).keys() == vars(right).keys()
    assert twin.w is face.w
    twin.mark = 1
    twin.eval()
    assert not hasattr(face, "mark")
    assert face.training
    assert torch.equal(twice(twin, X), twice(face, X))


def test_a_model_is_saved_and_loaded():
    net = with_function()
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    twin = torch.load(file, weights_only=False)
    assert torch.equal(twin.act(X), X + 1)
    assert torch.equal(twin(X), X)


def test_without_the_engine_copies_are_the_same():
    with magpy.config.patch(enabled=False):
        net = in_place()
        twin = copy.deepcopy(net)
        twin.w.data.fill_(5.0)
        assert torch.equal(twin(X), X * 5)
        assert twin.forward.__self__ is twin
        assert torch.equal(pickle.loads(pickle.dumps(with_function())).act(X), X + 1)


# -- what is written to a wrapper --------------------------------------------------------


def make_function():
    def f(x, by=2, *, plus=0):
        return x * by + plus

    return f


def test_defaults_and_code_are_the_functions():
    f, right = make_function(), make_function()
    fast = eager(f)

    def change(name, value):
        for each in (fast, right):
            setattr(each, name, value)
        assert getattr(f, name) == getattr(fast, name) == getattr(right, name)
        for _ in range(3):
            assert torch.equal(fast(X), right(X))

    twice(fast, X)
    change("__defaults__", (5,))
    change("__kwdefaults__", {"plus": 7})
    change("__code__", (lambda x, by=2, *, plus=0: x - by - plus).__code__)
    change("__dict__", {"mark": 3})
    assert fast.mark == f.mark == 3
    change("__name__", "g")
    change("__doc__", "text")
    change("__module__", "elsewhere")
    change("__annotations__", {"x": int})
    del fast.__defaults__, right.__defaults__
    for each in (fast, right):
        with pytest.raises(TypeError):
            each(X)
    assert magpy.stats(fast)["hits"] > 6


def test_attributes_that_a_function_counts_in():
    def make(wrap):
        @wrap
        def f(x):
            f.calls = getattr(f, "calls", 0) + 1
            return x + f.calls

        return f

    fast, right = make(eager), make(lambda f: f)
    for _ in range(6):
        assert torch.equal(fast(X), right(X))
        assert fast.calls == right.calls == fast.__wrapped__.calls


def test_what_cannot_be_written_raises_as_it_does():
    face = eager(Net().forward)
    for each in (face, face.__wrapped__):
        with pytest.raises(AttributeError):
            each.mark = 1
        with pytest.raises(AttributeError):
            each.__defaults__ = (1,)


@pytest.mark.parametrize("how", [lambda m: m, eager], ids=["eager", "compiled"])
def test_another_class(how):
    net = Net(3.0)
    face = how(net)
    assert torch.equal(twice(face, X), X * 3)
    face.__class__ = Other
    assert torch.equal(twice(face, X), X + 100)
    net.__class__ = Net
    assert torch.equal(twice(face, X), X * 3)

    class Called(Net):
        def __call__(self, x):
            return super().__call__(x) + 1

    net.__class__ = Called
    assert torch.equal(twice(face, X), X * 3 + 1)
    Called.__call__ = lambda self, x: x - 1
    assert torch.equal(twice(face, X), X - 1)
    Called.__call__ = torch.nn.Module.__call__
    Called.forward = lambda self, x: x - 2
    assert torch.equal(twice(face, X), X - 2)
    Called.__call__ = staticmethod(torch.neg)
    assert torch.equal(twice(face, X), -X)
    if how is eager:
        assert magpy.stats(face)["reasons"] == {"other-callable": 4}
        assert magpy.stats(face)["hits"] >= 15


@pytest.mark.parametrize("make", [lambda m: m, eager], ids=["eager", "compiled"])
def test_another_call_of_modules(make, monkeypatch):
    face = make(Net(3.0))
    twice(face, X)
    called = []

    def call(self, *args):
        called.append(type(self).__name__)
        return self.forward(*args) + 1

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "__call__", call)
        assert torch.equal(twice(face, X), X * 3 + 1)
        assert called == ["Net"] * 4
    assert torch.equal(twice(face, X), X * 3)
    assert called == ["Net"] * 4


def test_another_call_in_the_middle_of_a_recording():
    class Callee:
        def __call__(self, x, more):
            if more:
                Callee.__call__ = other
                fast(x, False)
            return x + 1

    def other(self, x, more):
        return x + 2

    first = Callee.__call__
    fast = eager(Callee())
    assert torch.equal(fast(X, True), X + 1)
    for _ in range(3):
        assert torch.equal(fast(X, False), X + 2)
    Callee.__call__ = first
    assert torch.equal(fast(X, True), X + 1)
    assert torch.equal(fast(X, False), X + 2)


def test_an_object_of_another_class():
    class Negated:
        def __call__(self, x):
            return -x * self.by

    scale = Scale(3)
    fast = eager(scale)
    assert torch.equal(twice(fast, X), X * 3)
    scale.__class__ = Negated
    assert torch.equal(twice(fast, X), X * -3)
    assert magpy.stats(fast)["hits"] == 6


# -- classes of faces --------------------------------------------------------------------


def test_the_class_of_a_face_goes_with_it():
    import gc
    import weakref

    class Short(Net):
        pass

    face = eager(Short())
    assert type(eager(Short())) is type(face)
    gone = weakref.ref(Short)
    del face, Short
    gc.collect()  # the face's class, which lets go of Short
    gc.collect()
    assert gone() is None


def test_a_face_without_the_engine(monkeypatch):
    from magpy import _setup

    def missing():
        raise ImportError("none")

    with monkeypatch.context() as patch:
        patch.setattr(_setup, "engine", missing)
        patch.setattr(_setup, "_status", _setup.Status(False, "none"))
        spec = importlib.util.find_spec("magpy.module")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "magpy.module", module)
        spec.loader.exec_module(module)
        face = module.wrap(net := Net(3.0), net, None)
        assert torch.equal(face(X), X * 3)
        assert isinstance(type(face).__call__, types.FunctionType)
