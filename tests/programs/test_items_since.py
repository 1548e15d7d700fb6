"""What comes to a container after an iterator or a view of it was made is read as well.

The run makes an iterator over a container of its own, then puts an object from outside into
that container; C code that takes the items looks at its content.
"""

from __future__ import annotations

from typing import Any

import pytest

from oracle import engine_compile, whole_hits

SETUP = """
import collections, functools, heapq, itertools, operator, types
given = [5]
"""

#: The container, what is put into it, the iterator: of values, then of pairs.
LIST = "[[1], [2]] | c.append(given)"
DICT = "{1: [1], 2: [2]} | c.update({3: given})"
ORDERED = "collections.OrderedDict({1: [1]}) | c.update({3: given})"
VALUES = f"""
{LIST} | iter(c)
{LIST} | itertools.chain(c)
{LIST} | itertools.islice(c, 5)
{LIST} | itertools.islice(itertools.cycle(c), 5)
{LIST} | itertools.tee(c)[1]
{LIST} | itertools.compress(c, [1, 1, 1])
{LIST} | itertools.takewhile(lambda v: True, c)
{LIST} | itertools.dropwhile(lambda v: False, c)
{LIST} | itertools.filterfalse(lambda v: False, c)
{LIST} | filter(lambda v: True, c)
{LIST} | filter(None, iter(c))
{LIST} | filter(lambda v: True, itertools.chain(c))
{LIST} | itertools.accumulate(c)
{LIST} | map(list, c)
{LIST} | (v for v in c)
[[1], [1]] | c.append(given) | next(itertools.groupby(c, lambda v: 0))[1]
[[1], [1]] | c.append(given) | next(itertools.groupby(c, bool))[1]
[[1], [2]] | c.__setitem__(1, given) | reversed(c)
[[1], [[2]]] | c[1].append(given) | iter(c)
([1], [[2]]) | c[1].append(given) | iter(c)
[[[1]], [[2]]] | c.append([given]) | itertools.chain.from_iterable(c)
[[[1]], [[2]]] | c.append([given]) | map(operator.itemgetter(0), c)
collections.deque([[1], [2]]) | c.__setitem__(1, given) | iter(c)
collections.deque([[1], [2]]) | c.__setitem__(1, given) | reversed(c)
{DICT} | c.values()
{DICT} | types.MappingProxyType(c).values()
{ORDERED} | c.values()
""".strip().splitlines()
PAIRS = f"""
{LIST} | zip(c)
{LIST} | enumerate(c)
{LIST} | itertools.pairwise(c)
{LIST} | itertools.zip_longest(c, [2])
{LIST} | itertools.product(c, [1, 2])
{LIST} | zip(filter(lambda v: True, c))
{DICT} | c.items()
{ORDERED} | c.items()
""".strip().splitlines()

#: C code that takes the items.
USES = """
max(it)
sorted(it)
sorted(it, key=str)
sum(it, [])
[6] in it
operator.countOf(it, [6])
list(it) == [[1], [2], [6]]
[*it] == [[1], [2], [6]]
tuple(it) > ([1], [2], [5])
list(map(sum, it))
list(map(len, it))
all(map(len, it))
all(it)
len(list(filter(None, it)))
max(filter(lambda v: True, it))
functools.reduce(operator.add, it)
heapq.nlargest(1, it)
collections.Counter(map(tuple, it))
"".join(map(str, it))
[str(v) for v in it]
sorted(zip(it, itertools.count()))
[len(list(g)) for k, g in itertools.groupby(it)]
""".strip().splitlines()
USES_OF_PAIRS = """
max(it)
sorted(it)
str(list(it))
str(dict(it))
"".join(map(str, it))
list(map(str, it))
[*it] == [(1, [1]), (2, [2])]
""".strip().splitlines()


def outcome(call):
    """What the call answers, as text, or how it ends."""
    try:
        return repr(call())
    except Exception as error:
        return repr(error)


def answers(row, use):
    """The pairs of answers, eager and compiled, and how many hits there were."""
    made, put, made_of = row.split(" | ")
    body = (f"c = {made}", f"it = {made_of}", put, f"return {use}")
    source = f"{SETUP}def f():\n    " + "\n    ".join(body)
    state: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
    exec(source, state)
    f, given = state["f"], state["given"]
    compiled = engine_compile(f)
    for _ in range(3):
        outcome(compiled)
    hits = whole_hits(compiled)
    found = []
    for content in ([6], [0], [7, 8], []):
        given[:] = content
        found.append((outcome(f), outcome(compiled)))
    return found, hits


@pytest.mark.parametrize(
    ("row", "uses"),
    [(row, USES) for row in VALUES] + [(row, USES_OF_PAIRS) for row in PAIRS],
)
def test_is_read(row, uses):
    hits = 0
    for use in uses:
        found, more = answers(row, use)
        hits += more
        for eager, compiled in found:
            assert compiled == eager, use
    assert hits > 0
