"""Every mutator of a container, on objects that existed before and on new ones."""

import pytest

from oracle import Case, check

# Each statement runs on an argument, on a piece of one, and on a new object that is
# then stored in an argument; what it leaves and answers is read back afterwards.
MUTATORS = {
    "[3, 1, 2]": """
        x.append(v)
        x.append(x)
        x.extend([v, v])
        x.extend(range(2))
        x.extend(x)
        x += (v,)
        x *= 2
        x *= 0
        x.insert(0, v)
        x.insert(-1, v)
        x.insert(99, v)
        r = x.pop()
        r = x.pop(0)
        r = x.pop(-2)
        x.remove(1)
        x.clear()
        x.sort()
        x.sort(reverse=True)
        x.sort(key=lambda e: -e)
        x.reverse()
        x[0] = v
        x[-1] = v
        x[0] += 10
        x[1:2] = [v, v, v]
        x[:] = [v]
        x[::2] = [7, 8]
        x[3:] = x
        del x[0]
        del x[-1]
        del x[1:]
        del x[::2]
        x[0], x[1] = x[1], x[0]
        r = x.copy(); x.append(v)
        r = x + [v]; x.pop()
        x.append(v); r = x.index(v), x.count(v); x.remove(v)
    """,
    "{'a': 1, 'b': 2}": """
        x['c'] = v
        x['a'] = v
        x['a'] += 5
        x[1] = v; x[1.5] = v; x[None] = v; x[(1, 2)] = v
        del x['a']
        r = x.pop('a')
        r = x.pop('zz', v)
        r = x.popitem()
        r = x.setdefault('a', v)
        r = x.setdefault('c', v)
        x.update(c=v)
        x.update({'a': v, 'd': 4})
        x.update([('e', v)])
        x |= {'f': v}
        r = x | {'g': v}
        x.clear()
        r = x.copy(); x['c'] = v
        x['a'] = x.pop('a')
        x['self'] = x
        r = list(x), list(x.values()), list(x.items()); x['c'] = v
        x["it's"] = v
    """,
    "{1, 2, 3}": """
        x.add(v)
        x.add(1)
        x.discard(2)
        x.discard(99)
        x.remove(3)
        x.clear()
        x.update([v, 10])
        x |= {v}
        x &= {1, 2}
        x -= {1}
        x ^= {1, 50}
        x.intersection_update([2, 3])
        x.difference_update([2])
        x.symmetric_difference_update([3, v])
        r = x.copy(); x.add(v)
        r = x | {v}, x & {1}, x - {2}, x ^ {3}
        r = x.union([v]), x.issubset({1, 2, 3, 4}), x.isdisjoint({v})
    """,
    "deque([3, 1, 2])": """
        x.append(v)
        x.appendleft(v)
        x.extend([v, v])
        x.extendleft([v, 5])
        r = x.pop()
        r = x.popleft()
        x.rotate(1)
        x.rotate(-2)
        x.reverse()
        x.insert(1, v)
        x.remove(1)
        x.clear()
        x[0] = v
        del x[1]
        x += [v]
        r = x.count(1), x.index(2), x[1], len(x)
        r = x.copy(); x.append(v)
    """,
    "deque([1, 2], maxlen=2)": """
        x.append(v)
        x.appendleft(v)
        x.extend([v, v, v])
    """,
    "OrderedDict(a=1, b=2, c=3)": """
        x['d'] = v
        x['a'] = v
        del x['b']
        r = x.pop('a')
        r = x.popitem()
        r = x.popitem(last=False)
        x.move_to_end('a')
        x.move_to_end('c', last=False)
        r = x.setdefault('z', v)
        x.update(z=v)
        x.clear()
        r = x.copy(); x['d'] = v
        r = list(reversed(x)); x['d'] = v
    """,
    "defaultdict(list, a=[1])": """
        x['a'].append(v)
        x['new'].append(v)
        r = x['absent']
        r = x.get('absent')
        x['b'] = v
        del x['a']
        r = 'absent' in x
        r = x.setdefault('b', [v])
        x.update(c=[v])
    """,
    "bytearray(b'abc')": """
        x.append(65)
        x[0] = 66
        x.extend(b'xy')
    """,
}


PLACES = {
    "argument": ("x, v", "x = x", "x", "{}, 9"),
    "piece": ("o, v", "x = o['k'][0]", "x, o", "{{'k': [{}]}}, 9"),
    "escaping": ("o, v", "x = {}; o.append(x)", "x, o", "[], 9"),
}
MUTATOR_PROGRAM = """
from collections import *
def f({parameters}):
    r = None
    {get}
    {statement}
    return r, len(x), {result}
"""


def mutator_cases():
    for value, statements in MUTATORS.items():
        for statement in map(str.strip, statements.strip().splitlines()):
            for place, (parameters, get, result, call) in PLACES.items():
                yield Case(
                    name=f"{value.split('(')[0]} {statement} [{place}]",
                    source=MUTATOR_PROGRAM.format(
                        parameters=parameters,
                        get=get.format(value),
                        statement=statement,
                        result=result,
                    ),
                    calls=(call.format(value),),
                )


@pytest.mark.parametrize("case", list(mutator_cases()), ids=str)
def test_mutators(case):
    check(case)
