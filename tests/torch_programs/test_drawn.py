"""Generators of the program, and flags of attention, inside the run."""

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
=== generator_of_the_program
gen = torch.Generator().manual_seed(3)
def f(x):
    noise = torch.randn(3, generator=gen)
    return x + noise, torch.rand(2, generator=gen)
>>> t(3)
!!! gen.manual_seed(7)
??? gen = torch.Generator().manual_seed(9)

=== generator_of_an_object
class Sampler:
    def __init__(self): self.gen = torch.Generator().manual_seed(1)
    def noise(self, x): return torch.empty_like(x).normal_(generator=self.gen)
sampler = Sampler()
def f(x):
    y = sampler.noise(x)
    return y * 2 + torch.rand(3)
>>> t(3)
!!! torch.rand(1, generator=sampler.gen)
??? sampler.gen = torch.Generator()
""")


@pytest.mark.parametrize("case", CASES)
def test_generators(case):
    check_torch(case)


def test_a_generator_that_is_an_argument_is_no_constant():
    def f(x, gen):
        return x + torch.randn(2, generator=gen)

    fast, x = magpy.compile(f, backend="eager"), torch.ones(2)
    for seed in range(5):
        want = f(x, torch.Generator().manual_seed(seed))
        assert torch.equal(fast(x, torch.Generator().manual_seed(seed)), want)
    assert magpy.stats(fast)["recordings"] <= 2


def test_a_graph_that_raises_gives_numbers_back():
    gen = torch.Generator()

    def f(a):
        noise = torch.randn(2, generator=gen)
        try:
            return noise, torch.linalg.cholesky(a)
        except RuntimeError:
            return noise, torch.randn(2, generator=gen)

    fast = magpy.compile(f, backend="eager")
    for a in (torch.eye(2), torch.eye(2), torch.eye(2), -torch.eye(2), torch.eye(2)):
        state = gen.get_state()
        got, after = fast(a), gen.get_state()
        gen.set_state(state)
        want = f(a)
        assert str(got) == str(want)
        assert torch.equal(after, gen.get_state())


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_no_compiler_gets_a_generator(backend):
    gen = torch.Generator().manual_seed(1)

    def f(x):
        return x + torch.randn(2, generator=gen)

    fast, x = magpy.compile(f, backend=backend), torch.ones(2)
    got = [fast(x) for _ in range(4)]
    gen.manual_seed(1)
    assert all(torch.equal(each, f(x)) for each in got)
    assert magpy.stats(fast)["hits"] == 3


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_flags_of_attention_are_set_and_set_back(backend):
    seen = []

    def f(x):
        with sdpa_kernel(SDPBackend.MATH):
            inside = torch.backends.cuda.flash_sdp_enabled()
            y = torch.nn.functional.scaled_dot_product_attention(x, x, x)
        seen.append((inside, torch.backends.cuda.flash_sdp_enabled()))
        return y + 1

    fast, x = magpy.compile(f, backend=backend), torch.randn(1, 2, 4, 8)
    for _ in range(4):
        torch.testing.assert_close(fast(x), f(x))
        assert torch.backends.cuda.flash_sdp_enabled()
    assert seen == [(False, True)] * 8
    assert magpy.stats(fast)["hits"] == 3
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        torch.testing.assert_close(fast(x), f(x))
        assert not torch.backends.cuda.math_sdp_enabled()
    assert seen[-1] == (False, True)


def test_flags_of_attention_that_stay_set_are_kept():
    def f(x):
        torch.backends.cuda.enable_math_sdp(False)
        return x + 1

    fast = magpy.compile(f, backend="eager")
    try:
        for _ in range(3):
            torch.backends.cuda.enable_math_sdp(True)
            fast(torch.ones(2))
            assert not torch.backends.cuda.math_sdp_enabled()
    finally:
        torch.backends.cuda.enable_math_sdp(True)
