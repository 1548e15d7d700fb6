"""Comparing object graphs with tensors and arrays in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy
import pytest

from magpy.compare import Comparison, Numbers, Rules

torch = pytest.importorskip("torch")

BITS = Rules()
EQUAL = Rules(numbers=Numbers.EQUAL)
CLOSE = Rules(numbers=Numbers.CLOSE, tolerance=1e-3, tolerances={"float16": 0.1})
NAN = float("nan")
OTHER_NAN = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)


def difference(theirs: Any, ours: Any, rules: Rules = BITS) -> str | None:
    return Comparison(rules).difference(theirs, ours, "x")


def leaf(grad: float) -> Any:
    made = torch.ones(1, requires_grad=True)
    made.grad = torch.tensor([grad])
    return made


def tagged(tag: int) -> Any:
    made = torch.ones(1)
    made.tag = [tag]
    return made


def generator(seed: int) -> Any:
    return torch.Generator().manual_seed(seed)


class Sub(numpy.ndarray):
    def tobytes(self, order: Any = "C") -> Any:
        raise AssertionError("code of the program runs")


MADE = {
    "dtype": lambda v: torch.ones(2, dtype=(torch.float32, torch.float64)[v]),
    "shape": lambda v: torch.ones(2 + v),
    "number": lambda v: torch.tensor([1.0, v]),
    "whole number": lambda v: torch.tensor([1, v]),
    "truth": lambda v: torch.tensor([True, bool(v)]),
    "sign of zero": lambda v: torch.tensor([(0.0, -0.0)[v]]),
    "nan": lambda v: torch.tensor([1.0, (NAN, 1.0)[v]]),
    "complex": lambda v: torch.tensor([complex(1, v)]),
    "conjugated": lambda v: torch.tensor([complex(1, 1 + v)]).conj(),
    "stride": lambda v: torch.ones(3, 3) if v else torch.ones(3, 3).t(),
    "layout": lambda v: torch.eye(2) if v else torch.eye(2).to_sparse(),
    "sparse": lambda v: torch.tensor([[0.0, 1.0 + v]]).to_sparse(),
    "quantized": lambda v: torch.quantize_per_tensor(
        torch.tensor([float(v)]), 0.1, 0, torch.qint8
    ),
    "requires grad": lambda v: torch.ones(1, requires_grad=bool(v)),
    "parameter": lambda v: torch.nn.Parameter(torch.ones(1)) if v else leaf(1.0),
    "grad": lambda v: leaf(float(v)),
    "no grad": lambda v: torch.ones(1, requires_grad=True) if v else leaf(1.0),
    "attribute": lambda v: tagged(v),
    "offset": lambda v: torch.ones(3)[v : v + 2],
    "meta": lambda v: torch.ones(2 + v, device="meta"),
    "size": lambda v: torch.Size([v]),
    "plain": lambda v: (torch.float32, torch.float64)[v],
    "device": lambda v: torch.device(("cpu", "meta")[v]),
    "module": lambda v: torch.nn.Dropout(v / 2),
    "buffer": lambda v: torch.nn.BatchNorm1d(1).train(bool(v)),
    "generator": lambda v: generator(v),
    "array": lambda v: numpy.array([1.0, v]),
    "array type": lambda v: numpy.ones(1, "fd"[v]),
    "array of a subclass": lambda v: numpy.array([1.0, v]).view(Sub),
    "what a subclass adds": lambda v: numpy.ma.array([1.0, 2.0], mask=[0, v]),
    "array shape": lambda v: numpy.ones(1 + v),
    "array of texts": lambda v: numpy.array(["ab"[v]]),
    "array of objects": lambda v: numpy.array([[1], v], dtype=object),
    "array of nothing": lambda v: numpy.array((1.0, 2.0)[v]),
    "number of numpy": lambda v: numpy.float32(v),
}


@pytest.mark.parametrize("name", MADE)
def test_kinds(name: str) -> None:
    make = MADE[name]
    for value in (0, 1):
        assert difference(make(value), make(value)) is None
        found = difference([make(value)], [make(1 - value)])
        assert found is not None
        assert found.startswith("x[0]")


@pytest.mark.parametrize(
    ("ours", "equal", "close"),
    [
        (torch.tensor([1.0, NAN]), True, True),
        (torch.cat([torch.ones(1), OTHER_NAN]), True, True),
        (torch.tensor([1.0005, NAN]), False, True),
        (torch.tensor([1.1, NAN]), False, False),
        (torch.tensor([1.0, 1.0]), False, False),
    ],
)
def test_how_near_numbers_are(ours: Any, equal: bool, close: bool) -> None:
    theirs = torch.tensor([1.0, NAN])
    bits = torch.equal(theirs.view(torch.int32), ours.view(torch.int32))
    for rules, good in ((BITS, bits), (EQUAL, equal), (CLOSE, close)):
        assert (difference(theirs, ours, rules) is None) == good
        pair = theirs.numpy(), ours.numpy()
        assert (difference(*pair, rules) is None) == good


def test_tolerances() -> None:
    half = torch.ones(1, dtype=torch.float16)
    assert difference(half, half * 1.05, CLOSE) is None
    assert difference(half, half * 1.5, CLOSE) is not None
    assert difference(torch.tensor([10**6]), torch.tensor([10**6 + 1]), CLOSE)
    words = "x: 1 of 2 values differ, by up to 3"
    assert (
        difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]), CLOSE) == words
    )
    comparison = Comparison(BITS)
    pair = torch.zeros(1), torch.ones(1)
    assert comparison.tensor(*pair) == "1 of 1 values differ, by up to 1"
    assert comparison.tensor(*pair, Numbers.ANY) is None


def test_memory() -> None:
    def views(shared: bool) -> list[Any]:
        base = torch.zeros(4)
        return [base[:2], base[2:] if shared else torch.zeros(4)[2:]]

    assert difference(views(True), views(True)) is None
    words = "x[1]: other tensors share its memory"
    assert difference(views(True), views(False)) == words
    assert difference(views(False), views(True)) == words
    apart = replace(BITS, memory=False)
    assert difference(views(True), views(False), apart) is None
    moved = replace(BITS, offsets=False)
    left, right = torch.ones(3)[:2], torch.ones(3)[1:]
    assert difference(left, right) == "x: begins at 1 of its memory instead of 0"
    assert difference(left, right, moved) is None
    assert difference([torch.ones(0)] * 2, [torch.ones(0)] * 2) is None
    given = torch.zeros(2)
    comparison = Comparison()
    assert comparison.pair_memory(given, given)
    assert comparison.difference(given.view(2), torch.zeros(2)) is not None


def test_classes_of_two_runs() -> None:
    def made(tag: int) -> Any:
        space: dict[str, Any] = {"torch": torch, "__name__": "program"}
        exec("class Own(torch.Tensor): pass", space)
        own = torch.ones(1).as_subclass(space["Own"])
        own.tag = tag
        return own

    assert difference(made(1), made(1)) is None
    assert difference(made(1), made(2)) == "x.tag: 2 instead of 1"
    assert difference(made(1), torch.ones(1)) == "x: type Tensor instead of Own"


def test_no_torch_function_runs() -> None:
    ran = []

    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            ran.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    def made(value: float) -> Any:
        return torch.full((2,), float(value)).as_subclass(Loud)

    left, same, other = made(1), made(1), made(2)
    ran.clear()
    assert difference(left, same) is None
    assert difference(left, other) == "x: 2 of 2 values differ, by up to 1"
    assert ran == []


def test_strides_of_single_items_count_for_bits_alone() -> None:
    a = torch.ones(4, 1, 1)
    b = torch.ones(4).as_strided((4, 1, 1), (1, 4, 4))
    assert "strides" in str(Comparison(Rules()).tensor(a, b))
    close = Rules(numbers=Numbers.CLOSE, tolerance=1e-5)
    assert Comparison(close).tensor(a, b) is None
    c = torch.ones(8).as_strided((4, 1, 1), (2, 1, 1))
    assert "strides" in str(Comparison(close).tensor(a, c))
