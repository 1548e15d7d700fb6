"""Find out where and why a program is not one graph."""

import torch

import magpy


def clip(x):
    if x.sum() > 0:  # asks for a value of a tensor
        return x + 1
    return x


def whole(x):
    return torch.where(x.sum() > 0, x + 1, x)


(found,) = magpy.explain(clip)(torch.ones(3)).breaks
print(found)
assert not magpy.explain(whole)(torch.ones(3)).breaks

try:
    magpy.compile(clip, backend="eager", fullgraph=True)(torch.ones(3))
except magpy.Unsupported as error:
    print(f"fullgraph=True raises: {error}")
else:
    raise AssertionError("it is not one graph")
