"""Sizes and numbers that are swept: encoders, images, training, arguments, counters."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from magpy_experiments.dynamic.case import Case, Compile


def _shapes(count: int, batch: int, length: int) -> list[tuple[int, int]]:
    draw = random.Random(0)
    return [(draw.randint(2, batch), draw.randint(2, length)) for _ in range(count)]


def _encoder(count: int, compile_: Compile) -> Iterator[Any]:
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = BertConfig(vocab_size=128, num_attention_heads=4, **sizes)
    model = compile_(BertModel(config).eval())
    with torch.no_grad():
        for batch, length in _shapes(count, 8, 96):
            ids = torch.randint(0, 128, (batch, length))
            mask = (torch.rand(batch, length) > 0.1).long()
            yield model(ids, attention_mask=mask).last_hidden_state


def _images(count: int, compile_: Compile) -> Iterator[Any]:
    from magpy_experiments.models.zoo import BasicBlock, ResNet

    torch.manual_seed(1)
    model = compile_(ResNet(BasicBlock, [1, 1, 1, 1], 16, 10).eval())
    with torch.no_grad():
        for k in range(count):
            yield model(torch.randn(1, 3, 48 + 8 * (k % 6), 40 + 4 * k))


class Block(nn.Module):
    """A decoder layer as GPT has them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then compute."""
        batch, length, width = x.shape
        parts = self.mix(self.first(x)).split(width, dim=2)
        q, k, v = (
            p.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for p in parts
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.second(x))


class Decoder(nn.Module):
    """A small GPT with its loss."""

    def __init__(self, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.tokens = nn.Embedding(64, width)
        self.places = nn.Embedding(256, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(layers))
        self.head = nn.Linear(width, 64)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the loss of predicting the next token."""
        places = torch.arange(ids.shape[1] - 1, device=ids.device)
        x = self.tokens(ids[:, :-1]) + self.places(places)
        for block in self.blocks:
            x = block(x)
        logits = self.head(x)
        targets = ids[:, 1:].reshape(-1)
        return nn.functional.cross_entropy(
            logits.reshape(targets.shape[0], -1), targets
        )


def _training(count: int, compile_: Compile) -> Iterator[Any]:
    torch.manual_seed(1)
    model = Decoder()
    step = compile_(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for k in range(count):
        loss = step(torch.randint(0, 64, (4, 8 + 3 * (k * 7 % count))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.detach().clone(), model.head.weight.grad.clone()


def _epochs(epochs: int, compile_: Compile) -> Iterator[Any]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    step = compile_(model)
    data = torch.randn(70, 8)
    for _ in range(epochs):
        for batch in data.split(16):  # the last one is smaller
            loss = step(batch).square().mean()
            model.zero_grad()
            loss.backward()
            yield loss.detach().clone(), model[0].weight.grad.clone()


def _scaled(x: Tensor, n: Any) -> Tensor:
    return (x * n).relu() + n


def _argument(values: list[Any], compile_: Compile) -> Iterator[Any]:
    fast = compile_(_scaled)
    x = torch.arange(6.0).reshape(2, 3)
    for value in values:
        yield fast(x, value)


def _length(count: int, compile_: Compile) -> Iterator[Any]:
    def first(x: Tensor, n: int) -> Tensor:
        return x[:, :n].sum(1) + n // 2

    fast = compile_(first)
    x = torch.arange(300.0).reshape(2, 150)
    for n in range(2, count + 2):
        yield fast(x, n)


class Counting(nn.Module):
    """Counts its calls, as many modules do."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Count, and warm up."""
        self.calls += 1
        return self.linear(x) * (1.0 - 1.0 / (self.calls + 1))


def _counter(count: int, compile_: Compile) -> Iterator[Any]:
    torch.manual_seed(1)
    model = Counting()
    fast = compile_(model)
    with torch.no_grad():
        for _ in range(count):
            yield fast(torch.ones(2, 3)), model.calls


def _schedule(count: int, compile_: Compile) -> Iterator[Any]:
    class Schedule:
        rate = 1.0

        def __call__(self, x: Tensor) -> Tensor:
            return x - self.rate * x.sign()

    schedule = Schedule()
    fast = compile_(schedule)
    x = torch.linspace(-1, 1, 5)
    for _ in range(count):
        schedule.rate *= 0.97
        yield fast(x)


def _decode(count: int, compile_: Compile) -> Iterator[Any]:
    """A decode loop written by hand: the cache grows by one at each call."""

    def attend(q: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        keys = torch.cat([keys, q * 0.5], dim=1)
        values = torch.cat([values, q + 1], dim=1)
        weights = (q @ keys.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        return weights @ values, keys, values

    torch.manual_seed(1)
    fast = compile_(attend)
    keys = values = torch.randn(2, 4, 8)
    for _ in range(count):
        out, keys, values = fast(torch.randn(2, 1, 8), keys, values)
        yield out, keys


def cases(quick: bool) -> list[Case]:
    """Return all of them; quick: fewer calls."""
    many, some = (20, 8) if quick else (100, 30)
    part = functools.partial
    floats = [0.5 + k / 7 for k in range(many)]
    return [
        Case(f"encoder, {many} shapes", part(_encoder, many), most=3, eager=1),
        Case(f"conv net, {some} image sizes", part(_images, some), most=3),
        Case(f"GPT training, {some} lengths", part(_training, some), most=3),
        Case("last batch of an epoch smaller", part(_epochs, 4), most=3),
        Case("decode loop by hand", part(_decode, many), most=3),
        Case("int argument", part(_argument, [*range(many)]), most=2, numbers=True),
        Case("float argument", part(_argument, floats), most=2, numbers=True),
        Case("int argument that slices", part(_length, many), most=3),
        Case("step counter on the module", part(_counter, many), most=2, numbers=True),
        Case("rate of a schedule", part(_schedule, many), most=2, numbers=True),
    ]
