"""The productions of random tensor programs; see fuzz_tables.py for the format.

X is a tensor of shape (2, 3) by name or expression, W a tensor by name (written in
place), M a module.
"""

from __future__ import annotations

from fuzz_tables import features

TORCH_HEAD = """\
import collections, contextlib, copy, functools, itertools, math, operator, warnings
import torch
import torch.nn.functional as F
from torch import nn
def fixed(start):
    return torch.arange(start, start + 6, dtype=torch.float32).reshape(2, 3) / 4
"""
TORCH_CALLS = [
    "fixed(0), fixed(1)", "fixed(0)", "*[fixed(0)] * 2", "fixed(2), w",
    "fixed(1).t().contiguous().t(), v", "w, w", "fixed(1).requires_grad_()",
    "fixed(1).double(), fixed(2)", "x=fixed(3), y=fixed(1)", "*fixed(0).repeat(2, 1).chunk(2)",
    "base[:2], base[1:]", "base[:2], base[2:]",
]  # fmt: skip
_CAUGHT = """
def f(*args, **kw):
    try:
        return body(*args, **kw)
    except Exception as e:
        return type(e).__name__, torch.rand(2)
"""
TORCH_WRAPS = ["f = body\n"] * 18 + [_CAUGHT] * 2

TORCH_CORE = features(r"""
=== torch_core 0
class Holder:
    def __init__(self, t):
        self.t = t
        self.k = 1
def mix(a, b, alpha=1):
    return torch.add(a, b, alpha=alpha) * 0.5
w, v = fixed(0), fixed(3)
h = Holder(fixed(1))
ts = [fixed(2), fixed(-2)]
d = {"t": fixed(5)}
scale = 2
base = torch.arange(12.).reshape(4, 3)
log = []
W|  x  y  t  w  v  h.t  ts[0]  ts[-1]  d['t']  u
X|  x  y  t  w  v  h.t  ts[0]  ts[-1]  d['t']  u  t  t  x
X|  @X + @X  @X - @X  @X * @X  @X * scale  @X / 3  -@X  (@X).relu()  torch.tanh(@X)
X|  F.gelu(@X)
X|  torch.maximum(@X, @X)  mix(@X, @X)  mix(@X, @X, alpha=h.k)
X|  (@X).t().contiguous().t()
X|  torch.stack([@X, @X])[0]  torch.cat([@X, @X])[:2]
X|  (@X).sum(0, keepdim=True).expand(2, 3)
X|  (@X).clone()  (@X).reshape(3, 2).reshape(2, 3)  sum(ts)  torch.where(@X > 0, @X, @X)
X|  (@X)[:, :1] + @X
X|  (@X).softmax(-1)  (@X).detach()  (@X).to(torch.float64).float()
X|  torch.zeros_like(@X) + (@X).shape[0]
X|  torch.ones((@X).size())  (@X).flip(0)  (@X) @ ((@X).t() @ (@X))  (@X).contiguous()
X|  (@X).view(2, 3)  base[:2]  base[1:3]
X|  torch.einsum('ij,ij->ij', @X, @X)  (@X if @B else @X)  torch.full((2, 3), @I)
X|  (@X).masked_fill(@X > 1, @I)  functools.reduce(operator.add, ts)
X|  F.layer_norm(@X, (3,))  (@X).unsqueeze(0).squeeze(0)  (@X).expand_as(@X)
X|  (@X).abs().sqrt()  (@X).cumsum(1)  (@X).type_as(@X)  max([@X], key=len)
R|  (t, @X)  @X  (out, @I)  {'r': @X, 'w': @W}
I|  1  2  0.5  scale  i  h.k  len(ts)  (@X).shape[0]  (@X).dim()  (@X).size(-1)
I|  (@X).numel()  @I + @I  (@X).stride(0)  (@X)._version  ~id(@X) * 0  len(@X)
B|  (@X).shape[0] == 2  scale > 1  @W is @W  'u' in d  (@X).is_contiguous()
B|  (@X).dtype == torch.float32  h.k == 1  (@X).requires_grad  ~@W in [@W][:0]
B|  torch.is_grad_enabled()  isinstance(@X, torch.Tensor)  h.t is ts[0]
B|  (@X).shape == (@X).shape  (@X).is_floating_point()  torch.is_tensor(@I)
B|  ~(@X).grad is None  (@X).data_ptr() == 0  (@X).is_leaf  hasattr(@X, 'tag')
-|  t = @X  t = @X  u = @W  h.t = @X  ts[0] = @X  ts.append(@X)  ts[:] = ts[-2:]
-|  d['t'] = @X  d['u'] = @W  (@W).add_(@X)  (@W).mul_(0.5)
-|  t += @X  (@W)[0] = 1.0  (@W)[:, 1].add_(1)  (@W).copy_(@X)  h.k = 2
-|  t = t[:2].clone()  scale = scale % 3 + 1  ts.reverse()
-|  x, y = y, x  w = @X  t, u = (@X).chunk(1, 0)[0], @X  t = [e * 2 for e in ts][0]
-|  d.pop('u', None)  out.append(@X)  out.append(@X)
-|  out.append((@X).shape)  t = t.contiguous()  u = (@X).view(-1)[:3]; u[0] = 5; u = t
-|  t = F.dropout(@X, 0.5, False)  t.relu_()  i = @I  out.append((@I, @X))
-|  t = torch.add(@X, @X, out=torch.empty(2, 3))  out.append(@W)
-|  o = {'a': @X, 'b': [@W]}; out.append(o)  out.append((@X).view(3, 2))
-|  out.append((@X)[0])
-|  ~i = float((@X).sum())  log.append(@I)  log.append(getattr(@X, 'tag', 0))
-|  t, i = torch.max(@X, 1); t = x * 1; out.append(i); i = 1  out.append(torch.randn(2))
-|  ~t = t.detach().requires_grad_()  i = getattr(@W, 'tag', 2)
-|  out.append(list(map(torch.relu, ts)))
-|  t = functools.reduce(torch.add, ts)  t = sum(map(torch.tanh, ts))
-|  out.append([*map(mix, ts, [x, y])])
-|  out.append(functools.partial(mix, @X))  out.append(h.t.relu)
-|  out.append(dict(zip('ab', map(torch.neg, ts))))
-|  torch.add(@X, 1, out=@W)  t = F.dropout(@X, 0.5)  (@W).zero_()  t.sub_(@X)
-|  ~out.append((@X).tolist())  out.append((@X).dtype)  u = (@W)[:2]  assert @B
G|  scale  w
H|  if @B:  if @B:  for t in ts[:3]:  for i in range(2):  with torch.no_grad():
H|  with torch.enable_grad():  for t, u in zip(ts[:2], [x, y]):
H|  with torch.autocast('cpu', torch.bfloat16):  for i, t in enumerate(ts[:2]):
H|  with torch.inference_mode():  for u in (@X).unbind(0)[:0]:  ~if (@X).sum() > 0:
!|  w.add_(1)  w = fixed(9)  h.t = fixed(7)  h.t = w  ts.append(w)  ts.reverse()
!|  scale = 5  scale = 1.5  h.k = 3  d['t'] = h.t
!|  d.pop('u', None)  v = w  v = fixed(3)  w = fixed(0).t().contiguous().t()
!|  h = Holder(fixed(4))  ts = [fixed(0), fixed(1)]  ts = [w, w]
!|  w = fixed(1).double()  w.requires_grad_()  w = w.detach()
!|  h.t = nn.Parameter(fixed(1))  v = base[:2]  w = base[1:3]
!|  h.t = fixed(1).to(torch.int64)  v = w[:2]
!|  w = fixed(0)[:1]  ts[0] = None  w = 2.0  mix = torch.add  mix.__defaults__ = (3,)
!|  torch.set_grad_enabled(False)  torch.set_grad_enabled(True)  v = v.half()
!|  h.t = w.view(2, 3)
!|  w = torch.zeros(2, 3, dtype=torch.complex64)  w.grad = fixed(0)  ts = (w, v)
!|  d = {'t': w, 'u': v}  w.resize_(2, 3).zero_()  w = w.t()  w.tag = 1  base.zero_()
""")[0]

TORCH_FEATURES = features(r"""
=== modules 5
class Block(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.lin = nn.Linear(n, 3)
        self.scale = 2
        self.register_buffer('seen', torch.zeros(3))
        self.count = 0
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.arange(p.numel()).reshape(p.shape) / 8)
    def forward(self, x):
        self.last = x
        return self.lin(x).relu() * self.scale + self.seen
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.seq = nn.Sequential(Block(), nn.Tanh())
        self.drop = nn.Dropout(0.5)
        self.norm = nn.LayerNorm(3)
        self.extra = nn.ParameterDict({'g': nn.Parameter(torch.ones(3))})
        self.cache = {}
    def forward(self, x, deep=False):
        for block in self.blocks:
            x = block(x) if deep or block.scale > 1 else x
        self.cache['x'] = x
        return self.norm(self.seq(x)) * self.extra['g']
m1, net = Block(), Net()
net.eval()
M|  m1  net  net.blocks[0]  net.seq
X|  m1(@X)  net(@X)  net(@X, deep=True)  net.blocks[0](@X)  m1.lin(@X)  net.drop(@X)
X|  net.seq(@X)  (@X) * m1.lin.bias  F.linear(@X, m1.lin.weight)  (@X) + m1.seen
W|  m1.seen  m1.last  net.blocks[0].seen
I|  m1.scale  m1.count  len(net.blocks)  len(list(net.parameters()))
I|  sum(p.numel() for p in m1.parameters())  len(net.state_dict())
B|  m1.training  net.drop.training  'x' in net.cache  hasattr(m1, 'last')
B|  m1.lin.weight is net.seq[0].lin.weight  m1.lin.bias is None
-|  m1.scale = @I  m1.count = 1  m1.seen.add_(1)  m1.seen = m1.seen + 1
-|  net.cache.clear()  m1.last = @X  out.append(list(m1.named_parameters())[0][0])
-|  m1.eval()  m1.train()  m1.lin.bias.data.add_(0)  out.append(m1.lin.weight)
-|  net.cache['y'] = @X  out.append(dict(m1.named_buffers()))  net.drop.p = 0.1
!|  m1.scale = 3  net.blocks[0].scale = 0  net.train()  net.eval()  m1.seen.add_(2)
!|  m1.seen = torch.ones(3)  net.blocks.append(Block())  net.blocks[1] = net.blocks[0]
!|  net.seq[1] = nn.ReLU()
!|  m1.lin = nn.Linear(3, 3, bias=False); m1.lin.weight.data.fill_(1)
!|  m1.lin.weight = nn.Parameter(torch.ones(3, 3))  m1.requires_grad_(False)
!|  m1.double()  m1.float()  net.seq[0] = m1  m1.forward = lambda x: x
!|  Block.forward = lambda self, x: x + 1  m1.lin.bias = None  net.norm = nn.Identity()
!|  m1.lin.weight.data.mul_(2)  m1.register_forward_hook(lambda m, a, o: o * 2)
!|  m1 = Block()  net.extra['g'].data.zero_()  m1.lin.weight.requires_grad_(False)
!|  m1 = net.blocks[0]  del m1.scale  m1.seen = None
!|  m1.lin.bias = m1.lin.weight[0].detach() if 0 else m1.lin.bias  m1.zero_grad()
!|  Net.training = True
G|  m1

=== copies 2
from fuzz_copies import through
parts = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
_ = [p.data.fill_(0.5) for p in parts.parameters()] and 0
X|  parts(@X)  parts[0](@X)
!|  log.append(through(parts, 'copy', fixed(1)))  log.append(through(parts, 'twice', v))
!|  log.append(through(parts, 'deepcopy', w))  log.append(through(parts, 'deepcopy', v))
!|  log.append(through(parts, 'pickle', w))  log.append(through(parts[0], 'in place', w))
!|  parts[1] = nn.Tanh()  parts = copy.deepcopy(parts)  parts.scale = 2

=== views 3
pool = torch.arange(12.).reshape(2, 6)
left, right = pool[:, :3], pool[:, 3:]
X|  left  right  pool[:, :3]  pool.view(4, 3)[:2]  left.view_as(left)
X|  (@X).transpose(0, 1).transpose(0, 1)  (@X).as_strided((2, 3), (3, 1))
X|  pool.narrow(1, 1, 3)  torch.flip(left, [1])
W|  left  right  pool[:, :3]  left[:1]  (@W)[:, 1:]
B|  ~left._base is pool  left.is_contiguous()  left._is_view()  right is left
-|  left.add_(1)  right.copy_(left)  pool.mul_(0.5)  left[0, 0] = 7  pool[:, 0] = @I
-|  left = right  out.append(pool.view(-1)[:2])  right[:] = @X  left.t()[0].zero_()
-|  pool[0].add_(1); out.append(left.sum())  u = pool[:, 1:4]
G|  left
!|  left = right  left = pool[:, :3]  left = fixed(0)  pool = torch.zeros(2, 6)
!|  right = pool[:, 2:5]  left = pool.view(4, 3)[:2]  left.zero_()  w = left
!|  v = pool[:, :3]

=== gradients 3
leaf = fixed(1).requires_grad_()
par = nn.Parameter(fixed(2))
X|  leaf  par  (@X) * leaf  (par * @X).sum(0).expand(2, 3)
X|  torch.where(leaf > 0, par, @X)  leaf.clone()  leaf.data  par.detach()
X|  torch.utils.checkpoint.checkpoint(lambda z: z * par, @X, use_reentrant=False) if 0 else par
B|  leaf.requires_grad  (@X).is_leaf  ~leaf.grad is None  ~(@X).grad_fn is None
-|  t = (leaf * 2).detach()  out.append((leaf * par).sum())  out.append(leaf.is_leaf)
-|  t = @X * leaf
-|  par.data.add_(0.5)  ~out.append(torch.autograd.grad((leaf * leaf).sum(), leaf)[0])
-|  ~(leaf * 2).sum().backward()  ~leaf.grad = None  ~t.requires_grad_()
H|  with torch.no_grad():  with torch.set_grad_enabled(@B):  if leaf.requires_grad:
!|  leaf.requires_grad_(False)  leaf = fixed(1).requires_grad_()
!|  par = nn.Parameter(fixed(0))  par.requires_grad_(False)  leaf.data.add_(1)
!|  leaf.grad = fixed(0)  leaf = par  w = leaf  leaf = leaf.detach()

=== shapes 3
sz = 3
cfg = {'dim': 0, 'shape': (2, 3), 'dtype': torch.float32}
X|  (@X).reshape(cfg['shape'])  (@X).to(cfg['dtype']).float()  torch.zeros(cfg['shape'])
X|  torch.arange(6.).reshape(2, sz)  (@X).sum(cfg['dim'], keepdim=True).expand(2, 3)
X|  (@X)[:, :sz]  torch.cat([@X] * 2, cfg['dim'])[:2, :3]
X|  (@X).permute(1, 0).permute(1, 0)  torch.linspace(0, 1, sz).expand(2, 3)
I|  sz  cfg['dim']  (@X).shape[1]  math.prod((@X).shape)  (@X).element_size()
I|  int((@X).shape[0] / 2)
-|  sz = (@X).shape[1]  cfg['shape'] = tuple((@X).shape)  out.append((@X).size())
-|  i, sz = (@X).shape  out.append([int(k) for k in (@X).shape])
-|  cfg['dtype'] = (@X).dtype  out.append(f'{(@X).shape} {sz}')
-|  out.append((@X).nonzero())  out.append((@X)[(@X) > 1])
G|  sz
!|  sz = 3  sz = 1  cfg['dim'] = 1  cfg['dtype'] = torch.float64
!|  cfg['dtype'] = torch.bfloat16  cfg['shape'] = (3, 2)  cfg['shape'] = [2, 3]
!|  w = torch.zeros(2, 3, 1)  w = torch.zeros(0, 3)  cfg['dim'] = -1

=== selections 5
mk, mm = torch.tensor([True, False]), fixed(0) > 0.5
sel = fixed(1)[mk]
def expert(z, m):
    r, = torch.where(m)
    a, b = torch.cat([z[r], z[r]], 1).chunk(2, -1)
    return torch.zeros(2, 3).index_add(0, r, (a * b).float())
X|  expert(@X, mk)  torch.zeros(2, 3).masked_scatter(mm, (@X)[mm])  (@X)[mk].sum(0).expand(2, 3)
X|  torch.cat([(@X)[mk], (@X)[~mk]])  torch.cat([(@X)[mk], torch.zeros(2, 3)])[:2]
X|  (@X)[mk].mean(0, keepdim=True) + @X  (@X) @ ((@X)[mk].t() @ (@X)[mk])
X|  (@X).repeat_interleave(mk.long() + 1, 0)[:2]  (@X)[:, mm[0]].sum(1, keepdim=True) + @X
X|  torch.stack([c.sum() for c in (@X)[mk].unbind(1)]) + @X  (@X) + sel.nan_to_num().sum(0)
X|  torch.bincount(mk.long(), minlength=3)[:3] + @X  torch.unique((@X).long(), return_inverse=True)[1] / 2
X|  (@X).sort(1)[0].masked_select(mm).sum() + @X  F.linear((@X)[mk], torch.ones(3, 3)).amax() + @X
I|  (@X)[mk].ndim  (@X)[mk].size(1)  (@X)[mm].dim()  len((@X)[:, mm[0]])  (@X)[mk].t().shape[0]
I|  (@X)[mk].t().size(0)  ~(@X)[mk].squeeze().ndim  (@X)[mk].shape[0]  len((@X).nonzero())
I|  (@X)[mk].sum(0).stride(0)  (@X)[mk].numel()
B|  (@X)[mk].sum(0).is_contiguous()  sel.dim() == 2  ~(@X)[mk].is_contiguous()
-|  sel = (@X)[mk]  sel = sel * 2  sel.add_(1)  out.append(sel)  out.append((@X)[mk].chunk(3, 1))
-|  (@W)[mk] = @I  (@W)[mm] = 0.25  (@W)[mk] += 1  out.append(torch.where(mm))
-|  r, c = mm.nonzero().unbind(1); out.append((@X)[r, c]); out.append((r, c.ndim))
-|  i = (@X)[mk].t(); u = i.contiguous(); u += 1; out.append(i); u = x; i = 1
-|  i = (@X)[mk]; u = i.contiguous(); u += 1; out.append(i is u); out.append(i); u = x; i = 1
-|  mk = ~mk  mm = (@X) > 1  out.append((@X)[mk].split([1, 2], 1))  out.append((@X)[mk] * (@X)[~mk])
-|  a, b, c = (@X)[mk].T; out.append(a + c)  out.append([p.sum() for p in (@X)[mk].T])
-|  out.append((@X)[mk][:, :1].squeeze(1))  out.append((@X)[mk].view(-1, 1, 3).transpose(0, 1))
-|  t = torch.zeros(2, 3); t[mk] = (@X)[mk].float()  ~out.append([r * 2 for r in (@X)[mk]])
-|  out.append(torch.unique((@X).long(), return_counts=True))  out.append((@X)[mk].topk(2, 1))
-|  out.append((@X)[mk].shape)  k, c = (@X)[mk].shape; out.append(torch.zeros(k, c)); out.append(k)
-|  k = len((@X)[mk]); out.append((@X)[:k]); out.append(torch.arange(k + 1)); out.append({'k': k})
-|  k = int(mk.sum()); a, b = (@X).split([k, 2 - k]); out.append(a); out.append(b.ndim)
-|  k = (@X)[mm].numel(); out.append((@X).sum() / (k + 1)); out.append(torch.ones(k, 4).chunk(2, 1))
-|  ~out.append((@X)[mk].max(0))  ~out.append((@X)[mk] + torch.ones(2, 3))
G|  sel  mk  mm
H|  for t in (@X)[mk][None].expand(2, -1, 3)[:, :0]:  if (@X)[mk].ndim == 2:
!|  mk = torch.tensor([False, False])  mk = torch.tensor([True, True])  mk = torch.tensor([False, True])
!|  mm = fixed(0) > 9  mm = fixed(0) > -1  mm = fixed(0) == 0.5  sel = fixed(2)

=== states 3
tagged, par2 = fixed(4), nn.Parameter(fixed(2))
tagged.tag, tagged.box = 1, [fixed(3)]
X|  tagged  par2  nn.Parameter(@X)  nn.Parameter(@X, False)  nn.Buffer(@X)
X|  tagged.box[0]  getattr(@W, 'note', [w])[0]  (@X).new().resize_as_(@X).fill_(2)
W|  tagged  tagged.box[0]
I|  tagged.tag  getattr(@X, 'tag', 3)  len(getattr(@W, 'note', []))
B|  hasattr(@X, 'tag')  (@X).requires_grad  isinstance(@X, nn.Parameter)  (@X).is_leaf
B|  getattr(@W, 'tag', 1) == 1  type(@X) is torch.Tensor
-|  (@W).data = @X  (@W).data = (@X).detach()  t.data = @X  u = @W; u.data = (@X) * 2
-|  (@W).requires_grad_(@B)  t.requires_grad = @B  (@W).requires_grad = not (@W).requires_grad
-|  t.tag = @I  (@W).tag = @I  tagged.box = [@X]  (@W).note = [@X]  t.me = [t, @W]
-|  del tagged.tag  tagged.tag = getattr(tagged, 'tag', 0) + 1  t = nn.Parameter(@X)
-|  h.t = nn.Parameter(@X)  out.append(nn.Parameter(@X))  t.resize_(2, 3)  (@W).resize_(2, 3)
-|  t = (@X).detach(); t.requires_grad_()  u = (@W).data  par2 = nn.Parameter(par2 * 2)
G|  tagged  par2
H|  with torch.no_grad():  if hasattr(@W, 'tag'):
!|  tagged.tag = 2  tagged.box = [w]  tagged = fixed(1)  tagged = w  w = tagged  w.tag = 1
!|  par2.requires_grad_(False)  par2.data = w  par2 = tagged  h.t = tagged  w.note = [v]
!|  tagged.requires_grad_()  w = tagged.view(2, 3)  torch.set_grad_enabled(False)

=== warns 2
why = 'ignore'
def warned(z):
    with warnings.catch_warnings():
        warnings.simplefilter(why)
        w.add_(1)
        return F.l1_loss(z, z * 0, size_average=True) + torch.rand(())
def strict(z):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            return F.mse_loss(z, v, reduce=True)
    except UserWarning as e:
        return z * 3
X|  (@X) + warned(@X)  warned(@X).expand(2, 3)  strict(@X).expand(2, 3) * 1
X|  (@X) * F.l1_loss(@X, v, reduce=True)
-|  t = strict(@X)
H|  with warnings.catch_warnings():
G|  why
!|  why = 'always'  why = 'error'  why = 'default'  why = 'ignore'

=== raises 4
at, sq, share = torch.tensor([1, 0]), torch.eye(3), torch.full((2, 3), 0.5)
def careful(z, k):
    try:
        y = F.dropout(z, 0.5)
        return y[k] + torch.linalg.cholesky(sq)[:2]
    except (IndexError, RuntimeError):
        return torch.rand(2, 3)
    finally:
        w.mul_(0.5)
X|  (@X)[at]  (@X).index_select(0, at)  F.embedding(at, @X)  (@X) @ torch.linalg.cholesky(sq)
X|  (@X) @ sq.inverse()  torch.bernoulli(share)  (@X).gather(0, at.expand(3, 2).t())
X|  F.dropout(@X, 0.5)  torch.rand_like(@X)  careful(@X, at)  (@X) + (at // at)[0]
X|  F.embedding(at, (@X).detach().clone(), max_norm=1.0)  careful(careful(@X, at), at)
-|  t = (@X)[at]  out.append(torch.linalg.cholesky(sq))  t = F.dropout(@X, 0.5)[at]
-|  (@W).add_(1); t = (@X)[at]  (@W)[at] = @X  (@W).index_add_(0, at, @X)
-|  torch.unsafe_chunk(@W, 2)[0].add_(1)  torch.unsafe_split(@W, 1)[1].mul_(2)
-|  F.batch_norm(@X, (@W)[0], (@W)[1].abs(), training=True)
-|  torch.native_batch_norm(@X, None, None, (@W)[0], (@W)[1], True, 0.1, 1e-5)
-|  F.instance_norm((@X)[None], (@W)[0, :2], (@W)[1, :2])  torch._foreach_mul_([@W, @W], 0.5)
-|  t = F.embedding(at, @W, max_norm=1.0)  torch.bernoulli(share, out=@W)  t = F.rrelu(@X, training=True)
-|  t = F.scaled_dot_product_attention(@X, @X, @X, dropout_p=0.5)
-|  out.append(F.cross_entropy(@X, at))  t = careful(@X, at)  share = torch.rand_like(@X)
G|  share
!|  at = torch.tensor([7, 0])  at = torch.tensor([1, 1])  at = torch.tensor([0, 5])
!|  at = at - 9  sq = -torch.eye(3)  sq = torch.eye(3)  sq = torch.zeros(3, 3)
!|  share = torch.full((2, 3), 2.0)  share = torch.full((2, 3), 0.3)  at = torch.tensor([0, 1])

=== restated 2
st, sg = fixed(2), fixed(1).requires_grad_()
sg.grad = fixed(0)
ix = torch.tensor([1, 0])
def made_anew(z, k):
    st.data = z.detach() * 1
    return z[k]
def graded(z, k):
    try:
        sg.grad = z.detach() * 1
        return z[k] * 2
    except IndexError:
        return z
    finally:
        log.append(k.ndim)
X|  made_anew(@X, ix)  graded(@X, ix)  st  (@X)[ix]  sg.detach()
B|  st.requires_grad  sg.requires_grad
-|  st.requires_grad_(); t = (@X)[ix]  st.data = (@X).detach(); st.mul_(2); t = (@X)[ix]
-|  sg.grad = None; t = (@X)[ix]  sg.requires_grad_(False); sg.add_(1); t = (@X)[ix]
-|  st.resize_(3, 2); st.fill_(@I); out.append(st.view(2, 3)[ix])  log.append(@I); t = graded(@X, ix)
-|  st.data = torch.ones(2, 3); st.grad = torch.zeros(2, 3); out.append((@X)[ix])
G|  st
!|  ix = torch.tensor([7, 0])  ix = torch.tensor([0, 1])  ix = torch.tensor([1, 1])  ix = ix + 4
!|  st = fixed(2)  sg.requires_grad_()  st.requires_grad_(False)  warnings.simplefilter('error')

=== late_reads 3
acc, hist = {'n': 0}, []
def scaled(z):
    return z / max(z.abs().max().item(), 1e-8)
def noted(z):
    hist.append(float(z.sum()))
    del hist[:-2]
    return z * 1, z.mean().item()
X|  scaled(@X)  noted(@X)[0]  torch.full((2, 3), (@X).sum().item())  (@X) * float((@X).amax())
X|  (@X) + (@X)[0, 0].item()  torch.zeros(2, 3) + int((@X).sum())
-|  acc['n'] += (@X).sum().item()  acc['n'] = 0  out.append((@X).max().item())  out.append(noted(@X)[1])
-|  out.append(float((@X).min()) * 2 + 1)  out.append(((@X).sum(), (@X).sum().item()))
-|  out.append(bool((@X).any()))  out.append(f'{(@X).mean().item():.3f}')  print(float((@X).sum()))
-|  out.append(str((@X).sum().item()))  out.append({'k': int((@X)[0, 0])})  hist.append((@X)[1, 1].item())
-|  k = (@X).sum().item(); out.append(k); out.append([k, k]); out.append(-k + 0.5)
-|  k = (@X).sum().item(); k += 1; hist.append(k); out.append(k is hist[-1])
H|  if (@X).sum() > 2:  if float((@X).amax()) > 1:
!|  hist = []  acc['n'] = 5  hist.append(1)  acc = {'n': 0}  scaled = noted

=== structures 3
from typing import NamedTuple
class Out(NamedTuple):
    a: torch.Tensor
    b: object = None
res = collections.OrderedDict(x=fixed(0))
cells = [{'t': fixed(1)}, (fixed(2), 1)]
def counter():
    total = fixed(0)
    def add(z):
        nonlocal total
        total = total * 0.5 + z
        return total
    return add
add = counter()
X|  res['x']  cells[0]['t']  cells[1][0]  add(@X)  Out(@X).a
X|  torch.stack([c for c in ts[:2]]).sum(0)  next(iter(res.values()))
X|  ~max(ts[:1], key=id)
W|  res['x']  cells[0]['t']
-|  out.append(Out(@X, @W))  out.append(Out(@X))  res['y'] = @X  res.move_to_end('x')
-|  cells[0] = {'t': @X}  cells[1] = (@X, @I)  add(@X)  res.pop('y', None)
-|  out.append({'k': @X, 1: (@W,)})  out.append(lambda z=@X: z)  out.append(Holder(@X))
-|  ~out.append(torch.return_types.max(torch.max(@X, 1)))  out.append(torch.max(@X, 1))
-|  ~out.append(zip(ts, ts))
!|  res['x'] = fixed(4)  res = collections.OrderedDict(y=fixed(1), x=fixed(0))
!|  cells[0] = cells[0].copy()  cells[0]['t'] = w  cells[1] = (w, 2)  add = counter()
!|  add.__closure__[0].cell_contents = w  add = lambda z: z
!|  Out.__new__.__defaults__ = (5,)
""")
