"""Features of calls: closures, generators, contexts, caches, exceptions, C code; see fuzz_tables.py for the format."""

from __future__ import annotations

from fuzz_tables import features

CALL_FEATURES = features(r"""
=== closures 4
def make():
    v, w = 0, [1]
    def get():
        return v
    def put(x):
        nonlocal v
        v = x
    def push(x):
        w.append(x)
        del w[:-2]
        return w
    def drop():
        nonlocal v
        del v
    return get, put, push, drop
made1: object = make()
made2: object = make()
get, put, push, drop = made1
get2, put2, _, _ = made2
put(0)
put2(0)
push.__closure__[0].cell_contents = [1]
I|  get()  get()  get2()  push(@I)[0]
L|  push(@I)  ~get.__closure__[0].cell_contents if isinstance(get(), list) else []
B|  get.__closure__ == put.__closure__  get is get2
F|  get2  (lambda x: x + i)
-|  put((@I) % 3)  put((@I) % 3)  put2(@L)  drop()  out.append(drop()); drop = abs
-|  put(get2())  fns.append(lambda: i)  i = fns[-1]()
-|  fns.append(lambda x=@I: (x, l))  fns.append(get)  o = [fn() for fn in fns]
-|  put2(lambda: i)
G|  put2
!|  put(9)  put(True)  put(1.0)  drop()  put2([1])  get, put, push, drop = make()
!|  get = get2
!|  push.__closure__[0].cell_contents = [5]  get.__closure__[0].cell_contents = 7  put(get)
!|  del get.__closure__[0].cell_contents  get.__code__ = get2.__code__

=== defaults 4
def keep(x, acc=[]):
    acc[:] = acc[-2:]
    acc.append(x)
    return acc
def kw(*, p=1, q=[], **more):
    q[:] = [p]
    return (p, q, more)
I|  keep(@I)[0]  len(keep(@I))  kw(p=@I)[0]  keep(@I, @V)[-1]  kw(**{'p': @I})[0]
L|  keep(@I)  keep(@I, @L)  kw()[1]  keep.__defaults__[0]
T|  kw(p=@I, z=@O)  kw(**d)
S|  keep.__name__  str(keep.__defaults__)
-|  keep(@I)  kw(p=@I)  ~keep.__defaults__ = ([(@I) % 3],)
-|  kw.__kwdefaults__['p'] = (@I) % 3
-|  keep.tag = @I  o = keep.tag  ~kw.__kwdefaults__ = {'p': 1, 'q': @V}
!|  keep.__defaults__[0].append(9)  keep.__defaults__ = ([7],)  kw.__kwdefaults__['p'] = 5
!|  kw.__kwdefaults__ = {'p': 2, 'q': xs}  keep.__defaults__ = None
!|  keep.__defaults__ = (xs,)
!|  keep.__code__ = (lambda x, acc=[]: acc).__code__  keep.tag = 1  keep.__name__ = 'other'
!|  kw.__kwdefaults__ = None  kw.__kwdefaults__.pop('p')

=== generators 4
def gen(n):
    for i in range(n % 4):
        yield i
        if i > g:
            return i
def both(n):
    got = yield from gen(n)
    yield got
    try:
        x = yield 5
        yield x
    finally:
        log.append('closed')
class Count:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n <= 0:
            raise StopIteration
        self.n -= 1
        return self.n
it, cn = iter([1, 2, 3]), Count(2)
I|  sum(gen(@I))  next(iter(@V), 0)  next(gen(@I), 9)  next(cn, 0)
I|  max(gen(@I), default=0)  next((x for x in @L if x > 1), None)  cn.n
L|  list(gen(@I))  [*both(@I)]  list(Count(@I % 4))  [x for x in gen(@I)]
L|  sorted(gen(@I))  list(x * 2 for x in @L)  [*map(abs, gen(@I))]
B|  any(x > 1 for x in @L)  all(gen(@I))  @I in gen(@I)  all(isinstance(x, int) for x in @L)
T|  tuple(gen(@I))  tuple(x for x in @L)
O|  Count(@I % 3)  dict(zip(@S, gen(@I)))  set(gen(@I))  ~gen(@I)  ~iter(@V)  ~zip(@V, @V)
O|  cn  it  list(zip(*[gen(2)] * 2))
-|  cn.n = (@I) % 3  o = gen(@I); i = next(o, 0)  o = both(1); next(o); o.close()
-|  l = list(cn)  @V[:] = gen(@I)  o = both(0); next(o); next(o); i = o.send(@I)
-|  cn = Count(2)  i, *l = gen(3)  xs.extend(gen(@I)); del xs[3:]  ~i = next(it)
-|  o = both(2); o.throw(KeyError, KeyError(1))
H|  for i in gen(@I):  for i in Count(@I % 3):  for i in (x + 1 for x in @L[:2]):
H|  for i, o in zip(gen(3), @L):
G|  cn
!|  cn.n = 4  cn = Count(2)  gen = lambda n: iter([7])  gen = lambda n: [8]
!|  Count.__next__ = lambda s: next(iter(()))  it = iter([1])  cn = it
!|  Count.__iter__ = lambda s: iter([3])
!|  gen.__defaults__ = (2,)  both = gen  next = lambda *a: 4

=== contexts 4
class Ctx:
    def __init__(self, swallow=KeyError):
        self.swallow = swallow
    def __enter__(self):
        d['depth'] = 1
        return self
    def __exit__(self, kind, value, tb):
        d['depth'] = 0
        return kind is self.swallow
@contextlib.contextmanager
def scope(k):
    log.append(k)
    try:
        yield k
    finally:
        log.pop()
var = contextvars.ContextVar('var', default=1)
tls: object = threading.local()
tls.x = 1
var2 = contextvars.ContextVar('var2')
ctx = Ctx()
I|  var.get()  var2.get(3)  d.get('depth', 5)  tls.x  getattr(tls, 'y', 2)
O|  ctx  Ctx()  var2.get(None)  contextlib.nullcontext(1)
-|  o = var.set(@I); i = var.get(); var.reset(o); o = 1  ctx.swallow = LookupError
-|  ctx.swallow = KeyError  i = var2.get()  ctx = Ctx(None)  tls.x = @I  tls.y = 1
H|  with ctx as o:  with Ctx() as o:  with Ctx(ValueError):  with scope(@I) as i:
H|  with contextlib.suppress(KeyError):  with Ctx() as o, scope(1) as i:
H|  with contextlib.nullcontext(@I) as i:
G|  ctx
!|  ctx.swallow = None  var.set(4)  var.set(True)  ctx = Ctx()  tls.x = 3
!|  Ctx.__exit__ = lambda s, *a: True  ctx.__enter__ = 5  Ctx.__enter__ = lambda s: 3
!|  var2.set(2)  d['depth'] = 7  scope = contextlib.nullcontext

=== decorators 3
def twice(fn):
    def inner(*args, **kw):
        fn(*args, **kw)
        return fn(*args, **kw)
    return inner
def wrapped(fn):
    @functools.wraps(fn)
    def outer(*args):
        outer.calls = len(args)
        return fn(*args)
    return outer
class Deco:
    def __init__(self, fn):
        self.fn, self.n = fn, 0
    def __call__(self, x):
        self.n = (self.n + 1) % 3
        return self.fn(x) + self.n
    def __get__(self, obj, cls=None):
        return self if obj is None else functools.partial(self, obj)
@twice
def step(k):
    n2.a = (n2.a + k) % 3
    return n2.a
@wrapped
def wr(x):
    return x
@Deco
def deco(x):
    return x
@functools.singledispatch
def disp(x):
    return 0
@disp.register
def _(x: int):
    return x + 1
@functools.lru_cache(maxsize=None)
def memo(x):
    return x * 2
part0: object = functools.partial(helper, 1, k=2)
part = part0
table = {'h': helper, 's': step}
I|  step(@I)  wr(@I)  deco(@I)  ~disp(@I)  part(@I)  part()  table['h'](@I)  deco.n
I|  memo(@I)  functools.reduce(lambda x, y: x + y, @L, 0)  part.args[0]
I|  (lambda *a, **k: len(a))(*@T)
F|  step  wr  deco  part  table['h']  functools.partial(helper, @I)  operator.itemgetter(0)
F|  operator.neg  (lambda x: wr(x))
O|  part  functools.partial(helper, @I)  twice(wr)  table  wr  deco
O|  operator.attrgetter('a')(@N)  list(map(operator.add, @L, @L))
O|  sorted(@L, key=lambda x: -x)  sorted([n1, n2], key=operator.attrgetter('a'))
-|  step(@I)  wr(@I)  deco.n = 0  table['h'] = @F  part = functools.partial(helper, @I)
-|  table['n'] = lambda x: x  i = wr.calls  o = twice(helper)(@I)  l = sorted(@L, key=@F)
-|  table.pop('n', None)
G|  part
!|  part = functools.partial(helper, 5)  table['h'] = abs  deco.n = 1  deco.fn = abs
!|  wr.__wrapped__ = abs  part.__setstate__((helper, (2,), {'k': 1}, {}))  step = wr
!|  table['s'] = len  part.keywords['k'] = 6  part = helper
!|  step.__closure__[0].cell_contents = helper  deco = part  wr = Deco(abs)  wr.calls = 9
!|  Deco.__call__ = lambda s, x: 1

=== caches 3
def keep(x):
    kept.append(x)
    return x + 1
@functools.lru_cache
def log_of(x):
    kept.append(x)
    return (x + 1) % 7
@functools.lru_cache(maxsize=None)
def list_of(x):
    return [x % 5, n1.a]
@functools.lru_cache(maxsize=2)
def two_of(x):
    kept.append(-1)
    return x * 2
@functools.lru_cache(typed=True)
def typed_of(x, *, k=1):
    return (x, k)
@functools.lru_cache(maxsize=None)
def fib_of(n):
    return n if n < 2 else fib_of(n - 1) + fib_of(n - 2)
@functools.lru_cache(maxsize=8)
def raises_for(x):
    kept.append(x)
    return 6 // (x % 3)
@functools.lru_cache(maxsize=0)
def never(x):
    return x + len(kept)
class Lazy:
    def __init__(self):
        self.n = 1
    @functools.cached_property
    def size(self):
        kept.append(self.n)
        return self.n + 2
lazy = Lazy()
kept = log_of.cache_clear() or two_of.cache_clear() or list_of.cache_clear() or []
part_of: object = functools.partial(typed_of, k=2)
I|  log_of(@I)  log_of(x=2)  list_of(@I)[0]  two_of(@I)  two_of(3)  fib_of(5)  fib_of(@I % 6)
I|  len(kept)  never(@I)  lazy.size  part_of(@I, k=1)[1]  part_of(2)[0]  log_of(True)
I|  ~log_of.cache_info().hits  ~two_of.cache_info().currsize  log_of.__wrapped__(@I)
L|  list_of(@I)  list_of(2)
T|  typed_of(@I, k=@I)  typed_of(1.0)  typed_of(True, k=@I)
O|  typed_of('a')  list_of(3) is list_of(3)  part_of  ~sorted(@L, key=log_of)
-|  list_of(@I).append(@I)  list_of(1)[0] = @I  kept.append(@I)  ~log_of.cache_clear()
-|  ~two_of.cache_clear()  log_of(@I)  raises_for(@I)  lazy = Lazy()  i = raises_for(1)
H|  for i in map(log_of, @L):
G|  lazy
!|  log_of.cache_clear()  log_of(1)  two_of(4); two_of(5)  list_of.cache_clear()  kept.clear()
!|  fib_of.cache_clear()  list_of(1).append(9)  typed_of.cache_clear()  lazy.n = 4
!|  lazy.__dict__.pop('size', None)  log_of = keep  two_of = log_of  raises_for.cache_clear()
!|  log_of(1); log_of(2); log_of(3); log_of(4)

=== loggers 2
import logging
class Manager:
    disable = 0
above: object = logging.Logger('above', 20)
below: object = logging.Logger('below')
above.manager = below.manager = Manager
Manager.disable, above.level, below.level, below.parent = 0, 20, 0, above
talks = above._cache.clear() or below._cache.clear() or below
B|  talks.isEnabledFor(@I)  below.isEnabledFor(10)  above.isEnabledFor(30)
I|  talks.getEffectiveLevel()  len(below._cache)
L|  list(below._cache)
-|  talks.debug('no %s', @I)  below._cache[@I] = @B
G|  talks
!|  above.level = 10  below.level = 40  below._cache.clear()  above._cache.clear()  talks = above
!|  Manager.disable = 30  below.parent = None

=== pairs_in_c 4
from magpy._engine import CompiledFunction
def plus(x): return x + 1
def times(x): return (x * 3) % 7
st1: object = staticmethod(plus)
st2: object = staticmethod(times)
cm1: object = CompiledFunction(plus)
cm2: object = CompiledFunction(times)
pt1: object = functools.partial(pow, 2)
pt2: object = functools.partial(cm2)
un1: object = int | str
un2: object = float | list
nest1: object = ((int, (str,)), un2)
nest2: object = ((float, (un1,)), list)
ig1: object = operator.itemgetter(0)
ig2: object = operator.itemgetter(1)
bm1: object = [1, 1, 2].count
bm2: object = [1].count
fn, kind, get = st1, un1, ig1
class Held:
    go = st1
    @property
    def size(self):
        return fn(2)
held = Held()
I|  fn(@I)  st1(@I)  cm1(@I)  [fn][0](@I)  held.size  Held.go(@I)  held.go(@I)  get((4, 5))
I|  (lambda g: g(2))(fn)  bm1(1)  pt2(@I)  {'f': fn}['f'](@I)
B|  isinstance(@O, kind)  isinstance(@I, nest1)  issubclass(type(@O), kind)
B|  isinstance(@O, (str, (kind, bytes)))  isinstance(1.5, nest2)
F|  fn  cm1  st2  pt2  bm1
L|  list(map(fn, @L))
-|  fn = st2  fn = cm1  kind = nest1  get = ig2  held.f = fn
G|  fn  kind  get
!|  fn = st2  fn = cm1  fn = cm2  fn = pt1  fn = bm1  fn = bm2  kind = un2  kind = nest2
!|  st1.__init__(times)  Held.go = cm2  get = ig2  fn = staticmethod(cm1)  kind = nest1
!|  Held.size = property(times)  fn = st1

=== exceptions 3
class Oops(Exception):
    def __init__(self, code, *more):
        super().__init__(code, *more)
        self.code = code
def boom(x):
    if x > 1:
        raise Oops(x)
    return x
def clean(x):
    try:
        return boom(x)
    finally:
        log[:] = [x]
def chain(x):
    try:
        boom(x)
    except Oops as e:
        raise ValueError('chained') from e
err = Oops(5)
I|  boom(@I)  clean(@I)  err.code  chain(@I)
O|  err  Oops(@I)  err.args  Oops(@I, @V)  KeyError(@S)  type(err)
S|  str(err)  repr(err)  str(Oops(@I))
-|  boom(@I)  clean(@I)  raise Oops(@I)  ~raise Oops(@I) from err  err.code = (@I) % 3
-|  ~raise err  chain(@I)  raise Oops  err = Oops(@I)  assert @B  ~err.__cause__ = None
G|  err
!|  err.code = 6  err = Oops(5)  boom = lambda x: 1/0  Oops.__str__ = lambda s: 'oops'
!|  err.args = (1,)  boom = helper  err = KeyError('a')

=== calls_of_c 5
cl: object = [5, 6, 7]
cd: object = {1: 10, 2: 2, 3: 'a', 'a': 3}
cdd: object = collections.defaultdict(list, {1: [2]})
class Seq:
    __len__ = cl.__len__
    __iter__ = cl.__iter__
    __getitem__ = cl.__getitem__
    __contains__ = cl.__contains__
    __reversed__ = cl.__reversed__
class Num:
    __add__ = __radd__ = cd.get
    __neg__ = cl.__len__
    __int__ = __index__ = cl.__len__
    __lt__ = cl.__contains__
    __hash__ = cl.__len__
    __round__ = functools.partial(cd.get, 1)
class Txt:
    __str__ = functools.partial(repr, cl)
    __bool__ = functools.partial(bool, cl)
    __call__ = cl.append
    __getattr__ = cd.get
    __enter__ = functools.partial(len, cl)
    __exit__ = lambda s, *a: None
class Puts:
    __setitem__ = cd.__setitem__
    __delitem__ = cd.__delitem__
    __iadd__ = cl.append
    __getitem__ = cdd.__getitem__
    __missing__ = cd.pop
seq: object = Seq()
num: object = Num()
txt: object = Txt()
puts: object = Puts()
I|  len(seq)  -num  int(num)  num + 1  1 + num  len(txt.a or 'b')  seq[0]  max(seq)  sum(seq)
I|  operator.neg(num)  round(num)  operator.call(len, cl)  hash(num)  len(cdd[@I])
I|  bisect.bisect([1, 2, 3], 1, key=cl.__len__.__class__)  len(puts[@I])  next(iter(seq))
I|  operator.getitem(cd, 1)  functools.reduce(operator.add, seq)  functools.reduce(cd.get, [1])
B|  5 in seq  bool(txt)  num < 5  not txt  any(seq)  isinstance(num, (Seq, Num))  cl in [cl]
S|  str(txt)  f'{txt}'  str.format('{}', txt)  ''.join(map(str, seq))  '%s' % txt
L|  list(seq)  [*seq]  sorted(seq)  list(reversed(seq))  list(map(cl.__contains__, @L))
L|  sorted([2, 1], key=cd.get)  sorted(cl, key=cl.index)  list(filter(cd.get, @L))
L|  [x for x in seq]  list(map(len, [seq, cl]))  cdd.__getitem__(@I)
O|  list(map(cd.get, @L))  list(itertools.starmap(cd.get, [(1,), (2,)]))  tuple(seq)
O|  list(map(operator.itemgetter(@I), [cdd]))  min([1, 2], key=cd.get)  operator.mod('%s', cl)
O|  list(map(operator.getitem, [cd, cdd], [1, 1]))  list(zip(seq, seq))  dict(enumerate(seq))
F|  cd.get  cl.__contains__  cd.setdefault  txt  functools.partial(max, cl)  cdd.__getitem__
-|  puts[@I] = @I  puts[1] = @V  operator.call(cl.append, @I)  txt(@I)  operator.setitem(cd, 2, @I)
-|  list(map(cl.append, @L))  functools.reduce(cd.setdefault, [1, 2])  cl.sort(key=cl.index)
-|  bisect.insort(cl, @I, key=cl.count)  a, *b = seq  heapq.heapify(cl)  collections.deque(map(txt, @L))
-|  operator.call(operator.setitem, cd, @I, @I)  del puts[2]  list(itertools.accumulate(seq, cd.get))
H|  with txt:  for q in seq:  while len(seq) > 9:
!|  cl.append(8)  cl[:] = [5, 6, 7]  cl.clear()  cd[1] = 20  cd.clear()  cd.update({1: 10, 2: 2})
!|  cdd.clear()  Seq.__len__ = lambda s: 2  Num.__neg__ = cl.__len__  Num.__neg__ = lambda s: 4
!|  Txt.__str__ = lambda s: 'txt'  Num.__add__ = cd.get  del Seq.__contains__  Txt.__call__ = cd.get
""")
