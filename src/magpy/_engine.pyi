"""The C engine; engine/call/dispatch.h and engine/plan/plan.h tell the values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict, final

class Reason(TypedDict):
    slug: str
    what: str
    hint: str
    kind: str

class Kind(TypedDict):
    id: str
    format: str
    name: NotRequired[str]

class Field(TypedDict):
    id: str
    name: str

class Place(TypedDict):
    reason: str
    detail: str | None
    file: str | None
    line: int
    count: int

class Seconds(TypedDict):
    record: float
    compile: float

class Stats(TypedDict):
    calls: int
    hits: int
    partial_hits: int
    recordings: int
    graphs: int
    reused: int
    graph_breaks: int
    fallbacks: int
    verified: int
    diverged: int
    reasons: dict[str, int]
    breaks: dict[str, int]
    places: list[Place]
    seconds: Seconds

class Entry(TypedDict):
    id: int
    state: str
    hits: int
    instructions: int
    guards: list[str]
    ambient: list[str]
    inputs: list[str]
    effects: list[str]
    graph: tuple[list[Any], int, tuple[int, ...], dict[str, Any]] | None
    callable: Callable[..., Any] | None
    reused: bool
    words: tuple[int, int, int, int]

@final
class Value:
    def __new__(cls, index: int) -> Value: ...
    @property
    def index(self) -> int: ...

@final
class Number:
    def __new__(cls, index: int) -> Number: ...
    @property
    def index(self) -> int: ...

@final
class CompiledFunction:
    def __new__(
        cls,
        fn: Callable[..., Any],
        *,
        compiler: Callable[[Any, list[Any]], tuple[Callable[..., Any], bool]]
        | None = None,
        on_event: Callable[[str, dict[str, Any]], object] | None = None,
        on_abort: Callable[[dict[str, Any]], BaseException] | None = None,
        fullgraph: bool = False,
        max_entries: int = 64,
        max_instructions: int = 50_000_000,
        segments: bool = True,
        on_copy: Callable[[CompiledFunction, str, Any], Any] | None = None,
        wrapped: Callable[..., Any] | None = None,
        judge: Any = None,
        numbers: int = 2,
        control_flow: int = -1,
    ) -> CompiledFunction: ...
    disabled: bool
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, obj: Any, type: Any = None) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
    def stats(self) -> Stats: ...
    def entries(self) -> list[Entry]: ...
    def reset(self) -> None: ...
    def search_seconds(
        self, n: int, args: tuple[Any, ...], kwargs: dict[str, Any], /
    ) -> tuple[float, float, float] | None: ...
    def set_verify(self, every: int, verifier: Any = None) -> None: ...

@final
class CallSlot:
    def __new__(cls, member: Any, function: Callable[..., Any]) -> CallSlot: ...
    def __get__(self, obj: Any, type: Any = None) -> Any: ...

def setup_torch(
    *,
    ops: Mapping[Callable[..., Any], int],
    tensor_types: tuple[type, ...],
    constant_types: tuple[type, ...],
    op_object_types: tuple[type, ...],
    skip_prefixes: Sequence[str],
    **more: Any,
) -> None: ...
def available() -> tuple[bool, str | None]: ...
def supported() -> tuple[bool, str | None]: ...
def tensor_path() -> str: ...
def ambient_state() -> tuple[Any, ...] | None: ...
def raised_by_signal(exc: BaseException, /) -> bool: ...
def reasons() -> list[Reason]: ...
def guard_kinds() -> list[Kind]: ...
def effect_kinds() -> list[Kind]: ...
def invariants() -> list[dict[str, str]]: ...
def field_kinds() -> list[Field]: ...
def entry_kinds(
    compiled: CompiledFunction,
) -> tuple[dict[str, int], dict[str, int]]: ...
def effect_rows() -> list[dict[str, str]]: ...
def effect_rules() -> list[dict[str, str]]: ...
def op_flags() -> dict[str, int]: ...
def opcodes() -> list[dict[str, str]]: ...
def effect_class(callable: Callable[..., Any], /) -> str: ...
def _set_enabled(on: bool) -> None: ...
def _set_compiling(on: bool | str) -> None: ...
def _set_flow(on: bool) -> None: ...
def _ears() -> Any: ...
