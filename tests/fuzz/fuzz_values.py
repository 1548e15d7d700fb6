"""More features: functions and what they hold, outputs, texts and dates, nested containers,
numbers that are nearly equal, modules; see fuzz_tables.py for the format.
"""

from __future__ import annotations

from fuzz_tables import features

VALUE_FEATURES = features(r"""
=== functions 4
def fa(x, y=2, *, k=1):
    "Text."
    return x + y + k
def fb(x: int, y: 'str' = 3) -> int:
    return x - y
fa.tag = 1
class Acc:
    def get(self):
        return self._v
    def put(self, v):
        self._v = v
    def __init__(self, v):
        self._v = v
    v = property(get, put)
    st = staticmethod(fa)
    cm = classmethod(lambda cls, x: x)
acc = Acc(1)
pa, pb = Acc.__dict__['v'], property(fb)
held = [Acc.__dict__['v'], Acc.__dict__['st'], Acc.__dict__['cm'], fa, fb]
fa.__defaults__, fa.__kwdefaults__ = (2,), {'k': 1}
I|  fa(@I)  fb(@I)  acc.v  Acc.st(@I)  Acc.cm(@I)  fa.tag  held[0].fget(acc)
I|  held[1].__func__(@I)
I|  fa.__defaults__[0]  len(fa.__code__.co_varnames) if 0 else @I  fa.__globals__['g']
I|  held[3](@I)
I|  (fa.__kwdefaults__ or {}).get('k', 0)  getattr(fa, 'tag', @I)  pa.fget(acc)
I|  held[-1].__defaults__[0]
B|  fa.__code__ is fb.__code__  fa.__globals__ is globals()  pa.fset is Acc.put
B|  pa.fget is Acc.get  fa.__closure__ is None
B|  held[1].__func__ is fa  pb.fget is fb  held[0].fset is None  fa is held[3]
B|  hasattr(fa, 'tag')  pb.fset is None
B|  fa.__module__ == fb.__module__  held[4].__code__ is fb.__code__
B|  fa.__annotations__ == {}
S|  fa.__name__  fb.__qualname__  fa.__doc__  str(fb.__module__)  held[3].__qualname__
S|  Acc.__qualname__  type(acc).__qualname__  held[4].__name__
O|  fb.__annotations__  fb.__annotations__.get('x')  fa.__code__  held[0]  held[2].__func__
O|  fa.__dict__  vars(fa)  pa.fset  fa.__defaults__
F|  fa  fb  held[3]  Acc.st  held[1].__func__
-|  acc.v = (@I) % 3  fa.tag = (@I) % 3  fa.new = @I  ~del fa.tag  held[3] = fb
-|  acc = Acc(@I)  pa = pb  fb.tag = @V
-|  out.append(pa.fget)  out.append(fa.__code__)  pa.fset(acc, (@I) % 3)  ~fa.__name__ = @S
-|  setattr(fb, 'q', @I)
G|  acc  pa
!|  fa.__code__ = (lambda x, y=2, *, k=1: x * y).__code__  fa.__defaults__ = (7,)
!|  fa.__defaults__ = None
!|  fa.__kwdefaults__ = {'k': 5}  fa.__kwdefaults__['k'] = 2  fa.tag = 4  del fa.tag
!|  fa.__name__ = 'zz'  fa.__dict__ = {'tag': 8}
!|  fb.__qualname__ = 'Q.fb'  fa.__doc__ = 'Other.'  fb.__module__ = 'elsewhere'
!|  fb.__annotations__ = {'x': str}
!|  fb.__annotations__['x'] = float  fa = fb  held[3] = fb  held[0] = property(fa)
!|  held[1] = staticmethod(abs)
!|  pa = property(fa, fb)  pb = pa  pa = Acc.__dict__['v']  Acc.v = property(lambda s: 6)
!|  Acc.st = fb  Acc.st = staticmethod(fb)
!|  Acc.__qualname__ = 'A.B'  Acc.__name__ = 'B'  held[-1] = fa
!|  fa.__annotations__ = {'k': 1}  del fb.__annotations__
!|  pa = held[0]  acc.__class__ = Node  acc._v = True  held[4] = lambda x, y=1: y
!|  fa = types.FunctionType(fa.__code__, {'g': 5}, 'fa', (3,))
!|  held[2] = classmethod(fb)

=== outputs 4
class Err(Exception):
    pass
class Sub(functools.partial):
    pass
class Word(str):
    pass
class Keep:
    n = 0
    def m(self, x=0):
        return self.n + x
kp = Keep()
pt1: object = functools.partial(helper, 1)
pt2 = functools.partial(helper, k=2)
last = []
I|  pt1(@I)  pt2(@I)  kp.m(@I)  last.__len__()  kp.n  len(Word(@S))
B|  pt2.func is helper  Err('a') == Err('a')  kp.m == kp.m  pt2.keywords == {'k': 2}
S|  str(Word(@S))  Word('a') + @S  str(Err(@I))
O|  Err(@I)  Err(@V, @S)  ValueError(@O)  KeyError(@K)  [Err(@I), TypeError()]
O|  functools.partial(@F, @I)
O|  functools.partial(kp.m, x=@V)  functools.partial(pt2, @I)  Sub(helper, @I)  Word(@S)
O|  [Word('q')] * 2
O|  bytearray(b'ab')  [bytearray(b'q'), @I]  bytearray(@S.encode())
O|  types.MappingProxyType({'k': @O})  types.MappingProxyType(d)
O|  [@I].append  {}.get  @V.append  kp.m  last.extend  [kp.__eq__]  ''.join  @S.upper
O|  weakref.ref(kp)  [weakref.ref(kp), kp]
O|  frozenset([@I, 5])  slice(@I, None, @I)  {@I: {@I}}  collections.deque([@I], 3)
O|  (lambda q=@V: q)  [Keep(), Keep]
O|  functools.partial(int, base=2)  types.SimpleNamespace(a=@V)  (Err(), @I)
O|  types.MappingProxyType({})  complex(@I)
F|  pt1  pt2  kp.m  functools.partial(helper, @I)
-|  kp.n = (@I) % 3  kp.err = Err(@I)  kp.call = kp.m  kp.p = functools.partial(kp.m, @I)
-|  last[:] = [@O]  kp.w = Word(@S)
-|  last.append(Err(@S)); del last[:-2]  kp.buf = bytearray(b'k')
-|  kp.view = types.MappingProxyType(vars(kp)) if 0 else d
-|  o = Err(@I); o.note = @I; out.append(o)
-|  o = functools.partial(helper, @I); out.append((o, o))  pt2 = functools.partial(@F)
-|  o = [].append; o(@I); out.append(o.__self__)  fns.append(functools.partial(@F, @I))
-|  fns.append(@V.append)  kp.ref = weakref.ref(kp)
-|  o = bytearray(b'z'); out.append(o); last[:] = [o]
-|  o = {'k': @I}; out.append((types.MappingProxyType(o), o))
-|  out.append((lambda: kp))  o = Keep(); o.m2 = o.m; out.append(o)
G|  kp  pt2
!|  kp.n = 4  kp = Keep()  pt2 = functools.partial(helper, k=3)  pt2 = abs
!|  Keep.m = lambda s, x=0: x  last = [1]  Err.__init__ = lambda s, *a: None
!|  last.append(kp)  Word.__add__ = lambda a, b: 'no'  Keep.n = 9  del kp.n
!|  Err.__str__ = lambda s: 'e'  pt2.keywords['k'] = 5
!|  kp.m = abs  Keep.__eq__ = lambda a, b: True  Keep.__slots__ = ()  last = (1,)
!|  pt2.__setstate__((abs, (), {}, {}))

=== textual 3
pat: object = re.compile(r'([a-z])([a-z0-9]*)')
st1: object = struct.Struct('<hb')
day: object = datetime.date(2024, 2, 28)
gap: object = datetime.timedelta(days=2)
now: object = datetime.datetime(2024, 1, 2, 3, 4)
dates: object = {day: 1}
raw = b'\x01\x00\x02'
I|  ~st1.size  st1.unpack(raw)[0]  ~day.day  (day + gap).toordinal() % 5  ~gap.days
I|  ~now.hour  (now - now) and 1  len(pat.findall(@S))  pat.groups
I|  day.weekday()  day.toordinal() % 7  struct.calcsize('<hb')  ~dates[day]
I|  ~dates.get(day + gap, 0)  day.isoweekday()  now.replace(hour=1).weekday()
I|  int(gap.total_seconds())
B|  pat.match(@S)  pat.fullmatch(@S) is None  day < day + gap  ~day in dates  bool(gap)
B|  day == datetime.date(2024, 2, 28)  gap > datetime.timedelta(0)
S|  pat.match('ab').group(1)  pat.sub('x', @S)  pat.pattern  day.isoformat()  str(gap)
S|  pat.split(@S)[0]  str(now)  pat.sub(r'\1', @S)
S|  pat.match('ab').expand(r'\1\n\g<0>')  re.sub('(a)', r'<\1\\>', @S)
S|  f'{day}'  repr(gap)  ''.join(x for x, _ in pat.findall(@S))
S|  (pat.search(@S) or pat.match('k')).group()
T|  st1.unpack(raw)  pat.match('abc').groups()  now.timetuple()[:3]  day.isocalendar()[:2]
O|  pat  day  gap  now  dates  st1  st1.pack(1, 2)  pat.findall(@S)
O|  pat.match('ab').groupdict()  pat.match('ab').span()  ~day + gap  ~pat.match('a')
-|  raw = st1.pack(@I, 1)  ~dates[day] = (@I) % 3  out.append(pat.split(@S, 1))
-|  i = day.weekday()  s = pat.sub(lambda m: m.group(1), @S)
-|  ~dates.pop(day, None)  o = pat.match(@S); s = o.group(0) if o else s; o = 1
-|  o = [m.end() for m in pat.finditer(@S)]
G|  raw
!|  pat = re.compile('b+')  pat = re.compile(r'([a-z])([a-z0-9]*)')
!|  day = datetime.date(2024, 12, 31)  day = datetime.date(2024, 2, 28)
!|  gap = datetime.timedelta(0)  now = now + gap  st1 = struct.Struct('>hb')
!|  raw = b'\x05\x00\x01'  raw = b''  dates = {}  re.purge()
!|  dates = {datetime.date(2024, 2, 28): 2}  day = now  pat = None

=== consume 4
pairs = [('a', 1), ('b', [2])]
deep = [[1, 2], (3,), []]
quads = {'k': [1, 2], 'm': {'n': [3]}}
box = collections.deque([[1], [2, 3]])
class Seq:
    def __init__(self, items):
        self.items = items
    def __len__(self):
        return len(self.items)
    def __getitem__(self, k):
        return self.items[k]
sq = Seq([1, 2])
I|  sum(itertools.chain.from_iterable(deep))  len(dict(pairs))  sum(map(len, deep))
I|  max(map(len, deep))  next(zip(*deep[:2]), 0) and 1
I|  functools.reduce(operator.add, @L, 0)  sum(x * y for x, y in zip(deep[0], [1, 2]))
I|  quads['m']['n'][0]  max(quads, key=len) and 1
I|  sum(next(iter(box)))  max(deep, key=len)[0]
I|  sum(itertools.starmap(operator.mul, zip(@L, @L)))  operator.itemgetter(1)(pairs[0])
L|  list(itertools.chain.from_iterable(deep))  list(itertools.chain(*deep))
L|  sum([list(x) for x in deep], [])  list(sq)
L|  [*map(operator.itemgetter(0), deep[:1])]  list(itertools.starmap(helper, deep[:2]))
L|  sorted(itertools.chain(deep[0], [@I]))
L|  [x for r in box for x in r]  list(map(operator.add, deep[0], @L))
L|  list(itertools.zip_longest(@L, @L, fillvalue=@I))[:1] and [@I]
B|  any(map(any, deep))  all(itertools.chain.from_iterable(deep))  [1, 2] in deep
B|  sorted(pairs, key=str) == pairs  @I in itertools.chain(*deep)
B|  ('a', 1) in pairs  any(x == 1 for x, *_ in deep[:1])  tuple(deep[0]) == (1, 2)  @I in sq
S|  ''.join(map(str, itertools.chain.from_iterable(deep)))  ' '.join(k for k, _ in pairs)
S|  str(deep)  f'{pairs}'  '%s' % (pairs[0],)  repr(quads)
D|  dict(pairs)  {k: v for k, v in pairs}  collections.OrderedDict(pairs)  quads['m']
D|  dict(zip('ab', deep))  dict([*pairs, ('z', @I)])
T|  tuple(map(tuple, deep))  tuple(itertools.chain.from_iterable(deep))
T|  tuple(dict(pairs).items())  pairs[0]  tuple(sq)
O|  dict(pairs)  list(map(list, deep))  set(itertools.chain.from_iterable(deep))  {**quads}
O|  sorted(pairs, key=lambda p: p[0])  list(itertools.pairwise(@L))
O|  list(zip(*pairs))  [*itertools.chain.from_iterable(quads.values())]
O|  collections.Counter(map(len, deep))  list(box)  quads  deep  pairs
O|  functools.reduce(lambda x, y: [*x, y], deep, [])  copy.deepcopy(deep)
O|  list(itertools.accumulate(deep[0], operator.mul))  min(pairs)
-|  deep[0].append((@I) % 4); del deep[0][:-2]  pairs[0] = (@S, @I)
-|  deep.append([@I]); del deep[:-3]  quads['m']['n'] = @L  d.update(pairs)
-|  xs.extend(itertools.chain.from_iterable(deep)); del xs[3:]
-|  box[0].append(@I); del box[0][2:]  o = dict(pairs); o['w'] = deep
-|  (o, i), *l = pairs; l = [1]  for_ = dict(zip(@S, deep)); out.append(for_)
-|  quads.update(pairs)  sq.items = @L  l = [*deep[0]]; deep[0] = l
H|  for s, o in dict(pairs).items():  for i in itertools.chain.from_iterable(deep):
H|  for l in deep[:2]:  for i, o in zip(deep[0], pairs):  for i in sq:
G|  deep
!|  deep[0].append(5)  deep[1] = [7]  deep[2] = deep[0]  deep[0][0] = True
!|  deep[0][0] = -0.0  pairs[1] = ('a', 9)  pairs.reverse()  pairs[1][1].append(3)
!|  deep = [[1, 2], (3,), []]  deep[0] = iter([1]) if 0 else [1]  quads['k'].append(4)
!|  quads['m'] = quads  quads['m']['n'][0] = 8  box[0][0] = 5
!|  pairs.append(('c', 3))  pairs[0] = ['a', 1]  pairs[0] = 'xy'  sq.items.append(3)
!|  sq.items = 'ab'  Seq.__len__ = lambda s: 1  Seq.__iter__ = lambda s: iter([4])
!|  box.rotate(1)  box.append([9])  deep.clear()  deep[1] = {3: 1}  deep[1] = {3}
!|  pairs = {'a': 1}.items()  pairs = dict(pairs)  deep = tuple(deep)

=== numbers 3
class Zero(float):
    pass
one, neg, nan = 1, -0.0, float('nan')
vals = [0.0, 1, True]
tab = {1: 'one', 2.0: 'two'}
trio = (1, 0.0, 'x')
zf: object = Zero(0.0)
I|  one  neg  nan  vals[0]  vals[1]  math.copysign(1, neg)  one * neg  one / 2  vals[-1] + 1
I|  trio[1]  -trio[1]  zf + @I  max(neg, 0.0)  min(0, neg)
I|  sum(vals)  abs(neg)  one ** 2  round(neg)  int(one)  float(one)  bool(one) + 0  neg + 0
I|  math.fabs(neg)  math.atan2(neg, -1)  one % 2  divmod(one, 2)[0]
B|  one == True  one is True  nan == nan  nan != nan  vals == [0.0, 1, True]  neg == 0
B|  type(one) is bool  isinstance(one, bool)  nan in [nan]  0 in vals
B|  trio == (1, 0, 'x')  1.0 in tab  True in tab  vals[0] < one  math.isnan(nan)
B|  vals == [neg, one, one]  type(neg) is float  not neg  one in tab
S|  str(neg)  repr(vals)  f'{one}'  tab.get(one, 'no')  str(trio)  str(nan)  f'{neg:.1f}'
S|  repr(one)  '%d' % one  str(one)  tab.get(2, '')
O|  vals  neg  nan  [neg, nan]  {one: 1}  {neg, one}  {1: one, 1.0: neg}  (one, neg)  trio
O|  zf  Zero(@I)  tab  {True: @I}  frozenset([one])
-|  one = 1 if @B else True  neg = -neg  vals[0] = neg  vals[1] = one  tab[one] = @S
-|  tab[1.0] = @S  nan = nan * 1  trio = (one, neg, @S)  vals.sort()
-|  vals[-1] = (@I) % 2  one = vals[0]  tab[True] = 'yes'  tab.pop(1.0, None)
-|  l = sorted(vals)  i = vals.index(one)  i = vals.count(0)
G|  one  neg  nan  trio
!|  one = True  one = 1.0  one = 1  neg = 0.0  neg = -0.0  neg = 0  nan = float('nan')
!|  nan = 0.0  vals[0] = -0.0  vals[0] = 0  vals[1] = True  vals[1] = 1.0
!|  trio = (1, -0.0, 'x')  trio = (True, 0.0, 'x')  trio = (1.0, 0, 'x')
!|  tab = {True: 'one', 2: 'two'}  tab[1.0] = 'f'  vals[-1] = 1  zf = Zero(-0.0)
!|  vals = [False, True, 1]  nan = -nan  one = 10 ** 20  one = Zero(1)
!|  vals = (0.0, 1, True)  tab = {1.0: 'x', 2: 'y'}

=== local_classes 2
class Root:
    tag = 1
    def __init_subclass__(cls, **kw):
        cls.sub = 1
rt = Root()
I|  rt.tag  Root.tag  (lambda C: C.v)(type('T', (), {'v': @I}))
B|  issubclass(type('T', (Root,), {}), Root)  type('T', (), {}) is Root
B|  isinstance(rt, Root)
S|  type('Tx', (), {}).__name__
O|  rt  Root
-|  o = type('L', (Root,), {'w': @I})().w  o = type('L', (Root,), {})(); i = o.tag; o = 1
-|  i = type('E', (Exception,), {})(@I).args[0]
-|  o = type('M', (), {'go': lambda self: @I})().go()  rt.tag = (@I) % 3
-|  o = dataclasses.is_dataclass(Root)  o = type('N', (Node,), {'shared': 5})(@I, []).size
-|  out.append(Root())
G|  rt
!|  Root.tag = 3  rt.tag = 4  Root.__init_subclass__ = classmethod(lambda cls, **k: None)
!|  rt = Root()  rt.__class__ = type('R2', (Root,), {})
!|  Root.new = 1  rt.__class__ = Root  Node.shared = 6

=== cells 2
def pair_of(x):
    def read():
        return x
    def write(v):
        nonlocal x
        x = v
    def wipe():
        nonlocal x
        del x
    return read, write, wipe
class Bare:
    tag = 3
cells: object = [pair_of(1), pair_of([2])]
(rd, wr1, wipe), (rd2, wr2, _) = cells
wr1(1)
wr2([2])
bare = Bare()
I|  rd()  bare.tag  getattr(bare, 'none', @I)  bare.tag + 1  rd2()[0]
B|  hasattr(bare, 'none')  rd2() is @V  rd() == 1  hasattr(Bare(), 'tag')
O|  bare  rd  (rd, wr1)  rd2()  Bare()  rd.__closure__[0]
-|  wr1((@I) % 3)  wipe()  wipe(); out.append(1)  wr1(@V)  wr2(@L)  wr1(rd)  wr1(lambda: @I)
-|  bare.tag = (@I) % 3  bare.other = @I  bare = Bare()
-|  wr1(@I); wipe()  out.append(pair_of(@I))
-|  o, wr3, wp3 = pair_of(@I); wp3(); out.append(o)  ~wipe(); i = rd()
G|  bare
!|  wr1(5)  wr1(True)  wipe()  bare.none = 1  bare.tag = 8  Bare.tag = 2  del Bare.tag
!|  Bare.none = 4  rd = rd2  wr2(xs)  bare = Bare()
!|  Bare.__getattr__ = lambda s, n: 5  rd.__closure__[0].cell_contents = [1]
!|  del rd.__closure__[0].cell_contents

=== iteration 3
I|  sum(map(len, @T)) if 0 else @I  len(list(itertools.chain(@L, @L)))
I|  max(map(helper, @L), default=0)  sum(itertools.islice(@L, 2))
I|  min(@L, key=lambda x: -x, default=0)
I|  sum(i * x for i, x in enumerate(@L))  bisect.bisect(sorted(@L), @I)
I|  sum(itertools.accumulate(@L))
L|  list(itertools.chain(@L, @L))  [a_ + b_ for a_, b_ in itertools.product(@L[:2], @L[:2])]
L|  list(itertools.accumulate(@L))  [x for p_ in zip(@L, @L) for x in p_]
L|  sorted(@L, key=lambda x: x % 2)  sorted(@L, reverse=True)
L|  list(itertools.repeat(@I, 2))  [x for x, _ in itertools.groupby(@L)]
L|  list(itertools.takewhile(lambda x: x < 3, @L))  heapq.nsmallest(2, @L)
L|  list(itertools.compress(@L, @L))  list(itertools.starmap(helper, zip(@L, @L)))
L|  [k for k, v in sorted(d.items(), key=str)]  list(map(lambda x, y: x - y, @L, @L))
L|  list(filter(lambda x: x > g, @L))  [y for x in @L if (y := x + 1) > 1]
L|  [[x] for x in @L][0] if @L else []
D|  {x: y for x, y in zip('abc', @L)}  dict(enumerate(@L))  dict(zip(@L, @L))
D|  {str(x): x for x in @L}  dict.fromkeys(@L, 0)  {**@D, **@D}  dict(@D, k=@I)
T|  tuple(zip(@L, @L))  divmod(@I, 2)  tuple(itertools.combinations(@L[:3], 2))
T|  tuple(enumerate(@S))  (*@L, *@T)
O|  [list(x) for x in zip(*[@L, @L])]  list(reversed(@T))  copy.copy(@O)
O|  copy.deepcopy(@O)  {k: list(v) for k, v in itertools.groupby(@L, bool)}
O|  ~sorted(@L, key=functools.cmp_to_key(lambda x, y: y - x))
B|  any(map(bool, @L))  all(x < 3 for x in @L)  sorted(@L) == @L  @L < @L  @T == @T
B|  @L <= @L
-|  heapq.heapify(@V)  bisect.insort(@V, @I); del @V[4:]  l = sum([@L, @L], [])
-|  @V[1:1] = @L[:1]; del @V[3:]  l[::2] = l[::2]  @V.sort(key=lambda x: -x)  o, *l = @T
-|  @V.extend(x for x in (@L)[:1])
H|  for i, (o, s) in enumerate(zip(@L, @S)):  for o in itertools.product(@L[:2], repeat=1):
H|  for i in reversed(@L):
H|  for i in sorted(set(@L)):  for o in list(map(helper, @L)):
!|  d['c'] = 0  xs[:] = [2, 2]  xs = [3, 1, 2]  ys[:] = []

=== weak 2
class Obj:
    def __init__(self, v):
        self.v = v
    def meth(self, x=1):
        return self.v + x
ob = Obj(1)
ref = weakref.ref(ob)
bound = ob.meth
cb = Obj.meth
cyc = []
cyc.append(cyc)
ob.self = ob
I|  ref().v  bound()  bound(@I)  cb(ob)  ob.self.v  bound.__self__.v  len(cyc[0])
B|  ref() is ob  bound.__self__ is ob  ob.self is ob  cyc[0] is cyc  ref() is None
B|  bound == ob.meth
O|  ob  ref  bound  ob.meth  Obj(@I)  weakref.ref(ob)  ob.self  cyc  bound.__func__  ref()
F|  bound  ob.meth
-|  ob.v = (@I) % 3  bound = ob.meth  ob = Obj(@I)  ob.self = ob  ob.other = @N
-|  o = Obj(@I); o.self = o  o = []; o.append(o)  o = {}; o['o'] = o; out.append(o)
-|  ob.m = ob.meth  n1.owner = n1  o = [n1]; o.append((o, @I))  del cyc[1:]
-|  fns.append(ob.meth)
G|  ob  bound
!|  ob.v = 5  ob = Obj(1)  bound = Obj(2).meth  bound = ob.meth  ref = weakref.ref(ob)
!|  ob.self = None  Obj.meth = lambda s, x=1: 0  cyc.append(1)  ob.meth = abs
!|  ref = lambda: ob  Obj.__eq__ = lambda a, b: True

=== modules 3
mod0: object = types.ModuleType('mod')
inc: object = lambda x: x + 1
mod = mod0
mod.v, mod.w, mod.fn = 1, [1], inc
class Conf:
    debug, level = False, 1
    opts = {'k': 1}
conf = Conf
I|  mod.v  mod.fn(@I)  conf.level  Conf.opts['k']  getattr(mod, 'zz', @I)  len(mod.w)
I|  math.floor(2.5)  globals()['g']
B|  conf.debug  hasattr(mod, 'zz')  conf is Conf  'g' in globals()  mod.v is g
L|  mod.w
O|  mod  conf  mod.w  Conf.opts  Conf()  Conf
D|  Conf.opts
-|  mod.v = (@I) % 3  mod.zz = @V  del mod.zz  Conf.level = (@I) % 3
-|  Conf.opts['k'] = (@I) % 3  Conf.debug = not Conf.debug  globals()['g'] = (@I) % 3
-|  del Conf.debug  setattr(Conf, 'new', @V)  Conf.opts = @D  mod.fn = @F
-|  import math as m_; i = m_.ceil(1.5)  from collections import deque as q_; o = q_(@L)
!|  mod.v = 2  mod.fn = abs  Conf.level = True  Conf.opts = {'k': 3}  mod.zz = 1
!|  mod = types.SimpleNamespace(v=1, w=xs, fn=abs)  conf = Node  Conf.debug = 1  del mod.v
!|  mod.w = xs
!|  mod.__class__ = type('M', (types.ModuleType,), {'v': property(lambda s: 8)})

=== matching 2
I|  (0 if @B else @I)
-|  i = [@I, @I][@B]  assert isinstance(@O, object)
H|  if isinstance(@O, (int, list)):  if callable(@O):  if type(@O) in (int, str):
H|  if @O == @O:  if @O is not None and @O:  if hasattr(@O, 'a'):
B|  isinstance(@O, (list, tuple))  callable(@O)  type(@O) is int  @O == @O  @O != @O
B|  bool(@O)  issubclass(type(@O), Node)  isinstance(@O, collections.abc.Sequence)
B|  isinstance(@O, collections.abc.Mapping)
S|  type(@O).__name__  str(@L)  repr(@T)  f'{@L} {@T}'  repr(@D)  ascii(@S)  f'{@I:+d}'
O|  type(@O)  [@O, @O]  {'k': @O}  (@O, @O)  (@O if @B else @O)  @C
!|  n1 = 3  xs = 'abc'  d = collections.OrderedDict(d)  n1 = None  ys = n1

=== printing 2
-|  print(@I)  print(@S, @L)  print(@N.a, end='')  print(len(xs))  print(g, flush=True)
-|  sys.stdout.write(@S); sys.stdout.flush()  print(@T)  print(@S, file=sys.stdout, sep='')
!|  print = lambda *a, **k: log.append(a)  globals().pop('print', None)

=== warning 2
-|  warnings.warn(@S)  warnings.warn(@S, DeprecationWarning)  warnings.warn(UserWarning(@S))
-|  warnings.warn(f'{(@I)} or', stacklevel=1)  warnings.warn('fixed', RuntimeWarning)
-|  with warnings.catch_warnings(): warnings.simplefilter('ignore'); warnings.warn(@S)
-|  with warnings.catch_warnings(): warnings.simplefilter('always'); warnings.warn(@S)
-|  with warnings.catch_warnings(): warnings.filterwarnings('ignore', @S); warnings.warn(@S)
H|  with warnings.catch_warnings():
!|  warnings.simplefilter('always')  warnings.simplefilter('ignore')
!|  warnings.simplefilter('error', DeprecationWarning)  warnings.simplefilter('module')
!|  warnings.resetwarnings()
""")
