"""Breaks that come once, at imports and caches: the next call is recorded as a whole."""

from __future__ import annotations

import copy
import functools
import os
import sys

import pytest

from oracle import engine_compile


class Recipe:
    def __init__(self, name):
        self.name = name


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Import names of modules that nobody has imported."""
    monkeypatch.syspath_prepend(tmp_path)
    names = ["first_imports_a", "first_imports_b"]
    for number, name in enumerate(names):
        (tmp_path / f"{name}.py").write_text(f"seen = []\nvalue = {number + 5}\n")
    yield names
    for name in names:
        sys.modules.pop(name, None)


def test_the_next_call_is_whole(modules):
    def f(x):
        import first_imports_a

        first_imports_a.seen.append(x)
        from first_imports_b import value

        return x + value

    fast = engine_compile(f)
    assert [fast(n) for n in (1, 2, 2, 2)] == [7, 8, 8, 8]
    assert sys.modules["first_imports_a"].seen == [1, 2, 2, 2]
    stats = fast.stats()
    assert (stats["recordings"], stats["hits"], stats["partial_hits"]) == (2, 2, 0)
    assert (stats["graph_breaks"], stats["breaks"]) == (0, {"import": 2})
    sys.modules["first_imports_b"].value = 10
    assert [fast(2) for _ in range(3)] == [12] * 3


def test_an_import_in_another_branch(modules):
    def f(x):
        if x > 5:
            import first_imports_a

            return x + first_imports_a.value
        return x

    fast = engine_compile(f)
    for n in (1, 1, 7, 7, 7, 1):
        assert fast(n) == (n + 5 if n > 5 else n)
    assert fast.stats()["graph_breaks"] == 0


def test_an_import_that_fails_keeps_its_break():
    def f(x):
        try:
            import first_imports_no_such_module  # type: ignore[import-not-found]
        except ImportError:
            return x + 1
        return first_imports_no_such_module

    fast = engine_compile(f)
    assert [fast(1) for _ in range(8)] == [2] * 8
    stats = fast.stats()
    assert stats["graph_breaks"] == 1
    assert stats["recordings"] == 3
    assert stats["hits"] == 5


def test_another_break_of_the_call_stays(modules):
    names: list[str] = []

    def f(x):
        import first_imports_a

        names.append(open(first_imports_a.__file__).name)
        return x + first_imports_a.value

    fast = engine_compile(f)
    assert [fast(1) for _ in range(5)] == [6] * 5
    assert len(names) == 5
    stats = fast.stats()
    assert stats["hits"] == 3
    assert stats["breaks"].keys() == {"import", "side-effect"}


def test_a_cache_that_the_first_call_fills():
    @functools.lru_cache
    def recipe(name):
        return Recipe(name)

    @functools.lru_cache
    def shape(recipe, sizes):
        return [recipe.name, *sizes]

    def f(sizes):
        return shape(recipe("a"), tuple(sizes))

    fast = engine_compile(f)
    answers = [fast([1, 2]) for _ in range(4)]
    assert answers == [["a", 1, 2]] * 4
    assert all(answer is answers[0] for answer in answers)
    stats = fast.stats()
    assert (stats["recordings"], stats["hits"], stats["partial_hits"]) == (2, 2, 0)
    assert (stats["graph_breaks"], stats["breaks"]) == (0, {"filled-cache": 1})
    assert recipe.cache_info()[:2] == (3, 1)
    assert shape.cache_info()[:2] == (3, 1)
    shape.cache_clear()
    assert fast([1, 2]) is not answers[0]
    assert fast([1, 2]) is fast([1, 2])
    recipe.cache_clear()
    assert [fast([1, 2])[0] for _ in range(3)] == ["a"] * 3
    assert recipe.cache_info()[:2] == (2, 1)


def test_a_break_below_a_cache():
    said: list[str] = []

    @functools.lru_cache
    def warn_once(name):
        said.append(open(os.devnull).name)
        return name.upper()

    def f(x):
        return warn_once("a") * x

    fast = engine_compile(f)
    assert [fast(2) for _ in range(6)] == ["AA"] * 6
    assert said == [os.devnull]
    stats = fast.stats()
    assert stats["graph_breaks"] == 0
    assert stats["hits"] >= 3
    assert stats["partial_hits"] == 0


def test_the_first_deep_copy_of_a_class():
    class Config:
        def __init__(self):
            self.depth = 4
            self.parts = {"a": [1, 2], "b": (1, [2])}

    config = Config()

    def f(x):
        own = copy.deepcopy(config)
        own.parts["a"].append(x)
        return own.depth, own.parts

    fast = engine_compile(f)
    for n in (1, 1, 2, 2, 2):
        assert fast(n) == f(n)
        assert fast(n)[1]["b"][1] is not config.parts["b"][1]
    assert config.parts == {"a": [1, 2], "b": (1, [2])}
    stats = fast.stats()
    assert (stats["graph_breaks"], stats["breaks"]["filled-cache"]) == (0, 1)
    assert stats["partial_hits"] == 0
    config.parts["a"].append(7)
    assert fast(2) == f(2) == fast(2)
