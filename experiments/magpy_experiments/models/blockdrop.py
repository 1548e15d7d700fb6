"""BlockDrop: a ResNet whose residual blocks a policy leaves out, input by input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs

KEPT = 0.5  # share of the blocks that a policy keeps


class BasicBlock(nn.Module):
    """Two convolutions; the shortcut is the network's business."""

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(out))


class DownsampleB(nn.Module):
    """Halve the image and add channels of zeros."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.avg = nn.AvgPool2d(stride)
        self.expand_ratio = cout // cin

    def forward(self, x: Tensor) -> Tensor:
        x = self.avg(x)
        return torch.cat([x] + [x.mul(0)] * (self.expand_ratio - 1), 1)


class FlatResNet(nn.Module):
    """Three groups of blocks in lists of lists."""

    def __init__(self, width: int, layer_config: list[int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer_config = layer_config
        blocks: list[nn.Module] = []
        ds: list[nn.Module] = []
        cin = width
        for i, depth in enumerate(layer_config):
            out, stride = width * 2**i, 2 if i else 1
            ds.append(DownsampleB(cin, out, stride) if i else nn.Sequential())
            group: list[nn.Module] = []
            for j in range(depth):
                group.append(BasicBlock(cin, out, 1 if j else stride))
                cin = out
            blocks.append(nn.ModuleList(group))
        self.blocks = nn.ModuleList(blocks)
        self.ds = nn.ModuleList(ds)
        self.fc = nn.Linear(cin, classes)

    def forward(self, x: Tensor, policy: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        t = 0
        for segment, depth in enumerate(self.layer_config):
            for b in range(depth):
                action = policy[:, t].contiguous()
                residual = self.ds[segment](x) if b == 0 else x
                if action.data.sum() == 0:
                    x = residual
                    t += 1
                    continue
                action_mask = action.float().view(-1, 1, 1, 1)
                fx = F.relu(residual + self.blocks[segment][b](x))
                x = fx * action_mask + residual * (1 - action_mask)
                t += 1
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(x.view(x.size(0), -1))


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    return FlatResNet(8 if small else 16, [1, 1, 1] if small else [5, 5, 5], 10)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return images and a policy for each: which blocks it goes through."""
    blocks = 3 if small else 15
    images = torch.randn(batch, 3, 32, 32, generator=g)
    policy = (torch.rand(batch, blocks, generator=g) < KEPT).long()
    return (images, policy), {}
