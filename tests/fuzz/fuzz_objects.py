"""Features of objects: attributes, classes, data classes, enumerations; see fuzz_tables.py for the format."""

from __future__ import annotations

from fuzz_tables import features

OBJECT_FEATURES = features(r"""
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

=== replaced 3
ends: object = []
class Loud:
    def __init__(self, *parts):
        self.parts = parts
    def __del__(self):
        ends.append((len(log), g, place.v is None))
class Soft:
    pass
class Place:
    v = None
class Narrow:
    __slots__ = ('v',)
def waits():
    try:
        yield 1
    finally:
        ends.append(g)
def put(v):
    places[0].v = v
place, narrow = Place(), Narrow()
narrow.v, place.w, places, spare = None, [1], [place, narrow], [1, 2]
soft, sorts, sets_ = None, collections.deque([1, 2]), {1, 2}
def hold(v=None):
    def give():
        return v
    def take(x):
        nonlocal v
        v = x
    return give, take
give, take = hold()
I|  len(ends)  len(spare)  len(sorts)  len(sets_)
B|  place.v is None  soft is None  give() is None
-|  place.v = @I  place.v = None  narrow.v = @I  place.w = [@I]  place.w.clear()  take(@I)
-|  spare.clear()  spare[:] = [@I]  spare.reverse()  sorts.append(@I)  sorts.clear()
-|  sets_.clear()  soft = @I  Place.v = @I  place.__dict__.clear()  d['a'] = @I  d.pop('l', 0)
-|  places.reverse()  put(@I)  log.append(@I)  place.v, narrow.v = narrow.v, place.v
-|  place.w, spare[:] = spare, []  del place.v; place.v = @I  d.clear()  take(None)
-|  g = @I  o = place.v; place.v = None  o = [place.w]; place.w = @L
G|  soft
!|  place.v = Loud()  narrow.v = [Loud(1)]  place.w = [(Loud(),)]  spare[:] = [1, {'k': Loud()}]
!|  sorts.append([Loud()])  sets_.add(Loud())  soft = Loud()  Place.v = [Loud()]  take(Loud())
!|  d['l'] = Loud()  d['a'] = Loud()  place.v = narrow.v = Loud()  place.w.append(Loud([Loud()]))
!|  place.v = waits(); next(place.v)  soft = Soft(); place.s = weakref.ref(soft, ends.append)
!|  soft = Soft(); place.s = weakref.ref(soft, lambda r: ends.append(len(log)))
!|  place.v = Loud(); spare.append(place.v)  ends.clear()  Loud.__del__ = lambda s: log.append(1)
!|  take([Loud()] * 2)  narrow.v = place.v = [Loud(), 1]  sorts[0] = {1: Loud()}

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
""")
