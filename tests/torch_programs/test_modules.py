"""nn.Module: buffers, parameters, hooks, training flags, state kept between calls."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
=== batch_norm_training | of m
m = nn.BatchNorm1d(3)
>>> t(4, 3)
!!! m.eval()
!!! m.train()
!!! m.momentum = 0.5
!!! m.running_mean.zero_()
!!! m.track_running_stats = False
!!! m.reset_running_stats()
!!! m.half().float()
??? m.track_running_stats, m.momentum = True, None; m.reset_running_stats()

=== batch_norm_functional
rm, rv = torch.zeros(3), torch.ones(3)
def f(x):
    a = F.batch_norm(x, rm, rv, training=True)
    b = F.batch_norm(x, rm, rv, None, None, False)
    c = F.batch_norm(x, running_mean=rm, running_var=rv, training=True, momentum=0.5)
    return a, b, c, rm * 2
>>> t(4, 3)

=== batch_norm_same_statistics | eager
def f(x, rm, rv):
    return F.batch_norm(x, rm, rv, training=True)
>>> t(4, 3), torch.ones(3), torch.ones(3)
>>> t(4, 3), *[torch.ones(3)] * 2

=== norms
m = nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, track_running_stats=True),
                  nn.LayerNorm(5), nn.LocalResponseNorm(2))
def f(x):
    return m(x)
>>> t(2, 4, 5)
!!! m.eval()
!!! m[1].momentum = 0.5

=== buffer_replaced | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(3))
    def forward(self, x):
        self.n = self.n + x
        return self.n * 2
m = M()
>>> t(3)
!!! m.n = torch.ones(3)
!!! m.n.zero_()
!!! m.register_buffer("n", torch.ones(3, dtype=torch.float64))
!!! m.n = None; m.n = torch.zeros(3)

=== buffer_replaced_and_inplace | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(3))
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        y = self.bn(x)
        self.n = self.n * 0.9 + y.detach().mean(0)
        return y.relu_() + self.n
m = M()
>>> t(4, 3)
!!! m.eval()

=== buffer_inplace | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(3))
        self.register_buffer("steps", torch.tensor(0))
    def forward(self, x):
        self.n.mul_(0.9).add_(x.mean(0), alpha=0.1)
        self.steps += 1
        return x - self.n, self.steps
m = M()
>>> t(2, 3)
!!! m.n.zero_()
!!! m.load_state_dict({"n": torch.ones(3), "steps": torch.tensor(5)})

=== buffer_registered_in_forward | of m
class M(nn.Module):
    def forward(self, x):
        if not hasattr(self, "cache"):
            self.register_buffer("cache", x * 2, persistent=False)
        return self.cache + x
m = M()
>>> fixed(3)
!!! del m.cache

=== ema_of_parameter | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(fixed(3))
        self.register_buffer("ema", torch.zeros(3))
    def forward(self, x):
        with torch.no_grad():
            self.ema.lerp_(self.w, 0.1)
        return self.w * x + self.ema
m = M()
>>> t(3)
!!! m.w.data.mul_(2)
!!! m.w = nn.Parameter(torch.ones(3))
!!! m.w.requires_grad_(False)

=== state_on_self | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.state = None
    def forward(self, x):
        if self.state is None:
            self.state = torch.zeros_like(x)
        self.state = self.state * 0.5 + x
        return self.state
m = M()
>>> t(3)
!!! m.state = None
!!! m.state = torch.ones(3)

=== history_list | eager | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []
    def forward(self, x):
        self.seen.append(x)
        return torch.cat(self.seen)
m = M()
>>> t(3)
??? m.seen.clear()

=== history_list_bounded | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []
    def forward(self, x):
        self.seen.append(x * 1)
        if len(self.seen) > 2:
            self.seen.pop(0)
        return torch.stack(self.seen).sum(0)
m = M()
>>> t(3)
!!! m.seen.clear()

=== append_only_list | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []
    def forward(self, x):
        self.seen.append(x * 2)
        return x + 1
m = M()
>>> t(3)
!!! m.seen.clear()
!!! m.seen = [1]

=== cache_dict | eager | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.cache = {}
    def forward(self, x, layer):
        if layer not in self.cache:
            self.cache[layer] = x
        else:
            self.cache[layer] = torch.cat([self.cache[layer], x])
        return self.cache[layer].sum(0)
m = M()
>>> t(1, 3), 0
>>> t(1, 3), 1

=== static_cache | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.k = torch.zeros(4, 3)
        self.at = torch.tensor(0)
    def forward(self, x):
        self.k.index_copy_(0, self.at.view(1), x)
        self.at.add_(1).remainder_(4)
        return self.k @ x.t()
m = M()
>>> t(1, 3)
!!! m.at.zero_()

=== linear_parameters_change | of m
m = nn.Linear(3, 2)
>>> t(2, 3)
!!! m.weight = nn.Parameter(torch.ones(2, 3))
!!! m.weight.data = torch.zeros(2, 3)
!!! m.bias = None
!!! m.weight.requires_grad_(False)
!!! m.weight.data = m.weight.data.t().contiguous().t()
!!! m.weight.data = torch.ones(4, 3)
!!! m.requires_grad_(True)

=== dtype_of_module_changes | of m
m = nn.Linear(3, 2)
>>> t(2, 3).to(m.weight.dtype)
!!! m.double()
!!! m.bfloat16()
!!! m.float()

=== weights_tied | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.b.weight = self.a.weight
    def forward(self, x):
        return self.b(self.a(x))
m = M()
>>> t(2, 3)
!!! m.b.weight = nn.Parameter(torch.ones(3, 3))
!!! m.a.weight = m.b.weight

=== module_containers | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
        self.named = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
        self.ws = nn.ParameterList([nn.Parameter(fixed(3)) for _ in range(2)])
        self.wd = nn.ParameterDict({"k": nn.Parameter(fixed(3))})
    def forward(self, x, act="a"):
        for i, layer in enumerate(self.layers):
            x = layer(x) * self.ws[i % 2]
        for layer in self.layers[1:]:
            x = layer(x)
        for name, child in self.named.items():
            x = child(x) if name == act else x
        return x + self.wd["k"], len(self.layers), "b" in self.named
m = M()
>>> t(2, 3)
>>> t(2, 3), "b"
!!! m.layers[1] = nn.Identity()
!!! m.layers.append(nn.Linear(3, 3))
!!! m.layers.pop(0)
!!! m.named["a"] = nn.Sigmoid()
!!! m.ws[0] = nn.Parameter(torch.ones(3))
!!! m.wd["k"] = nn.Parameter(torch.zeros(3))

=== sequential_changes | of m
m = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
>>> t(2, 3)
!!! m[1] = nn.Tanh()
!!! m.append(nn.ReLU())
!!! del m[1]

=== training_flag | of m
m = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.FeatureAlphaDropout(0.3))
>>> t(2, 3)
!!! m.eval()
!!! m[1].train()
!!! m.train()

=== forward_hook | of m
m = nn.Linear(3, 3)
seen = []
def hook(module, args, out):
    seen.append(out.shape)
    return out * 2
def pre(module, args):
    return (args[0] + 1,)
def with_kwargs(module, args, kwargs, out):
    return out + len(kwargs)
>>> t(2, 3)
!!! h = m.register_forward_hook(hook)
!!! p = m.register_forward_pre_hook(pre)
!!! k = m.register_forward_hook(with_kwargs, with_kwargs=True)
!!! h.remove()
!!! p.remove(); k.remove()
!!! h = m.register_forward_hook(hook, prepend=True)

=== hook_of_child | of m
m = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
def hook(module, args, out):
    return out * 2
>>> t(2, 3)
!!! h = m[0].register_forward_hook(hook)
!!! h.remove()

=== hook_captures_activations | of m
m = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
acts = {}
def hook(name):
    def inner(module, args, out):
        acts[name] = out.detach()
    return inner
for i, layer in enumerate(m):
    layer.register_forward_hook(hook(str(i)))
>>> t(2, 3)
!!! acts.clear()

=== global_hook | eager | of m
m = nn.Linear(3, 3)
import torch.nn.modules.module as mm
import contextlib
def hook(module, args, out):
    return out * 2
@contextlib.contextmanager
def around():
    h = mm.register_module_forward_hook(hook) if on else None
    try:
        yield
    finally:
        if on:
            h.remove()
on = False
>>> t(2, 3)
!!! on = True
!!! on = False

=== backward_hook | eager | of m
m = nn.Linear(3, 3)
seen = []
def hook(module, gi, go):
    seen.append(go[0].sum())
    return (gi[0] * 2,)
>>> t(2, 3).requires_grad_()
!!! h = m.register_full_backward_hook(hook)
!!! h.remove(); h = None

=== call_overridden | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(fixed(3))
    def __call__(self, x, twice=False):
        y = super().__call__(x)
        return y * 2 if twice else y
    def forward(self, x):
        return x * self.w
m = M()
>>> t(3)
>>> t(3), True

=== forward_replaced | of m
class M(nn.Linear):
    def forward(self, x):
        return super().forward(x)
m = M(3, 3)
import types
>>> t(2, 3)
!!! m.forward = types.MethodType(lambda self, x: x @ self.weight, m)
!!! del m.forward
!!! M.forward = lambda self, x: x * 2
!!! del M.forward

=== getattr_of_module | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)
    def forward(self, x):
        return x @ self.weight.t() + self.bias
m = M()
>>> t(2, 3)
!!! m.inner = nn.Linear(3, 3, bias=True)

=== by_name | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(3):
            self.add_module(f"conv{i}", nn.Linear(3, 3))
            setattr(self, f"scale{i}", i + 1)
        self.order = [0, 2, 1]
    def forward(self, x):
        for i in self.order:
            x = getattr(self, f"conv{i}")(x) * getattr(self, "scale%d" % i)
            x = self._modules["conv0"](x)
        return x, sum(p.numel() for p in self.parameters())
m = M()
>>> t(2, 3)
!!! m.order = [1, 0]
!!! m.scale1 = 7

=== state_dict_in_forward
m = nn.Linear(3, 3)
def f(x):
    d = dict(m.named_parameters())
    return x @ d["weight"] + sum(p.sum() for p in list(m.parameters()))
>>> t(2, 3)

=== spectral_norm | of m
m = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
>>> t(2, 3)
!!! m.eval()
!!! m.train()

=== weight_norm | of m
m = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
>>> t(2, 3)
!!! m.parametrizations.weight.original0.data.mul_(2)

=== parametrization | of m
class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).transpose(-1, -2)
m = nn.Linear(3, 3)
torch.nn.utils.parametrize.register_parametrization(m, "weight", Symmetric())
>>> t(2, 3)
!!! torch.nn.utils.parametrize.remove_parametrizations(m, "weight")

=== parametrize_cached | eager
import torch.nn.utils.parametrize as P
m = nn.Linear(3, 3)
class Twice(nn.Module):
    def forward(self, w):
        return w * 2
P.register_parametrization(m, "weight", Twice())
def f(x):
    with P.cached():
        return m(x) + m(x)
>>> t(2, 3)

=== embedding_max_norm | of m
m = nn.Embedding(5, 3, max_norm=1.0)
>>> torch.tensor([1, 4, 1])

=== embedding_bag | of m
m = nn.EmbeddingBag(5, 3)
>>> torch.tensor([[1, 4], [0, 2]])
>>> torch.tensor([1, 4, 0]), torch.tensor([0, 2])

=== rnn | of m
m = nn.GRU(3, 4, num_layers=2, dropout=0.5, batch_first=True)
>>> t(2, 5, 3)
>>> t(2, 5, 3), t(2, 2, 4)
!!! m.eval()
!!! m.flatten_parameters()

=== lstm_cell
cell = nn.LSTMCell(3, 4)
def f(xs):
    h, c = torch.zeros(2, 4), torch.zeros(2, 4)
    out = []
    for x in xs:
        h, c = cell(x, (h, c))
        out.append(h)
    return torch.stack(out), (h, c)
>>> t(5, 2, 3)

=== packed_sequence | eager
m = nn.LSTM(3, 4)
def f(x, n):
    p = nn.utils.rnn.pack_padded_sequence(x, n, enforce_sorted=False)
    y, _ = m(p)
    return nn.utils.rnn.pad_packed_sequence(y)
>>> t(5, 2, 3), torch.tensor([5, 3])
>>> t(5, 2, 3), torch.tensor([2, 3])

=== attention | of m
m = nn.MultiheadAttention(4, 2, batch_first=True)
>>> t(2, 3, 4), t(2, 3, 4), t(2, 3, 4)
>>> t(2, 3, 4), t(2, 3, 4), t(2, 3, 4), None, False
!!! m.eval()
!!! m.requires_grad_(False)

=== transformer_layer | of m
m = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
>>> t(2, 3, 4)
!!! m.eval()
!!! m.requires_grad_(False)

=== losses
def f(x, y):
    return (F.cross_entropy(x, y), F.nll_loss(x, y, reduction="none"), F.mse_loss(x, x + 1),
            nn.CrossEntropyLoss(label_smoothing=0.1)(x, y), F.binary_cross_entropy_with_logits(x, x.sigmoid()))
>>> t(3, 4).requires_grad_(), torch.tensor([0, 1, 3])

=== conv_family | of m
m = nn.Sequential(nn.Conv2d(2, 4, 3, padding="same"), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 2, 2),
                  nn.AdaptiveAvgPool2d((2, None)), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Flatten())
>>> t(1, 2, 8, 8)
!!! m[0].padding_mode = "reflect"

=== sync_of_running_lists | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = []
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
    def forward(self, x):
        self.features = []
        for layer in self.layers:
            x = layer(x)
            self.features.append(x)
        self.outputs = {("disp", i): f for i, f in enumerate(self.features)}
        return self.outputs
m = M()
>>> t(2, 3)
!!! m.features = None

=== called_in_both_ways
m = nn.Linear(3, 3)
import functools
bound = functools.partial(m, )
half = functools.partial(F.linear, weight=m.weight)
def f(x):
    return m(x), m.forward(x), nn.Linear.forward(m, x), bound(x), half(x), half(x, bias=m.bias)
>>> t(2, 3)
!!! m.weight.data.mul_(2)

=== submodule_shared | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = self.a
    def forward(self, x):
        return self.a(self.b(x)), self.a is self.b
m = M()
>>> t(2, 3)
!!! m.b = nn.Linear(3, 3)

=== hooks_on_state_dict | of m
m = nn.Linear(3, 3)
>>> t(2, 3)
!!! m.load_state_dict(m.state_dict())
!!! m.load_state_dict({k: v * 2 for k, v in m.state_dict().items()}, assign=True)
!!! m.to(torch.float64).to(torch.float32)
!!! m.zero_grad()

=== lazy_module | eager | of m
m = nn.LazyLinear(2)
>>> t(2, 3)

=== buffers_none | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", None)
        self.register_parameter("w", None)
    def forward(self, x):
        if self.mask is not None:
            x = x * self.mask
        return x if self.w is None else x * self.w
m = M()
>>> t(3)
!!! m.mask = torch.ones(3)
!!! m.w = nn.Parameter(torch.zeros(3))
!!! m.mask = None

=== module_argument
def f(m, x):
    return m(x)
>>> nn.ReLU(), t(3)
>>> nn.Tanh(), t(3)

=== deepcopied | of c
import copy
m = nn.Linear(3, 3)
c = copy.deepcopy(m)
>>> t(2, 3)
!!! c.weight.data.mul_(2)
!!! m.weight.data.mul_(2)

=== class_attribute_tensor | of m
class M(nn.Module):
    scale = torch.ones(3)
    def forward(self, x):
        return x * self.scale
m = M()
>>> t(3)
!!! M.scale = torch.zeros(3)
!!! M.scale.add_(5)
!!! m.scale = torch.ones(3) * 2
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_modules(case):
    check_torch(case)


def test_forward_of_a_compiled_module_is_compiled():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    net.register_forward_hook(lambda *_: pytest.fail("forward alone runs no hooks"))
    fast = magpy.compile(net, backend="eager")
    x = torch.randn(4, 3)
    for _ in range(3):
        assert torch.equal(fast.forward(x), net.forward(x))
    assert magpy.stats(fast.forward)["hits"] == 2
    net.forward = lambda x: x + 1
    assert torch.equal(fast.forward(x), x + 1)
