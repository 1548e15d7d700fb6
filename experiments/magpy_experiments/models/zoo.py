"""Model definitions shared by tests and benchmarks: no weights, no downloads.

Every entry of OWN and HUGGING_FACE is a `Spec`: it builds a module with random weights
and makes inputs from a number, so that two calls give equal but separate tensors.  It
keeps the structure of the real model (depth, branches, odd Python) at a toy width.

The vision models are written in the style of well-known public code, because that style
is what has to work: Sequential subclasses with star arguments, factories that return
closures, modules found by name, tensors stored on self, sizes computed with numpy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.1  # read by U-Net and MonoDepth: a global that tests change
TEMPERATURE = 1.0  # read by the classifiers' heads

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Spec:
    make: Callable[[], nn.Module]
    make_inputs: Callable[[torch.Generator], Inputs]
    uses_global: str | None = None  # name of a constant above that forward reads

    def module(self, seed: int = 0) -> nn.Module:
        """In eval mode, with weights that depend on the seed only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make().eval()

    def inputs(self, seed: int = 0) -> Inputs:
        return self.make_inputs(torch.Generator().manual_seed(seed))


# -- ResNet ---------------------------------------------------------------------------


def conv3x3(cin: int, cout: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 3, stride, dilation, dilation=dilation, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, cin: int, width: int, stride: int, downsample: Any) -> None:
        super().__init__()
        self.conv1 = conv3x3(cin, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, cin: int, width: int, stride: int, downsample: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, block: Any, depths: list[int], width: int, classes: int) -> None:
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._make_layer(block, width, depths[0], 1)
        self.layer2 = self._make_layer(block, width * 2, depths[1], 2)
        self.layer3 = self._make_layer(block, width * 4, depths[2], 2)
        self.layer4 = self._make_layer(block, width * 8, depths[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width * 8 * block.expansion, classes)

    def _make_layer(self, block: Any, width: int, n: int, stride: int) -> nn.Sequential:
        out = width * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, out, 1, stride, bias=False),
                nn.BatchNorm2d(out),
            )
        layers = [block(self.inplanes, width, stride, downsample)]
        self.inplanes = out
        layers += [block(out, width, 1, None) for _ in range(1, n)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x) / TEMPERATURE


# -- DenseNet -------------------------------------------------------------------------


def bn_function_factory(
    norm: nn.Module, relu: nn.Module, conv: nn.Module
) -> Callable[..., Any]:
    def bn_function(*inputs: Tensor) -> Tensor:
        return conv(relu(norm(torch.cat(inputs, 1))))

    return bn_function


class DenseLayer(nn.Sequential):
    def __init__(self, cin: int, growth: int, bn_size: int, drop: float) -> None:
        super().__init__()
        self.add_module("norm1", nn.BatchNorm2d(cin))
        self.add_module("relu1", nn.ReLU(inplace=True))
        self.add_module("conv1", nn.Conv2d(cin, bn_size * growth, 1, bias=False))
        self.add_module("norm2", nn.BatchNorm2d(bn_size * growth))
        self.add_module("relu2", nn.ReLU(inplace=True))
        self.add_module("conv2", conv3x3(bn_size * growth, growth))
        self.drop_rate = drop
        self.efficient = False

    def forward(self, *prev_features: Tensor) -> Tensor:
        bn_function = bn_function_factory(self.norm1, self.relu1, self.conv1)
        if self.efficient and any(prev.requires_grad for prev in prev_features):
            raise NotImplementedError("recomputation is not part of this model")
        features = self.conv2(self.relu2(self.norm2(bn_function(*prev_features))))
        if self.drop_rate > 0:
            features = F.dropout(features, p=self.drop_rate, training=self.training)
        return features


class DenseBlock(nn.Module):
    def __init__(self, n: int, cin: int, bn_size: int, growth: int) -> None:
        super().__init__()
        for i in range(n):
            layer = DenseLayer(cin + i * growth, growth, bn_size, 0.0)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for _name, layer in self.named_children():
            features.append(layer(*features))
        return torch.cat(features, 1)


class DenseTransition(nn.Sequential):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(cin))
        self.add_module("relu", nn.ReLU(inplace=True))
        self.add_module("conv", nn.Conv2d(cin, cout, 1, bias=False))
        self.add_module("pool", nn.AvgPool2d(2, 2))


class DenseNet(nn.Module):
    def __init__(
        self, growth: int, blocks: tuple[int, ...], init: int, classes: int
    ) -> None:
        super().__init__()
        stem = [
            ("conv0", nn.Conv2d(3, init, 7, 2, 3, bias=False)),
            ("norm0", nn.BatchNorm2d(init)),
            ("relu0", nn.ReLU(inplace=True)),
            ("pool0", nn.MaxPool2d(3, 2, 1)),
        ]
        self.features = nn.Sequential(OrderedDict(stem))
        channels = init
        for i, n in enumerate(blocks):
            block = DenseBlock(n, channels, 4, growth)
            self.features.add_module(f"denseblock{i + 1}", block)
            channels += n * growth
            if i != len(blocks) - 1:
                transition = DenseTransition(channels, channels // 2)
                self.features.add_module(f"transition{i + 1}", transition)
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1)).view(features.size(0), -1)
        return self.classifier(out) / TEMPERATURE


# -- MonoDepth ------------------------------------------------------------------------


class PaddedConv(nn.Module):
    """Convolution whose padding is worked out with numpy in forward."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel_size = kernel
        self.conv_base = nn.Conv2d(cin, cout, kernel, stride)
        self.normalize = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        p = int(np.floor((self.kernel_size - 1) / 2))
        x = self.conv_base(F.pad(x, (p, p, p, p)))
        return F.elu(self.normalize(x), inplace=True)


class PaddedPool(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel_size = kernel

    def forward(self, x: Tensor) -> Tensor:
        p = int(np.floor((self.kernel_size - 1) / 2))
        return F.max_pool2d(F.pad(x, (p, p, p, p)), self.kernel_size, stride=2)


class UpConv(nn.Module):
    def __init__(self, cin: int, cout: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = PaddedConv(cin, cout, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(
            x, scale_factor=self.scale, mode="bilinear", align_corners=True
        )
        return self.conv1(up)


class GetDisparity(nn.Module):
    def __init__(self, cin: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, 2, 3)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.pad(x, (1, 1, 1, 1)))
        return 0.3 * self.sigmoid(F.leaky_relu(x, LEAK))


class MonoDepth(nn.Module):
    """Encoder-decoder that keeps its disparities and skips on self."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = width
        self.conv1 = PaddedConv(3, w, 7, 2)
        self.pool1 = PaddedPool(3)
        self.conv2 = PaddedConv(w, 2 * w, 3, 2)
        self.conv3 = PaddedConv(2 * w, 4 * w, 3, 2)
        self.upconv4 = UpConv(4 * w, 4 * w)
        self.iconv4 = PaddedConv(6 * w, 4 * w, 3, 1)
        self.disp4_layer = GetDisparity(4 * w)
        self.upconv3 = UpConv(4 * w, 2 * w)
        self.iconv3 = PaddedConv(3 * w + 2, 2 * w, 3, 1)
        self.disp3_layer = GetDisparity(2 * w)
        self.upconv2 = UpConv(2 * w, w)
        self.iconv2 = PaddedConv(2 * w + 2, w, 3, 1)
        self.disp2_layer = GetDisparity(w)
        self.upconv1 = UpConv(w, w)
        self.iconv1 = PaddedConv(w + 2, w, 3, 1)
        self.disp1_layer = GetDisparity(w)

    def upsample(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.x1 = self.conv1(x)
        self.x_pool1 = self.pool1(self.x1)
        self.x2 = self.conv2(self.x_pool1)
        x3 = self.conv3(self.x2)
        up4 = self.iconv4(torch.cat((self.upconv4(x3), self.x2), 1))
        self.disp4 = self.disp4_layer(up4)
        cat3 = (self.upconv3(up4), self.x_pool1, self.upsample(self.disp4))
        up3 = self.iconv3(torch.cat(cat3, 1))
        self.disp3 = self.disp3_layer(up3)
        cat2 = (self.upconv2(up3), self.x1, self.upsample(self.disp3))
        up2 = self.iconv2(torch.cat(cat2, 1))
        self.disp2 = self.disp2_layer(up2)
        up1 = self.iconv1(torch.cat((self.upconv1(up2), self.upsample(self.disp2)), 1))
        self.disp1 = self.disp1_layer(up1)
        return self.disp1, self.disp2, self.disp3, self.disp4


# -- TridentNet -----------------------------------------------------------------------


class TridentConv(nn.Module):
    """One weight, one dilation per branch; a list of tensors in and out."""

    def __init__(self, channels: int, dilations: tuple[int, ...], test: int) -> None:
        super().__init__()
        self.num_branch = len(dilations)
        self.test_branch_idx = test
        self.paddings = dilations
        self.dilations = dilations
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) * 0.1)
        self.bias = None

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        if self.training or self.test_branch_idx == -1:
            return [
                F.conv2d(x, self.weight, self.bias, 1, padding, dilation)
                for x, dilation, padding in zip(
                    inputs, self.dilations, self.paddings, strict=True
                )
            ]
        at = self.test_branch_idx
        assert len(inputs) == 1
        outputs = [None]
        outputs[0] = F.conv2d(
            inputs[0], self.weight, self.bias, 1, self.paddings[at], self.dilations[at]
        )
        return outputs


class SpatialAttention(nn.Module):
    def __init__(self, channels: int, heads: int, attention: str) -> None:
        super().__init__()
        self.heads = heads
        self.attention_type = [bool(int(flag)) for flag in attention]
        self.key_conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.value_conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.appearance_bias = nn.Parameter(torch.randn(heads * channels // heads))
        self.gamma = nn.Parameter(torch.zeros(1) + 0.1)

    def forward(self, x: Tensor) -> Tensor:
        if int(np.sum(self.attention_type)) == 0:
            return x
        n, c, h, w = x.shape
        value = self.value_conv(x).view(n, self.heads, c // self.heads, h * w)
        weight = x.new_zeros(n, self.heads, 1, h * w)
        if self.attention_type[2]:
            key = self.key_conv(x).view(n, self.heads, c // self.heads, h * w)
            bias = self.appearance_bias.view(1, self.heads, 1, c // self.heads)
            weight = weight + torch.matmul(bias, key)
        weight = F.softmax(weight, dim=-1)
        out = (value * weight).sum(-1).view(n, c, 1, 1)
        return self.gamma * out + x


class TridentBlock(nn.Module):
    def __init__(
        self, channels: int, dilations: tuple[int, ...], test: int, plugins: Any
    ) -> None:
        super().__init__()
        self.norm1_name, self.norm2_name = "bn1", "bn2"
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.add_module(self.norm1_name, nn.BatchNorm2d(channels))
        self.conv2 = TridentConv(channels, dilations, test)
        self.add_module(self.norm2_name, nn.BatchNorm2d(channels))
        self.relu = nn.ReLU(inplace=True)
        self.num_branch = len(dilations)
        self.test_branch_idx = test
        self.concat_output = False
        self.plugin_names = []
        for i, plugin in enumerate(plugins):
            name = f"{plugin['type']}{i}"
            self.add_module(name, SpatialAttention(channels, **plugin["args"]))
            self.plugin_names.append(name)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        return getattr(self, self.norm2_name)

    def forward_plugin(self, x: Tensor, names: list[str]) -> Tensor:
        out = x
        for name in names:
            out = getattr(self, name)(out)
        return out

    def forward(self, x: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        num_branch = (
            self.num_branch if self.training or self.test_branch_idx == -1 else 1
        )
        identity = x
        if not isinstance(x, list):
            x = [x] * num_branch
            identity = x

        def inner_forward(xs: list[Tensor]) -> list[Tensor]:
            out = [self.relu(self.norm1(self.conv1(b))) for b in xs]
            out = self.conv2(out)
            out = [self.relu(self.norm2(b)) for b in out]
            if self.plugin_names:
                for k in range(len(out)):
                    out[k] = self.forward_plugin(out[k], self.plugin_names)
            return [b + i for b, i in zip(out, identity, strict=True)]

        out = inner_forward(x)
        out = [self.relu(b) for b in out]
        if self.concat_output:
            out = torch.cat(out, dim=0)
        return out


class TridentNet(nn.Module):
    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv3x3(3, width, 2), nn.BatchNorm2d(width))
        plugin = {"type": "attention", "args": {"heads": 2, "attention": "0010"}}
        self.res_layers = []
        for i, n in enumerate(depths):
            last = i == len(depths) - 1
            layer = nn.Sequential(
                *[TridentBlock(width, (1, 2, 3), 1, [plugin]) for _ in range(n)]
            )
            if last:
                layer[-1].concat_output = True
            name = f"layer{i + 1}"
            self.add_module(name, layer)
            self.res_layers.append(name)
        self.out_indices = (len(depths) - 2, len(depths) - 1)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        x = F.relu(self.stem(x))
        outs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


# -- U-Net ----------------------------------------------------------------------------


class DoubleConv(nn.Module):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([conv3x3(cin, cout), conv3x3(cout, cout)])
        self.norms = nn.ModuleList([nn.GroupNorm(2, cout) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK)
        return x


class UNet(nn.Module):
    def __init__(self, width: int, depth: int, classes: int) -> None:
        super().__init__()
        sizes = [width * 2**i for i in range(depth)]
        self.down = nn.ModuleList(
            [DoubleConv(a, b) for a, b in zip([3, *sizes], sizes, strict=False)]
        )
        self.middle = DoubleConv(sizes[-1], sizes[-1] * 2)
        self.up = nn.ModuleDict()
        for i, size in enumerate(reversed(sizes)):
            self.up[f"up{i}"] = nn.ConvTranspose2d(size * 2, size, 2, 2)
            self.up[f"conv{i}"] = DoubleConv(size * 2, size)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for i, skip in enumerate(reversed(skips)):
            x = self.up[f"up{i}"](x)
            if x.shape[-2:] != skip.shape[-2:]:
                x = F.interpolate(x, size=skip.shape[-2:])
            x = self.up[f"conv{i}"](torch.cat([skip, x], dim=1))
        return {"logits": self.head(x), "features": x}


# -- Recurrent ------------------------------------------------------------------------


class LSTMTagger(nn.Module):
    def __init__(self, vocab: int, hidden: int, tags: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        self.lstm = nn.LSTM(hidden, hidden, 2, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(hidden * 2, tags)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if hasattr(self, "projection"):
            ids = self.projection(ids)
        out, (h, c) = self.lstm(self.embed(ids), state)
        return F.log_softmax(self.tag(out) / TEMPERATURE, dim=-1), (h, c)


class GRUEncoder(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, num_layers=2)
        self.cell = nn.GRUCell(hidden, hidden)
        self.scale = 0.001

    def forward(self, x: Tensor) -> dict[str, Any]:
        out, last = self.gru(x)
        h = last[-1]
        steps = []
        for t in range(out.size(0)):
            h = self.cell(out[t], h)
            steps.append(h)
        return {"steps": torch.stack(steps), "last": h * self.scale}


class HandWrittenLSTM(nn.Module):
    """Layers in a plain list, states in lists that are written slot by slot."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            [nn.Linear(size * 2, size * 4) for _ in range(layers)]
        )
        self.size = size

    def step(self, cell: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = cell(torch.cat([x, h], 1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        batch = inputs.size(1)
        hs = [inputs.new_zeros(batch, self.size) for _ in self.cells]
        cs = [inputs.new_zeros(batch, self.size) for _ in self.cells]
        for t in range(inputs.shape[0]):
            x = inputs[t]
            for k, cell in enumerate(self.cells):
                hs[k], cs[k] = self.step(cell, x, hs[k], cs[k])
                x = hs[k]
        return x, hs


# -- Transformers ---------------------------------------------------------------------


class EncoderClassifier(nn.Module):
    def __init__(self, size: int, heads: int, layers: int, classes: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(size, heads, size * 2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.register_buffer("positions", torch.randn(1, 64, size) * 0.02)
        self.head = nn.Linear(size, classes)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        x = x + self.positions[:, : x.size(1)]
        x = self.encoder(x, src_key_padding_mask=padding)
        return self.head(x.mean(dim=1)) / TEMPERATURE


def hugging_face(name: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        return getattr(transformers, name)(getattr(transformers, config)(**options))

    return make


def images(batch: int, size: int) -> Callable[[torch.Generator], Inputs]:
    return lambda g: ((torch.randn(batch, 3, size, size, generator=g),), {})


def floats(*shape: int) -> Callable[[torch.Generator], Inputs]:
    return lambda g: ((torch.randn(*shape, generator=g),), {})


def tokens(
    batch: int, length: int, vocab: int, **extra: Any
) -> Callable[[torch.Generator], Inputs]:
    """Ids and a mask that leaves out the end of the last row."""

    def make(g: torch.Generator) -> Inputs:
        mask = torch.ones(batch, length, dtype=torch.long)
        mask[-1, length - length // 4 :] = 0
        ids = torch.randint(3, vocab, (batch, length), generator=g)
        return (), {"input_ids": ids, "attention_mask": mask, **extra}

    return make


def tokens_and_image(
    batch: int, length: int, vocab: int, size: int, **extra: Any
) -> Callable[[torch.Generator], Inputs]:
    def make(g: torch.Generator) -> Inputs:
        _, kwargs = tokens(batch, length, vocab, **extra)(g)
        kwargs["pixel_values"] = torch.randn(batch, 3, size, size, generator=g)
        return (), kwargs

    return make


_TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_GPT2 = {
    "vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64,
    "bos_token_id": 1, "eos_token_id": 2, "use_cache": False,
}  # fmt: skip
_BART = {
    "vocab_size": 100, "d_model": 32, "max_position_embeddings": 64,
    "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64,
    "use_cache": False,
}  # fmt: skip
_T5 = {
    "vocab_size": 100, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2,
    "num_heads": 2,
}  # fmt: skip
_DEBERTA = {
    **_TEXT,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "max_relative_positions": 32,
}
_CLIP_TEXT = {**_TEXT, "eos_token_id": 99, "bos_token_id": 98, "pad_token_id": 1}
_ALIGN_VISION = {
    "image_size": 32,
    "width_coefficient": 0.25,
    "depth_coefficient": 0.2,
    "hidden_dim": 32,
    "initializer_range": 0.3,  # the default makes this narrow model vanish
}
_LLAMA = {**_TEXT, "num_key_value_heads": 1, "use_cache": False}

OWN: dict[str, Spec] = {
    "resnet18": Spec(
        lambda: ResNet(BasicBlock, [2, 2, 2, 2], 8, 10), images(2, 32), "TEMPERATURE"
    ),
    "resnet101": Spec(
        lambda: ResNet(Bottleneck, [3, 4, 23, 3], 4, 10), images(2, 32), "TEMPERATURE"
    ),
    "densenet121": Spec(
        lambda: DenseNet(4, (6, 12, 24, 16), 8, 10), images(2, 32), "TEMPERATURE"
    ),
    "monodepth": Spec(lambda: MonoDepth(4), images(1, 32), "LEAK"),
    "tridentnet": Spec(lambda: TridentNet(8, (2, 2, 1)), images(1, 32)),
    "unet": Spec(lambda: UNet(4, 3, 2), images(1, 36), "LEAK"),
    "lstm": Spec(
        lambda: LSTMTagger(50, 16, 5),
        lambda g: ((torch.randint(0, 50, (2, 6), generator=g),), {}),
        "TEMPERATURE",
    ),
    "gru": Spec(lambda: GRUEncoder(8, 16), floats(4, 2, 8)),
    "lstm_by_hand": Spec(lambda: HandWrittenLSTM(16, 3), floats(4, 2, 16)),
    "encoder": Spec(
        lambda: EncoderClassifier(32, 2, 2, 5), floats(2, 8, 32), "TEMPERATURE"
    ),
    "encoder_masked": Spec(
        lambda: EncoderClassifier(32, 2, 2, 5),
        lambda g: (
            (torch.randn(2, 8, 32, generator=g),),
            {"padding": torch.tensor([[False] * 8, [False] * 5 + [True] * 3])},
        ),
        "TEMPERATURE",
    ),
}  # fmt: skip

HUGGING_FACE: dict[str, Spec] = {
    "bert": Spec(hugging_face("BertModel", "BertConfig", **_TEXT), tokens(2, 12, 100)),
    "deberta": Spec(
        hugging_face("DebertaModel", "DebertaConfig", **_DEBERTA), tokens(2, 12, 100)
    ),
    "gpt2": Spec(hugging_face("GPT2Model", "GPT2Config", **_GPT2), tokens(2, 12, 100)),
    "t5": Spec(hugging_face("T5EncoderModel", "T5Config", **_T5), tokens(2, 12, 100)),
    "bart": Spec(hugging_face("BartModel", "BartConfig", **_BART), tokens(2, 12, 100)),
    "vit": Spec(hugging_face("ViTModel", "ViTConfig", **_VISION), images(2, 32)),
    "clip": Spec(
        hugging_face(
            "CLIPModel", "CLIPConfig", text_config=_CLIP_TEXT, vision_config=_VISION
        ),
        tokens_and_image(2, 12, 98, 32),
    ),
    "align": Spec(
        hugging_face(
            "AlignModel",
            "AlignConfig",
            text_config=_TEXT,
            vision_config=_ALIGN_VISION,
            projection_dim=80,
        ),
        tokens_and_image(2, 12, 100, 32),
    ),
    "llama": Spec(
        hugging_face("LlamaModel", "LlamaConfig", **_LLAMA), tokens(2, 12, 100)
    ),
}
