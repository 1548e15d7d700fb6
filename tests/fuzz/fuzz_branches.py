"""Rows of programs with branches on tensors, for `--control-flow`; see fuzz_tables.py.

What arms may do and what they may not stands side by side: a branch that is refused must
leave no trace either.
"""

from __future__ import annotations

from fuzz_tables import features

BRANCH_FEATURES = features(r"""
=== arms 0
steps = [1.0, -2.0, 0.5]
pairs = {'a': 1.0, 'b': -1.0}
seen = []
flag = torch.ones(2)
def either(z, k=1.0):
    if z.sum() > k:
        z = z * 2 - steps[0]
    else:
        z = z.sin() + k
    return z
def early(z):
    if z.max() > 2:
        return z / 2
    y = z.exp().clamp(max=9)
    if y.sum() < 3:
        return y - 1
    return y * pairs['a']
def chained(z):
    if z.sum() > 4:
        a, b = z * 2, z - 1
    elif z.sum() > 0:
        a, b = z + 1, z.abs()
    elif not z.min() > -3:
        a = z.neg()
        b = a.sum() * z
    else:
        b = z.cos()
        a = b * b
    return a + b * 3
def filled(z):
    b = torch.zeros(4, 3)
    for k in range(4):
        if z.sum() > k - 1:
            b[k] = z[0]
            z = z - b[k] / 2
        else:
            b[k].sub_(1)
    return z, b
def left(z, top=3):
    y = z * 1
    for i, s in enumerate(steps):
        if y.abs().sum() > top + i:
            break
        y = y * 2 + s
    else:
        y = y - 1
    return y
def left2(z):
    y = z * 1
    for s, k in zip(steps, range(4)):
        y = y + s
        if y.sum() > 1:
            continue
        for _ in reversed(steps):
            y = y + k
            if y.max() > 4:
                return y - 1
    return y * 2
def halves(z):
    n = 0
    y = z * 1
    while bool(y.abs().sum() > 2) and n < 4:
        y = y / 2
        n += 1
    return y * 3
def noted(z):
    y = z * 1
    if y.sum() > 0:
        seen.append(1)
        y = y + 1
    return y
def shared(z):
    y = z
    if z.sum() > 0:
        y = z.view(-1)[:6].view(2, 3)
    return y
def counted(z):
    n = 1
    if z.sum() > 0:
        n = 2
    return z * n
def both(z):
    y = z * 1
    other = y
    if z.sum() > 0:
        y = y + 1
    return y, other
def drawn(z):
    y = z * 2
    if z.sum() > 0:
        y = y + torch.rand(2, 3)
    return y, torch.rand(2)
def guarded(z):
    y = z * 1
    try:
        if z.sum() > 0:
            y = y + 1
        else:
            y = y.view(-1)[:5].view(2, 3)
    except RuntimeError:
        y = y - 5
    return y
def put(z):
    y = z * 1
    if y.sum() > 0:
        flag.add_(1)
        y = y * flag[0]
    return y
class Box:
    def __init__(self, z):
        self.z = z
    def go(self, z):
        self.z = z * 1
        if z.sum() > 0:
            return self.z + 1
        return self.z - 1
    def keep(self, z):
        if z.sum() > 0:
            self.z = z * 2
        return self.z * 1
bx = Box(fixed(2))
X|  either(@X)  early(@X)  chained(@X)  filled(@X)[0]  left(@X)  left2(@X)  halves(@X)
X|  either(@X, k=@I)  left(@X, top=@I)  noted(@X)  shared(@X)  counted(@X)  both(@X)[0]
X|  drawn(@X)[0]  guarded(@X)  put(@X)  bx.go(@X)  bx.keep(@X)  bx.z
X|  (@X if (@X).sum() > 0 else @X * 2)  (@X)[:, :3] if (@X).max() > 1 else (@X) - 1
B|  (@X).sum() > 0  (@X).max() > @I  ((@X) > 0).all()  bool((@X).mean() > 0)
B|  not (@X).sum() > 1  (@X).sum() > 0 and (@X).min() < 0
-|  t = either(@X)  t = early(t)  t = chained(@X)  t, u = both(@X)  t = left(t)
-|  t = left2(@X)  t = halves(@X)  t, o = filled(@X)  t = @X  u = @X  t = t * 2 - 1
-|  t = t + u; u = t * 2  t.add_(1)  t = t.clone(); t[0] = 1  i = 3  t.mul_(0.5)
-|  out.append(drawn(@X))  out.append(filled(@X))  out.append(both(t))  t = -t
H|  if (@X).sum() > 0:  if (t + 1).max() > @I:  if bool((@X).sum() > 0):
H|  for i in range(3):  for o in steps:  while bool(t.sum() > 9) and i < 3:
!|  steps[0] = 3.0  pairs['a'] = 0.5  either.__defaults__ = (2.0,)  bx.z = fixed(1) * 3
!|  w.neg_()  steps.append(1.5)  seen.clear()  v.mul_(-1)  flag.fill_(2)
""")
