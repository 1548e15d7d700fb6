"""The format of the tables that random programs are drawn from, and the core of those
without tensors.  `fuzz_maker.py` lists the tables.

A program takes the core and a few features drawn by weight.  A feature is

    === name weight        state that is built anew whenever a caller resets it: classes
    source                 and functions stay, plain assignments run again
    I|  expr  expr         expressions that make a number; B a truth value, S a str,
                           L a list of numbers, N a node, D a dict, T a tuple, O anything,
                           F a function of one number, C a class, V a list by name
    -|  statement          statements; in a block, `; ` stands between simple ones
    H|  head:              heads of blocks
    !|  statement          what the caller may do between two calls
    %|  statement          what sets a number of the state, in scripts that vary numbers
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
            if re.match(r"[-!%A-Z]\|", line):
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
