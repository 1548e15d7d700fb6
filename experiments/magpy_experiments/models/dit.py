"""A diffusion transformer, as DiT-S/2: the time scales and shifts each layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magpy_experiments.models.arguments import Inputs


def waves(t: Tensor, size: int) -> Tensor:
    """Return cosines and sines of times, slow ones last."""
    steps = torch.arange(size // 2, dtype=torch.float32, device=t.device)
    angles = t[:, None].float() * torch.exp(steps * (-math.log(10000) * 2 / size))
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Attention(nn.Module):
    """Every piece of a picture looks at all others."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Answer as many pieces."""
        batch, length, size = x.shape
        parts = self.project(x).view(batch, length, 3, self.heads, size // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(batch, length, size))


class Block(nn.Module):
    """A layer that is told the time and what to draw."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.first = nn.LayerNorm(size, elementwise_affine=False)
        self.second = nn.LayerNorm(size, elementwise_affine=False)
        self.attention = Attention(size, heads)
        self.rest = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU("tanh"), nn.Linear(4 * size, size)
        )
        self.told = nn.Sequential(nn.SiLU(), nn.Linear(size, 6 * size))

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        """Answer as many pieces."""
        parts = self.told(about)[:, None].chunk(6, dim=-1)
        shift, scale, gate, *more = parts
        x = x + gate * self.attention(self.first(x) * (1 + scale) + shift)
        shift, scale, gate = more
        return x + gate * self.rest(self.second(x) * (1 + scale) + shift)


class DiffusionTransformer(nn.Module):
    """Predicts the noise in a latent picture."""

    def __init__(self, size: int, heads: int, layers: int, side: int) -> None:
        super().__init__()
        self.size, self.piece = size, 2
        self.cut = nn.Conv2d(4, size, self.piece, stride=self.piece)
        self.time = nn.Sequential(
            nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size)
        )
        self.kinds = nn.Embedding(11, size)
        count = (side // self.piece) ** 2
        self.register_buffer("places", waves(torch.arange(count), size)[None])
        self.blocks = nn.ModuleList([Block(size, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, 4 * self.piece**2)

    def forward(self, x: Tensor, t: Tensor, kind: Tensor) -> Tensor:
        """Answer noise, as large as the picture."""
        batch, channels, height, width = x.shape
        pieces = self.cut(x).flatten(2).transpose(1, 2) + self.places
        about = self.time(waves(t, self.size)) + self.kinds(kind)
        for block in self.blocks:
            pieces = block(pieces, about)
        y = self.out(self.norm(pieces))
        p = self.piece
        y = y.view(batch, height // p, width // p, p, p, channels)
        return torch.einsum("nhwpqc->nchpwq", y).reshape(x.shape)


def build(small: bool) -> nn.Module:
    """Return the model."""
    return DiffusionTransformer(*((32, 2, 2, 8) if small else (384, 6, 12, 32)))


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return noisy pictures, times, and what is to be seen."""
    side = 8 if small else 32
    return (
        torch.randn(batch, 4, side, side, generator=g),
        torch.randint(1000, (batch,), generator=g),
        torch.randint(11, (batch,), generator=g),
    ), {}
