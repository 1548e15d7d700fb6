"""Numbers that only values depend on: the fakes of a graph do not ask for them.

Torch reads the floats of most functions in C++, where a symbol becomes a constant.  Of the
parameters here a graph is right whatever they are: no shape, dtype or number of results
follows from them, and what raises for some values raises in the graph, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

#: Functions of torch, of torch.nn.functional and methods of tensors: parameter -> position.
_PARAMETERS: dict[str, dict[str, int]] = {
    **dict.fromkeys(
        "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout".split(),
        {"p": 1},
    ),
    **dict.fromkeys(("batch_norm", "instance_norm"), {"momentum": 6, "eps": 7}),
    **dict.fromkeys(("layer_norm", "group_norm"), {"eps": 4}),
    **dict.fromkeys(("bernoulli", "bernoulli_", "geometric_"), {"p": 1}),
    **dict.fromkeys(("normal_", "log_normal_"), {"mean": 1, "std": 2}),
    **dict.fromkeys(("quantile", "nanquantile"), {"q": 1}),
    "cauchy_": {"median": 1, "sigma": 2},
    "cdist": {"p": 2},
    "celu": {"alpha": 1},
    "cosine_similarity": {"eps": 3},
    "cross_entropy": {"label_smoothing": 7},
    "exponential_": {"lambd": 1},
    "huber_loss": {"delta": 3},
    "isclose": {"rtol": 2, "atol": 3},
    "logit": {"eps": 1},
    "nan_to_num": {"nan": 1, "posinf": 2, "neginf": 3},
    "normal": {"mean": 0, "std": 1},
    "pairwise_distance": {"p": 2, "eps": 3},
    "rms_norm": {"eps": 3},
    "scaled_dot_product_attention": {"dropout_p": 4, "scale": -1},
    "smooth_l1_loss": {"beta": 5},
    "triplet_margin_loss": {"margin": 3, "p": 4, "eps": 5},
    "uniform_": {"from": 1, "to": 2},
}
#: With 0 they answer with their very argument.
_KEEPING = frozenset(name for name in _PARAMETERS if "dropout" in name)
_SYMBOLS = (torch.SymInt, torch.SymFloat)


@functools.cache
def _names() -> dict[Any, str]:
    """Return the name of each function that stands in the table."""
    owners = (torch, torch.nn.functional)
    found: dict[Any, str] = {name: name for name in _PARAMETERS}  # methods
    for owner in owners:
        for name in _PARAMETERS:
            if hasattr(owner, name):
                found[getattr(owner, name)] = name
    return found


def _now(number: Any) -> Any:
    """Return what a symbol is in this call; nothing is assumed by that."""
    hint = number.node.hint if isinstance(number, _SYMBOLS) else None
    return number if hint is None else hint


def plain(
    target: Any, args: list[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call, without symbols that only values depend on."""
    try:
        name = _names().get(target)
    except TypeError:  # a callable without a hash
        name = None
    if name is None:
        return args, dict(kwargs)
    args, kwargs = list(args), dict(kwargs)
    for parameter, at in _PARAMETERS[name].items():
        if parameter in kwargs:
            kwargs[parameter] = _settled(name, kwargs[parameter])
        elif 0 <= at < len(args):
            args[at] = _settled(name, args[at])
    return args, kwargs


def _settled(name: str, number: Any) -> Any:
    if name in _KEEPING and isinstance(number, _SYMBOLS):
        bool(number == 0)  # a guard
    return _now(number)


# -- Tensors that are made of numbers ----------------------------------------------------


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, (list, tuple)):
        for item in data:
            yield from _leaves(item)
    else:
        yield data


def _sizes(data: Any) -> list[int]:
    sizes = []
    while isinstance(data, (list, tuple)):
        sizes.append(len(data))
        data = data[0] if data else None
    return sizes


def _dtype(data: Any) -> torch.dtype:
    kinds = {type(leaf) for leaf in _leaves(data)}
    if complex in kinds:
        raise NotImplementedError("complex numbers")
    if kinds & {float, torch.SymFloat}:
        return torch.get_default_dtype()
    return torch.bool if kinds == {bool} else torch.int64


def _made(make: Callable[..., Any], method: bool) -> Callable[..., Any]:
    """Return what stands for `make`, which makes a tensor of numbers, on fakes."""

    def made(*args: Any, **kwargs: Any) -> Any:
        owner, rest = args[:method], args[method:]
        if len(rest) != 1 or not any(isinstance(x, _SYMBOLS) for x in _leaves(rest[0])):
            return make(*args, **kwargs)
        (data,) = rest
        if method:
            kwargs.setdefault("dtype", owner[0].dtype)
            kwargs.setdefault("device", owner[0].device)
        elif kwargs.get("dtype") is None:
            kwargs["dtype"] = _dtype(data)
        return torch.empty(_sizes(data), **kwargs)

    return made


def _spaced(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands for `linspace`, whose number of steps C++ reads."""

    def spaced(start: Any, end: Any, steps: Any, **kwargs: Any) -> Any:
        if not isinstance(steps, torch.SymInt):
            return make(start, end, steps, **kwargs)
        dtype = make(start, end, 1, **kwargs).dtype
        return torch.empty([steps], **{**kwargs, "dtype": dtype})

    return spaced


#: Functions and methods that make a tensor of numbers, as they are on fakes.
MAKERS: dict[Any, Callable[..., Any]] = {
    torch.tensor: _made(torch.tensor, False),
    torch.as_tensor: _made(torch.as_tensor, False),
    torch.linspace: _spaced(torch.linspace),
    "new_tensor": _made(torch.Tensor.new_tensor, True),
}
