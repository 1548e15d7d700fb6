"""What an operation may do besides answering: draw random numbers, write, raise.

Torch says most of it itself: the schema of an operator marks the arguments that it writes
(``alias_info``), its tags tell what draws from a generator.  A function of torch that is
written in Python may do what the operators may do that its code reaches.  What nothing is
known of may do everything.

Three things no schema tells, and are tables here:

- kernels that write running statistics without saying so, nor counting it;
- operations that leave memory as they find it (``empty``), whose values are any;
- operations that raise for the *values* of their tensors.  Few do, but being wrong would
  be bad, so it is the other way round: what is not known to take any values may raise.
"""

from __future__ import annotations

import importlib
import inspect
import operator
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch._functorch import eager_transforms

from magpy.graph import is_region, operations
from magpy.late import expect

__all__ = ["Effects", "Write", "effects_of", "row"]

#: A parameter: its position, its name, its default.
Parameter = tuple[int, str, Any]


@dataclass(frozen=True)
class Write:
    """Arguments that are written, if `unless` is not False or None."""

    unless: Parameter | None
    arguments: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Effects:
    """What one callable may do.

    Attributes:
        draws: it may move a random number generator ...
        quiet: ... but not if one of these parameters is False or zero.
        undefined: what it answers may depend on memory that nobody has set.
        raises: it may raise for the values of its tensors ...
        divides: ... but not if its second argument is a number other than zero.
        writes: the arguments that it may write, but for ``out=``.
        values: numbers among its arguments are values, and decide no shape: from this
            argument on; None if that is not known.
    """

    draws: bool = False
    quiet: tuple[Parameter, ...] = ()
    undefined: bool = False
    raises: bool = False
    divides: bool = False
    writes: tuple[Write, ...] = ()
    values: int | None = None


UNKNOWN = Effects(draws=True, raises=True)
NOTHING = Effects()

# Bits of a row, as in engine/objects/operators.h.
RANDOM, RAISES, VALUES, VALUES_BEHIND = 1, 2, 4, 8


def row(target: Any) -> tuple[int, tuple[Any, ...]]:
    """Return the effects of a callable in the engine's words.

    Returns:
        Bits, and one ``(unless, arguments)`` for each :class:`Write`.
    """
    if target is eager_transforms._autograd_grad:
        # What it imports itself, when it runs first, would run below an operation.
        importlib.import_module("torch._dynamo.compiled_autograd")
    found = effects_of(target)
    bits = RANDOM if found.draws or found.undefined else 0
    bits |= RAISES if found.raises else 0
    if found.values is not None:
        bits |= VALUES_BEHIND if found.values else VALUES
    return bits, tuple((write.unless, write.arguments) for write in found.writes)


# -- Tables ----------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A parameter that is False, or a probability of zero: nothing is drawn.
_QUIET = ("training", "train", "dropout_p", "dropout", "p")
# `p` and `dropout` mean that only beside one of these, or as the probability's own name.
_TRAINS = ("training", "train")

_STATISTICS = ("running_mean", "running_var", "running_min", "running_max")
_UPDATES = ("training", "train", "use_input_stats")
_NO_UPDATE = ("backward", "functional", "no_update", "no_training")

# What names of operators that answer with memory nobody has set contain.
_UNDEFINED = ("empty", "resize")

# The numbers that they take are values.  (Those of pointwise operators are, too.)
_VALUES = _names("fill full_like masked_fill where lerp addcmul addcdiv nan_to_num")
# All but the first.
_VALUES_BEHIND = _names("full")

# Raise for some numbers although torch calls them pointwise.
_DIVIDES = _names("floor_divide remainder fmod")
_NOT_POINTWISE = _names("equal mvlgamma multigammaln")

# Take any values.  (Pointwise operators and views are known by tag and schema.)
_TOTAL = _names(
    """
    matmul mm bmm addmm addbmm baddbmm addmv addr mv dot vdot inner outer ger linear
    bilinear einsum tensordot chain_matmul linalg_multi_dot kron cross linalg_cross
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution
    _convolution conv_tbc softmax log_softmax _softmax _log_softmax layer_norm
    native_layer_norm batch_norm native_batch_norm _native_batch_norm_legit group_norm
    native_group_norm instance_norm rms_norm _fused_rms_norm sum nansum mean nanmean amax
    amin aminmax argmax argmin prod var std var_mean std_mean norm linalg_vector_norm
    frobenius_norm dist logsumexp cumsum cumprod cummax cummin logcumsumexp any all max
    min count_nonzero cat concat concatenate stack hstack vstack dstack row_stack
    column_stack block_diag cartesian_prod constant_pad_nd pad reflection_pad1d
    reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d _pad_circular dropout alpha_dropout feature_dropout
    feature_alpha_dropout native_dropout scaled_dot_product_attention lstm gru rnn_tanh
    rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell max_pool1d max_pool2d
    max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
    avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    lp_pool1d lp_pool2d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d
    _upsample_bilinear2d_aa _upsample_bicubic2d_aa grid_sampler affine_grid_generator
    pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle im2col col2im
    zeros ones full empty empty_strided arange linspace logspace eye scalar_tensor tensor
    as_tensor zeros_like ones_like full_like empty_like new_zeros new_ones new_full
    new_empty new_tensor tril_indices triu_indices to type_as _to_copy contiguous copy
    clone float double half bfloat16 int long short char byte bool cpu cuda type sort
    argsort msort topk kthvalue tril triu flip fliplr flipud roll rot90 repeat tile
    fill zero masked_fill mse_loss l1_loss smooth_l1_loss huber_loss soft_margin_loss
    binary_cross_entropy_with_logits kl_div cosine_similarity pairwise_distance cdist
    pdist _euclidean_dist glu log_sigmoid logsigmoid prelu _prelu_kernel softplus
    hardswish normal_ uniform exponential cauchy log_normal geometric random rand randn
    randint randperm rand_like randn_like randint_like rrelu rrelu_with_noise isclose
    isreal isposinf isneginf isin bucketize searchsorted diff trapezoid trapz
    cumulative_trapezoid addcmul addcdiv lerp complex polar view_as_real
    view_as_complex meshgrid broadcast_tensors atleast_1d atleast_2d atleast_3d where
    nan_to_num clamp clip trace diag diag_embed diagflat one fft_fft fft_ifft fft_rfft
    fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn
    fft_irfftn fft_fftshift fft_ifftshift hann_window hamming_window blackman_window
    reshape flatten unflatten unsafe_chunk unsafe_split unsafe_split_with_sizes
    _unsafe_view numpy_T square lp_norm renorm true_divide rsub subtract multiply
    negative absolute arctan arctan2 arcsin arccos arcsinh arccosh arctanh concat fix
    greater greater_equal less less_equal not_equal adamw adam sgd adagrad int_mm
    addmm_activation masked_softmax safe_softmax weight_norm weight_norm_interface
    scaled_mm scaled_grouped_mm grouped_mm fft_c2c fft_c2r fft_r2c trilinear cosh
    native_batch_norm_legit_no_training transformer_encoder_layer_fwd hash_tensor
    native_multi_head_attention scaled_dot_product_attention_math pad_enum is_all_true
    scaled_dot_product_flash_attention_for_cpu scaled_dot_product_efficient_attention
    is_any_true upsample_lanczos2d_aa grid_sampler_2d grid_sampler_3d threshold
    standard_gamma slow_conv_dilated2d slow_conv_dilated3d slow_conv3d thnn_conv2d
    slow_conv_transpose2d slow_conv_transpose3d squeeze unsqueeze t transpose swapaxes
    swapdims expand_as view_as reshape_as sum_to_size select_scatter slice_scatter
    diagonal_scatter as_strided as_strided_scatter fill_diagonal corrcoef cov hardtanh
    nonzero argwhere masked_select unique unique2 unique_consecutive unique_dim range
    bartlett_window kaiser_window fft_fftfreq fft_rfftfreq new from_numpy asarray cfloat
    cdouble chalf empty_permuted new_empty_strided empty_quantized resize resize_as
    foreach_powsum linalg_matmul linalg_vecdot cosine_embedding_loss hinge_embedding_loss
    margin_ranking_loss triplet_margin_loss poisson_nll_loss
    broadcast_to expit gammainc gammaincc gammaln ndtr psi divide requires_grad_
    is_floating_point is_complex is_same_size fft_hfft fft_ihfft fft_hfft2 fft_ihfft2
    fft_hfftn fft_ihfftn linalg_diagonal native_norm norm_except_dim
    stft
    """
)

# Attributes and builtins that functions of torch use, which are no operators there.
_HELPERS = _names(
    """
    len range set type int float bool item list dict tuple format
    shape ndim size dim numel stride device dtype layout is_cuda is_cpu is_floating_point
    is_complex is_nested is_sparse is_mkldnn requires_grad is_contiguous element_size
    """
)

# Modules whose functions pass calls on, or serve TorchScript.
_PASSES_ON = ("torch.overrides", "torch._jit_internal", "torch._utils_internal")

# Special methods that Python does not have any more.
_OLD_NAMES = {"div": "truediv", "idiv": "itruediv", "rdiv": "rtruediv"}

_OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and_": "bitwise_and",
    "or_": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
    "neg": "neg",
    "pos": "positive",
    "invert": "bitwise_not",
    "inv": "bitwise_not",
    "not_": "logical_not",
    "abs": "abs",
    "lt": "lt",
    "le": "le",
    "eq": "eq",
    "ne": "ne",
    "gt": "gt",
    "ge": "ge",
}


# -- Operators -------------------------------------------------------------------------


@cache
def _operators(name: str) -> tuple[tuple[Any, tuple[Any, ...]], ...]:
    """Return schema and tags of each overload of ``aten::name``."""
    found = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        try:
            known = torch._C._get_operation_overload(schema.name, schema.overload_name)
        except RuntimeError:  # one that only TorchScript has
            continue
        values = (*schema.arguments, *schema.returns)
        if known is not None and any("Tensor" in str(v.type) for v in values):
            found.append((schema, tuple(known[2])))
    return tuple(found)


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _parameters(schema: Any) -> dict[str, Parameter]:
    return {
        argument.name: (at, argument.name, argument.default_value)
        for at, argument in enumerate(schema.arguments)
    }


def _quiet(parameters: dict[str, Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters that keep a drawing callable from drawing."""
    trains = any(name in parameters for name in _TRAINS)
    return tuple(
        parameters[name]
        for name in _QUIET
        if name in parameters and (trains or name not in ("p", "dropout"))
    )


def _statistics(name: str, parameters: dict[str, Parameter]) -> tuple[Write, ...]:
    """Return the running statistics that a kernel writes without saying so."""
    kept = tuple(parameters[s][:2] for s in _STATISTICS if s in parameters)
    if not kept or any(word in name for word in _NO_UPDATE):
        return ()
    unless = next((parameters[u] for u in _UPDATES if u in parameters), None)
    return (Write(unless, kept),)


def _out(schema: Any) -> bool:
    """Is it an overload that is told by keyword arguments, as ``out=``?"""
    return any(a.kwarg_only and _is_written(a) for a in schema.arguments)


def _schema_effects(name: str, schema: Any, tags: Iterable[Any]) -> Effects:
    parameters = _parameters(schema)
    written = tuple(parameters[a.name][:2] for a in schema.arguments if _is_written(a))
    writes = (Write(None, written),) if written else _statistics(name, parameters)
    draws = torch.Tag.nondeterministic_seeded in tags
    return Effects(
        draws=draws,
        quiet=_quiet(parameters) if draws else (),
        undefined=any(word in name for word in _UNDEFINED),
        raises=_may_raise(name, schema, tags),
        divides=_may_raise(name, schema, tags) and _stem(name) in _DIVIDES,
        writes=writes,
        values=_values_from(name, tags),
    )


def _values_from(name: str, tags: Iterable[Any]) -> int | None:
    stem = _stem(name)
    if name in _VALUES_BEHIND:
        return 1
    pointwise = torch.Tag.pointwise in tags or _is_pointwise(stem)
    known = stem in _VALUES or (pointwise and stem not in _NOT_POINTWISE)
    return 0 if known else None


def _stem(name: str) -> str:
    for prefix in ("_foreach_", "_fused_", "_cast_", "special_", "_"):
        name = name.removeprefix(prefix)
    return name.rstrip("_").removesuffix("_copy") or name


def _may_raise(name: str, schema: Any, tags: Iterable[Any]) -> bool:
    stem = _stem(name)
    if stem in _TOTAL or stem.lower() in _TOTAL or name in _TOTAL:
        return False
    if stem in _DIVIDES:
        return True
    if stem in _NOT_POINTWISE:
        return True
    if _is_pointwise(stem) or torch.Tag.pointwise in tags:
        return False
    return not _is_view(stem, schema)


def _is_view(stem: str, schema: Any) -> bool:
    """Is it a view of its only tensor, or a copy of one?  The rest are numbers."""
    tensors = [a for a in schema.arguments if "Tensor" in str(a.type)]
    views = any(r.alias_info is not None for r in schema.returns)
    if len(tensors) != 1 or schema.is_mutable:
        return False
    return views or (
        schema.name.endswith("_copy")
        and any(_is_view("", view) for view, _ in _operators(stem))
    )


@cache
def _is_pointwise(stem: str) -> bool:
    """Is ``aten::stem``, of which there are kinds that write or take lists?"""
    return any(torch.Tag.pointwise in tags for _, tags in _operators(stem))


def _joined(parts: Iterable[Effects]) -> Effects:
    """What may happen if any of `parts` may run; all of them write, or none."""
    found = list(parts)
    if not found:
        return UNKNOWN
    writes = found[0].writes if all(e.writes for e in found) else ()
    draws = [e for e in found if e.draws]
    quiet = draws[0].quiet if draws else ()
    raising = [e for e in found if e.raises]
    return Effects(
        draws=bool(draws),
        quiet=quiet if all(e.quiet == quiet for e in draws) else (),
        undefined=any(e.undefined for e in found),
        raises=bool(raising),
        divides=bool(raising) and all(e.divides for e in raising),
        writes=writes,
        values=found[0].values if len({e.values for e in found}) == 1 else None,
    )


def _named(name: str) -> Effects | None:
    """What the operators ``aten::name`` may do; None if there are none."""
    overloads = _operators(name)
    plain = [(s, t) for s, t in overloads if not _out(s)]
    chosen = plain or list(overloads)
    return _joined(_schema_effects(name, s, t) for s, t in chosen) if chosen else None


# -- Callables -------------------------------------------------------------------------


def _operator_functions() -> dict[Any, Effects]:
    """Return the functions of `operator`, as the recorder names instructions."""
    found: dict[Any, Effects] = {}
    for name, aten in _OPERATORS.items():
        if effects := _named(aten):
            found[getattr(operator, name)] = effects
        inplace = getattr(operator, f"i{name.rstrip('_')}", None)
        if inplace is not None and (effects := _named(f"{aten}_")):
            found[inplace] = effects
    found[operator.itruediv] = _named("div_") or UNKNOWN
    target = Write(None, ((0, "self"),))
    found[operator.imatmul] = NOTHING  # makes a new tensor
    found[operator.getitem] = Effects(raises=True)
    found[operator.setitem] = Effects(raises=True, writes=(target,))
    # What the recorder calls so: a descriptor of tensors, and what sets one.
    found[getattr] = found[setattr] = NOTHING
    return found


@cache
def _fixed() -> dict[Any, Effects]:
    from magpy import _torch_table

    found = _operator_functions()
    found[sum] = _named("add") or UNKNOWN
    for maker in _torch_table.tensor_makers():
        found[maker] = NOTHING
    found[torch.autograd.Variable] = NOTHING
    # They wrap tensors, and ask for gradients of what they wrap.
    found.update(dict.fromkeys(_torch_table.wrappers(), NOTHING))
    found[expect] = Effects(raises=True)
    found[eager_transforms._autograd_grad] = Effects(raises=True)
    for maker in _torch_table.legacy_constructors():
        found[maker] = Effects(undefined=True)
    return found


def _is_torch(function: types.FunctionType) -> bool:
    """Is it code of torch, and not what passes calls on to other classes of tensors?"""
    module = function.__module__ or ""
    return module == "torch" or (
        module.startswith("torch.") and module not in _PASSES_ON
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _reached(function: types.FunctionType, seen: set[Any]) -> Iterator[Effects]:
    """Yield what each operator may do that the code of a function names."""
    if function in seen:
        return
    seen.add(function)
    inside = [
        cell.cell_contents
        for cell in function.__closure__ or ()
        if cell != types.CellType()
    ]
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    inside += [function.__globals__.get(name) for name in names]
    for found in inside:
        if isinstance(found, types.FunctionType) and _is_torch(found):
            yield from _reached(found, seen)
        elif isinstance(found, types.BuiltinFunctionType):
            yield _named(found.__name__) or NOTHING
    for name in names - _HELPERS:
        if effects := _named(name):
            yield effects
        # Methods of tensors that are written in Python, and `torch.functional`.
        for home in (torch, torch.Tensor):
            method = vars(home).get(name)
            if isinstance(method, types.FunctionType) and _is_torch(method):
                yield from _reached(method, seen)


def _signature(function: types.FunctionType) -> dict[str, Parameter]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}
    empty = inspect.Parameter.empty
    return {
        name: (at, name, None if given.default is empty else given.default)
        for at, (name, given) in enumerate(signature.parameters.items())
    }


def _python_effects(function: types.FunctionType) -> Effects:
    """What a function of torch may do that is written in Python."""
    reached = list(_reached(function, set()))
    parameters = _signature(function)
    first = next(iter(parameters.values()), (0, "input", None))[:2]
    writes = list(_statistics(function.__name__, parameters))
    if "max_norm" in parameters:
        writes.append(Write(parameters["max_norm"], (parameters["weight"][:2],)))
    if "inplace" in parameters:
        writes.append(Write(parameters["inplace"], (first,)))
    name = function.__name__
    if name.endswith("_") and not name.endswith("__") and not writes:
        writes.append(Write(None, (first,)))
    draws = any(e.draws for e in reached)
    return Effects(
        draws=draws,
        quiet=_quiet(parameters) if draws else (),
        undefined=any(e.undefined for e in reached),
        raises=not reached or any(e.raises for e in reached),
        writes=tuple(writes),
    )


def _overload(op: Any) -> Effects:
    if op.namespace not in ("aten", "prims"):
        # Kernels of others draw without a tag, and write as their schema says.
        known = _schema_effects(op._schema.name, op._schema, op.tags)
        return Effects(draws=True, raises=True, writes=known.writes)
    return _schema_effects(op._schema.name.split("::")[-1], op._schema, op.tags)


# What torch's own callables are.
_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    torch._ops.OpOverload,
    torch._ops.OpOverloadPacket,
)


def _find(target: Any) -> Effects:
    if isinstance(target, torch._ops.OpOverload):
        return _overload(target)
    if isinstance(target, torch._ops.OpOverloadPacket):
        overloads = [getattr(target, o) for o in target.overloads()]
        plain = [o for o in overloads if not _out(o._schema)] or overloads
        return _joined(map(_overload, plain))
    if isinstance(target, types.FunctionType):
        return _python_effects(target) if _is_torch(target) else UNKNOWN
    name = getattr(target, "__name__", None)
    if isinstance(target, types.GetSetDescriptorType):
        return NOTHING
    if not isinstance(name, str) or isinstance(target, (type, types.MethodType)):
        return UNKNOWN
    if name.startswith("__") and name.endswith("__"):
        stem = name.strip("_")
        stem = _OLD_NAMES.get(stem, stem)
        for made in (stem, f"{stem}_", stem[1:], f"{stem[1:]}_"):
            function = getattr(operator, made, None)
            if function in _fixed():
                return _fixed()[function]
    return _named(name) or _untold(target)


def _untold(target: Any) -> Effects:
    """Builtins without an operator of that name: they parse arguments, or set modes."""
    from magpy import _torch_table

    known = target.__name__ in _TOTAL or _torch_table.sets_state(target)
    return NOTHING if known else UNKNOWN


@cache
def _kept(target: Any) -> Effects:
    return _find(target)


def _script(function: Any) -> Effects:
    """What a scripted function may do that _torch_table has judged: never draw."""
    kinds = {node.kind() for node in function.inlined_graph.nodes()}
    undefined = any(word in kind for kind in kinds for word in _UNDEFINED)
    return Effects(undefined=undefined, raises=True)


def effects_of(target: Any) -> Effects:
    """Return what a callable may do, or the method of tensors that a string names."""
    if isinstance(target, str):
        target = getattr(torch.Tensor, target, None)
        if target is None:
            return UNKNOWN
    elif isinstance(target, types.BuiltinFunctionType):
        owner = target.__self__
        if isinstance(owner, torch.Tensor):  # do not keep it
            target = getattr(torch.Tensor, target.__name__, None)
    if isinstance(target, torch.jit.ScriptFunction):
        return _script(target)
    if is_region(target):
        ops = [op[0] for spec in target.specs for op in operations(spec)]
        inside = [effects_of(op) for op in ops if not is_region(op)]
        return _joined([replace(e, writes=(), quiet=()) for e in inside])
    if not _is_kept(target):
        return UNKNOWN  # code of the program
    known = _fixed().get(target)
    return known if known is not None else _kept(target)


def _is_kept(target: Any) -> bool:
    """Does it live as long as the process?"""
    if isinstance(target, types.FunctionType):
        return _is_torch(target)
    return isinstance(target, (*_CALLABLES, type)) or target in _fixed()
