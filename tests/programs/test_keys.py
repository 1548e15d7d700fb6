"""Keys with a hash or an equality of their own: enums of texts, dataclasses, subclasses."""

import pytest

from oracle import cases, check

CASES = cases(r"""
import enum, dataclasses

class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"

class Level(int, enum.Enum):
    LOW = 1
    HIGH = 2

class Text(str):
    pass

@dataclasses.dataclass(frozen=True)
class Key:
    n: int
    name: str = "k"

class Point:
    def __init__(self, n): self.n = n
    def __hash__(self): return hash(self.n)
    def __eq__(self, other): return isinstance(other, Point) and self.n == other.n

=== enum_of_texts
table = {Color.RED: 1, Color.BLUE: 2}
def f(x):
    return x + table[Color.RED], Color.BLUE in table, table.get(Color("blue"))
>>> 1
!!! table[Color.RED] = 5
!!! table["red"] = 6
??? del table[Color.RED]
??? table[Color.BLUE] = 7

=== enum_of_numbers
table = {Level.LOW: "low", 2: "high"}
def f(x):
    return table[Level.LOW], table[Level.HIGH], table[1]
>>> 1
!!! table[1] = "other"
??? del table[2]

=== enum_and_text_are_one_key
table, blue = {}, Text("blue")
def f(x):
    table["red"] = x
    table[Color.RED] = table["red"] + 1
    table[blue] = x
    return table["red"], table[Color.RED], table["blue"]
>>> 1
!!! table.clear()
!!! table[Color.BLUE] = 7

=== subclass_of_str_in_the_dict
table = {Text("a"): 1, "b": 2}
name = Text("b")
def f(x):
    return x + table["a"] + table[name], list(table), "c" in table
>>> 1
!!! table["a"] = 4
!!! table[Text("c")] = 4
!!! table[name] = 9
??? name = Text("a")

=== all_items
table = {Color.RED: 1, Text("a"): 2}
def f(x):
    return [(str(k), v + x) for k, v in table.items()]
>>> 1
!!! table[Color.RED] = 5
!!! table["z"] = 5

=== dataclass_that_is_the_key
key, other = Key(1), Key(2)
table = {key: 1, other: 2}
def f(x):
    return table[key] + x, other in table, table.get(other)
>>> 1
!!! table[key] = 5
!!! table[Key(7)] = 7
!!! table["text"] = 7
??? key = other
??? table.pop(other)

=== dataclass_whose_field_changes
key = Key(1)
table = {key: 1}
def f(x):
    return table.get(key, "none"), x
>>> 1
??? object.__setattr__(key, "n", 5)
??? object.__setattr__(key, "n", 1)

=== another_key_of_the_same_hash
a, b = Point(1), Point(1 + 2 ** 61 - 1)
table = {a: 1}
def f(x):
    return table[a] + x
>>> 1
??? table[b] = 2
??? table = {b: 3, a: 4}

=== hash_that_changes
class Odd:
    value = 1
    def __hash__(self): return Odd.value
key = Odd()
table = {key: "odd"}
def f(x):
    return table.get(key), x
>>> 1
??? Odd.value = 2
??? Odd.value = 1
""")


@pytest.mark.parametrize("case", CASES)
def test_keys(case):
    check(case)


REFUSED = cases(r"""
class Point:
    def __init__(self, n): self.n = n
    def __hash__(self): return hash(self.n)
    def __eq__(self, other): return isinstance(other, Point) and self.n == other.n

=== equal_and_not_the_same
table = {Point(1): 1}
def f(x):
    return table[Point(1)] + x
>>> 1

=== not_there
table = {Point(1): 1}
key = Point(2)
def f(x):
    return key in table
>>> 1

=== written
table = {}
key = Point(2)
def f(x):
    table[key] = x
    return len(table)
>>> 1

=== read_after_a_write
key = Point(2)
table = {key: 1}
def f(x):
    table["a"] = x
    return table[key]
>>> 1

=== compared_with_another
class Loose(Point):
    __hash__ = Point.__hash__
    def __eq__(self, other): return True
a, b = Loose(1), Loose(1)
table = {a: 1}
table2 = dict(table)
def f(x):
    return table.get(b)
>>> 1
""")


@pytest.mark.parametrize("case", REFUSED)
def test_keys_that_break(case):
    stats = check(case, whole=False).stats()
    assert "user-hash" in {**stats["breaks"], **stats["reasons"]}, stats
