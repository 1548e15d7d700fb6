"""Code that asks whether a compiler is at work: the oracle is eager, where none is."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
=== padding_in_the_encoder | eager
m = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2
).eval().requires_grad_(False)
pad = torch.zeros(2, 5, dtype=torch.bool)
pad[1, 3:] = True
def f(x):
    return m(x, src_key_padding_mask=pad)
>>> t(2, 5, 8)
!!! pad[0, 4] = True
!!! m.train()

=== asked
def f(x):
    if torch.compiler.is_compiling() or torch.compiler.is_dynamo_compiling():
        return x + 1
    return x * 2
>>> t(3)

=== asked_under_other_names
from torch.compiler import is_compiling
from torch._dynamo.external_utils import is_compiling as older
def f(x):
    return x * 2, is_compiling(), older(), torch.compiler.is_exporting(), [
        g() for g in (is_compiling, torch.compiler.is_dynamo_compiling)
    ], torch.compiler._is_compiling_flag, torch.jit.is_tracing()
>>> t(3)

=== hook_that_is_always_called | eager
class M(nn.Module):
    def forward(self, x):
        if self.fails:
            raise ValueError("asked for")
        return x * 2
m = M()
m.fails = False
seen = []
m.register_forward_hook(lambda m, a, out: seen.append(out is None), always_call=True)
def f(x):
    return m(x)
>>> t(3)
!!! m.fails = True

=== nested_region
@torch.compiler.nested_compile_region
def g(a):
    return a.sin() + 1
def f(x):
    return g(x) * 2
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiling(case):
    check_torch(case)


OPTIMIZERS = {
    "Adadelta": {}, "Adagrad": {}, "Adam": {"amsgrad": True}, "AdamW": {},
    "Adamax": {}, "ASGD": {}, "NAdam": {}, "RAdam": {}, "RMSprop": {"momentum": 0.9},
    "Rprop": {}, "SGD": {"momentum": 0.9},
}  # fmt: skip


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, foreach):
    """Bit for bit those of eager, from the first step on."""

    def run(compiles):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 2))
        options = {"lr": 0.01, "foreach": foreach, **OPTIMIZERS[name]}
        optimizer = getattr(torch.optim, name)(model.parameters(), **options)

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        fast = magpy.compile(step, backend="eager") if compiles else step
        losses = [fast(torch.randn(3, 4)) for _ in range(4)]
        state = [v for s in optimizer.state.values() for v in s.values()]
        return losses + list(model.parameters()) + state

    for ours, theirs in zip(run(True), run(False), strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))


def test_knob():
    def f(x):
        return x * 2 if torch.compiler.is_compiling() else x * 3

    for answer in ("auto", True, False):
        with magpy.config.patch(is_compiling=answer):
            fast = magpy.compile(f, backend="eager")
            values = [float(fast(torch.ones(1))) for _ in range(3)]
        assert values == [2.0 if answer is True else 3.0] * 3
        assert magpy.stats(fast)["hits"] == 2
    for wrong in ("Auto", 1, None):
        with pytest.raises(ValueError, match="is_compiling must be one of 'auto', Tr"):
            magpy.config.is_compiling = wrong
