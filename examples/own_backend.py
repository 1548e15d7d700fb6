"""A backend is a function of a graph and example inputs that returns a callable."""

import torch

import magpy

seen = []


def count_operations(graph, inputs):
    seen.append(sum(node.op.startswith("call_") for node in graph.graph.nodes))
    return graph.forward


def program(x, y):
    return (x @ y).relu() + 1


fast = magpy.compile(program, backend=count_operations)
x = torch.randn(3, 3)
for _ in range(3):
    torch.testing.assert_close(fast(x, x), program(x, x))

assert seen == [3]
print(f"{seen[0]} operations in one graph")
