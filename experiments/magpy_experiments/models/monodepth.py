"""MonoDepth with a ResNet-18 encoder: keeps seven tensors on itself, four results.

The padding is worked out with numpy in each call, activations write in place, and each
disparity is fed to the next scale through an attribute.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs


class Conv(nn.Module):
    """Convolution, batch norm and ELU; pads by hand."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel_size = kernel
        self.conv_base = nn.Conv2d(cin, cout, kernel, stride)
        self.normalize = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        p = int(np.floor((self.kernel_size - 1) / 2))
        x = self.conv_base(F.pad(x, (p, p, p, p)))
        return F.elu(self.normalize(x), inplace=True)


class MaxPool(nn.Module):
    """Pooling by two; pads by hand."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel_size = kernel

    def forward(self, x: Tensor) -> Tensor:
        p = int(np.floor((self.kernel_size - 1) / 2))
        return F.max_pool2d(F.pad(x, (p, p, p, p)), self.kernel_size, stride=2)


class ResConv(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution if shapes differ."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = Conv(cin, cout, 3, stride)
        self.conv2 = Conv(cout, cout, 3, 1)
        self.conv3 = nn.Conv2d(cin, cout, 1, stride)
        self.normalize = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        projects = x.size(1) != self.conv3.out_channels or self.stride == 2
        shortcut = self.conv3(x) if projects else x
        out = self.conv2(self.conv1(x))
        return F.elu(self.normalize(out + shortcut), inplace=True)


def res_block(cin: int, cout: int, blocks: int) -> nn.Sequential:
    """Return residual blocks, the first of which halves the image."""
    parts = [ResConv(cin, cout, 2)]
    parts += [ResConv(cout, cout, 1) for _ in range(1, blocks)]
    return nn.Sequential(*parts)


class UpConv(nn.Module):
    """Bilinear upsampling and a convolution."""

    def __init__(self, cin: int, cout: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = Conv(cin, cout, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(
            x, scale_factor=self.scale, mode="bilinear", align_corners=True
        )
        return self.conv1(up)


class GetDisparity(nn.Module):
    """Two maps between 0 and 0.3."""

    def __init__(self, cin: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, 2, 3)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return 0.3 * self.sigmoid(self.conv1(F.pad(x, (1, 1, 1, 1))))


class MonoDepth(nn.Module):
    """Encoder, decoder and four disparities.

    Args:
        width: channels of the first layer.
        blocks: residual blocks of each of the four stages.
    """

    def __init__(self, width: int, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        w = width
        self.conv1 = Conv(3, w, 7, 2)
        self.pool1 = MaxPool(3)
        self.conv2 = res_block(w, w, blocks[0])
        self.conv3 = res_block(w, 2 * w, blocks[1])
        self.conv4 = res_block(2 * w, 4 * w, blocks[2])
        self.conv5 = res_block(4 * w, 8 * w, blocks[3])
        self.upconv6 = UpConv(8 * w, 8 * w)
        self.iconv6 = Conv(4 * w + 8 * w, 8 * w, 3, 1)
        self.upconv5 = UpConv(8 * w, 4 * w)
        self.iconv5 = Conv(2 * w + 4 * w, 4 * w, 3, 1)
        self.upconv4 = UpConv(4 * w, 2 * w)
        self.iconv4 = Conv(w + 2 * w, 2 * w, 3, 1)
        self.disp4_layer = GetDisparity(2 * w)
        self.upconv3 = UpConv(2 * w, w)
        self.iconv3 = Conv(w + w + 2, w, 3, 1)
        self.disp3_layer = GetDisparity(w)
        self.upconv2 = UpConv(w, w // 2)
        self.iconv2 = Conv(w + w // 2 + 2, w // 2, 3, 1)
        self.disp2_layer = GetDisparity(w // 2)
        self.upconv1 = UpConv(w // 2, w // 4)
        self.iconv1 = Conv(w // 4 + 2, w // 4, 3, 1)
        self.disp1_layer = GetDisparity(w // 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x1 = self.conv1(x)
        x_pool1 = self.pool1(x1)
        x2 = self.conv2(x_pool1)
        x3 = self.conv3(x2)
        x4 = self.conv4(x3)
        x5 = self.conv5(x4)
        up = self.iconv6(torch.cat((self.upconv6(x5), x4), 1))
        up = self.iconv5(torch.cat((self.upconv5(up), x3), 1))
        up = self.iconv4(torch.cat((self.upconv4(up), x2), 1))
        self.disp4 = self.disp4_layer(up)
        self.udisp4 = self.upsample(self.disp4)
        up = self.iconv3(torch.cat((self.upconv3(up), x_pool1, self.udisp4), 1))
        self.disp3 = self.disp3_layer(up)
        self.udisp3 = self.upsample(self.disp3)
        up = self.iconv2(torch.cat((self.upconv2(up), x1, self.udisp3), 1))
        self.disp2 = self.disp2_layer(up)
        self.udisp2 = self.upsample(self.disp2)
        up = self.iconv1(torch.cat((self.upconv1(up), self.udisp2), 1))
        self.disp1 = self.disp1_layer(up)
        return self.disp1, self.disp2, self.disp3, self.disp4

    def upsample(self, x: Tensor) -> Tensor:
        """Return `x` twice as large."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    return MonoDepth(8, (1, 1, 1, 1)) if small else MonoDepth(64, (2, 2, 2, 2))


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images."""
    size = 64 if small else 256
    return (torch.randn(batch, 3, size, size, generator=g),), {}
