"""Transforms of torch.func inside compiled functions: vmap, grad, jvp, vjp, jacobians."""

import pytest

torch = pytest.importorskip("torch")

from torch_worlds import check_torch  # noqa: E402

import magpy  # noqa: E402
from oracle import cases  # noqa: E402

CASES = cases(r"""
from torch.func import grad, grad_and_value, vjp, jvp, jacrev, jacfwd, hessian, vmap
from torch.func import functional_call, stack_module_state
import torch.autograd.forward_ad as fw

=== vmap_with_a_number_from_outside
scale = 2.0
def f(x):
    return vmap(lambda r: r.sin() * scale)(x)
>>> t(2, 3)
>>> t(4, 3)
!!! scale = 3.0

=== vmap_in_dims_out_dims
def f(x):
    return vmap(lambda a, b: a + b, in_dims=(1, None), out_dims=1)(x, torch.arange(3.0))
>>> t(3, 4)

=== vmap_of_a_tree
def f(x):
    def g(d):
        return {"a": d["x"] * 2, "b": (d["y"][0].sum(),)}
    return vmap(g, in_dims=({"x": 0, "y": [1]},), out_dims={"a": 1, "b": (0,)})(
        {"x": x, "y": [x.t()]}
    )
>>> t(3, 4)

=== vmap_in_vmap
def f(x):
    return vmap(lambda r: vmap(lambda q: q * 2)(r) + r.sum())(x)
>>> t(2, 3)

=== vmap_in_chunks
def f(x):
    return vmap(lambda r: r.sin() * 2, chunk_size=2)(x)
>>> t(5, 3)

=== vmap_of_a_parameter_of_the_closure
w = nn.Parameter(fixed(3))
def f(x):
    return vmap(lambda r: (r * w).sum())(x) + 1
>>> t(2, 3)
>>> t(2, 3).requires_grad_()
!!! w.requires_grad_(False)

=== vmap_randomness
def f(x):
    return (
        torch.rand(2),
        vmap(lambda r: r + torch.rand(3), randomness="different")(x),
        vmap(lambda r: F.dropout(r, 0.5), randomness="same")(x),
        torch.rand(2),
    )
>>> t(2, 3)

=== vmap_randomness_is_an_error | eager
def f(x):
    return vmap(lambda r: F.dropout(r, 0.5))(x)
>>> t(2, 3)

=== vmap_that_raises | eager
def f(x):
    return vmap(lambda r: r @ torch.ones(7))(x)
>>> t(2, 3)

=== vmap_whose_exception_is_caught
def f(x):
    def g(r):
        raise ValueError("no")
    y = x + 1
    try:
        vmap(g)(y)
    except ValueError:
        y = y * 3
    return vmap(lambda r: r + 1)(y)
>>> t(2, 3)

=== in_place_in_vmap
def f(x):
    def g(r):
        r[0].add_(1)
        return r.sum()
    return vmap(g)(x), x * 1
>>> t(2, 3)

=== in_place_in_vmap_to_a_new_tensor
def f(x):
    b = torch.zeros(2, 3)
    def g(r, q):
        q.copy_(r)
        return r * 2
    return vmap(g)(x, b), b
>>> t(2, 3)

=== in_place_to_a_detached_alias
def f(x):
    def g(r):
        r.detach().add_(1)
        return r * 1
    return vmap(g)(x)
>>> t(2, 3)

=== in_place_to_a_result
def f(x):
    y = vmap(lambda r: r)(x)
    y.add_(1)
    return y, x * 1
>>> t(2, 3)

=== in_place_to_an_unbatched_tensor | eager
def f(x):
    b = torch.zeros(3)
    def g(r):
        b.add_(r)
        return r
    return vmap(g)(x)
>>> t(2, 3)

=== effects_of_the_body
log = []
def f(x):
    def g(r):
        log.append(tuple(r.shape))
        return r + len(log[-1])
    return vmap(g)(x)
>>> t(2, 3)
!!! log = []

=== a_tensor_of_a_level_leaks | eager
class Sink: pass
sink = Sink()
def f(x):
    y = x + 1
    def g(r):
        sink.seen = r * 2
        return r
    z = vmap(g)(y) * 2
    del sink.seen
    return z + 1
>>> t(2, 3)

=== grad_and_its_value
w = nn.Parameter(fixed(3))
def f(x):
    return grad(lambda r: (r.sin() * w).sum())(x), grad_and_value(lambda r: r.sum() ** 2)(x)
>>> t(3)
>>> t(3).requires_grad_()
!!! w = fixed(3) + 1

=== grad_with_aux_and_argnums
def f(x):
    a = grad(lambda r: (r.sum() ** 2, r * 2), has_aux=True)(x)
    return a, grad(lambda p, q: (p * q).sum(), argnums=(0, 1))(x, x * 2)
>>> t(3)
>>> t(3).requires_grad_()

=== grad_of_a_tree
def f(x):
    def loss(p, r):
        return (p["w"] * r + p["b"]).pow(2).sum()
    return vmap(grad(loss), in_dims=(None, 0))({"w": x[0] * 2, "b": x[1].sum()}, x)
>>> t(3, 4)
>>> t(3, 4).requires_grad_()

=== grad_of_grad
def f(x):
    return grad(lambda u: grad(lambda r: (r**3).sum())(u).sum())(x)
>>> t(3)
>>> t(3).requires_grad_()

=== grad_and_no_grad
w = nn.Parameter(fixed(3))
def g(r):
    with torch.no_grad():
        c = r**2
    return ((r - c) * w).sum()
def f(x):
    with torch.no_grad():
        a = grad(g)(x)
    return a, grad(g)(x)
>>> t(3)
>>> t(3).requires_grad_()

=== grad_asks_requires_grad
def f(x):
    return grad(lambda r: r.sum() if r.requires_grad else (r * 5).sum())(x)
>>> t(3)

=== vjp_twice
def f(x):
    y, pull = vjp(lambda r: r.sin() * 2, x)
    return y, pull(torch.ones(3)), pull(y)
>>> t(3)
>>> t(3).requires_grad_()

=== jvp_of_a_closure
w = nn.Parameter(fixed(3))
def f(x):
    return jvp(lambda a: (a * w).sin(), (x,), (torch.ones(3),))
>>> t(3)
>>> t(3).requires_grad_()

=== jvp_in_jvp
def f(x):
    one = torch.ones(3)
    return jvp(lambda a: jvp(lambda b: b**3, (a,), (one,))[1], (x,), (one,))
>>> t(3)

=== in_place_to_a_dual_tensor
def f(x):
    v = torch.ones(3)
    with fw.dual_level():
        d = fw.make_dual(x, v)
        d.mul_(3)
        p, q = fw.unpack_dual(d)
        z = p + q
    return z, v, x * 1
>>> t(3)

=== jacobians
w = fixed(3)
def f(x):
    return (
        jacrev(lambda r: r**3 * w)(x),
        jacrev(lambda r: r.sin(), chunk_size=2)(x),
        jacfwd(lambda r: r**3 * w)(x),
    )
>>> t(3)
>>> t(3).requires_grad_()

=== hessian_of_a_sum
w = fixed(3)
def f(x):
    return hessian(lambda r: (r**3 * w).sum())(x)
>>> t(3)
>>> t(3).requires_grad_()

=== functional_call_of_a_module
m = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
def f(x):
    a = functional_call(m, {k: p * 2 for k, p in m.named_parameters()}, (x,))
    return a, functional_call(m, {k: v.clone() for k, v in m.state_dict().items()}, x)
>>> t(4, 3)
!!! m.eval()

=== gradients_of_each_sample
m = nn.Linear(3, 2)
def loss(p, r):
    return functional_call(m, p, (r,)).pow(2).sum()
def f(x):
    p = {k: v.detach() for k, v in m.named_parameters()}
    return vmap(grad(loss), in_dims=(None, 0))(p, x)
>>> t(4, 3)
>>> t(5, 3)
!!! m.weight.data.mul_(2)

=== an_ensemble
ms = [nn.Linear(3, 2) for _ in range(3)]
def f(x):
    p, b = stack_module_state(ms)
    return vmap(lambda p, b, x: functional_call(ms[0], (p, b), (x,)), (0, 0, None))(p, b, x)
>>> t(4, 3)
!!! ms[1].bias.data.add_(1)

=== asks_what_it_is
from torch._C._functorch import is_batchedtensor, maybe_get_level
def f(x):
    return vmap(lambda r: r * 2 if is_batchedtensor(r) and maybe_get_level(r) == 1 else r)(x)
>>> t(2, 3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_functorch(case):
    check_torch(case)


#: A transform that is left to the interpreter: what stands before and after it is not.
BROKEN = cases(r"""
from torch.func import grad, vjp, vmap

=== host_read_in_grad
def f(x):
    y = x + 1
    def g(r):
        return (r * r.sum().item()).sum()
    return grad(lambda u: grad(g)(u).sum())(y) * 2
>>> t(3)
>>> t(3)

=== host_read_in_vmap_raises
def f(x):
    y = x * 2
    try:
        z = vmap(lambda r: r * r.sum().item())(y)
    except RuntimeError:
        z = y - 1
    return z, y + 1
>>> t(2, 3)

=== an_autograd_function
class Double(torch.autograd.Function):
    generate_vmap_rule = True
    @staticmethod
    def forward(x):
        return x * 2
    @staticmethod
    def setup_context(ctx, inputs, output):
        pass
    @staticmethod
    def backward(ctx, g):
        return g * 3
def f(x):
    y = x + 1
    return grad(lambda r: Double.apply(r).sum())(y) + 1, vmap(Double.apply)(y)
>>> t(2)

=== vjp_around_a_break
def f(x):
    y, pull = vjp(lambda r: r.sin() * 2, x)
    z = float(y.detach().sum().abs() * 0)
    return pull(torch.ones(3) + z)
>>> t(3)
""")


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_breaks(case):
    check_torch(case, whole=False)


def test_the_function_of_vjp_is_returned():
    def f(x):
        y = x * 2
        return y + 1, *torch.func.vjp(torch.sin, y)

    fast = magpy.compile(f, backend="eager")
    for _ in range(4):
        x = torch.randn(3)
        one, two, pull = fast(x)
        assert torch.equal(one, x * 2 + 1) and torch.equal(two, (x * 2).sin())
        assert torch.equal(pull(one)[0], (x * 2).cos() * one)
    assert magpy.stats(fast)["partial_hits"] >= 2


W = torch.arange(1.0, 5.0)
WHOLE = {
    "vmap": lambda x: torch.vmap(lambda r: r.sin() * W)(x),
    "grad": lambda x: torch.func.grad(lambda r: (r.sin() * W).sum())(x),
    "sample": lambda x: torch.vmap(torch.func.grad(lambda r: (r**2).sum()))(x),
    "jvp": lambda x: torch.func.jvp(torch.sin, (x,), (x * 2,)),
    "vjp": lambda x: torch.func.vjp(torch.sin, x)[1](x),
    "jacrev": lambda x: torch.func.jacrev(torch.sin)(x[0]),
    "jacfwd": lambda x: torch.func.jacfwd(torch.sin)(x[0]),
    "hessian": lambda x: torch.func.hessian(lambda r: (r**3).sum())(x[0]),
    "chunks": lambda x: torch.vmap(torch.sin, chunk_size=2)(x),
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", WHOLE)
def test_one_graph(name, backend):
    run = WHOLE[name]
    fast = magpy.compile(run, backend=backend, fullgraph=True)
    for _ in range(3):
        x = torch.randn(3, 4)
        for got, wanted in zip(
            torch.utils._pytree.tree_leaves(fast(x)),
            torch.utils._pytree.tree_leaves(run(x)),
            strict=True,
        ):
            assert torch.allclose(got, wanted)
    assert magpy.stats(fast)["hits"] == 2


def state():
    """Everything that a transform sets, and sets back."""
    functorch = torch._C._functorch
    dual = torch._C._enter_dual_level()
    torch._C._exit_dual_level(level=dual)
    return (
        functorch.peek_interpreter_stack(),
        functorch.get_inplace_requires_grad_allowed(),
        torch._C._autograd._saved_tensors_hooks_get_disabled_error_message(),
        torch._C._is_fwd_grad_enabled(),
        torch.is_grad_enabled(),
        torch.autograd.forward_ad._current_level,
        dual,
    )


TABLE = torch.arange(10.0).view(5, 2)


def look_up(index, table=TABLE):
    return torch.nn.functional.embedding(index, table)


def dual_look_up(index):
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(TABLE, TABLE)
        return torch.autograd.forward_ad.unpack_dual(look_up(index, dual)).tangent * 1


def caught_look_up(index):
    try:
        return torch.vmap(look_up)(index)
    except IndexError:
        return index + 1


RAISE = {
    "vmap": lambda i: torch.vmap(look_up)(i),
    "grad": lambda i: torch.func.grad(
        lambda u: torch.func.grad(lambda w: (look_up(i, w) ** 3).sum())(u).sum()
    )(TABLE),
    "jvp": lambda i: torch.func.jvp(lambda w: look_up(i, w) ** 2, (TABLE,), (TABLE,)),
    "hessian": lambda i: torch.func.hessian(lambda w: look_up(i, w).sin().sum())(TABLE),
    "dual": dual_look_up,
    "caught": caught_look_up,
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", RAISE)
def test_a_graph_that_raises_leaves_no_level(name, backend):
    run = RAISE[name]
    fast = magpy.compile(run, backend=backend)
    before = state()

    def outcome(function, number):
        index = torch.tensor([[number, 0], [1, 2]])
        try:
            result = torch.utils._pytree.tree_leaves(function(index))
        except IndexError as error:
            result = str(error)
        assert state() == before
        return str(result)

    for number in (0, 1, 7, 3, 9, 4):
        assert outcome(fast, number) == outcome(run, number)
    assert magpy.stats(fast)["hits"] == 3


def test_a_graph_that_raises_while_it_is_compiled_leaves_no_level():
    def backend(gm, inputs):
        torch._C._functorch._vmap_increment_nesting(2, "error")
        torch._C._functorch._grad_increment_nesting()
        torch._C._enter_dual_level()
        raise RuntimeError("no")

    fast = magpy.compile(lambda x: x + 1, backend=backend)
    before = state()
    assert fast(torch.ones(2)).tolist() == [2.0, 2.0]
    with pytest.warns(magpy.MagpyWarning):
        assert fast(torch.ones(2)).tolist() == [2.0, 2.0]
    assert state() == before


def test_a_break_moves_out_of_the_transform():
    def f(x):
        y = x + 1

        def g(r):
            return (r * r.sum().item()).sum()

        return torch.func.grad(lambda u: torch.func.grad(g)(u).sum())(y) * 2

    fast = magpy.compile(f, backend="eager")
    for _ in range(4):
        x = torch.randn(3)
        assert torch.equal(fast(x), f(x))
    stats = magpy.stats(fast)
    assert stats["hits"] == 2 and stats["graph_breaks"] == 1
    assert "ambient" in stats["breaks"]


def test_disabled_hooks_around_the_call_are_kept():
    def f(x):
        return torch.func.grad(lambda r: r.sin().sum())(x)

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(3)
    for _ in range(2):
        assert torch.equal(fast(x), f(x))
    with torch.autograd.graph.disable_saved_tensors_hooks("mine"):
        assert torch.equal(fast(x), f(x))
        saved = torch._C._autograd
        assert saved._saved_tensors_hooks_get_disabled_error_message() == "mine"
    assert magpy.stats(fast)["hits"] == 1


def test_forward_gradients_that_are_off_stay_off():
    def f(x):
        return torch.func.jvp(torch.sin, (x,), (x,))[1]

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(3)
    for allowed in (True, True, False, False, True):
        torch._C._set_fwd_grad_enabled(allowed)
        try:
            assert torch.equal(fast(x), x.cos() * x)
            assert torch._C._is_fwd_grad_enabled() is allowed
        finally:
            torch._C._set_fwd_grad_enabled(True)
    assert magpy.stats(fast)["hits"] == 3
