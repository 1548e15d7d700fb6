"""The productions of random programs without tensors: one table of features.

A program takes the core and a few features drawn by weight.  A feature is

    === name weight        state that is built anew whenever a caller resets it: classes
    source                 and functions stay, plain assignments run again
    I|  expr  expr         expressions that make a number; B a truth value, S a str,
                           L a list of numbers, N a node, D a dict, T a tuple, O anything,
                           F a function of one number, C a class, V a list by name
    -|  statement          statements; in a block, `; ` stands between simple ones
    H|  head:              heads of blocks
    !|  statement          what the caller may do between two calls
    G|  name               globals that statements of the program assign

Two blanks separate productions; each has weight 1, so a production that is listed twice
is twice as likely.  `~` in front of one: it keeps calls eager (the engine refuses it), and
is drawn less often.  `@X` is a hole for a drawn expression of kind X.  A state that guards
pin by identity is made once, `name: object = ...`, and assigned again from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

HOLE = re.compile(r"@([A-Z])")
REFUSED = "~"


@dataclass
class Feature:
    """One row of the table, see above."""

    name: str
    weight: int
    state: str = ""
    forms: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: str) -> list[str]:
        return self.forms.get(kind, [])


def features(table: str) -> list[Feature]:
    """Parse a table."""
    found = []
    for block in re.split(r"^=== ", table, flags=re.MULTILINE)[1:]:
        head, *lines = block.splitlines()
        name, weight = head.split()
        feature = Feature(name, int(weight))
        state = []
        for line in lines:
            if re.match(r"[-!A-Z]\|", line):
                parts = [p.strip() for p in re.split(r"  +", line[2:].strip())]
                feature.forms.setdefault(line[0], []).extend(filter(None, parts))
            else:
                state.append(line)
        feature.state = "\n".join(state).strip()
        found.append(feature)
    return found


CORE = features(r"""
=== core 0
class Node:
    shared = 1
    def __init__(self, a, b):
        self.a = a
        self.b = b
    def bump(self, k):
        self.a = (self.a + k) % 5
        return self.b
    @property
    def size(self):
        return len(self.b) + self.shared
class Other(Node):
    shared = 4
    def bump(self, k):
        return super().bump(k + 1)
def helper(x, y=2, *rest, k=3):
    return (x * y + k + len(rest)) % 7
g = 1
xs, ys = [1, 2, 3], [4]
n1, n2 = Node(1, [1, 2]), Node(2, ys)
d = {"a": 1, "b": 2}
log = []
I|  0  1  2  -1  True  a  b  i  i  g  g  a  3.5  (@I + @I)  (@I - @I)  (@I * @I)  @I % 3
I|  -@I  abs(@I)  @I // @I  @I & 3
I|  (@I if @B else @I)  (@I or @I)  (@I and @I)  len(@L)  sum(@L)  int(@B)
I|  max(@L, default=0)  @V[0]  @V[-1]  helper(@I)  helper(@I, @I, k=@I)
I|  helper(*@V[:3])  @N.a  @N.size  @N.shared  getattr(@N, 'c', @I)  @N.c
I|  Node.shared  d['a']  d.get(@K, @I)  d[@K]  len(d)  min(@I, @I)  @V.count(@I)
I|  (lambda x: x + @I)(@I)  sum(x for x in @L if x)  len(@S)  n.missing
B|  @I < @I  @I == @I  @I in @L  @K in d  not @I  @V  @V is @V  @V == @V
B|  @N is @N  hasattr(@N, 'c')  isinstance(@I, bool)  isinstance(@N, Other)
B|  any(@L)  all(@L)  @I < @I <= @I  type(@N) is Node  @N.b is @V  @S == @S
B|  @I is None  @N is not None  a is b  @I != @I  'a' in @S  @D == @D
S|  'a'  'bc'  s  f'{@I}'  str(@I)  @S + 'x'  @S.upper()  @S[:2]  @K  type(@N).__name__
S|  '-'.join(map(str, @L))  f'{@I!r:>4}'  '%s' % @I  '{}.{}'.format(@I, @S)
S|  repr(@L)  @S * 2  @S.replace('a', 'b')  ('a' if @B else @S)
L|  xs  ys  l  n1.b  n2.b  xs  l  [@I, @I]  @L + [@I]  sorted(@L)  @L[:2]  list(@L)
L|  [x + 1 for x in @L if x != @I]  [*@L, @I]  @N.bump(@I)  @L[::-1]  []
L|  [x * y for x, y in zip(@L, @L)]  list(range(@I % 4))  list(map(helper, @L))
L|  [v for v in d.values() if isinstance(v, int)]  list(reversed(@L))  @L.copy()
L|  [i for i, x in enumerate(@L)]  (@L or [@I])  list(filter(None, @L))
V|  xs  ys  l  n1.b  n2.b
N|  n1  n2  n  n1  n2  Node(@I, @L)  Other(@I, @V)  (@N if @B else @N)
D|  d  d  {'a': @I}  {**d, 'z': @I}  dict(d)  {k: v for k, v in d.items()}  vars(@N)
K|  'a'  'x'  'y'  'b'
R|  (@I, l, @O)  (i, @S)  @O  [@L, @T]
T|  (@I, @I)  ()  (@I, @V)  (@S, @N)  tuple(@L)  (@I,) + @T  args
O|  @I  @S  @L  @N  @D  @T  None  @B  {@I, @I}  frozenset(@L)  o  @F
F|  helper  abs  (lambda x: x + @I)  (lambda x, y=@I: y)  @N.bump  str
C|  Node  Other  int
-|  i = @I  l = @L  n = @N  s = @S  o = @O  i += @I  g = (@I) % 3  n = Node(@I, @L)
-|  @N.a = (@I) % 5  @N.b = @L  @N.c = (@I) % 2  ~del @N.c  Node.shared = (@I) % 3
-|  @V[0] = (@I) % 5  @V[-1:] = [(@I) % 5]  @V.append((@I) % 5)  @V[:] = @V[-3:]
-|  @V.insert(0, (@I) % 5)  @V.pop()  @V.sort()  @V.reverse()  @V.clear()
-|  del @V[4:]  del @V[0]  l += [(@I) % 5]  @V.extend([(@I) % 5])  ~@V.remove(@I)
-|  d[@K] = (@I) % 5  d.pop(@K, None)  ~del d[@K]  d.update(x=(@I) % 5)  d.clear()
-|  d.setdefault(@K, (@I) % 5)  d.popitem()  n1.b, n2.b = n2.b, n1.b
-|  setattr(@N, 'c', (@I) % 3)  @N.bump(@I)  xs, ys = ys, xs  n2 = @N  o = @F(@I)
-|  log.append((@I) % 9)  i, *l = [@I, *@L]  assert @B, @S  vars(@N)['c'] = (@I) % 2
-|  log.append(@O)  out.append(@O)  out.append(@O)  out.append(@V)  (i, s), o = (@I, @S), @O
-|  @N.__dict__.pop('c', None)  ys[:] = ys[:2]; ys *= 2  d |= {'q': (@I) % 3}  @N.a += 1  o = @T
-|  ~raise KeyError(@S)  ~raise ValueError(@I)  del i; i = @I
G|  g  xs  ys  n1  n2
H|  for i in @L[:3]:  for i, o in enumerate(@L[:3]):  for s in list(d):  if @B:  if @B:
H|  for i, o in zip(@L[:2], @L):  for s, o in list(d.items()):  if (o := @I) > 0:
!|  g = (g + 1) % 3  g = True  g = 1.0  g = 1  xs.append(1)  xs[:] = [3, 1]  xs = [5, 6]
!|  ys = xs  ys = [4]  n1.b = xs  n1.b = [1, 2]  n2 = n1  n2 = Node(0, [])
!|  n1.__class__ = Other  n1.__class__ = Node  n1.c = 1  vars(n1).pop('c', None)
!|  n1.__dict__ = {'b': [0], 'a': 3}  d['a'] = 5  d.pop('x', None)  d['b'] = 2
!|  d = dict(reversed(d.items()))  Node.shared = 7  Other.shared = 2  del Node.shared
!|  Node.bump = lambda self, k: self.b  Node.size = property(lambda self: 0)
!|  Node.c = 8  Node.a = property(lambda self: 3)  Other.__init__ = lambda self, a, b: None
!|  helper.__defaults__ = (4,)  helper.__kwdefaults__ = {'k': 0}
!|  helper.__kwdefaults__['k'] = 1
!|  helper = lambda *a, **k: 0  len = lambda v: 2  globals().pop('len', None)
!|  helper.__code__ = (lambda x, y=2, *rest, k=3: x + k).__code__  Other.__bases__ = (Node,)
!|  n1.b = n1.b[:]  n1.a = 1  n1.a = True  n1 = Node(1, [1, 2])  n1, n2 = n2, n1
!|  Node.__eq__ = lambda self, o: True  Node.__len__ = lambda self: 0
!|  Node.__bool__ = lambda self: False
!|  Node.__getattr__ = lambda self, name: 6  Node.__setattr__ = lambda self, k, v: None
!|  abs = helper  d = {}  d['x'] = 0  sum = max  n2 = None  xs = (1, 2)  sorted = list
!|  xs[0] = True  xs[0] = 1.0  xs = [-0.0]  xs = [0.0]  ys = list(range(6))  del n1.a
!|  Other.bump = Node.bump  del Other.bump  Node.bump.__defaults__ = (1,)  del g
""")[0]


FEATURES = features(r"""
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

=== slots 4
class P:
    __slots__ = ('x', 'y')
    def __init__(self, x, y=None):
        self.x = x
        self.y = y
class Q(P):
    __slots__ = ('z', '__dict__')
p, q = P(1, [2]), Q(3)
I|  p.x  q.x  getattr(p, 'y', 0)  q.z  q.w  p.x or @I
B|  hasattr(p, 'y')  hasattr(q, 'z')  p.y is q.y  isinstance(p, Q)
O|  p  q  P(@I, @O)  Q(@V)
-|  p.x = (@I) % 4  p.y = @V  del p.y  q.z = (@I) % 3  q.w = (@I) % 2  p = P(@I)  q.y = p
-|  del q.z  p.x += 1  p.x, q.x = q.x, p.x  setattr(p, 'y', @L)  delattr(q, 'z')
G|  p  q
!|  p.x = 5  p.x = True  del p.y  p.y = xs  q.z = 1  q = Q(3)  p = q  p = P(1, [2])  q.w = 4
!|  P.x.__set__(q, 3)  del q.x  Q.x = 5  P.q = 1

=== getattr_hooks 3
class Dyn:
    calls = 0
    def __init__(self):
        self.own = 1
    def __getattr__(self, name):
        if name.startswith('m'):
            return len(name) + g
        raise AttributeError(name)
class Loud:
    def __getattribute__(self, name):
        return object.__getattribute__(self, name)
    def __setattr__(self, name, value):
        object.__setattr__(self, name, (value, name))
    def __delattr__(self, name):
        object.__setattr__(self, name, None)
dyn, loud = Dyn(), Loud()
loud.v = 3
I|  dyn.own  dyn.mmm  getattr(dyn, 'zz', @I)  dyn.calls  getattr(dyn, @S, 0)
B|  hasattr(dyn, 'zz')  hasattr(dyn, 'mm')  hasattr(loud, @K)
O|  loud.v  dyn  Dyn()  loud  Loud()
-|  dyn.own = (@I) % 3  dyn.mm = @I  del dyn.mm  loud.v = (@I) % 4  loud.w = @V  del loud.v
-|  Dyn.calls += 0  setattr(dyn, @K, @I)  dyn.zz  delattr(dyn, @K)
!|  dyn.mmm = 1  dyn.__dict__.clear()  Dyn.zz = 5  del Dyn.__getattr__
!|  Dyn.mmm = property(lambda s: 9)
!|  Dyn.__getattr__ = lambda self, n: 2  Loud.__getattribute__ = object.__getattribute__
!|  del Loud.__setattr__  Loud.v = property(lambda self: 4)  dyn = loud  dyn = Dyn()
!|  dyn.own = 5

=== descriptors 4
class Field:
    def __init__(self, default):
        self.default = default
    def __set_name__(self, owner, name):
        self.name = '_' + name
    def __get__(self, obj, cls=None):
        if obj is None:
            return self
        return obj.__dict__.get(self.name, self.default)
    def __set__(self, obj, value):
        obj.__dict__[self.name] = value
class Lazy:
    def __init__(self, fn):
        self.fn = fn
    def __get__(self, obj, cls=None):
        value = self.fn(obj)
        obj.__dict__['lazy'] = value
        return value
class Rec:
    size, name = Field(1), Field('r')
    @Lazy
    def lazy(self):
        return self.size + 1
    @property
    def p(self):
        return self.size * 2
    @p.setter
    def p(self, v):
        self.size = v
    @p.deleter
    def p(self):
        self.size = 0
    @staticmethod
    def st(x, k=2):
        return x + k
    @classmethod
    def cl(cls, x):
        cls.count = x % 3
        return cls.count
    @functools.cached_property
    def cached(self):
        return [self.size]
r = Rec()
I|  r.size  r.lazy  r.p  r.st(@I)  Rec.st(@I)  r.cl(@I)  Rec.cl(@I)  r.count  Rec.count
L|  ~r.cached
S|  r.name  Rec.size.name
O|  r  Rec()  r.st  r.cl  vars(r)
F|  r.st  Rec.cl
-|  r.size = (@I) % 4  r.p = (@I) % 3  del r.p  r.name = @S  r = Rec()  r.lazy  r.cl(@I)
-|  r.__dict__.pop('lazy', None)  r.__dict__.pop('cached', None)  del r.cached
-|  r.__dict__['cached'] = @V  r.cached = @V
-|  Rec.size.default = (@I) % 3  r.__dict__['_size'] = (@I) % 3
G|  r
!|  r._size = 5  r = Rec()  Rec.size.default = 7  Rec.size = 3  r.__dict__['lazy'] = 8
!|  r.lazy = 2
!|  Field.__get__ = lambda self, o, c=None: 5  del Field.__set__  Rec.st = lambda x, k=2: 9
!|  Rec.st = staticmethod(lambda x: 1)  Rec.cl = classmethod(lambda cls, x: 4)  Rec.p = 5
!|  Rec.p = property(lambda self: self.name)  Rec.lazy = 3  r.__dict__.clear()  r.cached

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

=== data 4
@dataclasses.dataclass
class Point:
    x: int = 1
    y: list = dataclasses.field(default_factory=list)
    def norm(self):
        return self.x + len(self.y)
@dataclasses.dataclass(frozen=True)
class Cold:
    v: int
    w: tuple = ()
@dataclasses.dataclass(order=True, slots=True)
class Ord:
    k: int
    t: str = 'z'
    def __post_init__(self):
        self.t = self.t + str(self.k % 3)
NT = collections.namedtuple('NT', 'p q', defaults=[3])
class NT2(typing.NamedTuple):
    u: int
    w: list = []
nt0: object = NT(1)
ct0: object = (3,)
pt, cold, od1, nt = Point(1, [2]), Cold(2, ct0), Ord(2), nt0
I|  pt.x  pt.norm()  cold.v  nt.p  nt[1]  od1.k  sum(nt) if isinstance(nt, NT) else 0
I|  nt._asdict()['p']  ~hash(cold) and 1
B|  pt == Point(1, [2])  od1 < Ord(@I)  cold == Cold(@I)  nt == (1, 3)
B|  isinstance(nt, tuple)  ~cold in {cold: 1}
S|  od1.t  ~repr(pt)  repr(nt)  ~f'{cold}'  ~str(od1)
L|  pt.y  [*nt]  NT2(@I).w
T|  nt  NT(@I, @I)  nt._replace(p=@I)  dataclasses.astuple(cold)  NT2(@I, @V)  cold.w
O|  pt  cold  od1  nt  Point(@I)  Point(@I, @V)  Cold(@I)  Ord(@I, @S)
O|  dataclasses.replace(pt, x=@I)  NT(@O)  dataclasses.asdict(cold)
O|  max(Ord(@I), od1)  dataclasses.fields(Cold)[0].name  ~copy.copy(pt)
-|  pt.x = (@I) % 4  pt.y = @L  pt = Point(@I)  nt = NT(@I)  od1.k = (@I) % 3
-|  cold = Cold(@I)  cold.v = 1  pt.y.append(1); del pt.y[2:]
-|  o, i = nt  nt = nt._replace(q=(@I) % 3)  pt.z = @I  od1 = Ord(@I)
-|  object.__setattr__(cold, 'v', (@I) % 3)
G|  pt  nt  cold  od1
!|  pt.x = 5  pt.y = xs  pt = Point(1, [2])  cold = Cold(2, (4,))  nt = NT(4)
!|  nt = (1, 3)  od1.t = 'q'  Point.norm = lambda s: 0  Point.x = 8
!|  del pt.x  pt = od1  nt = NT2(1)  od1 = Ord(2)  Ord.__lt__ = lambda a, b: True
!|  Point.__eq__ = lambda a, b: False  Cold.__hash__ = lambda s: 5

=== enums 3
class Color(enum.Enum):
    RED = 1
    BLUE = 2
    @property
    def warm(self):
        return self is Color.RED
class Num(enum.IntEnum):
    ONE = 1
    TWO = 2
class Flag(enum.Flag):
    A = enum.auto()
    B = enum.auto()
col, num, flag = Color.RED, Num.ONE, Flag.A
by = {Color.RED: 1, Color.BLUE: [2]}
I|  col.value  num + @I  num.value  by.get(col, 0) if col is Color.RED else 3  len(Color)
I|  flag.value  num
B|  col is Color.RED  col == Color.BLUE  num == 1  col.warm  col in by  isinstance(num, int)
B|  Flag.A in flag
S|  col.name  str(num)  f'{col}'  repr(col)  f'{num:d}'
O|  col  num  by  by[col]  Color['RED']  Color(2)  list(Color)  flag | Flag.B
O|  Color.__members__['RED']  {col: @O}  Num(1)
-|  col = Color.BLUE  col = Color.RED  num = Num.TWO  by[col] = (@I) % 3  flag |= Flag.B
-|  flag ^= Flag.A  d[col] = @I  by.pop(col, None)  col = Color((@I) % 2 + 1)
-|  d.pop(col, None)
H|  for o in Color:  if col is Color.RED:
G|  col  num  flag
!|  col = Color.BLUE  col = Color.RED  col = num  num = Num.TWO  num = 1  by[Color.RED] = 5
!|  by.clear()  flag = Flag.A | Flag.B
!|  Color.warm = property(lambda s: 0)  col = None  by = {1: 1}  num = True

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
var2 = contextvars.ContextVar('var2')
ctx = Ctx()
I|  var.get()  var2.get(3)  d.get('depth', 5)
O|  ctx  Ctx()  var2.get(None)  contextlib.nullcontext(1)
-|  o = var.set(@I); i = var.get(); var.reset(o); o = 1  ctx.swallow = LookupError
-|  ctx.swallow = KeyError  i = var2.get()  ctx = Ctx(None)
H|  with ctx as o:  with Ctx() as o:  with Ctx(ValueError):  with scope(@I) as i:
H|  with contextlib.suppress(KeyError):  with Ctx() as o, scope(1) as i:
H|  with contextlib.nullcontext(@I) as i:
G|  ctx
!|  ctx.swallow = None  var.set(4)  var.set(True)  ctx = Ctx()
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

=== namesakes 3
class Zip:
    def __init__(self, v):
        self.v = v
    def __iter__(self):
        return iter([self.v, 2])
    def __len__(self):
        return self.v % 3
    def __getitem__(self, k):
        return (k, self.v)
Zip.__name__ = 'zip'
class Part:
    func, args, keywords, __wrapped__ = len, (), {}, len
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return (x * self.n) % 7
Part.__name__ = 'functools.partial'
class Get:
    def __init__(self, i):
        self.i = i
    def __get__(self, obj, cls=None):
        return self.i if obj is None else len(obj) + self.i
    def __reduce__(self):
        return (1, 2)
Get.__name__ = '_collections._tuplegetter'
class Pair(tuple):
    at = Get(1)
class Meta2(type):
    def __instancecheck__(cls, obj):
        return cls.yes
Meta2.__name__ = 'EnumMeta'
class Kin(metaclass=Meta2):
    yes = False
zz, pp, tt = Zip(3), Part(2), Pair((1, 2))
I|  pp(@I)  tt.at  Pair.at  sum(zz)  max(zz)  len(zz)  pp.n  zz[1][1]  len(dict(zip(zz, zz)))
B|  bool(zz)  isinstance(@O, Kin)  @I in zz
L|  list(zz)  sorted(zz)  list(map(pp, @L))  sorted(@L, key=pp)  [x for x in zz]
T|  tuple(zz)  tuple(enumerate(zz))
F|  pp  Part(@I)
O|  zz  pp  dict(zip(zz, zz))  [*zz]  list(filter(pp, @L))
-|  zz.v = @I  pp.n = @I  zz = Zip(@I)  pp = Part(@I)  Kin.yes = @B
G|  zz  pp
!|  zz.v = 5  pp.n = 4  Get.__get__ = lambda s, o, c=None: 9  Kin.yes = True  pp = Part(3)
!|  Zip.keys = lambda s: ['k']  Zip.__iter__ = lambda s: iter([7])  Part.__call__ = lambda s, x: x

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

=== inheritance 4
class Base:
    kind = 'base'
    def __init__(self, v=1, **kw):
        self.v = v
        super().__init__(**kw)
    def hi(self, x):
        return x + self.v
    def both(self):
        return [type(self).kind, self.kind]
class Mix:
    def __init__(self, m=2, **kw):
        self.m = m
        super().__init__(**kw)
    def hi(self, x):
        return super().hi(x) * self.m
class Kid(Mix, Base):
    kind = 'kid'
    def hi(self, x):
        return super().hi(x) + 1
    def __eq__(self, o):
        return isinstance(o, Kid) and self.v == o.v
    __hash__ = object.__hash__
class Meta(type):
    level = 3
    def __call__(cls, *a):
        o = super().__call__(*a)
        o.made = cls.level
        return o
    @property
    def shown(cls):
        return cls.__name__
    def __len__(cls):
        return 4
class Made(metaclass=Meta):
    def __new__(cls, *a):
        o = super().__new__(cls)
        o.args = a
        return o
    def __init_subclass__(cls, **kw):
        cls.sub = True
class Abs(abc.ABC):
    @abc.abstractmethod
    def run(self): ...
class Conc(Abs):
    def run(self):
        return 1
kid, base, made = Kid(2), Base(3), Made(1)
I|  kid.hi(@I)  base.hi(@I)  kid.v  kid.m  made.made  Base.hi(kid, @I)  Made.level
I|  len(Made)  Conc().run()  super(Kid, kid).hi(@I)  Mix.hi(kid, @I)
S|  kid.kind  base.kind  Made.shown  type(kid).__mro__[1].__name__  Kid.kind
S|  type(base).__name__
B|  isinstance(kid, Mix)  issubclass(Kid, Base)  kid == Kid(@I)  isinstance(Conc(), Abs)
B|  isinstance(kid, Abs)  issubclass(type(base), Abs)  isinstance(o, (int, Abs))
B|  hasattr(base, 'm')  type(made) is Made  kid in [Kid(@I)]  isinstance(made, Meta)
O|  kid  base  made  Kid(@I)  Kid(v=@I, m=@I)  Base(@O)  ~Made(@I)  kid.both()  kid.hi
O|  Conc()  ~{kid: @I}  Kid.__mro__  type(kid)
F|  kid.hi  base.hi
C|  Kid  Base  Made
-|  kid.v = (@I) % 3  kid = Kid(@I)  Base.kind = @S  kid.kind = @S  del kid.kind
-|  base.v = @I  kid.m = (@I) % 3  ~made = Made(@I)  Kid.kind = @S  base = kid
-|  Meta.level = (@I) % 4  Made.new = @I  ~del Kid.kind  kid.hi = helper  del kid.hi
-|  Kid.extra = @V  o = Abs()
G|  kid  base  made
!|  kid.v = 7  Base.hi = lambda s, x: 0  Kid.__bases__ = (Base, Mix)
!|  Kid.__bases__ = (Mix, Base)  base.__class__ = Kid  base = Base(3)  kid = base
!|  Mix.hi = lambda s, x: 2  del Kid.hi  del Mix.hi  Kid.kind = 5  base.kind = 'b'
!|  Meta.level = 9  Made.level = 1  kid.hi = abs
!|  Meta.__len__ = lambda c: 0  Base.m = 6  made.__class__ = Made
!|  Made.__new__ = lambda cls, *a: object.__new__(cls)  kid = Kid(2)  del kid.v
!|  Base.__init__ = lambda s, v=1, **k: setattr(s, 'v', 4)  Conc.run = lambda s: 3
!|  Abs.register(Kid)  Abs.register(Base)
!|  Made.__class__ = type  made = Made(1)  type(kid).kind = 'z'

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
