"""LSTM written by hand: loops over time and layers, state in lists, copied in place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs


class LSTMCell(nn.Module):
    """One cell; a weight for each gate."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        scale = hidden**-0.5
        for gate in "ifoc":
            for source, width in (("ih", inputs), ("hh", hidden)):
                weight = nn.Parameter(torch.randn(width, hidden) * scale)
                setattr(self, f"weight_{source}_{gate}", weight)
        self.bias_ih = nn.ParameterList([torch.randn(hidden) * scale for _ in range(4)])
        self.bias_hh = nn.ParameterList([torch.randn(hidden) * scale for _ in range(4)])

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = []
        for k, gate in enumerate("ifoc"):
            ih = torch.matmul(x, getattr(self, f"weight_ih_{gate}")) + self.bias_ih[k]
            hh = torch.matmul(h, getattr(self, f"weight_hh_{gate}")) + self.bias_hh[k]
            gates.append(ih + hh)
        i, f, o, g = gates
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class LSTM(nn.Module):
    """Several layers over a sequence (time, batch, features)."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([LSTMCell(size, size) for _ in range(layers)])
        self.num_layers = layers
        self.hidden_size = size

    def forward(self, inputs: Tensor) -> Tensor:
        batch = inputs.size(1)
        state_c = []
        state_h = []
        for _ in range(self.num_layers):
            state_c.append(inputs.new_zeros(batch, self.hidden_size))
            state_h.append(inputs.new_zeros(batch, self.hidden_size))
        x = inputs[0]
        for t in range(inputs.size(0)):
            x = inputs[t]
            for k in range(self.num_layers):
                h, c = self.layers[k](x, state_h[k], state_c[k])
                state_h[k].copy_(h)
                state_c[k].copy_(c)
                x = h
        return x


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    return LSTM(16, 2) if small else LSTM(256, 10)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return one sequence per row of the batch."""
    length, size = (6, 16) if small else (64, 256)
    return (torch.randn(length, batch, size, generator=g),), {}
