"""Compile the forward pass of a model and train it; the optimizer stays as it is."""

import torch

import magpy

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
)
fast = magpy.compile(model, backend="eager")
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

x = torch.randn(32, 8)
y = x.sum(1, keepdim=True)
losses = []
for _ in range(50):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(fast(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

assert losses[-1] < losses[0] / 4
assert magpy.stats(fast)["hits"] >= 48
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
