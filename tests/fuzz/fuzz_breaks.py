"""What makes a run break, for programs without tensors and with them; see fuzz_tables.py
for the format.

The first feature of a table is in every program that has breaks, the others are drawn by
weight.  What they call nobody has a row for, or it holds state that no guard sees: a C
function of ctypes, an array, a seeded generator of random numbers, a text file in memory,
C code that calls the program back.

Kept out, since eager differs from itself: whatever tells addresses, times, numbers of
references or of processes.  A callback of ctypes that raises crashes, so contexts call
back.  No iterator without an end is handed to C code that would take all of it: no
signal ends that.
"""

from __future__ import annotations

from fuzz_tables import features

BREAK_HEAD = "import array, ctypes, io, os, random, time\n"

BREAK_FEATURES = features(r"""
=== opaque 0
op: object = ctypes.pythonapi.Py_IsInitialized
arr: object = array.array('i', [1, 2, 3])
rnd: object = random.Random(1)
arr[:] = array.array('i', [1, 2, 3])
rnd.seed(1)
I|  op()  op()  op()  arr[0]  arr[@I]  len(arr)  arr.count(@I)  rnd.randrange(3)  max(arr)
I|  int(rnd.random() * 5)  rnd.choice(@L)  helper(@I, op(), k=@I)  helper(*[op(), @I])
I|  helper(op(), k=op())  arr.index(@I)  sum(arr)  (os.getpid() and 1)  -op()
I|  (op() if @B else @I)  (op() or @I)  (op() and @I)  int(time.monotonic() >= 0)
I|  sum(op() for x in @L)  (lambda x: x + op())(@I)  @I + op()  op() + @I  array.array(@S)
I|  ctypes.c_int(@I).value  helper(x=op(), y=@I)  sum(arr, @I)  math.prod(arr)
B|  op()  op() == @I  time.monotonic() >= 0  os.getpid() == os.getpid()  @I in arr
B|  op() < @I <= op()  all(op() for x in @L)  rnd.random() < 0.5  not op()  arr == arr
B|  op() is @I  (op() and @B)  any(op() == x for x in @L)  isinstance(op(), bool)
S|  f'{op()}{@S}'  str(arr.tolist())  repr(arr)  f'{rnd.random():.3f}'  '%s' % op()
S|  arr.typecode  f'{@L}{op()!r:>3}'  @S * op()  @S + str(op())  '{}{}'.format(op(), @S)
L|  arr.tolist()  [op(), @I]  [op() + x for x in @L]  [*@L, op()]  rnd.sample(@L, 1)
L|  [x for x in arr]  list(arr)  [x for x in @L if op()]
L|  list(map(lambda x: x + op(), @L))
L|  sorted(@L, key=lambda x: -x * op())  [x + y for x in @L[:2] for y in [op(), x]]
L|  [op(), *@L][op():]  list(op() for x in @L)  @L[:op()]
L|  [helper(op(), x) for x in @L[:3]]
T|  (op(), @I)  (@S, op(), @N)  (*@L, op())  tuple(op() for x in @L)  (op(), op())
D|  {'a': op(), **d}  {k: op() for k in 'ab'}  dict(a=op(), b=@I)  {op(): @I, 'a': op()}
O|  [op(), @O]  {op(): @O}  {op(), @I}  arr  rnd  (op(), @L)  op  [@O, op(), @O]
O|  {k: (op(), v) for k, v in d.items()}  (@O if op() else @O)  rnd.getstate()[1][-1]
F|  (lambda x: op() + x)  (lambda x, y=@I: [op(), y])  (lambda x: arr)
-|  op()  op()  op(); op()  i = op()  l = [op(), *l]  arr[0] = (@I) % 5  rnd.shuffle(@V)
-|  arr.append((@I) % 4); del arr[3:]  rnd.seed(@I)  arr.pop()  log.append(op())
-|  arr.append(@S)  array.array('i', @L)  ctypes.c_int(@S)  @V.append(op())  @N.a = op()
-|  d[@K] = op()  g = op() + (@I) % 2  i, *l = [op(), *@L]  assert op(), @S
-|  assert op() > 1, @S  del i; i = op()  n = Node(op(), @L)  out.append([op(), @V, op()])
-|  fns.append(lambda: op())  o = op  o = @O; op(); out.append(o)
-|  l = @L; op(); l.append(op())
-|  o = [i]; op(); o.append(o)  n = Node(@I, @V); i = op(); n.b = [op(), i]  i += op()
-|  @N.c = op()  setattr(@N, 'c', op())  @V[op():] = [op()]  out.append((@O, op(), @O))
-|  o = lambda x=@L: (op(), x, i); i = op(); out.append(o(op()))  @N.bump(op())
-|  o = iter(@L); i = next(o, 0); op(); l = [*o]
-|  o = zip(@L, 'ab'); op(); out.append([*o])
-|  o = (x for x in @L); op(); l = [*o]  o = enumerate(@L); i = op(); out.append([*o])
-|  (i, s), o = (op(), @S), @O  i = j = op()  print(op(), @I)  print(@S); op(); print(@S)
-|  raise KeyError(op())  raise ValueError(@I, op())  del d['a'], d[op()]
H|  if op():  if op() > @I:  for i in range(op() + 1):  for i in arr:
H|  for i in [op(), @I]:
H|  if rnd.random() < 0.5:  for i in (op(), @I):  for i, o in enumerate([op(), @S]):
H|  for i in [op() for x in @L[:2]]:  if (o := op()) and @B:
H|  with contextlib.nullcontext(op()) as i:
H|  with contextlib.suppress(KeyError, IndexError):
!|  arr[0] = 5  arr.append(4)  arr.reverse()  rnd.seed(3)  op = lambda: 2  del arr[:]
!|  op = ctypes.pythonapi.Py_IsInitialized  op = abs  op = arr.pop  op = lambda: xs.pop()

=== protocols 4
class Brk:
    def __init__(self, v, w=1):
        self.v = v
        self.w = op() + w
        self.l = [v]
    @property
    def p(self):
        return [op(), self.v]
    @p.setter
    def p(self, x):
        self.v = x if op() else 0
    def m(self, x, *rest, k=1):
        self.l = [op(), *self.l][:2]
        return self.v if rest else x + k
    def __enter__(self):
        log.append('in')
        op()
        return self
    def __exit__(self, kind, value, tb):
        log.append(op())
        return kind is KeyError
    def __len__(self):
        return op() + len(self.l)
    def __bool__(self):
        op()
        return self.v is not None
    def __eq__(self, o):
        return op() and isinstance(o, Brk) and self.v == o.v
    def __lt__(self, o):
        return op() and self.w < o.w
    def __hash__(self):
        return op()
    def __call__(self, x):
        r = self.m(x)
        return r, op()
    def __getitem__(self, k):
        return self.l[k * op()]
    def __setitem__(self, k, x):
        self.l[k] = op() and x
    def __contains__(self, x):
        return op() and x in self.l
    def __iter__(self):
        yield from self.l
        yield op()
    def __add__(self, o):
        return Brk(o, op())
    def __iadd__(self, o):
        self.v = o
        op()
        return self
    def __getattr__(self, name):
        if name.startswith('_') or op() > 1:
            raise AttributeError(name)
        return [name, op()]
    def __str__(self):
        return f'Brk {op()} {self.v}'
    def __index__(self):
        return op()
class Sub(Brk):
    tag = 0
    def __init__(self, v):
        super().__init__(v, op())
        self.tag = op()
    def m(self, x, *rest, k=1):
        return super().m(x, op(), k=k)
    def __setattr__(self, k, v):
        object.__setattr__(self, k, v if op() else None)
bk, bs = Brk(1), Sub([2])
I|  bk.m(@I)  bk.w  bk(@I)[1]  len(bk)  bk[@I]  bs.m(@I)  Brk(@I).w  bk.m(@I, op(), k=@I)
I|  (bk + @I).w  sum(bk)  bs.tag  helper(bk.m(op()), bs.w)  bk[0]
B|  bk  bk == Brk(@I)  @I in bk  bk < bs  bs == bk  bk != bs  not bs  hasattr(bk, 'zz')
L|  bk.p  bk.l  list(bk)  [*bs]  bk.zz  [x for x in bk]  sorted([bk, bs])[0].l  @V[bk:]
S|  str(bk)  f'{bs}'  f'{bk!s:>4}'
O|  bk  bs  Brk(@I)  Sub(@O)  bk + @O  max(bk, bs)  bk.p  [Brk(@I), op()]  bk.m
F|  bk  bk.m  bs.m  Brk
-|  bk.p = @I  bk.v = @O  bk += @I  bk[0] = @I  bs.v = @V  bk = Brk(@I)  bs = Sub(@L)
-|  bk.zz  ~d[bk] = 1  out.append(Brk(@O))  bk.l.append(op()); del bk.l[:-2]
-|  i, *l = bk  out.append((bk.p, bs.p))  o = bk.m; op(); out.append(o(@I))  bs.m(op())
H|  with bk as o:  with Brk(@I) as o, bs:  for i in bk:  if bk:  if bk == bs:  with bs:
H|  for i, o in zip(bk, @L):
G|  bk  bs
!|  bk.v = None  bk.w = 3  bk = bs  bk = Brk(1)  Brk.m = lambda s, x, *r, k=2: op()
!|  Brk.__bool__ = lambda s: False  del Brk.__getattr__  bk.l = xs  bs.tag = True
!|  Brk.__exit__ = lambda s, *a: op()  Brk.__init__ = lambda s, v, w=2: None  bk.zz = [1]
!|  del Sub.__setattr__  bs.__class__ = Brk  Brk.__len__ = lambda s: -op()

=== flow 4
def b_gen(n):
    got = []
    for i in range(n % 4):
        try:
            got.append((yield i + op()))
        finally:
            log.append(op())
    return got
def b_from(n):
    got = yield from b_gen(n)
    yield [got, op()]
def b_try(x):
    try:
        log.append(op())
        if x > 1:
            raise KeyError(x)
        return arr[x]
    except LookupError as e:
        log.append(op())
        if x > 2:
            raise ValueError('again') from e
        return len(e.args)
    finally:
        op()
        log.append('f')
        del log[:-3]
def b_else(l):
    for i, x in enumerate(l):
        if op() == x:
            continue
        try:
            if arr[x] == 2:
                break
        except IndexError:
            op()
            continue
        else:
            op()
    else:
        return [op(), l]
    return [i]
def b_cells(x):
    held = [x]
    def add(k):
        nonlocal x
        x = k + op()
        held.append(x)
        return lambda: (x, held, op())
    op()
    return add(op()), held
def b_rec(n):
    return [op()] if n <= 0 else [n, *b_rec(n - 1), op()]
def b_args(a, b=[1], /, c=2, *rest, e=4, **kw):
    op()
    return [a, c, len(rest), e, len(kw), op()]
@contextlib.contextmanager
def b_scope(k):
    log.append(op())
    try:
        yield [k, op()]
    except KeyError:
        op()
    finally:
        log.append(op())
def b_deco(fn):
    @functools.wraps(fn)
    def inner(*args, **kw):
        i = op()
        return fn(*args, **kw), i
    return inner
@b_deco
def b_fn(x=1):
    return [x, op()]
I|  b_try(@I)  sum(b_gen(@I))  next(b_gen(@I), 9)  b_args(@I, op())[1]  b_fn(@I)[1]
I|  max(b_gen(@I), default=op())  b_cells(@I)[0]()[0]  b_try(op())
L|  b_else(@L)  b_rec(@I % 3)  list(b_gen(@I))  [*b_from(@I)][:2]  b_cells(@I)[1]
L|  b_args(*@L, e=op())  b_args(@I, @V, op(), @I, op(), e=@I, z=op())  b_fn(op())[0]
O|  b_cells(@O)  b_fn(@O)  dict(zip(@S, b_gen(@I)))  b_gen(@I)  b_scope(@I)
-|  b_try(@I)  o = b_gen(2); i = next(o, 0); op(); l = [*o]  out.append(b_cells(@L))
-|  o = b_from(2); next(o); i = o.send(@I); o.close()  b_else(@V)  l = b_rec(2)
-|  o = b_gen(3); op(); next(o); o.throw(KeyError('t'))
-|  o, l = b_cells(@L); op(); i = o()[0]
-|  out.append(b_args(*@L, **d))  o = b_deco(helper)(@I, k=op())
-|  fns.append(b_cells(i)[0])
H|  for i in b_gen(@I):  with b_scope(@I) as o:  with b_scope(op()), b_scope(@I) as l:
H|  for i, o in zip(b_gen(3), @L):  for i in b_else(@L):
!|  b_gen = lambda n: [op()]  b_gen.__defaults__ = (2,)  b_try = helper
!|  b_args.__defaults__ = (3,)
!|  b_fn.__wrapped__ = 1  b_rec = lambda n: [n]  b_scope = contextlib.nullcontext
!|  b_else.__code__ = (lambda l: [op()]).__code__

=== callbacks 3
def poke():
    global g
    g = (g + 1) % 3
    log.append(g)
    return g
def poke2(x):
    try:
        n1.b = [x, *n1.b][:2]
        d['y'] = x
        d.pop('x', None)
        xs.append(len(xs))
        del xs[3:]
        del n2.c
    except AttributeError as e:
        log.append(type(e).__name__)
    return x
def poke3(x):
    if x == 2:
        raise KeyError(x)
    return [x, op(), helper(2)]
run: object = contextvars.copy_context().run
def cb():
    return run(poke)
def cb2(x):
    return run(poke2, x)
cb3: object = functools.partial(run, poke3)
I|  cb()  run(poke)  run(poke) + g  sum(array.array('i', map(poke2, [@I])))  cb2(@I)
I|  g + cb()  cb2(xs)[0]  n1.b[0] + cb2(@I)  len(xs) + cb()
B|  cb()  cb2(@I) == g  cb2(@B)  xs is cb2(xs)
L|  cb2(@L)  [cb2(x) for x in @L]  cb3(@I)  n1.b + [cb()]  sorted(@L, key=cb2)
L|  list(map(cb2, @L))
O|  cb2(@O)  cb3(@O)  (cb2(d), d)  {cb2(@S): xs}
S|  cb2(@S)  f'{cb2(@S)}{g}'
F|  cb2  cb3
-|  cb()  cb2(@O)  d['x'] = @I; cb2(@I)  n2.c = cb2(@V)  l = xs; cb2(l); out.append(l)
-|  g = cb() + g  xs.append(cb2(@I)); del xs[3:]  o = n1.b; cb2(@S); out.append((o, n1.b))
-|  n1.b = cb2(n1.b)  d.update(y=cb2(@I), x=@I)  o = d; o['z'] = cb2(o); o.pop('z')
H|  if cb():  for i in cb2(xs):  for i in xs[:cb()]:  for s in list(cb2(d)):
!|  poke.__code__ = (lambda: 2).__code__  poke3.__code__ = (lambda x: x).__code__  g = 2
!|  n1.b = [7, 7]  del n2.c  n2.c = 1  d['y'] = 5

=== hidden 3
buf: object = io.StringIO()
cnt = itertools.count(1)
cyc_ = itertools.cycle([1, 2])
ext, gen_ = iter([1, 2, 3, 4]), (x * op() for x in [1, 2, 3])
_ = buf.truncate(buf.seek(0))
I|  next(cnt)  next(cyc_)  next(ext, 0)  next(gen_, 0)  buf.tell()  buf.write(@S)
S|  buf.getvalue()[-3:]  buf.getvalue()  f'{next(cnt)}'
L|  [next(cnt), @I]  [*itertools.islice(cnt, 2)]  [x for x in ext]  list(gen_)  [*ext]
B|  next(cnt) > 2  buf.seekable()  next(ext, None) is None  @I in ext
O|  ext  [next(cnt), next(ext, op())]  list(zip(ext, @L))
-|  buf.write(@S)  print(@I, file=buf)  next(cnt)  next(ext)  i = next(gen_)  buf.seek(0)
-|  i = next(ext, op())  ext = iter(@L)  ext = iter(@V)  cnt = itertools.count(@I)
-|  print(@S, op(), file=buf, end='')  out.append([x for x, _ in zip(@L, cnt)])
H|  for i in ext:  for i, o in zip(@L, cnt):  for i in itertools.islice(cnt, 2):
H|  for i in gen_:
G|  ext  cnt
!|  next(cnt)  next(ext, 0)  ext = iter([5])  cnt = itertools.count()  buf.write('w')
!|  ext = xs  gen_ = iter(xs)

=== lifetimes 2
class Fin:
    def __init__(self, k):
        self.k = k
    def __del__(self):
        log.append(self.k)
class Dies:
    pass
fin, refs = None, []
I|  len(log)  Fin(@I).k  len(refs)  sum(r() is None for r in refs)
B|  refs and refs[-1]() is None  fin is None
O|  Fin(@I)  [Fin(@I), op()]  Dies()  fin
-|  fin = Fin(@I)  fin = None  o = Fin(@I); op(); o = 1  o = [Fin(@I)]; o.clear(); op()
-|  o = Dies(); refs[:] = [weakref.ref(o)]; op(); o = None; op(); i = refs[0]() is None
-|  o = Dies(); o.me = o; op(); o = 1  helper(Fin(1).k, op())
-|  o = (Fin(@I), op()); o = op()
-|  n = Node(Fin(@I), [op()]); op(); n = n1  d['f'] = Fin(@I); op(); d.pop('f', None)
-|  o = Dies(); refs[:] = [weakref.ref(o, log.append)]; op(); o = op(); log.pop()
-|  xs.append(Fin(@I)); op(); xs.pop()
-|  l = [Dies(), op()]; refs[:] = [weakref.ref(l[0])]; l = [1]
G|  fin
!|  fin = Fin(7)  fin = None  del Fin.__del__  Fin.__del__ = lambda s: log.append('d')
!|  refs.clear()  Dies.__del__ = lambda s: log.append('dies')
""")

TORCH_BREAK_HEAD = "import array, ctypes, random, time\nimport magpy\n"

TORCH_BREAK_FEATURES = features(r"""
=== host_reads 0
op: object = ctypes.pythonapi.Py_IsInitialized
arr: object = array.array('i', [1, 2])
arr[:] = array.array('i', [1, 2])
def clamp(z, top=2.0):
    if z.max() > top:
        z = z / z.max().item()
    return z if op() else -z
def halve(z):
    k = 0
    while z.abs().sum() > 4 and k < 3:
        z = z * 0.5
        k += 1
    return z, k
def picked(z):
    try:
        return z[int(z[0, 0]) % 3] + op()
    except IndexError as e:
        log.append(type(e).__name__)
        return z[0] * op()
    finally:
        log.append(bool(z.any()))
class Meter:
    def __init__(self, z):
        self.total = z.sum().item()
        self.z = z * 1
    @property
    def mean(self):
        return self.z.mean().item()
    def __enter__(self):
        op()
        return self
    def __exit__(self, kind, value, tb):
        self.total = float(self.z.sum())
        return kind is ValueError
    def __len__(self):
        return int(self.z.abs().sum())
    def __bool__(self):
        return bool(self.z.sum() > 0)
    def __call__(self, z):
        self.z = z + op()
        return self.z * self.mean
def rows_of(z):
    for r in z:
        yield r * (2 if r.sum() > 0 else 1), op()
@magpy.disable
def off(z, k=1):
    log.append(k)
    return z + k
@torch.compiler.disable
def off2(z):
    ts[:] = ts[-1:] * 2
    return [z, z * 2]
_ = vars(off2).pop('_torchdynamo_wrapper_id', 0) and 0  # an address
mt = Meter(fixed(1))
X|  clamp(@X)  halve(@X)[0]  (@X) * (@X).sum().item()  (@X) + op()  off(@X)  off2(@X)[1]
X|  torch.tensor((@X).tolist())  (@X if (@X).sum() > 0 else @X)  clamp(@X, top=@I)
X|  torch.from_numpy((@X).detach().numpy())  torch.full((2, 3), (@X).max().item())
X|  (@X)[:, :int((@X).sum()) % 3 + 1].sum(1, keepdim=True).expand(2, 3)  mt(@X)
X|  torch.stack([e * op() for e in (@X)])  (@X).clamp(max=op())  mix(@X, off(@X, k=op()))
X|  torch.add(@X, @X, alpha=op())  torch.where(@X > op(), @X, off(@X))
X|  picked(@X).expand(2, 3)
X|  torch.stack([r for r, _ in rows_of(@X)])  (off(@X) + off2(@X)[0])  mt.z
X|  mix(off(@X), @X)
I|  (@X).sum().item()  int((@X).max())  float((@X)[0, 0])  op()  op()
I|  (@X).argmax().item()
I|  round((@X).mean().item(), 3)  (@X).tolist()[0][1]  int((@X).abs().sum()) % 3  arr[0]
I|  sum(r.sum().item() for r in (@X))  halve(@X)[1]  mt.mean  mt.total  len(mt)  arr[@I]
I|  (@X).nonzero().shape[0]  len((@X)[(@X) > 0])  (@X).item()  max((@X).flatten()).item()
I|  int((@X).numpy().sum())  min(@I, (@X).min().item())  (@X).to(torch.int64).sum().item()
B|  (@X).sum() > 0  bool((@X).any())  torch.equal(@X, @X)  torch.allclose(@X, @X)  op()
B|  (@X).max() > @I  (@X).sum() == (@X).sum()  op() < @I  mt  (@X)  (@X > 0).all()
B|  (@X)[0, 0] in (@X)[0]  not (@X).sum()  (@B and (@X).min() < 0)
B|  torch.is_nonzero((@X).sum())
B|  any(r.sum() > 0 for r in (@X))  (@X).isnan().any().item()  0 < (@X).sum() < 9
-|  out.append((@X).tolist())  out.append((@X).sum().item())  i = float((@X).sum())
-|  i = int((@X).max()); out.append(t * i)  op()  t = t + op()  out.append((@X, op()))
-|  out.append(f'{(@X)}')  out.append(str(@X))  print(@X)  print((@X).sum().item(), op())
-|  out.append('%.2f' % (@X).mean())  out.append(repr((@X)[0]))
-|  arr[0] = int((@X).sum()) % 9
-|  out.append((@X).detach().numpy().tolist())  (@W)[0, 0] = (@X).max().item()
-|  h.t = @X; op(); out.append(h.t)  ts.append(@X); op(); ts[:] = ts[-2:]
-|  u = @W; op(); u.add_(1)
-|  (@W).add_(1); i = (@W).sum().item()  (@W).mul_(op())  d['t'] = off(@X)
-|  scale = op() + scale % 3
-|  out.append(clamp(@X))  out.extend(halve(@X))  out.append(picked(@X))
-|  t = off(@X, k=@I)
-|  out.append([r for r in rows_of(@X)])
-|  o = rows_of(@X); t = next(o)[0].expand(2, 3); o = op()
-|  mt.z = @X  mt = Meter(@X)  out.append(mt(@X))  log.append((@X).shape[0] * op())
-|  i = (@X).max().item(); h.k = i; t = t * i  assert (@X).sum() > 0
-|  out.append(Meter(@X))
-|  (@X).item()  arr.append((@X).sum())  t = @X; off2(t); out.append(ts[0])
-|  o = (@X).sum(); out.append([o.item(), o])  o = [@X, op()]; out.append(o)
-|  o = iter(ts); t = next(o) * 1; op(); out.append([*o])
-|  out.append({k: op() for k in d})
-|  torch.manual_seed(op()); t = torch.rand(2, 3)  t = F.dropout(@X, 0.5); i = op()
-|  raise ValueError((@X).sum().item())
H|  if (@X).sum() > 0:  if (@X)[0, 0] > @I:  if op():
H|  for i in range(int((@X).sum()) % 3):
H|  for t in ts[:op() + 1]:  with mt as o:  with Meter(@X):
H|  for i in (@X)[0].tolist()[:2]:
H|  for t, i in zip(ts[:2], (@X).tolist()):  if torch.equal(@X, @X):  if mt:
H|  for t in off2(@X):
H|  with torch.set_grad_enabled((@X).sum() > 0):  with contextlib.suppress(RuntimeError):
G|  mt
!|  arr[0] = 5  op = lambda: 2  op = ctypes.pythonapi.Py_IsInitialized
!|  mt = Meter(fixed(3))
!|  mt.z = w  mt.total = 1  clamp.__defaults__ = (9.0,)  w.neg_()  v.mul_(-1)
!|  h.t = -fixed(9)
!|  off = mix  off2 = lambda z: [z]  halve = lambda z: (z, 0)
!|  Meter.__bool__ = lambda s: True
!|  ts[0] = -fixed(3)  w.fill_(float('nan'))
""")
