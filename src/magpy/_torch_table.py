"""Which torch callables the recorder knows, and what it may assume of each.

`build()` answers with a dict from the callable itself (a builtin, a Python function, a
method or getset descriptor) to its flags.  What has no row is handled like any other
code: a Python function is watched, a C function is opaque and ends the recording.  So a
missing row costs speed, a wrong row costs correctness: in doubt leave it out.

Single flags mean what engine/trace/record.h says.  Some operations are harmless with some
arguments only; for these the flags are combined (`FACTORY` and what follows it).

A row comes from the lists of names in this file, or else from its namespace: a public
builtin of torch is an operation.  tests/unit/test_torch_table.py compares the rows with
what torch itself says of its operators.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = [
    "OpFlag",
    "build",
    "constant_types",
    "op_flags",
    "op_object_types",
    "skip_module_prefixes",
    "tensor_types",
]


class OpFlag(enum.IntFlag):
    """The names and numbers of `mp_torch_flags` in engine/trace/record.h."""

    CALL = 1
    METADATA = 2
    HOST_READ = 4
    DYNAMIC = 8
    AMBIENT = 16
    SETS_STATE = 32
    REFUSE = 64
    PURE = 128
    LATER = 256
    INLINE = 512
    COMPILING = 1024
    WRITES = 2048
    TRUSTED = 4096
    STATE = 8192

    # Combinations that stand for a condition on the arguments.
    #: An operation; but a host read if any argument, however deep, is a tensor: it
    #: would be read as a number (`torch.zeros(t)`).
    FACTORY = CALL | HOST_READ
    #: An operation; but a host read if a tensor is inside a list or tuple
    #: (`torch.tensor([t])`, while `torch.tensor(t)` is a copy).
    LISTED = CALL | HOST_READ | PURE
    #: An operation; its shape depends on data if an argument behind the first is or
    #: holds a tensor (`x.view(t, -1)`, `x.split(t)`).
    SHAPED = CALL | DYNAMIC | PURE
    #: An operation; its shape depends on data unless argument 1 or the keyword that
    #: stands for it is an int >= 0 (`repeat_interleave(x, 2)`, `one_hot(x, 10)`).
    COUNTED = CALL | DYNAMIC | METADATA
    #: An operation; its shape depends on data if it has one argument only (`where`).
    LONE = CALL | DYNAMIC | INLINE
    #: Indexing: its shape depends on data if the index holds a bool or uint8 tensor; a
    #: host read if a tensor is inside a slice.
    INDEX = CALL | DYNAMIC | HOST_READ
    #: A tensor that it answers with is the result of an operation; anything else
    #: follows from metadata (`x.type()`, `x == None`).
    EITHER = CALL | METADATA
    #: The same, and what it answers follows from metadata of its tensors, never from
    #: their values.
    SIZED = CALL | METADATA | PURE
    #: Refuse with grad enabled; else watch the Python function.
    LATER_INLINE = LATER | INLINE
    #: `autograd.Function.apply`: one operation, while its `forward` is watched.
    APPLY = CALL | INLINE
    #: Does an argument, or an item of it, have a `__torch_function__`?
    ASKS = METADATA | INLINE
    #: What `forward` tells the context of the call in progress; on any other, watched.
    NOTE = PURE | INLINE
    #: STATE; a host read if an argument behind the first is or holds a tensor.
    RESIZES = CALL | STATE | HOST_READ


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- Names that mean the same wherever they appear -------------------------------------

_METADATA = _names(
    """
    dim ndim ndimension size shape stride numel nelement nbytes itemsize element_size
    dtype device layout get_device is_contiguous is_floating_point is_complex is_signed
    is_same_size is_inference is_conj is_neg is_distributed is_cuda is_cpu is_meta
    is_xla is_xpu is_ipu is_mps is_maia is_mtia is_vulkan is_mkldnn is_quantized
    is_sparse is_sparse_csr is_nested requires_grad dense_dim sparse_dim dim_order
    __len__ __hash__ __dlpack_device__ _is_zerotensor _has_symbolic_sizes_strides
    result_type
    promote_types can_cast broadcast_shapes
    _debug_has_internal_overlap _has_compatible_shallow_copy_type cudnn_is_acceptable
    """
)

_HOST_READ = _names(
    """
    item tolist numpy equal allclose is_nonzero data_ptr const_data_ptr storage_offset
    __bool__ __int__ __float__ __index__ __complex__ __long__ __nonzero__ __contains__
    __array__ __repr__ __format__ __dlpack__ __cuda_array_interface__ lobpcg
    gaussian_nll_loss
    """
)

_DYNAMIC = _names(
    """
    nonzero nonzero_numpy argwhere masked_select unique unique_consecutive unique_dim
    _unique _unique2 bincount combinations _ctc_loss linalg_lstsq _pack_padded_sequence
    _pad_packed_sequence to_sparse to_sparse_coo to_sparse_csr to_sparse_csc
    to_sparse_bsr to_sparse_bsc coalesce to_dense sparse_mask
    """
)

# Factories, and what reads a tensor among its arguments as numbers.
_FACTORY = _names(
    """
    zeros ones empty full eye arange range linspace logspace rand randn randint randperm
    empty_strided empty_permuted empty_quantized tril_indices triu_indices scalar_tensor
    hann_window hamming_window bartlett_window blackman_window kaiser_window fft_fftfreq
    fft_rfftfreq
    """
)

_LISTED = _names("tensor as_tensor asarray from_numpy new new_tensor")

_SHAPED = _names(
    """
    view reshape expand repeat tile narrow narrow_copy unflatten split split_copy
    split_with_sizes split_with_sizes_copy unsafe_split unsafe_split_with_sizes chunk
    unsafe_chunk tensor_split hsplit vsplit dsplit topk unfold unfold_copy view_copy
    expand_copy as_strided as_strided_ as_strided_copy _reshape_alias _unsafe_view diag
    diagflat diag_embed diagonal new_zeros new_ones new_empty new_full new_empty_strided
    vander linalg_vander pad constant_pad_nd interpolate upsample upsample_nearest
    upsample_bilinear fold affine_grid nonzero_static pixel_shuffle pixel_unshuffle
    channel_shuffle broadcast_to adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices
    adaptive_max_pool3d_with_indices
    """
)

_COUNTED = _names("repeat_interleave one_hot")

# Side effects, hidden state, state of autograd, memory as such, kinds of tensors that
# guards cannot describe (named, sparse, quantised, nested, subclasses).
_REFUSE = _names(
    """
    backward _backward requires_grad_ retain_grad register_hook detach_ set_ set_data
    register_post_accumulate_grad_hook resize resize_ resize_as resize_as_
    resize_as_sparse_ sparse_resize_ sparse_resize_and_clear_ share_memory_ is_shared
    is_pinned pin_memory _pin_memory storage untyped_storage _typed_storage storage_type
    is_set_to record_stream apply_ map_ map2_ rename rename_ refine_names align_to
    align_as align_tensors as_subclass _make_subclass _make_wrapper_subclass
    _dtensor__new__ __new__ _fix_weakref _view_func _view_func_unsafe
    _rev_view_func_unsafe _use_count _is_view is_coalesced _coalesced_ _nnz _indices
    _values indices values crow_indices col_indices ccol_indices row_indices q_scale
    q_zero_point q_per_channel_scales q_per_channel_zero_points q_per_channel_axis
    qscheme int_repr dequantize quantize_per_tensor quantize_per_channel
    quantize_per_tensor_dynamic to_mkldnn __deepcopy__ __reduce_ex__ _reduce_ex_internal
    __setstate__ module_load reinforce __dir__ __array_wrap__
    _clear_non_serializable_cached_data index solve lstsq eig symeig is_leaf grad
    grad_fn _grad _grad_fn retains_grad output_nr name names _version _base _cdata
    volatile _backward_hooks _post_accumulate_grad_hooks _python_dispatch grad_dtype
    frombuffer from_file from_dlpack to_dlpack sparse_coo_tensor
    sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor sparse_bsc_tensor
    sparse_compressed_tensor saddmm hspmm smm sspaddmm nested_tensor
    nested_to_padded_tensor _fw_primal _make_dual _unpack_dual _lazy_clone
    sym_constrain_range sym_constrain_range_for_size _linalg_check_errors _print
    _propagate_xla_data _make_dep_token __delitem__ manual_seed seed initial_seed
    get_rng_state set_rng_state manual_seed_all seed_all get_rng_state_all
    set_rng_state_all save load compile set_default_dtype set_default_device
    set_default_tensor_type set_printoptions set_num_threads set_num_interop_threads
    get_num_interop_threads set_flush_denormal use_deterministic_algorithms
    set_deterministic_debug_mode set_float32_matmul_precision set_warn_always
    is_warn_always_enabled set_anomaly_enabled cond while_loop vmap fork wait
    import_ir_module import_ir_module_from_buffer handle_torch_function
    get_deterministic_debug_mode
    """
)

_REFUSE_PREFIXES = (
    "_assert",
    "_cslt",
    "_cufft",
    "_from_",
    "_functional",
    "_mkldnn",
    "_nested",
    "_sparse",
    "_sync",
    "_test",
    "_to_functional",
    "_to_sparse",
    "_validate",
    "fbgemm_",
    "mkldnn_",
    "quantized_",
)

# Other names of torch.mm: they compare equal to it, but are C functions of their own.
_SAME_CODE = ("dsmm", "hsmm", "spmm")

# Private builtins that programs call and that are operations; others get no row.
_PRIVATE_CALL = (
    "_adaptive_avg_pool",
    "_cast_",
    "_conj",
    "_convolution",
    "_cudnn_rnn",
    "_dirichlet_grad",
    "_embedding_bag",
    "_euclidean_dist",
    "_fake_quantize_learnable",
    "_fft_",
    "_foreach_",
    "_fused_",
    "_grouped_mm",
    "_int_mm",
    "_is_all_true",
    "_is_any_true",
    "_linalg_",
    "_log_softmax",
    "_logcumsumexp",
    "_masked_softmax",
    "_native_",
    "_neg_view",
    "_pad_",
    "_prelu_kernel",
    "_safe_softmax",
    "_sample_dirichlet",
    "_scaled_",
    "_softmax",
    "_stack",
    "_standard_gamma",
    "_transformer_encoder_layer_fwd",
    "_trilinear",
    "_upsample_",
    "_weight_",
)

# Getsets that are operations: a tensor from a tensor.
_TENSOR_ATTRS = _names("T H mT mH real imag")

# Watched although their module is torch's: they take or make what is not a tensor, or
# call functions that they are given.
_INLINE = _names(
    """
    _assert _check _check_with _check_index _check_is_size _check_not_implemented
    _check_tensor_all _check_tensor_all_with _check_type _check_value _constrain_as_size
    triplet_margin_with_distance_loss assert_int_or_pair __iter__
    typename is_tensor is_storage
    """
)

_PURE = _names(
    """
    sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum
    compiled_with_cxx11_abi is_vulkan_available _nnpack_available
    _use_cudnn_rnn_flatten_weight
    """
)

# What the `forward` of an autograd.Function tells its context, which a hit makes anew.
_CONTEXT_NOTES = _names(
    """
    save_for_backward save_for_forward mark_dirty mark_non_differentiable
    set_materialize_grads
    """
)

# -- Functions with a home of their own: "module: names" -------------------------------

# Answers that follow from state in torch/ambient.def.
_AMBIENT_AT = """
torch: is_grad_enabled is_inference_mode_enabled is_anomaly_enabled is_autocast_enabled
torch: is_autocast_cpu_enabled is_autocast_xla_enabled is_autocast_ipu_enabled
torch: get_autocast_dtype get_autocast_cpu_dtype get_autocast_gpu_dtype
torch: is_autocast_cache_enabled get_default_dtype get_default_device get_num_threads
torch: are_deterministic_algorithms_enabled
torch: is_deterministic_algorithms_warn_only_enabled
torch: get_float32_matmul_precision
torch._C: _get_tracing_state _is_tracing _is_torch_function_enabled
torch._C: _is_torch_function_mode_enabled _is_torch_function_all_disabled
torch._C: _len_torch_function_stack _len_torch_dispatch_stack _is_any_autocast_enabled
torch._C: _get_deterministic_algorithms _get_deterministic_algorithms_warn_only
torch._C: _get_deterministic_fill_uninitialized_memory _get_float32_matmul_precision
torch._C: _get_cudnn_enabled _get_cudnn_benchmark _get_cudnn_deterministic
torch._C: _get_cudnn_allow_tf32 _get_mkldnn_enabled _get_flash_sdp_enabled
torch._C: _get_mem_efficient_sdp_enabled _get_math_sdp_enabled _get_cudnn_sdp_enabled
torch._C: _get_cublas_allow_tf32 _get_cublas_allow_fp16_reduced_precision_reduction
torch._C: _get_cublas_allow_bf16_reduced_precision_reduction _get_default_device
torch._C: _are_functorch_transforms_active _cuda_getDevice
torch._C._functorch: peek_interpreter_stack maybe_current_level
torch.jit: is_tracing
torch.compiler: is_exporting is_dynamo_compiling
torch.cuda: current_device is_current_stream_capturing
"""

# "Is a compiler at work?": the engine answers for watched code.
_COMPILING_AT = """
torch.compiler: is_compiling
torch._dynamo.external_utils: is_compiling
"""

# Written state that torch/ambient.def guards and restores.
_SETS_STATE_AT = """
torch._C: _set_grad_enabled
torch: set_autocast_enabled set_autocast_dtype set_autocast_cache_enabled
torch: set_autocast_cpu_enabled set_autocast_cpu_dtype set_autocast_gpu_dtype
torch: autocast_increment_nesting autocast_decrement_nesting clear_autocast_cache
torch._C: _InferenceMode
"""

# Constant for a process.
_PURE_AT = """
torch: get_device_module
torch._C: _is_autocast_available _get_privateuse1_backend_name _get_cpu_capability
torch._C: _is_flash_attention_available _log_api_usage_once
torch._C: DisableTorchFunctionSubclass
torch.jit: is_scripting
torch.overrides: is_tensor_method_or_property
torch.cuda: is_available device_count get_device_capability get_device_name
torch.cuda: get_device_properties is_bf16_supported is_tf32_supported get_arch_list
torch.backends.cuda: is_built is_flash_attention_available
torch.backends.cudnn: is_available version
torch.backends.mps: is_available is_built
torch.backends.mkldnn: is_available
torch.amp.autocast_mode: is_autocast_available
"""

# Questions about the class of any object: about its attributes, or watched.
_ASKS_AT = """
torch._C: _has_torch_function _has_torch_function_unary _has_torch_function_variadic
torch.overrides: has_torch_function has_torch_function_unary has_torch_function_variadic
"""

_INLINE_AT = """
torch.overrides: is_tensor_like
torch.jit: annotate
"""

_REFUSE_AT = """
torch: get_autocast_xla_dtype get_autocast_ipu_dtype set_autocast_xla_enabled
torch: set_autocast_xla_dtype set_autocast_ipu_enabled set_autocast_ipu_dtype
torch.autograd: backward grad
torch.random: fork_rng
torch.cuda: synchronize current_stream default_stream set_device set_stream stream
torch.cuda: empty_cache memory_allocated mem_get_info
torch.cuda: manual_seed manual_seed_all seed seed_all initial_seed get_rng_state
torch.cuda: set_rng_state get_rng_state_all set_rng_state_all
torch._C: _set_default_dtype _set_deterministic_algorithms _set_cudnn_enabled
torch._C: _set_cudnn_benchmark _set_cudnn_deterministic _set_sdp_use_flash
torch._C: _set_sdp_use_mem_efficient _set_sdp_use_math _set_sdp_use_cudnn
torch._C: _set_float32_matmul_precision _get_dispatch_mode _push_on_torch_function_stack
torch._C: _pop_torch_function_stack
torch.overrides: handle_torch_function
torch.jit: trace script fork wait
"""

# Operations whose names are refused elsewhere: of dense tensors, and of sparse ones that
# the run has made.
_CALL_AT = """
torch.sparse: mm addmm
"""

_LATER_INLINE_AT = """
torch.utils.checkpoint: checkpoint checkpoint_sequential
"""

# Methods of a class that clash with a name above, or have no rule.
_TENSOR_METHODS: dict[str, OpFlag] = {
    "__getitem__": OpFlag.INDEX,
    "__setitem__": OpFlag.CALL,
    "__eq__": OpFlag.EITHER,
    "__ne__": OpFlag.EITHER,
    "type": OpFlag.EITHER,
    "data": OpFlag.CALL | OpFlag.LATER,
    "requires_grad_": OpFlag.CALL | OpFlag.STATE,
    "resize_": OpFlag.RESIZES,
    "resize_as_": OpFlag.CALL | OpFlag.STATE,
}


def _named(name: str) -> OpFlag | None:
    """What the name alone tells; None if it is not listed."""
    for names, flag in (
        (_REFUSE, OpFlag.REFUSE),
        (_METADATA, OpFlag.METADATA),
        (_HOST_READ, OpFlag.HOST_READ),
        (_DYNAMIC, OpFlag.CALL | OpFlag.DYNAMIC),
        (_FACTORY, OpFlag.FACTORY),
        (_LISTED, OpFlag.LISTED),
        (_SHAPED, OpFlag.SHAPED),
        (_COUNTED, OpFlag.COUNTED),
        (_INLINE, OpFlag.INLINE),
        (_PURE, OpFlag.PURE),
    ):
        if name in names:
            return flag
    if name.startswith(_REFUSE_PREFIXES):
        return OpFlag.REFUSE
    return None


def _returns_tensors(name: str) -> bool:
    """Does torch say that the operator `aten::name` answers with tensors only?"""
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
    answers = [str(r.type) for schema in schemas for r in schema.returns]
    if not schemas or any(a not in ("Tensor", "List[Tensor]") for a in answers):
        return False
    return bool(answers) or name.endswith("_")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _is_operation(name: str) -> bool:
    """Is it public, or private but listed and confirmed by torch?"""
    if _is_private(name):
        return name.startswith(_PRIVATE_CALL) and _returns_tensors(name)
    return True


def _operator(name: str) -> OpFlag | None:
    """A builtin of torch's operator namespaces."""
    if name.startswith("__"):
        return None
    return _named(name) or (OpFlag.CALL if _is_operation(name) else None)


# -- Namespaces ------------------------------------------------------------------------

Table = dict[Callable[..., Any], int]


def _is_builtin(obj: object) -> bool:
    return isinstance(obj, types.BuiltinFunctionType)


def _add_operators(table: Table) -> None:
    """The builtins that code generation makes: one namespace per C module."""
    core = torch._C
    spaces = (core._VariableFunctions, core._nn, core._linalg, core._fft, core._special)
    for space in spaces:
        for name in dir(space):
            obj = getattr(space, name)
            flag = _operator(name) if _is_builtin(obj) else None
            if name in _SAME_CODE:
                continue
            if flag is not None:
                table[obj] = int(flag)
    table[torch.where] = int(OpFlag.LONE)


def _functions(module: types.ModuleType) -> Iterable[tuple[str, types.FunctionType]]:
    for name, obj in vars(module).items():
        if isinstance(obj, types.FunctionType) and obj.__module__ == module.__name__:
            yield name, obj


def _add_functions(table: Table, module: types.ModuleType) -> None:
    """Python functions that are operations as a whole; private helpers are watched."""
    for name, obj in _functions(module):
        if _is_private(name):
            table[obj] = int(OpFlag.INLINE)
        else:
            table[obj] = int(_named(name) or OpFlag.CALL)


def _add_listed(table: Table, module: types.ModuleType) -> None:
    """Functions of a namespace for which only the lists count."""
    for name, obj in vars(module).items():
        if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
            flag = _named(name)
            if flag is not None and obj not in table:
                table[obj] = int(flag)


def _tensor_flag(name: str, obj: object) -> OpFlag | None:
    flag = _TENSOR_METHODS.get(name) or _named(name)
    if flag is not None:
        return flag
    if isinstance(obj, types.GetSetDescriptorType):
        return OpFlag.CALL if name in _TENSOR_ATTRS else None
    if isinstance(obj, types.FunctionType):
        return OpFlag.CALL if not _is_private(name) else None
    if isinstance(obj, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return OpFlag.CALL if _is_operation(name) else None
    return None


def _add_methods(table: Table) -> None:
    """What attribute look-ups on tensors find: descriptors and functions."""
    for cls in (torch._C.TensorBase, torch.Tensor):
        for name, obj in vars(cls).items():
            if isinstance(obj, (staticmethod, classmethod)):
                obj = getattr(cls, name)
            flag = _tensor_flag(name, obj)
            if flag is not None and (callable(obj) or hasattr(obj, "__get__")):
                table[obj] = int(flag)


def _module(path: str) -> object:
    """A module that is loaded already (torch loads some of its own when they are first
    looked at, which takes seconds); None if it is not."""
    if path in sys.modules:
        return sys.modules[path]
    found: object = torch
    for part in path.split(".")[1:]:
        found = vars(found).get(part) if isinstance(found, types.ModuleType) else None
    return found


def _add_at(table: Table, text: str, flag: OpFlag) -> None:
    for line in text.strip().splitlines():
        path, names = line.split(":")
        module = _module(path)
        for name in names.split():
            obj = getattr(module, name, None)
            if callable(obj):
                table[obj] = int(flag)


def _inference_modes() -> Iterable[Any]:
    """Enter and leave inference mode: bound by pybind11, the C functions are inside."""
    for method in ("__enter__", "__exit__"):
        yield vars(torch._C._InferenceMode)[method].__func__


def sets_state(target: Any) -> bool:
    """Does a callable do nothing but set what torch/ambient.def guards?"""
    table: Table = dict.fromkeys(_inference_modes(), 0)
    _add_at(table, _SETS_STATE_AT, OpFlag.SETS_STATE)
    return target in table


def build() -> Table:
    """Every known torch callable and its flags."""
    table: Table = {}
    _add_operators(table)
    _add_methods(table)
    _add_functions(table, torch.functional)
    _add_functions(table, torch.nn.functional)
    table.update((f, int(OpFlag.INLINE)) for _, f in _functions(torch.nn.init))
    table[torch.autograd.Variable] = int(OpFlag.CALL)
    table.update((cls, int(OpFlag.CALL)) for cls in tensor_makers())
    table.update((cls, int(OpFlag.LISTED)) for cls in legacy_constructors())
    for low_rank in (torch.svd_lowrank, torch.pca_lowrank):
        table[low_rank] = int(OpFlag.CALL)
    _add_listed(table, torch)
    _add_listed(table, torch.random)
    table.update((f, int(OpFlag.SETS_STATE)) for f in _inference_modes())
    function = torch.autograd.Function
    table[vars(function)["apply"].__func__] = int(OpFlag.APPLY)
    for note in _CONTEXT_NOTES:
        table[getattr(function, note)] = int(OpFlag.NOTE)
    for text, flag in (
        (_AMBIENT_AT, OpFlag.AMBIENT),
        (_COMPILING_AT, OpFlag.COMPILING),
        (_SETS_STATE_AT, OpFlag.SETS_STATE),
        (_PURE_AT, OpFlag.PURE),
        (_ASKS_AT, OpFlag.ASKS),
        (_INLINE_AT, OpFlag.INLINE),
        (_REFUSE_AT, OpFlag.REFUSE),
        (_CALL_AT, OpFlag.CALL),
        (_LATER_INLINE_AT, OpFlag.LATER_INLINE),
    ):
        _add_at(table, text, flag)
    return table


def aliases() -> tuple[tuple[Any, int], ...]:
    """Rows that a dict cannot hold: their callables compare equal to another one's."""
    space = torch._C._VariableFunctions
    return tuple(
        (getattr(space, name), int(OpFlag.CALL))
        for name in _SAME_CODE
        if hasattr(space, name)
    )


# -- Types and single operators --------------------------------------------------------


def tensor_types() -> tuple[type, ...]:
    """The classes of tensors that graphs take as they are (exact types)."""
    return (torch.Tensor, torch.nn.Parameter)


def tensor_makers() -> tuple[type, ...]:
    """Classes that make a tensor of another one, in its memory."""
    buffer = getattr(torch.nn, "Buffer", None)  # since torch 2.5
    return (torch.nn.Parameter,) if buffer is None else (torch.nn.Parameter, buffer)


def legacy_constructors() -> tuple[type, ...]:
    """Classes that make a new tensor of sizes or of a sequence: `torch.FloatTensor`."""
    return (torch.Tensor, *torch._tensor_classes)


def constant_types() -> tuple[type, ...]:
    """Immutable scalars of torch: their values are constants."""
    return (
        type(torch.FloatTensor),
        torch.dtype,
        torch.device,
        torch.layout,
        torch.memory_format,
        torch.Size,
        torch.qscheme,
        torch.finfo,
        torch.iinfo,
        *_numpy_scalars(),
    )


def _numpy_scalars() -> tuple[type, ...]:
    """Numbers of numpy, if the program has loaded it (torch does, where it is there)."""
    numpy = sys.modules.get("numpy")
    names = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32"
    found = [getattr(numpy, n, None) for n in (*names.split(), "float64")]
    return tuple(t for t in found if isinstance(t, type))


def op_object_types() -> tuple[type, ...]:
    """Classes whose instances are operators (`torch.ops.aten.add`); see op_flags."""
    return (
        torch._ops.OpOverload,
        torch._ops.OpOverloadPacket,
        torch.jit.ScriptFunction,
    )


def _overload_flags(op: Any) -> OpFlag:
    tags = set(op.tags)
    answers = [str(r.type) for r in op._schema.returns]
    if torch.Tag.data_dependent_output in tags:
        return OpFlag.HOST_READ
    if op.namespace == "profiler":
        return OpFlag.PURE  # labels of parts of a program: a hit has none
    if op.namespace not in ("aten", "prims"):
        writes = OpFlag.WRITES if op._schema.is_mutable else OpFlag(0)
        return OpFlag.CALL | OpFlag.DYNAMIC | OpFlag.TRUSTED | writes
    if torch.Tag.dynamic_output_shape in tags:
        return OpFlag.CALL | OpFlag.DYNAMIC
    if answers and not any("Tensor" in a for a in answers):
        return OpFlag.METADATA
    return OpFlag.CALL


def op_flags(op: Any) -> OpFlag:
    """Flags of one operator object: the strictest of its overloads, and of its name."""
    if isinstance(op, torch.jit.ScriptFunction):
        return _script_flags(op)
    if isinstance(op, torch._ops.OpOverload):
        overloads: list[Any] = [op]
        name = op._schema.name.split("::")[-1]
    else:
        overloads = [getattr(op, o) for o in op.overloads()]
        name = op.__name__
    named = _operator_named(name)
    if named is OpFlag.REFUSE or not overloads:
        return OpFlag.REFUSE
    flags = _strictest([_overload_flags(o) for o in overloads])
    if flags & (OpFlag.TRUSTED | OpFlag.PURE):
        return flags
    if flags is OpFlag.CALL and named is not None and OpFlag.DYNAMIC in named:
        flags = named
    # Overloads with out= are told by that keyword, like functions.
    if flags & OpFlag.CALL and all(o._schema.is_mutable for o in overloads):
        flags |= OpFlag.WRITES
    return flags


def _operator_named(name: str) -> OpFlag | None:
    """As `_named`; but `index` is a method of strange tensors, and indexing here."""
    return None if name == "index" else _named(name)


def _strictest(flags: list[OpFlag]) -> OpFlag:
    """What holds for each of several overloads."""
    if OpFlag.HOST_READ in flags:
        return OpFlag.HOST_READ
    if any(f & OpFlag.TRUSTED for f in flags):
        found = OpFlag(0)
        for f in flags:
            found |= f
        return found
    for flag in (OpFlag.CALL | OpFlag.DYNAMIC, OpFlag.CALL, OpFlag.PURE):
        if flag in flags:
            return flag
    return OpFlag.METADATA


# -- TorchScript -----------------------------------------------------------------------

# Instructions that keep to the values they are given.
_SCRIPT_PRIM = _names(
    """
    Constant ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex
    DictConstruct If Loop NumToTensor device dtype layout is_cuda requires_grad
    unchecked_cast unchecked_unwrap_optional Uninitialized RaiseException min max abs
    isinstance
    """
)

# Operators that only TorchScript has, on numbers, strings and lists of them.
_SCRIPT_PLAIN = _names(
    """
    add sub mul div floordiv remainder fmod neg pow eq ne lt le gt ge floor ceil round
    sqrt exp log log2 log10 sin cos tan tanh __and__ __or__ __xor__ __not__ __is__
    __isnot__ __contains__ __getitem__ __range_length __derive_index Int Float Bool str
    format len append extend insert pop slice copy list keys values items get _set_item
    index count reverse tensor
    """
)

# The same on tensors and lists of them: they move references or read metadata.
_SCRIPT_MOVES = _names(
    """
    size stride dim len __getitem__ append extend insert pop slice copy list keys values
    items get _set_item reverse to
    """
)


def _script_nodes(block: Any) -> Iterable[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _script_nodes(inner)


# What looks at the metadata of a tensor alone.
_SCRIPT_METADATA = frozenset(
    f"aten::{name}" for name in ("size", "dim", "numel", "len", "is_floating_point")
) | frozenset(
    f"prim::{name}" for name in ("device", "dtype", "layout", "is_cuda", "Constant")
)


def _script_reads_metadata(graph: Any) -> bool:
    """Do the answers follow from the metadata of the arguments alone?"""
    values = {v.debugName() for v in graph.inputs() if "Tensor" in str(v.type())}
    for node in _script_nodes(graph):
        if node.kind() in _SCRIPT_METADATA:
            continue
        branches = any(True for _ in node.blocks())
        if branches or any(v.debugName() in values for v in node.inputs()):
            values |= {v.debugName() for v in node.outputs()}
            values |= {v.debugName() for b in node.blocks() for v in b.inputs()}
    return not any(v.debugName() in values for v in graph.outputs())


def _is_dispatched(schema: Any) -> bool:
    """Is it an operator of torch, and not one that only TorchScript has?"""
    try:
        torch._C._dispatch_find_schema_or_throw(schema.name, schema.overload_name)
    except RuntimeError:
        return False
    return True


def _script_operator(node: Any) -> OpFlag | None:
    """One operator of a scripted function; None if it is not known to be harmless."""
    name = node.kind().removeprefix("aten::")
    schema = torch._C.parse_schema(node.schema())
    if not _is_dispatched(schema):
        kinds = [str(v.type()) for v in node.inputs()]
        has_tensor = any("Tensor" in kind for kind in kinds)
        if has_tensor and name in ("__is__", "__isnot__"):
            return OpFlag(0) if "NoneType" in kinds else None
        known = _SCRIPT_MOVES if has_tensor else _SCRIPT_PLAIN
        reads = has_tensor and name in ("Int", "Float", "Bool", "Complex", "tolist")
        if reads or name.endswith("Implicit"):
            return OpFlag.HOST_READ
        return OpFlag(0) if name in known else None
    found = torch._C._get_operation_overload(schema.name, schema.overload_name)
    named, tags = _operator_named(name) or OpFlag(0), set(found[2] if found else ())
    if named is OpFlag.HOST_READ or torch.Tag.data_dependent_output in tags:
        return OpFlag.HOST_READ
    if named is OpFlag.REFUSE or torch.Tag.nondeterministic_seeded in tags:
        return OpFlag.REFUSE
    dynamic = named in (OpFlag.CALL | OpFlag.DYNAMIC, OpFlag.COUNTED)
    if name == "where" and len(schema.arguments) == 1:
        dynamic = True
    flag = OpFlag.WRITES if schema.is_mutable else OpFlag(0)
    if dynamic or torch.Tag.dynamic_output_shape in tags:
        flag |= OpFlag.DYNAMIC
    return flag


def _script_flags(function: Any) -> OpFlag:
    """Judge a scripted function by its code: 0 stands for opaque.

    It sees its arguments only.  What is left are output, random numbers, calls of
    Python, and control flow that depends on what tensors hold.
    """
    found, numbers = OpFlag(0), False
    for node in _script_nodes(function.inlined_graph):
        kind = node.kind()
        if kind == "prim::Constant" and node.hasAttribute("value"):
            # A tensor that tracing captured is state of the function; not a number.
            held = node.kindOf("value")
            if held in ("ts", "ival") or (held == "t" and node.t("value").dim() > 0):
                return OpFlag(0)
            numbers = numbers or held == "t"
        elif kind == "prim::Print":
            return OpFlag.REFUSE
        elif kind.startswith("aten::"):
            flag = _script_operator(node)
            if flag is None or flag in (OpFlag.HOST_READ, OpFlag.REFUSE):
                return flag or OpFlag(0)
            found |= flag
        elif kind.removeprefix("prim::") not in _SCRIPT_PRIM:
            return OpFlag(0)
    if numbers and OpFlag.WRITES in found:
        return OpFlag(0)
    if found:
        return OpFlag.CALL | found
    sized = _script_reads_metadata(function.inlined_graph)
    return OpFlag.SIZED if sized else OpFlag.EITHER


def skip_module_prefixes() -> tuple[str, ...]:
    """Modules whose Python frames may run unwatched below a logged operation: a frame
    fits if its module is one of these or lies inside one."""
    return (
        "torch",
        "numpy",
        "opt_einsum",
        *sorted(sys.stdlib_module_names - {"__main__"}),
    )
