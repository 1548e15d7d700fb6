"""Which cells the figures and tables of the paper consist of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from magpy_experiments.models import STATIC, TODAY

#: Kinds of measurements, see protocol.py.
KINDS = ("end-to-end", "parts", "dynamic", "control", "graphs", "training",
         "front")  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How every cell is measured.

    Attributes:
        device: "cpu" or "cuda".
        small: small models.
        rounds: timed calls.
        budget: seconds that they may take; fewer calls are timed then, but three.
        seed: of weights and inputs.
        threads: of torch on the CPU; 0: as many as it takes.
    """

    device: str = "cpu"
    small: bool = False
    rounds: int = 100
    budget: float = 20.0
    seed: int = 23333
    threads: int = 0


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        kind: one of KINDS.
        model: a name of ``magpy_experiments.models``.
        system: see systems.py.
        batch: rows; of ``dynamic`` cells that of other dimensions than the varied one.
        vary: of ``dynamic`` cells: "batch" or "sequence".
    """

    kind: str
    model: str
    system: str
    batch: int = 1
    vary: str = ""

    @property
    def key(self) -> str:
        """What names it in a file of results."""
        parts = (self.kind, self.vary, self.model, self.system, f"bs{self.batch}")
        return "/".join(filter(None, parts))


@dataclass(frozen=True)
class Figure:
    """A figure or table.

    Attributes:
        name: on the command line.
        title: what it shows.
        kind: of its cells.
        models: in this order.
        systems: in this order; the first one is what others are compared with.
        batches: batch sizes.
        vary: dimensions that change from call to call.
        unit: of the main number.
    """

    name: str
    title: str
    kind: str
    models: tuple[str, ...]
    systems: tuple[str, ...]
    batches: tuple[int, ...] = (1,)
    vary: tuple[str, ...] = ("",)
    unit: str = "ms"

    def cells(self) -> Iterator[Cell]:
        """All cells; those that can be compared stand side by side."""
        for vary in self.vary:
            for batch in self.batches:
                for model in self.models:
                    if vary == "sequence" and model not in _SEQUENCES:
                        continue
                    for system in self.systems:
                        yield Cell(self.kind, model, system, batch, vary)

    def narrowed(
        self,
        models: Sequence[str] = (),
        systems: Sequence[str] = (),
        batches: Sequence[int] = (),
    ) -> Figure:
        """Return it with some models, systems and batch sizes only; none: all."""
        return replace(
            self,
            models=tuple(m for m in self.models if not models or m in models),
            systems=tuple(systems) or self.systems,
            batches=tuple(b for b in self.batches if not batches or b in batches),
        )


_SEQUENCES = ("bert", "deberta")
_BACKENDS = ("inductor", "reduce-overhead", "torchscript", "onnxruntime", "tensorrt",
             "xla")  # fmt: skip
_PAIRS = tuple(
    f"{front}-{backend}" for backend in _BACKENDS for front in ("dynamo", "magpy")
)
_NOW = ("eager", "dynamo-inductor", "magpy-inductor", "dynamo-reduce-overhead",
        "magpy-reduce-overhead")  # fmt: skip
_END_TO_END = ("eager", "script", "trace", "export", "lazytensor", *_PAIRS)

FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            "fig1",
            "End to end, what whole graphs are worth",
            "end-to-end",
            ("bert", "deberta", "monodepth", "quantized", "tridentnet"),
            ("eager", "dynamo-inductor", "magpy-inductor", "dynamo-xla", "magpy-xla"),
        ),
        Figure(
            "fig15", "End to end", "end-to-end", STATIC, _END_TO_END, batches=(1, 16)
        ),
        Figure(
            "fig16",
            "Where the time of the first and of a cached call goes",
            "parts",
            STATIC,
            ("magpy-inductor", "dynamo-inductor"),
        ),
        Figure(
            "fig17",
            "Sizes that change from call to call",
            "dynamic",
            ("bert", "deberta", "densenet", "resnet"),
            ("eager", "dynamo-inductor", "magpy-inductor"),
            batches=(8,),
            vary=("batch", "sequence"),
        ),
        Figure(
            "fig18",
            "Control flow that depends on the data",
            "control",
            ("lstm", "blockdrop", "seq2seq"),
            ("eager", "dynamo-inductor", "magpy-inductor"),
            batches=(1, 16),
        ),
        Figure(
            "table2",
            "Graphs that one call runs",
            "graphs",
            STATIC,
            ("magpy-eager", "dynamo-eager", "export", "export-strict", "script", "trace",
             "lazytensor"),
            unit="graphs",
        ),
        Figure("today", "Models of today", "end-to-end", TODAY, _NOW, batches=(4,)),
        Figure(
            "today-training",
            "Models of today, a step of training",
            "training",
            TODAY,
            _NOW,
            batches=(4,),
        ),
        Figure(
            "original",
            "Front ends, and the original in its own Python and torch",
            "front",
            STATIC,
            ("magpy-eager", "dynamo-eager", "original-eager",
             "magpy-inductor", "dynamo-inductor", "original-inductor"),
        ),
    )
}  # fmt: skip
#: Table 3 is a command of its own.
NAMES = (*FIGURES, "table3")
