"""The models of the paper's evaluation: as awkward as they say, and equal to eager."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import magpy
from magpy.compare import Comparison, Rules
from magpy_experiments.models import DYNAMIC, MODELS, STATIC, TODAY
from magpy_experiments.models.features import FEATURES, of_functions, of_model

#: Not one graph: Python asks tensors for numbers.
PIECES = ("blockdrop", "seq2seq", "longformer")
#: Hooks of weight norms have numbers that are the process's.
_RULES = Rules(ignored=("_load_state_dict_pre_hooks",))


def model_of(name):
    model = MODELS[name]
    if model.missing:
        pytest.skip(f"{model.missing} is not installed")
    return model


def test_every_model_is_listed():
    assert sorted((*STATIC, *DYNAMIC, *TODAY)) == sorted(MODELS)
    assert all(model.features <= set(FEATURES) for model in MODELS.values())


@pytest.mark.parametrize("name", MODELS)
def test_features_are_in_the_source(name):
    model = model_of(name)
    found = of_model(model.build(small=True))
    if model.package:  # another version of it may have more
        assert model.features <= found
    else:
        assert model.features == found


@pytest.mark.parametrize("name", MODELS)
def test_inputs_depend_on_seed_and_batch(name):
    model = model_of(name)

    def first(**more):
        args, kwargs = model.inputs(3, small=True, **more)
        return [*args, *kwargs.values()]

    again = first()
    assert all(map(torch.equal, first(), again))
    assert not all(map(torch.equal, first(seed=1), again))
    assert all(3 in x.shape[:2] for x in again)


@torch.no_grad()
def check(name):
    """Results, arguments and all that the model keeps; new numbers in every call."""
    model = MODELS[name]
    eager, module = model.build(small=True), model.build(small=True)
    compiled = magpy.compile(module, backend="eager")
    for seed in range(4):
        args, kwargs = model.inputs(2, small=True, seed=seed)
        expected = eager(*args, **kwargs), eager, args, kwargs
        args, kwargs = model.inputs(2, small=True, seed=seed)
        actual = compiled(*args, **kwargs), module, args, kwargs
        assert Comparison(_RULES).difference(expected, actual) is None
    stats = magpy.stats(compiled)
    if name in PIECES:
        assert stats["partial_hits"] >= 1
        assert "host-read" in stats["breaks"]
    else:  # whatever the first call needed
        assert stats["hits"] - stats["partial_hits"] >= 2


def check_alone(*names):
    """In a process of its own."""
    model_of(names[0])
    code = f"import test_evaluation as t\nfor name in {names}: t.check(name)"
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_equal_to_eager(name):
    model_of(name)
    check_alone(name) if name == "bart" else check(name)


def test_bart_behind_another_model():
    check_alone("align", "bart")


@torch.no_grad()
def test_quantized_means_something():
    """Ranges are calibrated: rounding to 8 bits changes little, but it does."""
    from magpy_experiments.models import quantized

    model = MODELS["quantized"].build(small=True)
    (x,), _ = MODELS["quantized"].inputs(4, small=True)
    rounded = model(x)
    for module in model.modules():
        if hasattr(module, "num_bits"):
            module.num_bits = 16
    fine = model(x)
    assert not torch.equal(rounded, fine)
    torch.testing.assert_close(rounded, fine, rtol=0, atol=0.2 * float(fine.std()))
    measures = [m for m in model.modules() if isinstance(m, quantized.QuantMeasure)]
    assert all(m.running_max > m.running_min for m in measures)


EXAMPLES = {
    "star arguments": "f(*xs)",
    "factory of closures": "def g(): return 1\nreturn g",
    "nested function": "def g(): return 1",
    "children by name": "for _ in self.named_children(): pass",
    "growing list": "xs.append(x)",
    "growing tuple": "t = t + (x,)",
    "any or all of a generator": "any(x for x in xs)",
    "writes in place": "x.add_(1)",
    "stores on self": "self.x = x",
    "stores on ctx": "ctx.x = x",
    "numpy": "int(np.floor(x))",
    "modules by name": "getattr(self, name)(x)",
    "asks for types": "isinstance(x, list)",
    "writes slots": "xs[0] = x",
    "comprehension": "[x for x in xs]",
    "zip": "zip(xs, xs)",
    "numbers of tensors": "float(w.min())",
    "branch on data": "if x.sum() == 0: pass",
    "loop on data": "while go: go = bool((x > 0).any())",
    "continue": "for _ in xs: continue",
    "nested loops": "for x in xs:\n for y in x: pass",
    "keyword dictionaries": "f(**options)",
    "result classes": "return ModelOutput(x)",
    "optional arguments": "if mask is not None: pass",
    "sizes in arithmetic": "n = x.size(0) * 2",
}
OTHERS = {
    "star arguments": "f(xs)",
    "nested function": "x + 1",
    "growing tuple": "t = t + x",
    "any or all of a generator": "any(xs)",
    "writes in place": "x.__len__()",
    "stores on self": "x = self.x",
    "numpy": "int(math.floor(x))",
    "modules by name": "getattr(self, 'layer')(x)",
    "numbers of tensors": "float(np.floor(2))",
    "branch on data": "if np.sum(self.flags) == 0: pass",
    "loop on data": "while go: go = n < 3",
    "nested loops": "for x in xs: pass\nfor y in xs: pass",
    "optional arguments": "if self.mask is not None: pass",
}


def _function(body, head="def forward(self, x, mask):"):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (tree,) = ast.parse(f"{head}\n{lines}").body
    return tree


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_recognised(name):
    if name in ("property", "class method"):
        decorator = {"property": "property", "class method": "classmethod"}[name]
        found = of_functions([_function("pass", f"@{decorator}\ndef f(self):")])
    else:
        found = of_functions([_function(EXAMPLES[name])])
    assert name in found
    plain = of_functions([_function(OTHERS.get(name, "return x + 1"))])
    assert name not in plain
