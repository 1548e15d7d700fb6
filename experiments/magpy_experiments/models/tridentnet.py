"""TridentResNet-50: branches in lists, a nested function, modules found by name.

Three stages of bottlenecks, each with an attention plugin behind its second convolution;
the blocks of the last stage share one weight among three dilations, of which one is used
outside training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs


class GeneralizedAttention(nn.Module):
    """Attention whose four terms are switched by the digits of a text.

    Args:
        channels: of input and output.
        heads: number of heads.
        kv_stride: keys and values are taken from each so many-th pixel.
        attention_type: query with key, (not built), key alone, (not built).
    """

    def __init__(
        self, channels: int, heads: int, kv_stride: int, attention_type: str
    ) -> None:
        super().__init__()
        self.num_heads = heads
        self.kv_stride = kv_stride
        self.attention_type = [bool(int(flag)) for flag in attention_type]
        self.qk_embed_dim = channels // heads
        self.v_dim = channels // heads
        width = self.qk_embed_dim * heads
        if self.attention_type[0]:
            self.query_conv = nn.Conv2d(channels, width, 1, bias=False)
        if self.attention_type[0] or self.attention_type[2]:
            self.key_conv = nn.Conv2d(channels, width, 1, bias=False)
        self.value_conv = nn.Conv2d(channels, self.v_dim * heads, 1, bias=False)
        if self.attention_type[2]:
            self.appearance_bias = nn.Parameter(torch.randn(width) * 0.1)
        self.proj_conv = nn.Conv2d(self.v_dim * heads, channels, 1)
        self.gamma = nn.Parameter(torch.full((1,), 0.1))
        if kv_stride > 1:
            self.kv_downsample = nn.MaxPool2d(1, kv_stride)
        else:
            self.kv_downsample = None

    def forward(self, x_input: Tensor) -> Tensor:
        num_heads = self.num_heads
        x_kv = x_input
        if self.kv_downsample is not None:
            x_kv = self.kv_downsample(x_input)
        n, _, h, w = x_input.shape
        _, _, h_kv, w_kv = x_kv.shape
        if self.attention_type[0] or self.attention_type[2]:
            proj_key = self.key_conv(x_kv)
            proj_key = proj_key.view(n, num_heads, self.qk_embed_dim, h_kv * w_kv)
        if (np.sum(self.attention_type) == 1) and self.attention_type[2]:
            bias = self.appearance_bias.view(1, num_heads, 1, self.qk_embed_dim)
            bias = bias.repeat(n, 1, 1, 1)
            energy = torch.matmul(bias, proj_key).view(n, num_heads, 1, h_kv * w_kv)
            h = 1
            w = 1
        else:
            energy = x_input.new_zeros(n, num_heads, h * w, h_kv * w_kv)
            if self.attention_type[0]:
                proj_query = self.query_conv(x_input)
                proj_query = proj_query.view(n, num_heads, self.qk_embed_dim, h * w)
                energy += torch.matmul(proj_query.permute(0, 1, 3, 2), proj_key)
            if self.attention_type[2]:
                bias = self.appearance_bias.view(1, num_heads, 1, self.qk_embed_dim)
                energy += torch.matmul(bias, proj_key)
        attention = F.softmax(energy, 3)
        value = self.value_conv(x_kv).view(n, num_heads, self.v_dim, h_kv * w_kv)
        out = torch.matmul(attention, value.permute(0, 1, 3, 2))
        out = out.permute(0, 1, 3, 2).contiguous().view(n, num_heads * self.v_dim, h, w)
        return self.gamma * self.proj_conv(out) + x_input


class TridentConv(nn.Module):
    """One weight, one dilation per branch; a list of tensors in and out."""

    def __init__(
        self, channels: int, dilations: tuple[int, ...], test_branch_idx: int
    ) -> None:
        super().__init__()
        self.num_branch = len(dilations)
        self.test_branch_idx = test_branch_idx
        self.dilations = dilations
        self.paddings = dilations
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = None
        nn.init.kaiming_normal_(self.weight)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        if self.training or self.test_branch_idx == -1:
            outputs = [
                F.conv2d(x, self.weight, self.bias, 1, padding, dilation)
                for x, dilation, padding in zip(
                    inputs, self.dilations, self.paddings, strict=True
                )
            ]
        else:
            assert len(inputs) == 1
            at = self.test_branch_idx
            padding, dilation = self.paddings[at], self.dilations[at]
            outputs = [
                F.conv2d(inputs[0], self.weight, self.bias, 1, padding, dilation)
            ]
        return outputs


class Bottleneck(nn.Module):
    """A bottleneck whose norms and plugins are found by their names."""

    expansion = 4

    def __init__(
        self, cin: int, width: int, stride: int, plugins: list[dict[str, Any]]
    ) -> None:
        super().__init__()
        out = width * self.expansion
        self.norm1_name, self.norm2_name, self.norm3_name = "bn1", "bn2", "bn3"
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.add_module(self.norm1_name, nn.BatchNorm2d(width))
        self.conv2: nn.Module = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.add_module(self.norm2_name, nn.BatchNorm2d(width))
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.add_module(self.norm3_name, nn.BatchNorm2d(out))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        self.after_conv2_plugin_names = self.make_block_plugins(width, plugins)

    def make_block_plugins(self, width: int, plugins: list[dict[str, Any]]) -> Any:
        """Add the plugins as modules and return their names."""
        names = []
        for i, plugin in enumerate(plugins):
            name = f"{plugin['type']}{i}"
            self.add_module(name, GeneralizedAttention(width, **plugin["args"]))
            names.append(name)
        return names

    def forward_plugin(self, x: Tensor, plugin_names: list[str]) -> Tensor:
        """Apply the plugins of these names."""
        out = x
        for name in plugin_names:
            out = getattr(self, name)(out)
        return out

    @property
    def norm1(self) -> Any:
        """The norm behind the first convolution."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> Any:
        """The norm behind the second convolution."""
        return getattr(self, self.norm2_name)

    @property
    def norm3(self) -> Any:
        """The norm behind the third convolution."""
        return getattr(self, self.norm3_name)

    def forward(self, x: Any) -> Any:
        identity = x
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        if self.after_conv2_plugin_names:
            out = self.forward_plugin(out, self.after_conv2_plugin_names)
        out = self.norm3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class TridentBottleneck(Bottleneck):
    """A bottleneck on a list of branches."""

    def __init__(
        self,
        cin: int,
        width: int,
        plugins: list[dict[str, Any]],
        dilations: tuple[int, ...],
        test_branch_idx: int,
        concat_output: bool,
    ) -> None:
        super().__init__(cin, width, 1, plugins)
        self.num_branch = len(dilations)
        self.test_branch_idx = test_branch_idx
        self.concat_output = concat_output
        self.conv2 = TridentConv(width, dilations, test_branch_idx)

    def forward(self, x: Any) -> Any:
        num_branch = (
            self.num_branch if self.training or self.test_branch_idx == -1 else 1
        )
        identity = x
        if not isinstance(x, list):
            x = [x] * num_branch
            identity = x
            if self.downsample is not None:
                identity = [self.downsample(b) for b in x]

        def _inner_forward(x: list[Tensor]) -> list[Tensor]:
            out = [self.relu(self.norm1(self.conv1(b))) for b in x]
            out = self.conv2(out)
            out = [self.relu(self.norm2(b)) for b in out]
            if self.after_conv2_plugin_names:
                for k in range(len(out)):
                    out[k] = self.forward_plugin(out[k], self.after_conv2_plugin_names)
            out = [self.norm3(self.conv3(b)) for b in out]
            return [b + i for b, i in zip(out, identity, strict=True)]

        out = _inner_forward(x)
        out = [self.relu(b) for b in out]
        if self.concat_output:
            out = torch.cat(out, dim=0)
        return out


class TridentResNet(nn.Module):
    """The backbone.

    Args:
        width: channels of the stem.
        depths: blocks per stage; the last stage is the one with branches.
        heads: of the attention.
    """

    def __init__(self, width: int, depths: tuple[int, ...], heads: int) -> None:
        super().__init__()
        attention = {"heads": heads, "kv_stride": 2, "attention_type": "0010"}
        plugins = [{"type": "gen_attention_block", "args": attention}]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.norm1_name = "bn1"
        self.add_module(self.norm1_name, nn.BatchNorm2d(width))
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.res_layers: list[str] = []
        cin = width
        for i, depth in enumerate(depths):
            planes = width * 2**i
            blocks: list[nn.Module] = []
            for j in range(depth):
                stride = 2 if i and not j else 1
                if i == len(depths) - 1 and j:
                    last = j == depth - 1
                    blocks.append(
                        TridentBottleneck(cin, planes, plugins, (1, 2, 3), 1, last)
                    )
                else:
                    blocks.append(Bottleneck(cin, planes, stride, plugins))
                cin = planes * Bottleneck.expansion
            name = f"layer{i + 1}"
            self.add_module(name, nn.Sequential(*blocks))
            self.res_layers.append(name)
        self.out_indices = (len(depths) - 1,)

    @property
    def norm1(self) -> Any:
        """The norm of the stem."""
        return getattr(self, self.norm1_name)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.norm1(self.conv1(x))))
        outs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    return TridentResNet(8, (1, 1, 2), 2) if small else TridentResNet(64, (3, 4, 6), 8)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images."""
    size = 32 if small else 224
    return (torch.randn(batch, 3, size, size, generator=g),), {}
