"""Decoder of a translator: words one by one while the numbers say so, into a buffer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs

SOS, EOS = 1, 0


class Decoder(nn.Module):
    """LSTM decoder without attention, greedy."""

    def __init__(self, hidden: int, vocab: int, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length
        self.vocab_size = vocab
        self.embedding = nn.Embedding(vocab, hidden)
        scale = hidden**-0.5
        self.weight_ih = nn.Parameter(torch.randn(hidden, 4 * hidden) * scale)
        self.weight_hh = nn.Parameter(torch.randn(hidden, 4 * hidden) * scale)
        self.bias = nn.Parameter(torch.randn(4 * hidden) * scale)
        self.out = nn.Linear(hidden, vocab)

    def forward(
        self, encoder_output: Tensor, mask: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor]:
        batch = encoder_output.size(1)
        output_all = torch.zeros(
            self.max_length, batch, dtype=torch.int64, device=h.device
        )
        output = torch.full((batch,), SOS, dtype=torch.int64, device=h.device)
        h = h + (encoder_output * mask.unsqueeze(-1)).mean(0)
        step = 0
        cond = True
        while cond:
            x = self.embedding(output)
            gates = x @ self.weight_ih + h @ self.weight_hh + self.bias
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            output = self.out(h).argmax(1)
            output_all[step] = output
            step += 1
            cond = bool((output != EOS).any()) and step < self.max_length
        return output_all, h


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    return Decoder(16, 40, 6) if small else Decoder(256, 3797, 50)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return what an encoder has made of sentences of different lengths."""
    length, hidden = (6, 16) if small else (50, 256)
    encoded = torch.randn(length, batch, hidden, generator=g)
    ends = torch.randint(length // 2, length + 1, (batch,), generator=g)
    mask = (torch.arange(length).unsqueeze(1) < ends).float()
    state = torch.randn(2, batch, hidden, generator=g)
    return (encoded, mask, state[0].clone(), state[1].clone()), {}
