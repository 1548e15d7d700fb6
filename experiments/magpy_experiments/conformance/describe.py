"""Values as text that depends on the program only, not on addresses or on the process.

Objects that can change are numbered as they are first met, so that the text tells whether
two places hold one object.  Nothing of the program runs: no `__repr__`, no property, no
iterator is taken from.
"""

from __future__ import annotations

import collections
import enum
import hashlib
import re
import types
from typing import Any

from magpy.module import unwrap

_DEPTH = 6
_NODES = 400
_LENGTH = 400  # longer texts are cut and get a checksum

_LIBRARIES = ("torch", "magpy", "magpy_experiments", "unittest", "numpy")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_PLAIN = (int, float, complex, bool, type(None), bytes, type(...), range)


def describe(value: Any) -> str:
    """Return `value` as text."""
    text = _Describer().text(value, _DEPTH)
    if len(text) <= _LENGTH:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6)
    return f"{text[:_LENGTH]}... {digest.hexdigest()}"


def error_text(error: BaseException) -> str:
    """Return type and message of an exception, without addresses."""
    try:
        message = str(error)
    except Exception:
        message = "?"
    return f"{type(error).__qualname__}: {_ADDRESS.sub('0x', message)}"


class _Describer:
    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []  # an address must not be used twice
        self.memory: dict[int, int] = {}
        self.left = _NODES

    def text(self, value: Any, depth: int) -> str:
        self.left -= 1
        value = _program(value)
        kind = type(value)
        if kind in _PLAIN:
            return repr(value) if kind is not int else _int(value)
        if kind is str:
            return repr(_ADDRESS.sub("0x", value))
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
            return f"<{getattr(value, '__qualname__', '?')}>"
        if kind is tuple:
            return self._row("(", value, ")", depth)
        if id(value) in self.numbers:
            return f"#{self.numbers[id(value)]}"
        self.numbers[id(value)] = number = len(self.numbers)
        self.kept.append(value)
        return f"#{number} {self._content(value, kind, depth)}"

    def _content(self, value: Any, kind: type, depth: int) -> str:
        name = kind.__qualname__
        if self.left < 0 or depth <= 0:
            return name
        if _is_tensor(value):
            return self._tensor(value, name)
        if isinstance(value, enum.Enum):
            return f"{name}.{enum.Enum.__dict__['name'].fget(value)}"
        if isinstance(value, tuple):
            return name + self._row("(", tuple.__iter__(value), ")", depth)
        if isinstance(value, list):
            return name + self._row("[", list.__iter__(value), "]", depth)
        if isinstance(value, dict):
            pairs = list(dict.items(value))
            if isinstance(value, collections.OrderedDict):
                pairs = list(collections.OrderedDict.items(value))
            return name + self._pairs(pairs, depth) + self._state(value, depth)
        if isinstance(value, set | frozenset):
            base: Any = set if isinstance(value, set) else frozenset
            items = list(base.__iter__(value))
            texts = sorted(_Describer().text(v, 2) for v in items)
            return name + "{" + ", ".join(texts) + "}"
        if isinstance(value, int | float | complex | str):
            return f"{name} {_base_repr(value)}" + self._state(value, depth)
        return name + self._state(value, depth)

    def _row(self, left: str, values: Any, right: str, depth: int) -> str:
        texts = [self.text(v, depth - 1) for v in list(values)[:_NODES]]
        return left + ", ".join(texts) + right

    def _pairs(self, pairs: list[tuple[Any, Any]], depth: int) -> str:
        texts = [
            f"{self.text(k, depth - 1)}: {self.text(v, depth - 1)}"
            for k, v in pairs[:_NODES]
        ]
        return "{" + ", ".join(texts) + "}"

    def _state(self, value: Any, depth: int) -> str:
        """The attributes of an object of the tests, the tensors of a module."""
        try:
            state = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return ""
        if not isinstance(state, dict) or not state:
            return ""
        module = type(value).__module__ or ""
        if module.partition(".")[0] in _LIBRARIES:
            if "_parameters" not in state:
                return ""
        shown = [(k, v) for k, v in dict.items(state) if k not in _HIDDEN]
        return self._pairs(shown, depth)

    def _tensor(self, value: Any, name: str) -> str:
        import torch

        try:
            with (
                torch._C._DisableTorchDispatch(),
                torch._C.DisableTorchFunctionSubclass(),
            ):
                return name + self._tensor_text(value)
        except Exception as error:
            return f"{name} {type(error).__qualname__}"

    def _tensor_text(self, value: Any) -> str:
        flags = f"{value.requires_grad:d}{value.is_leaf:d}{value.grad_fn is not None:d}"
        text = f" {value.dtype} {tuple(map(int, value.shape))} {flags}"
        if value.layout is not _strided() or value.device.type != "cpu":
            return text + f" {value.layout} {value.device.type}"
        memory = value.untyped_storage()._cdata
        number = self.memory.setdefault(memory, len(self.memory))
        text += f" {tuple(value.stride())} m{number}+{value.storage_offset()}"
        if value.is_quantized:
            return text
        plain = value.detach().resolve_conj().resolve_neg().contiguous()
        if plain.numel() <= 4:
            text += f" {plain.tolist()}"
        else:
            data = plain.reshape(-1).view(_uint8()).numpy().tobytes()
            text += f" {hashlib.blake2b(data, digest_size=6).hexdigest()}"
        grad = value.grad if value.is_leaf else None
        return text if grad is None else f"{text} grad{self._tensor_text(grad)}"


_HIDDEN = frozenset({"_compiled_call_impl", "__weakref__", "_backward_hooks"})


def _program(value: Any) -> Any:
    """What was compiled is described as the program that it stands for."""
    while True:
        inner = getattr(type(value), "_stands_for", None)
        if inner is not None:
            value = inner(value)
        elif unwrap(value) is not value:
            value = unwrap(value)
        else:
            return value


def _int(value: int) -> str:
    return str(value) if value.bit_length() < 200 else hex(value)


def _base_repr(value: Any) -> str:
    for base in (int, float, complex, str):
        if isinstance(value, base):
            return base.__repr__(value)
    return ""


def _is_tensor(value: Any) -> bool:
    import torch

    return torch.Tensor in type(value).__mro__


def _strided() -> Any:
    import torch

    return torch.strided


def _uint8() -> Any:
    import torch

    return torch.uint8
