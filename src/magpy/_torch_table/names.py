"""Names of torch: which stand for what, wherever they appear or in one place.

No list here is complete: a public builtin of torch without an entry is an operation
(rows.py).
"""

from __future__ import annotations

from magpy._torch_table.flags import OpFlag


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- Names that mean the same wherever they appear -------------------------------------

METADATA = words(
    """
    dim ndim ndimension size shape stride numel nelement nbytes itemsize element_size
    dtype device layout get_device is_contiguous is_floating_point is_complex is_signed
    is_same_size is_inference is_conj is_neg is_distributed is_cuda is_cpu is_meta
    is_xla is_xpu is_ipu is_mps is_maia is_mtia is_vulkan is_mkldnn is_quantized
    is_sparse is_sparse_csr is_nested requires_grad dim_order
    __len__ __hash__ __dlpack_device__ _is_zerotensor _has_symbolic_sizes_strides
    result_type
    promote_types can_cast broadcast_shapes
    _debug_has_internal_overlap _has_compatible_shallow_copy_type cudnn_is_acceptable
    """
)

HOST_READ = words(
    """
    item tolist numpy equal allclose is_nonzero data_ptr const_data_ptr storage_offset
    __bool__ __int__ __float__ __index__ __complex__ __long__ __nonzero__ __contains__
    __array__ __repr__ __format__ __dlpack__ __cuda_array_interface__ lobpcg
    gaussian_nll_loss is_coalesced _nnz dense_dim sparse_dim q_scale
    q_zero_point q_per_channel_axis qscheme
    _nested_tensor_from_mask_left_aligned _nested_get_ragged_idx
    """
)

# Reads that answer one number, whose type follows from what the tensor is.
LATE = words("item __bool__ __int__ __float__ __complex__")

DYNAMIC = words(
    """
    nonzero nonzero_numpy argwhere masked_select unique unique_consecutive unique_dim
    _unique _unique2 bincount combinations _ctc_loss linalg_lstsq _pack_padded_sequence
    _pad_packed_sequence to_sparse to_sparse_coo to_sparse_csr to_sparse_csc
    to_sparse_bsr to_sparse_bsc coalesce sparse_mask _indices _values indices values
    crow_indices col_indices ccol_indices row_indices sparse_coo_tensor sparse_csr_tensor
    sparse_csc_tensor sparse_bsr_tensor sparse_bsc_tensor sparse_compressed_tensor
    nested_tensor nested_to_padded_tensor _nested_tensor_from_mask _nested_get_values
    _nested_view_from_jagged _nested_get_offsets _nested_get_lengths
    """
)

# They set what runs in the backward pass, on a tensor or on a node of autograd's graph.
HOOKS = words(
    "register_hook retain_grad register_post_accumulate_grad_hook register_prehook"
)

# Factories, and what reads a tensor among its arguments as numbers.
FACTORY = words(
    """
    zeros ones empty full eye arange range linspace logspace rand randn randint randperm
    empty_strided empty_permuted empty_quantized tril_indices triu_indices scalar_tensor
    hann_window hamming_window bartlett_window blackman_window kaiser_window fft_fftfreq
    fft_rfftfreq
    """
)

LISTED = words("tensor as_tensor asarray from_numpy new new_tensor")

SHAPED = words(
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

COUNTED = words("repeat_interleave one_hot")

# Side effects, hidden state, state of autograd, memory as such, kinds of tensors that
# guards cannot describe (named).
REFUSE = words(
    """
    backward _backward requires_grad_ detach_ set_ set_data resize resize_ resize_as
    resize_as_ resize_as_sparse_ sparse_resize_ sparse_resize_and_clear_
    share_memory_ is_shared is_pinned pin_memory _pin_memory storage
    untyped_storage _typed_storage storage_type
    is_set_to record_stream apply_ map_ map2_ rename rename_ refine_names align_to
    align_as align_tensors _make_subclass _make_wrapper_subclass
    _dtensor__new__ __new__ _fix_weakref _view_func _view_func_unsafe
    _rev_view_func_unsafe _use_count _is_view _coalesced_ to_mkldnn
    __deepcopy__ __reduce_ex__ _reduce_ex_internal
    __setstate__ module_load reinforce __dir__ __array_wrap__
    _clear_non_serializable_cached_data index solve lstsq eig symeig is_leaf grad
    grad_fn _grad _grad_fn retains_grad output_nr name names _version _base _cdata
    volatile _backward_hooks _post_accumulate_grad_hooks _python_dispatch grad_dtype
    frombuffer from_file from_dlpack to_dlpack _fw_primal _lazy_clone
    sym_constrain_range sym_constrain_range_for_size _linalg_check_errors _print
    _propagate_xla_data _make_dep_token __delitem__ manual_seed seed initial_seed
    get_rng_state set_rng_state manual_seed_all seed_all get_rng_state_all
    set_rng_state_all save load compile set_default_dtype set_default_device
    set_default_tensor_type set_printoptions set_num_threads set_num_interop_threads
    get_num_interop_threads set_flush_denormal use_deterministic_algorithms
    set_deterministic_debug_mode set_float32_matmul_precision set_warn_always
    is_warn_always_enabled set_anomaly_enabled cond while_loop fork wait
    import_ir_module import_ir_module_from_buffer handle_torch_function
    get_deterministic_debug_mode
    """
)

REFUSE_PREFIXES = (
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

# Operations although a prefix above says otherwise.
CALLED = words(
    """
    _sparse_mm _sparse_sum _sparse_softmax _sparse_log_softmax _sparse_addmm
    """
)

# Other names of torch.mm: they compare equal to it, but are C functions of their own.
SAME_CODE = ("dsmm", "hsmm", "spmm")

# Private builtins that programs call and that are operations; others get no row.
PRIVATE_CALL = (
    "_adaptive_avg_pool",
    "_amp_",
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
TENSOR_ATTRS = words("T H mT mH real imag")

# Watched although their module is torch's: they take or make what is not a tensor, or
# call functions that they are given.
INLINE = words(
    """
    _assert _check _check_with _check_index _check_is_size _check_not_implemented
    _check_tensor_all _check_tensor_all_with _check_type _check_value _constrain_as_size
    triplet_margin_with_distance_loss assert_int_or_pair __iter__
    typename is_tensor is_storage
    """
)

PURE = words(
    """
    sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum
    compiled_with_cxx11_abi is_vulkan_available _nnpack_available
    _use_cudnn_rnn_flatten_weight
    """
)

# What the `forward` of an autograd.Function tells its context, which a hit makes anew.
CONTEXT_NOTES = words(
    """
    save_for_backward save_for_forward mark_dirty mark_non_differentiable
    set_materialize_grads
    """
)

# -- Functions with a home of their own: "module: names" -------------------------------

# Answers that follow from state in torch/ambient.def.
AMBIENT_AT = """
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
torch._C: _get_overrideable_sdp_enabled
torch._C: _get_cublas_allow_tf32 _get_cublas_allow_fp16_reduced_precision_reduction
torch._C: _get_cublas_allow_bf16_reduced_precision_reduction _get_default_device
torch._C: _are_functorch_transforms_active _cuda_getDevice
torch._C._functorch: peek_interpreter_stack maybe_current_level
torch._C._functorch: get_inplace_requires_grad_allowed
torch._C: _is_fwd_grad_enabled
torch._C._autograd: _saved_tensors_hooks_get_disabled_error_message
torch.jit: is_tracing
torch.compiler: is_exporting is_dynamo_compiling
torch.cuda: current_device is_current_stream_capturing
"""

# "Is a compiler at work?": the engine answers for watched code.
COMPILING_AT = """
torch.compiler: is_compiling
torch._dynamo.external_utils: is_compiling
"""

# Written state that torch/ambient.def guards and restores.
SETS_STATE_AT = """
torch._C: _set_grad_enabled
torch: set_autocast_enabled set_autocast_dtype set_autocast_cache_enabled
torch: set_autocast_cpu_enabled set_autocast_cpu_dtype set_autocast_gpu_dtype
torch: autocast_increment_nesting autocast_decrement_nesting clear_autocast_cache
torch._C: _InferenceMode _set_fwd_grad_enabled _set_sdp_use_flash
torch._C: _set_sdp_use_mem_efficient _set_sdp_use_math _set_sdp_use_cudnn
torch._C: _set_sdp_use_overrideable
torch._C._autograd: _saved_tensors_hooks_disable _saved_tensors_hooks_enable
torch._C._functorch: set_inplace_requires_grad_allowed
torch: device.__enter__ device.__exit__
"""

# Levels of torch.func and of forward differentiation.
OPENS_AT = """
torch._C: _enter_dual_level
torch._C._functorch: _vmap_increment_nesting _grad_increment_nesting
torch._C._functorch: _jvp_increment_nesting
"""

CLOSES_AT = """
torch._C: _exit_dual_level
torch._C._functorch: _vmap_decrement_nesting _grad_decrement_nesting
torch._C._functorch: _jvp_decrement_nesting
"""

LEVELED_AT = """
torch._C._functorch: _add_batch_dim _remove_batch_dim _wrap_for_grad _unwrap_for_grad
torch._C._VariableFunctions: _make_dual _unpack_dual
torch._functorch.eager_transforms: _autograd_grad
"""

# Only ever on a tensor that torch.func has just wrapped.
WRAPPED_AT = """
torch._functorch.eager_transforms: _set_tensor_requires_grad
"""

# They load decompositions of torch's and operators, once in a process.
LOADS_AT = """
torch._ops: _OpNamespace.__getattr__ OpOverloadPacket.__getattr__ _Ops.__getattr__
torch._functorch.predispatch: lazy_load_decompositions
torch.autograd.forward_ad: _maybe_load_decompositions
"""

# Constant for a process.
PURE_AT = """
torch: get_device_module
torch._C: _is_autocast_available _get_privateuse1_backend_name _get_cpu_capability
torch._C: _is_flash_attention_available _log_api_usage_once
torch._C: DisableTorchFunctionSubclass _accelerator_getAccelerator
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

# New containers of the tensors that are given.
GROUPS_AT = """
torch._C: _group_tensors_by_device_and_dtype
"""

# Questions about the class of any object: about its attributes, or watched.
ASKS_AT = """
torch._C: _has_torch_function _has_torch_function_unary _has_torch_function_variadic
torch.overrides: has_torch_function has_torch_function_unary has_torch_function_variadic
"""

# What a tensor is to functorch.
LEVELS_KNOWN_AT = """
torch._C._functorch: is_batchedtensor is_gradtrackingtensor is_functorch_wrapped_tensor
torch._C._functorch: is_functionaltensor maybe_get_level maybe_get_bdim
"""

INLINE_AT = """
torch.overrides: is_tensor_like
torch.utils.checkpoint: checkpoint_sequential
torch.jit: annotate
"""

REFUSE_AT = """
torch: get_autocast_xla_dtype get_autocast_ipu_dtype set_autocast_xla_enabled
torch: set_autocast_xla_dtype set_autocast_ipu_enabled set_autocast_ipu_dtype
torch.autograd: backward grad
torch.random: fork_rng
torch.cuda: synchronize current_stream default_stream set_device set_stream stream
torch.cuda: empty_cache memory_allocated mem_get_info
torch.cuda: manual_seed manual_seed_all seed seed_all initial_seed get_rng_state
torch.cuda: set_rng_state get_rng_state_all set_rng_state_all
torch._C: _set_default_dtype _set_deterministic_algorithms _set_cudnn_enabled
torch._C: _set_cudnn_benchmark _set_cudnn_deterministic
torch._C: _set_float32_matmul_precision _get_dispatch_mode _push_on_torch_function_stack
torch._C: _pop_torch_function_stack
torch.overrides: handle_torch_function
torch.jit: trace script fork wait
"""

# Operations whose names are refused elsewhere: of dense tensors, and of sparse ones that
# the run has made.
CALL_AT = """
torch.sparse: mm addmm
"""

LATER_INLINE_AT = """
torch.utils.checkpoint: checkpoint
"""

# Methods of a class that clash with a name above, or have no rule.
TENSOR_METHODS: dict[str, OpFlag] = {
    "__getitem__": OpFlag.INDEX,
    "__setitem__": OpFlag.CALL,
    **dict.fromkeys(LATE, OpFlag.HOST_READ | OpFlag.LATE),
    "__eq__": OpFlag.EITHER,
    "__ne__": OpFlag.EITHER,
    "type": OpFlag.EITHER,
    "data": OpFlag.CALL | OpFlag.LATER,
    "requires_grad_": OpFlag.CALL | OpFlag.STATE,
    "resize_": OpFlag.RESIZES,
    "resize_as_": OpFlag.CALL | OpFlag.STATE,
}


def named(name: str) -> OpFlag | None:
    """What the name alone tells; None if it is not listed."""
    for names, flag in (
        (REFUSE, OpFlag.REFUSE),
        (HOOKS, OpFlag.HOOKS),
        (METADATA, OpFlag.METADATA),
        (HOST_READ, OpFlag.HOST_READ),
        (DYNAMIC, OpFlag.CALL | OpFlag.DYNAMIC),
        (FACTORY, OpFlag.FACTORY),
        (LISTED, OpFlag.LISTED),
        (SHAPED, OpFlag.SHAPED),
        (COUNTED, OpFlag.COUNTED),
        (INLINE, OpFlag.INLINE),
        (PURE, OpFlag.PURE),
    ):
        if name in names:
            return flag
    if name in CALLED:
        return OpFlag.CALL
    if name.startswith(REFUSE_PREFIXES):
        return OpFlag.REFUSE
    return None


def operator_named(name: str) -> OpFlag | None:
    """As `named`; but `index` is a method of strange tensors, and indexing here."""
    return None if name == "index" else named(name)
