"""What is kept of a case, a project and a run; no torch is needed to read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: What can be measured; "eager" compiles nothing.
COMPILERS = ("magpy", "dynamo", "torchscript", "eager")

#: Classes of a case that ran in eager mode, best first; a project has its worst one.
CLASSES = (
    "one graph", "several graphs", "eager", "timeout", "error", "wrong", "crash",
)  # fmt: skip

#: What eager mode makes of a case: it repeats itself, it does not, it does not run.
EAGER_OK, EAGER_RANDOM, EAGER_FAILED = "ok", "random", "failed"


@dataclass(frozen=True)
class Settings:
    """How a run treats every file.

    Attributes:
        compiler: one of COMPILERS.
        backend: what compiles its graphs.
        device: "cpu" or "cuda".
        grad: call with gradients enabled.
        timeout: seconds for the eager part of a case; the compiled part, which makes
            more calls, has four times what the eager part took on top of that.
        memory: GiB that a process on the CPU may map beyond what a warm one has.
    """

    compiler: str
    backend: str
    device: str
    grad: bool
    timeout: float
    memory: float


@dataclass
class Reason:
    """Why a compiler broke a call or left it to eager.

    Attributes:
        kind: "break" (it goes on behind it) or "fallback".
        id: the compiler's name of the reason.
        detail: more about it.
        file: where in the project, or in a library; "" if not known.
    """

    kind: str
    id: str
    detail: str = ""
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """``file:line``, or "" if not known."""
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass
class Case:
    """What became of one module.

    Attributes:
        index: position in the project's list.
        name: its class.
        eager: one of EAGER_OK, EAGER_RANDOM, EAGER_FAILED.
        status: one of CLASSES; "" if eager failed.
        detail: what went wrong, or why it does not run in eager mode.
        graphs: how many the compiler made.
        breaks: how many places it broke at.
        dynamic: a break or fallback is due to the value of a tensor.
        draws: it draws random numbers of Python's or numpy's, so that its path is not
            the same in every call, whatever compiles it.
        suspect: a result differed from eager's, but then eager's from itself, too.
        eager_ms: the first eager call.
        compiled_ms: the first compiled call, compiling included.
    """

    index: int
    name: str
    eager: str = EAGER_FAILED
    status: str = ""
    detail: str = ""
    graphs: int = 0
    breaks: int = 0
    calls: int = 0
    dynamic: bool = False
    draws: bool = False
    suspect: bool = False
    reasons: list[Reason] = field(default_factory=list)
    eager_ms: float = 0.0
    compiled_ms: float = 0.0

    @property
    def runs(self) -> bool:
        """Whether it counts: eager mode can run it."""
        return self.eager != EAGER_FAILED

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Case:
        """Return the case that `data` was made of."""
        return cls(**{**data, "reasons": [Reason(**r) for r in data["reasons"]]})


@dataclass
class Project:
    """What became of one file.

    Attributes:
        name: the file's name without ``test_`` and ``.py``.
        error: why the file could not be loaded; "" if it was.
    """

    name: str
    cases: list[Case] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Project:
        """Return what :meth:`to_json` was called on."""
        cases = [Case.from_json(case) for case in data["cases"]]
        return cls(**{**data, "cases": cases})


def project_name(file: str) -> str:
    """Return the name of the project in a file ``test_NAME.py``."""
    return file.removesuffix(".py").removeprefix("test_")
