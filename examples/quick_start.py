"""Compile a module, call it, ask what happened."""

import torch

import magpy

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU()).eval()
fast = magpy.compile(model, backend="eager")  # without it: Inductor, as torch.compile

with torch.no_grad():
    x = torch.randn(8, 64)
    fast(x)  # recorded: this is your call, run as it is
    torch.testing.assert_close(fast(x), model(x))

assert magpy.stats(fast)["hits"] == 1
print(magpy.explain(model)(x))
