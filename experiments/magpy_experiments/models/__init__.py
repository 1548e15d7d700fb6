"""The models of the paper's evaluation, by name, and what is awkward about each.

Those that the paper took from transformers come from there, with configurations and
random weights; the others are written anew in the style of their originals, because that
style is what has to work.  Sizes are the paper's; small ones suit a CPU.  ``TODAY`` are
models beyond the paper, ``zoo`` holds toy models of tests.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from magpy_experiments.models.arguments import Inputs

#: Those of the end-to-end figures, and those whose control flow follows the data.
STATIC = (
    "align", "bert", "deberta", "densenet", "monodepth", "quantized", "resnet",
    "tridentnet",
)  # fmt: skip
DYNAMIC = ("lstm", "blockdrop", "seq2seq", "bart", "longformer")
#: Models that people run today.
TODAY = (
    "llama", "qwen", "mixture", "vit", "clip", "whisper", "wav2vec2", "dit", "unet", "gnn",
)  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model of the evaluation; its module is named as it is.

    Attributes:
        name: as in the paper.
        features: what its forward code contains, see ``features.FEATURES``.
        package: what it comes from, "" if it is written here.
        sequence: its inputs have a length that can be chosen.
        trained: its inputs may have labels, and its results a loss.
    """

    name: str
    features: frozenset[str]
    package: str = ""
    sequence: bool = False
    trained: bool = False

    @property
    def missing(self) -> str:
        """The package that it needs and that is not installed, or ""."""
        found = not self.package or importlib.util.find_spec(self.package) is not None
        return "" if found else self.package

    def build(self, *, small: bool, seed: int = 0) -> nn.Module:
        """Return the model in eval mode, with weights that depend on the seed only."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: nn.Module = self._module.build(small).eval()
            return model

    def inputs(
        self,
        batch: int,
        *,
        small: bool,
        seed: int = 0,
        length: int | None = None,
        training: bool = False,
    ) -> Inputs:
        """Return new arguments of a call.

        Args:
            batch: rows.
            small: for the small model.
            seed: they depend on it, and on nothing else but the sizes.
            length: of sequences; None for the usual one.
            training: with labels, if the model takes some.
        """
        import torch

        g = torch.Generator().manual_seed(seed)
        more: dict[str, Any] = {"length": length} if self.sequence else {}
        if self.trained:
            more["training"] = training
        made: Inputs = self._module.inputs(g, batch, small, **more)
        return made

    @property
    def _module(self) -> Any:
        return importlib.import_module(f"{__name__}.{self.name}")


def _model(name: str, features: str, **more: Any) -> tuple[str, Model]:
    return name, Model(name, frozenset(filter(None, features.split(", "))), **more)


_HF: dict[str, Any] = {"package": "transformers"}
_TEXT: dict[str, Any] = {**_HF, "sequence": True}
_TODAY: dict[str, Any] = {"trained": True}
_HF_TODAY: dict[str, Any] = {**_HF, **_TODAY}
_HF_STYLE = "keyword dictionaries, optional arguments, result classes, star arguments"

#: Features of models that are written here are all that their code has; of those from
#: transformers they are what must be in every version.
MODELS: dict[str, Model] = dict(
    [
        _model("align", "asks for types, optional arguments, result classes", **_HF),
        _model(
            "bart",
            "asks for types, continue, keyword dictionaries, optional arguments, "
            "result classes",
            **_TEXT,
        ),
        _model("bert", "optional arguments, result classes", **_TEXT),
        _model("blockdrop", "branch on data, continue, nested loops"),
        _model(
            "deberta",
            "comprehension, growing tuple, optional arguments, sizes in arithmetic",
            **_TEXT,
        ),
        _model(
            "densenet",
            "any or all of a generator, children by name, factory of closures, growing "
            "list, nested function, star arguments, writes in place",
        ),
        _model(
            "longformer",
            "growing tuple, numbers of tensors, optional arguments, sizes in arithmetic, "
            "writes slots",
            **_TEXT,
        ),
        _model("lstm", "growing list, modules by name, nested loops, writes in place"),
        _model("monodepth", "numpy, stores on self, writes in place"),
        _model(
            "quantized",
            "class method, numbers of tensors, stores on ctx, writes in place",
        ),
        _model("resnet", ""),
        _model("seq2seq", "loop on data, numbers of tensors, writes slots"),
        _model(
            "tridentnet",
            "asks for types, comprehension, growing list, modules by name, nested "
            "function, numpy, property, writes slots, zip",
        ),
        _model("llama", _HF_STYLE, **_HF_TODAY),
        _model("qwen", _HF_STYLE, **_HF_TODAY),
        _model("mixture", _HF_STYLE, **_HF_TODAY),
        _model("vit", _HF_STYLE, **_HF_TODAY),
        _model("clip", _HF_STYLE, **_HF_TODAY),
        _model("whisper", f"{_HF_STYLE}, sizes in arithmetic", **_HF_TODAY),
        _model("wav2vec2", f"{_HF_STYLE}, sizes in arithmetic", **_HF_TODAY),
        _model("dit", "star arguments", **_TODAY),
        _model("unet", "asks for types, growing list, nested loops", **_TODAY),
        _model("gnn", "growing list, writes in place, zip", **_TODAY),
    ]
)
