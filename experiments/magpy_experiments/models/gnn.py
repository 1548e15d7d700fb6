"""A network on graphs: messages along edges, attention among neighbours, a mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magpy_experiments.models.arguments import Inputs

_SIZES = {False: (1024, 8192, 64), True: (12, 40, 8)}  # nodes, edges, numbers of each


class Neighbours(nn.Module):
    """Attention of a node to those that have an edge to it (GAT)."""

    def __init__(self, before: int, after: int, heads: int) -> None:
        super().__init__()
        self.heads, self.each = heads, after // heads
        self.project = nn.Linear(before, after, bias=False)
        self.source = nn.Parameter(torch.randn(heads, self.each) * 0.1)
        self.target = nn.Parameter(torch.randn(heads, self.each) * 0.1)
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Answer as many nodes."""
        come, go = edges
        n = x.size(0)
        x = self.project(x).view(n, self.heads, self.each)
        score = (x * self.source).sum(-1)[come] + (x * self.target).sum(-1)[go]
        score = F.leaky_relu(score, 0.2)
        index = go[:, None].expand_as(score)
        top = score.new_full((n, self.heads), float("-inf"))
        top = top.scatter_reduce(0, index, score.detach(), "amax")
        weight = (score - top[go]).exp()
        total = weight.new_zeros(n, self.heads).index_add(0, go, weight)
        message = x[come] * (weight / total[go])[..., None]
        out = torch.zeros_like(x).index_add_(0, go, message)
        return out.flatten(1) + self.bias


class GraphNetwork(nn.Module):
    """Says of each graph which of ten it is."""

    def __init__(self, before: int, size: int, heads: int, layers: int) -> None:
        super().__init__()
        widths = [before, *[size] * layers]
        self.layers = nn.ModuleList(
            [Neighbours(a, b, heads) for a, b in zip(widths, widths[1:], strict=False)]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(size) for _ in range(layers)])
        self.last = nn.Linear(size, 10)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Graphs of one size lie beside each other, and become one large graph."""
        graphs, nodes = x.shape[:2]
        first = torch.arange(graphs, device=x.device) * nodes
        joined = (edges + first[:, None, None]).transpose(0, 1).flatten(1)
        loops = torch.arange(graphs * nodes, device=x.device).expand(2, -1)
        joined = torch.cat([joined, loops], dim=1)
        h = x.flatten(0, 1)
        kept = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = F.elu(norm(layer(h, joined)))
            kept.append(h)
        h = torch.stack(kept).sum(0)
        return self.last(h.view(graphs, nodes, -1).mean(1))


def build(small: bool) -> nn.Module:
    """Return the model."""
    before = _SIZES[small][2]
    return GraphNetwork(before, *((16, 2, 2) if small else (256, 8, 4)))


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return graphs: what is known of nodes, and edges."""
    nodes, edges, numbers = _SIZES[small]
    return (
        torch.randn(batch, nodes, numbers, generator=g),
        torch.randint(nodes, (batch, 2, edges), generator=g),
    ), {}
