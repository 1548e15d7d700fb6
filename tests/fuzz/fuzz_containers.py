"""Features of containers, numbers and texts; see fuzz_tables.py for the format."""

from __future__ import annotations

from fuzz_tables import features

CONTAINER_FEATURES = features(r"""
=== lists_deep 3
rows = [[1, 2], [3], []]
pair = (rows[0], rows[1])
tree = {'l': {'v': 1, 'k': [1]}, 'r': {'v': 2}}
I|  rows[0][0]  rows[@I][@I]  sum(map(sum, rows))  tree['l']['v']  tree['r'].get('w', 0)
I|  pair[0][0]  len(rows[-1])  sum(x for r in rows for x in r)
L|  rows[0]  rows[1]  tree['l']['k']  [x for r in rows for x in r]  sum(rows, [])  pair[0]
L|  [len(r) for r in rows]  list(itertools.chain(*rows))  max(rows, key=len)  rows[@I]
B|  rows[0] is rows[1]  rows[0] is pair[0]  rows == [[1, 2], [3], []]  [] in rows
B|  @L in rows
O|  rows  pair  tree  rows[:2]  copy.copy(rows)  copy.deepcopy(rows)  copy.deepcopy(pair)
O|  list(tree.items())
V|  rows[0]  rows[1]
D|  tree['l']  tree['r']  tree
-|  rows[0] = @L  rows[0].append((@I) % 4)  rows[-1], rows[0] = rows[0], rows[-1]
-|  rows.append(@V)
-|  tree['l']['v'] = (@I) % 3  tree['r'] = tree['l']  tree['n'] = @D  tree.pop('n', None)
-|  rows.sort(key=len)  rows[:] = rows[:3]  del rows[3:]  rows[0] *= 1
-|  rows[0] += [@I]; del rows[0][3:]
-|  rows.sort()  tree['l'].clear()  rows[1:2] = [@V]
G|  rows  tree
!|  rows[0] = rows[1]  rows[1] = [3]  rows = [[1, 2], [3], []]  rows.reverse()
!|  rows[0].append(9)
!|  tree['l'] = tree['r']  tree['l']['v'] = True  rows[2] = rows  pair = (rows[1], rows[1])
!|  rows.append(xs)
!|  tree['l']['k'] = rows[0]  tree['r'] = {}  rows[0] = (1, 2)  rows.insert(0, [0])

=== sets 4
st, ss = {1, 2}, {'a', 'b'}
fs = frozenset([1, 5])
I|  len(st)  sum(st)  max(st, default=0)  len(st & fs)  len(ss | {@S})
B|  @I in st  @S in ss  st == {1, 2}  st <= fs  st.isdisjoint(@L)  st is fs  bool(st)
L|  sorted(st)  list(st & {1, 2})  sorted(st | fs)  [x for x in sorted(st)]  sorted(st ^ fs)
O|  st  ss  st | {@I}  {x for x in @L}  set(@L)  fs  st.copy()  frozenset(st)  sorted(ss)
-|  st.add((@I) % 4)  st.discard(@I)  st.remove(@I)  ss.add(@S)  st |= {(@I) % 3}
-|  st &= {0, 1, 2}
-|  st -= {@I}  st.update(@L)  st.clear()  st = {x % 3 for x in @L}  st ^= fs  st.pop()
-|  ss.discard(@K)
-|  st = set(@L)  st.intersection_update(@L)
H|  for i in sorted(st):  if @I in st:
G|  st
!|  st.add(7)  st.clear()  st = {1, 2}  st = {True, 2}  ss.add('z')  fs = frozenset([1])
!|  st = fs
!|  ss = {'a'}  st = {1.0, 2}  st.discard(1)  ss = st

=== ordered 3
od = collections.OrderedDict([('a', 1), ('b', 2), ('c', 3)])
class MyDict(dict):
    tag = 1
    def __getitem__(self, k):
        return super().__getitem__(k) + 1
    def __missing__(self, k):
        return 7
class MyOD(collections.OrderedDict):
    def first(self):
        return next(iter(self))
md, mo = MyDict(a=1), MyOD(z=1, a=2)
md.extra = 5
I|  od['a']  od[@K]  md['a']  md[@K]  md.get('a', 0)  md.tag  md.extra  len(od)  mo['a']
S|  next(iter(od))  next(reversed(od))  list(od)[0]  mo.first()  ''.join(od)  max(od)
B|  @K in od  @K in md  od == {'a': 1, 'b': 2, 'c': 3}  od == mo  bool(md)
O|  od  md  mo  list(od.items())  od.copy()  MyDict(x=@I)  MyOD(q=@O)
O|  collections.OrderedDict(d)
D|  od  md  mo
-|  od['a'] = (@I) % 4  od.move_to_end(@K)  od.move_to_end(@K, last=False)  od.popitem()
-|  od.pop(@K, 0)
-|  od[@K] = @I  del od[@K]  md[@K] = (@I) % 3  md.extra = (@I) % 3  mo.update(a=(@I) % 3)
-|  od.clear()
-|  md.setdefault(@K, 1)  mo.popitem(last=False)  od |= {'w': 1}  md.pop(@K, None)
-|  od.setdefault('h', @L)
-|  od.move_to_end('a'); od.move_to_end('b')
H|  for s in list(od):  for s, i in list(od.items()):  for s in sorted(mo):
!|  od.move_to_end('a')  od['a'] = 9  od = dict(od)  md['a'] = 5  md.tag = 3  del md['a']
!|  mo = MyOD(a=2, z=1)
!|  del MyDict.__getitem__  MyDict.__missing__ = lambda s, k: 0  md.extra = 6  od.clear()
!|  MyDict.__len__ = lambda s: 0
!|  od = collections.OrderedDict([('a', 1), ('b', 2), ('c', 3)])  md = mo
!|  MyOD.first = lambda s: 'q'

=== defaultdicts 3
dd = collections.defaultdict(list, {'a': [1]})
dc = collections.defaultdict(int, {'a': 2})
ct = collections.Counter('aab')
cm = collections.ChainMap({'a': 1}, d)
I|  dc['a']  dc[@K]  len(dd)  ct['a']  ct[@K]  ct['zz']  len(dd[@K])  dc.get('q', 0)
I|  ct.total()  cm['a']  cm[@K]
L|  dd['a']  dd[@K]  sorted(dc.values())  sorted(ct.elements())[:1] and [@I]
B|  @K in dd  @K in dc  dd.default_factory is list  ct == dc  @K in cm
O|  dd  dc  ct  cm  ct.most_common(1)  collections.Counter(@S)
O|  collections.defaultdict(list)  dict(dd)  ct + ct
D|  dc  ct  dd
-|  dd[@K].append((@I) % 3)  dc[@K] += 1; dc[@K] %= 3  ct[@S] += 1; ct[@S] %= 3
-|  ct.update(@S)  dd.clear()
-|  dd['a'][:] = dd['a'][-2:]  dd[@K] = @L  dc.pop(@K, None)  ct.subtract('a')
-|  cm['n'] = (@I) % 3  dd[@K]
-|  dd.default_factory = None  dc = collections.defaultdict(int)  del ct['b']
-|  cm.maps[0]['a'] = @I
G|  dc
!|  dd['a'] = [5]  dc['a'] = 7  dd.default_factory = dict  dc.default_factory = lambda: 5
!|  dd.pop('x', None)
!|  ct['a'] = 0  ct = collections.Counter()  dc = ct  dd = {'a': [1]}  dd.clear()
!|  d['zz'] = 1  cm.maps.append(xs)  dc = collections.defaultdict(int, {'a': 2})

=== deques 3
dq = collections.deque([1, 2, 3], maxlen=4)
du = collections.deque([5])
I|  dq[0]  dq[-1]  len(dq)  sum(dq)  dq.count(@I)  du[0]  dq[@I]  max(dq, default=0)
I|  dq.maxlen
B|  @I in dq  bool(du)  dq == du  dq is du
L|  list(dq)  [x for x in dq]  sorted(dq)  list(reversed(dq))  list(itertools.islice(dq, 2))
O|  dq  du  dq.copy()  collections.deque(@L)  collections.deque(@L, 2)  tuple(dq)
-|  dq.append((@I) % 4)  dq.appendleft((@I) % 4)  dq.pop()  dq.popleft()  dq.rotate(@I)
-|  dq.extend(@L)  dq.clear()  dq[0] = (@I) % 5  du.append(@V); dq.pop()  du.extendleft(@L)
-|  dq.reverse()
-|  dq.remove(@I)  del dq[0]  du = dq  dq.insert(0, @I); dq.pop()  dq += [@I]
H|  for i in list(dq):  for i in dq:
G|  du
!|  dq.append(9)  dq.clear()  dq = collections.deque([1, 2, 3])  du = dq
!|  du = collections.deque([5])  dq.rotate(1)
!|  dq[0] = True  dq = [1, 2, 3]  dq = collections.deque([1, 2, 3], maxlen=4)  du.append(xs)

=== userlists 3
class Stack(list):
    limit = 3
    def push(self, x):
        self.append(x)
        del self[:-self.limit]
        return self
    def __getitem__(self, k):
        return super().__getitem__(k)
class Bag:
    def __init__(self, items):
        self.items = list(items)
    def __len__(self):
        return len(self.items)
    def __getitem__(self, k):
        return self.items[k]
    def __setitem__(self, k, v):
        self.items[k] = v
    def __delitem__(self, k):
        del self.items[k]
    def __contains__(self, x):
        return x in self.items
    def __iter__(self):
        return iter(self.items)
    def __eq__(self, other):
        return isinstance(other, Bag) and self.items == other.items
    def __hash__(self):
        return 1
    def __add__(self, other):
        return Bag(self.items + list(other))
    def __iadd__(self, other):
        self.items[:] = list(other)[:2]
        return self
    def __bool__(self):
        return g > 0
    def __call__(self, x):
        return x + len(self.items)
    def __lt__(self, other):
        return len(self.items) < len(other.items)
    def __index__(self):
        return len(self.items)
    def __str__(self):
        return f'Bag{self.items}'
class Tup(tuple):
    def total(self):
        return sum(self)
tup0: object = Tup((1, 2))
sk, bag, tup = Stack([1]), Bag([1, 2]), tup0
sk.name = 's'
I|  sk[0]  len(sk)  bag[0]  bag[@I]  len(bag)  bag(@I)  tup.total()  sum(bag)  tup[0]
I|  sk.limit  max(tup)
B|  @I in bag  bag == Bag([1, 2])  bag  sk  bag < Bag(@L)  @I in sk  isinstance(sk, list)
B|  bag != sk
S|  str(bag)  f'{bag}'  sk.name  f'{sk}'
L|  sk  list(bag)  [x for x in bag]  sk.push(@I)  [*bag]  sorted(tup)  bag.items
F|  bag
O|  sk  bag  tup  Bag(@L)  Stack(@L)  Tup(@L)  bag + @L  min(bag, Bag(@L))
O|  sorted([bag, Bag(@L)])  ~{bag: @I}  sk + [1]
-|  sk.push((@I) % 4)  bag[0] = (@I) % 3  del bag[0]  bag += @L
-|  bag.items.append((@I) % 3); del bag.items[3:]  bag.items = @L
-|  sk.name = @S  sk[0] = @I  sk.append(@I); sk.pop()  tup = Tup(@L)
-|  sk.extend(@L); del sk[2:]  i, *l = bag  sk.sort()
G|  bag  tup
H|  for i in list(bag)[:3]:  for i in sk[:2]:  for i, o in zip(bag, 'ab'):  if bag:
!|  bag.items = [0]  bag.items.append(3)  sk.append(2)  Stack.limit = 1  sk.limit = 2
!|  tup = Tup((5,))  bag = Bag([1, 2])  del Bag.__bool__  del Bag.__len__
!|  Bag.__call__ = lambda self, x: x
!|  Bag.__len__ = lambda s: 1  Bag.__iter__ = lambda s: iter([9])
!|  del Bag.__contains__  Bag.__lt__ = lambda a, b: False  sk = Stack([1])  bag = sk
!|  Stack.__getitem__ = lambda s, k: 4  Tup.total = lambda self: 3  bag.items = xs
!|  Stack.__len__ = lambda s: 0
!|  del Stack.__getitem__  Stack.__iter__ = lambda s: iter([3])

=== scalars 3
class MyInt(int):
    def __add__(self, other):
        return MyInt(int(self) + other * 2)
    def twice(self):
        return self * 2
class MyStr(str):
    def shout(self):
        return self.upper() + '!'
    def __len__(self):
        return 2
mi0: object = MyInt(3)
ms0: object = MyStr('hey')
mi, ms = mi0, ms0
mi.tag = 1
by_, fl, cx = b'ab', 1.5, 1 + 2j
big = 10 ** 20
I|  mi  mi + @I  mi.twice()  len(ms)  by_[0]  int(fl)  round(fl)  cx.real  mi.tag
I|  int(mi)  big % 7  fl  math.floor(fl)  mi % 2  divmod(@I, 3)[1]
I|  math.gcd(4, 6)  round(math.sqrt(abs(@I)), 2)  int('12')  ord('a')  fl * 2  hash(@S) * 0
I|  pow(2, 3, 5)  math.prod(@L[:2])
B|  mi == 3  ms == 'hey'  fl > @I  isinstance(mi, int)  ~ms in {'hey': 1}
B|  type(mi) is MyInt  mi is mi  big == 10 ** 20  math.isnan(fl)
S|  ms  ms.shout()  ms + 'x'  f'{fl:.2f}'  f'{mi:03d}'  str(cx)  by_.decode()  ms[0]
S|  ms.title()  '%05.1f' % fl  format(@I, '>5')  f'{@S:*^7}'
O|  mi  ms  by_  MyInt(@I)  MyStr(@S)  cx * 2  complex(@I, 1)  by_ + b'c'  ~{ms: 1}
O|  {mi: 1}  bytes([1, 2])  bytearray(by_)  big  float('nan')  -0.0
-|  mi = MyInt((@I) % 3)  ms = MyStr(@S)  fl = fl * -1  ~d[ms] = (@I) % 3
-|  mi.tag = (@I) % 3  by_ = b'ab' if @B else b'c'  fl = float(@I)  ~d.pop(ms, None)
-|  o = [mi, ms, fl, cx]  mi += 0
G|  mi  ms  fl  by_
!|  mi = MyInt(4)  mi = 3  ms = MyStr('no')  ms = 'hey'  fl = 1.5  fl = float('nan')
!|  fl = -0.0  fl = 0.0  by_ = b'zz'  cx = 2j  big = 3  mi.tag = 2
!|  MyInt.twice = lambda s: 1  del MyStr.__len__
!|  MyInt.__add__ = lambda a, b: 0  MyStr.__len__ = lambda s: 9  fl = 1
!|  MyInt.__eq__ = lambda a, b: False
!|  mi = MyInt(3)  mi = MyInt(3); mi.tag = 1

=== buffers 2
ba = bytearray(b'abc')
sl = slice(0, 2)
rg = range(4)
ns = types.SimpleNamespace(u=1, v=[2])
mp = types.MappingProxyType(d)
I|  ba[0]  len(ba)  rg[1]  len(rg)  ns.u  mp['a']  len(mp)  sl.stop  sl.start or 0
I|  sl.step or 1  rg.stop  mp.get(@K, 0)
B|  rg == range(4)  @I in rg  @K in mp  ba == b'abc'
B|  ns == types.SimpleNamespace(u=1, v=[2])
L|  list(rg)  ns.v  @V[sl]  list(ba)[:2]  [x for x in rg]
O|  ba  sl  rg  ns  bytes(ba)  bytearray(b'xy')  bytearray(str(@I).encode())
O|  types.MappingProxyType(@D)  [types.MappingProxyType({'p': @I})]  ns.v
O|  types.SimpleNamespace(q=@O)  slice(@I)  mp  dict(mp)  rg[1:]  slice(@V)
-|  ns.u = (@I) % 3  ns.w = @V  ba[0] = (@I) % 100  ba.append(1)  del ns.w  ns.v = @L
-|  rg = range(@I % 4)  ba += b'x'  ns = types.SimpleNamespace(u=@I, v=[])
-|  sl = slice(@I % 3)
H|  for i in rg:
G|  rg  sl  ns
!|  ba[0] = 5  ns.u = 4  rg = range(2)  sl = slice(1, None)
!|  ns = types.SimpleNamespace(u=1, v=[2])  ns.v = xs  mp = types.MappingProxyType({})
!|  del ns.u  d['a'] = 6
!|  ba.clear()  sl = slice(None, None, -1)  rg = [1]
!|  mp = types.MappingProxyType({'a': 1, 'b': 2})
""")
