"""Typed knobs, each declared once: name, type, default, environment variable, doc.

Read and write them on :data:`magpy.config`::

    magpy.config.max_entries = 16
    with magpy.config.patch(inductor_direct=False):
        ...

The environment variable of knob ``max_entries`` is ``MAGPY_MAX_ENTRIES`` (that of
``verify_every`` is ``MAGPY_VERIFY``); it is read when :mod:`magpy` is imported.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, overload

from magpy import notices

T = TypeVar("T", bound=bool | int | str)

#: The engine keeps numbers in C: an int, or 64 bits where the knob says so.
INT_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

_NOT_KNOBS = "MAGPY_TEST_"  # those of the test suites

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


def nearest(name: object, valid: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest of `valid`, or ``""``."""
    close = difflib.get_close_matches(str(name), list(valid), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class Knob(Generic[T]):
    """One setting, as a data descriptor of :class:`Config`.

    Args:
        default: value when neither code nor environment set it; its type is the
            knob's type.
        doc: one sentence for users.
        minimum: smallest value of an int knob.
        maximum: its largest value.
        choices: all values of a knob that takes a word, or True or False.
        env: name of the environment variable, if it is not the usual one.
    """

    def __init__(
        self,
        default: T,
        doc: str,
        *,
        minimum: int | None = None,
        choices: tuple[T, ...] = (),
        maximum: int = INT_MAX,
        env: str = "",
    ) -> None:
        self.default: T = default
        self.type: type[T] = type(default)
        self.doc = doc
        self.minimum = minimum
        self.choices = choices
        self.maximum = maximum
        self.name = ""
        self._env = env

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def env(self) -> str:
        """Name of the environment variable."""
        return self._env or f"MAGPY_{self.name.upper()}"

    @overload
    def __get__(self, obj: None, owner: type) -> Knob[T]: ...
    @overload
    def __get__(self, obj: Config, owner: type) -> T: ...
    def __get__(self, obj: Config | None, owner: type) -> Knob[T] | T:
        if obj is None:
            return self
        value: T = obj.__dict__.get(self.name, self.default)
        return value

    def __set__(self, obj: Config, value: T) -> None:
        self.check(value)
        obj.__dict__[self.name] = value
        obj._changed(self.name)

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError if `value` does not fit the knob."""
        if self.choices:
            if not any(type(value) is type(v) and value == v for v in self.choices):
                raise ValueError(
                    f"magpy.config.{self.name} must be one of "
                    f"{', '.join(map(repr, self.choices))}, got {value!r}"
                )
            return
        if type(value) is not self.type:
            raise TypeError(
                f"magpy.config.{self.name} must be {self.type.__name__}, "
                f"not {type(value).__name__}: {value!r}"
            )
        if isinstance(value, int) and not self._is_in_range(value):
            raise ValueError(
                f"magpy.config.{self.name} must be {self.range()}, got {value}"
            )

    def _is_in_range(self, value: int) -> bool:
        return (self.minimum is None or value >= self.minimum) and value <= self.maximum

    def range(self) -> str:
        """Say which numbers are allowed."""
        low = "" if self.minimum is None else f"at least {self.minimum} and "
        return f"{low}at most {self.maximum}"

    def parse(self, text: str) -> T:
        """Turn the text of the environment variable into a value.

        Raises:
            ValueError: the text is no value of the knob's type; the message lists
                what is valid.
        """
        value: Any = text
        lowered = text.strip().lower()
        words = tuple(v for v in self.choices if isinstance(v, str))
        if lowered in words:
            value = lowered
        elif self.type is bool or self.choices:
            if lowered not in _TRUE + _FALSE:
                valid = words + _TRUE + _FALSE[:-1]
                raise ValueError(f"valid values: {', '.join(valid)}")
            value = lowered in _TRUE
        elif self.type is int:
            try:
                value = int(text.replace("_", ""))
                self.check(value)
            except ValueError:
                low = "" if self.minimum is None else f" >= {self.minimum} and"
                raise ValueError(
                    f"valid values: an integer{low} <= {self.maximum}"
                ) from None
        result: T = value
        return result


class Config:
    """All knobs of MagPy; :data:`magpy.config` is the only instance."""

    enabled = Knob(True, "Compile at all; if off, compiled objects run in eager mode.")
    max_entries = Knob(64, "How many recordings one compiled object keeps.", minimum=1)
    max_instructions = Knob(
        50_000_000,
        "The longest call to record, in bytecode instructions.",
        minimum=1,
        maximum=INT64_MAX,
    )
    segments = Knob(
        True,
        "Divide a call where it cannot be recorded; if off, it runs in eager mode.",
    )
    is_compiling: Knob[bool | str] = Knob(
        "auto",
        "The answer of torch.compiler.is_compiling() in a recording; auto: see backend.md.",
        choices=("auto", True, False),
    )
    control_flow = Knob(
        False,
        "Make branches on tensors operations of the graph; see control_flow.md.",
    )
    inductor_direct = Knob(
        True,
        "Call Inductor's code without its run-time wrappers where they do nothing.",
    )
    size_asserts = Knob(
        False,
        "Keep Inductor's own checks of input sizes, which guards make superfluous.",
    )
    check_compiled = Knob(
        True,
        "Compare each compiled graph of Inductor once with the recorded operations.",
    )
    verify_every = Knob(
        0,
        "Compare every n-th hit of a compiled object with the real call; 0: none.",
        minimum=0,
        env="MAGPY_VERIFY",
    )
    verbose_errors = Knob(
        False, "Show the whole traceback if a backend fails to compile a graph."
    )
    trace = Knob(
        "",
        "Directory for records of what happened; python -m magpy report shows them.",
    )
    logs = Knob(
        "",
        "Logs to switch on: guards, graph, breaks, recompiles, effects, verify, or all.",
    )

    def __init__(self) -> None:
        object.__setattr__(self, "_listeners", {})
        self._read_environment()

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.knobs():
            raise AttributeError(self._unknown(name))
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._unknown(name))

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v!r}" for k, v in self.to_dict().items())
        return f"magpy.config({values})"

    @classmethod
    def knobs(cls) -> dict[str, Knob[Any]]:
        """Return every knob by name."""
        return {k: v for k, v in vars(cls).items() if isinstance(v, Knob)}

    def to_dict(self) -> dict[str, Any]:
        """Return the current value of every knob."""
        return {name: getattr(self, name) for name in self.knobs()}

    @contextmanager
    def patch(self, **values: object) -> Iterator[None]:
        """Set knobs for the time of a ``with`` block.

        Raises:
            AttributeError: no such knob.
            TypeError, ValueError: a value does not fit; nothing is changed then.
        """
        knobs = self.knobs()
        for name, value in values.items():
            if name not in knobs:
                raise AttributeError(self._unknown(name))
            knobs[name].check(value)
        before = {name: getattr(self, name) for name in values}
        for name, value in values.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def on_change(self, name: str, listener: Callable[[], None]) -> None:
        """Call `listener` whenever knob `name` is set."""
        self.__dict__["_listeners"].setdefault(name, []).append(listener)

    def listens(self, name: str) -> bool:
        """Does anybody listen to knob `name`?"""
        return name in self.__dict__["_listeners"]

    def _changed(self, name: str) -> None:
        for listener in self.__dict__["_listeners"].get(name, ()):
            listener()

    def _unknown(self, name: str) -> str:
        return f"magpy.config has no knob {name!r}.{nearest(name, list(self.knobs()))}"

    def _read_environment(self) -> None:
        for knob in self.knobs().values():
            text = os.environ.get(knob.env)
            if text is None:
                continue
            try:
                self.__dict__[knob.name] = knob.parse(text)
            except ValueError as error:
                notices.warn(f"{knob.env}={text!r} is ignored; {error}")
        known = [knob.env for knob in self.knobs().values()]
        for name in sorted(os.environ):
            if not name.startswith("MAGPY_") or name in known:
                continue
            if not name.startswith(_NOT_KNOBS):
                notices.warn(
                    f"the environment variable {name} is none of MagPy's and is "
                    f"ignored.{nearest(name, known)} Valid are {', '.join(known)}."
                )


config = Config()
