"""The U-Net of a diffusion model: residual blocks, attention, a list of skips."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magpy_experiments.models.arguments import Inputs
from magpy_experiments.models.dit import Attention, waves


class Residual(nn.Module):
    """Two convolutions that are told the time."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(4, before), nn.GroupNorm(4, after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.told = nn.Linear(told, after)
        self.same = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        """Answer a picture of the same size."""
        y = self.conv1(F.silu(self.norm1(x))) + self.told(about)[:, :, None, None]
        return self.same(x) + self.conv2(F.silu(self.norm2(y)))


class Look(nn.Module):
    """Attention between the places of a picture."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, size)
        self.attention = Attention(size, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Answer a picture of the same size."""
        y = self.attention(self.norm(x).flatten(2).transpose(1, 2))
        return x + y.transpose(1, 2).reshape(x.shape)


class UNet(nn.Module):
    """Predicts the noise in a picture."""

    def __init__(self, size: int, widths: tuple[int, ...], heads: int) -> None:
        super().__init__()
        told = 4 * size
        self.size = size
        self.time = nn.Sequential(
            nn.Linear(size, told), nn.SiLU(), nn.Linear(told, told)
        )
        self.first = nn.Conv2d(4, size, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        kept, width = [size], size
        for level, times in enumerate(widths):
            deep = level == len(widths) - 1
            for _ in range(2):
                block = nn.ModuleList([Residual(width, size * times, told)])
                width = size * times
                if deep:
                    block.append(Look(width, heads))
                self.down.append(block)
                kept.append(width)
            if not deep:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = nn.ModuleList(
            [Residual(width, width, told), Look(width, heads),
             Residual(width, width, told)]
        )  # fmt: skip
        for level, times in reversed([*enumerate(widths)]):
            for _ in range(3):
                self.up.append(Residual(width + kept.pop(), size * times, told))
                width = size * times
            if level:
                self.up.append(nn.Conv2d(width, width, 3, padding=1))
        self.norm, self.last = nn.GroupNorm(4, width), nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Answer noise, as large as the picture."""
        about = F.silu(self.time(waves(t, self.size)))
        x = self.first(x)
        skips = [x]
        for block in self.down:
            if isinstance(block, nn.ModuleList):
                x = block[0](x, about)
                for look in block[1:]:
                    x = look(x)
            else:
                x = block(x)
            skips.append(x)
        for part in self.middle:
            x = part(x, about) if isinstance(part, Residual) else part(x)
        for part in self.up:
            if isinstance(part, Residual):
                x = part(torch.cat([x, skips.pop()], dim=1), about)
            else:
                x = part(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.last(F.silu(self.norm(x)))


def build(small: bool) -> nn.Module:
    """Return the model."""
    return UNet(*((8, (1, 2), 2) if small else (128, (1, 2, 4), 8)))


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return noisy pictures, and times."""
    side = 8 if small else 64
    return (
        torch.randn(batch, 4, side, side, generator=g),
        torch.randint(1000, (batch,), generator=g),
    ), {}
