"""The table of torch callables against what torch says of itself."""

import importlib
import subprocess
import sys
import types
import warnings

import pytest

torch = pytest.importorskip("torch")

pytest.importorskip("magpy._engine")
table = importlib.import_module("magpy._torch_table")
F = table.OpFlag
SPACES = [torch._C._VariableFunctions]
SPACES += [getattr(torch._C, name) for name in ("_nn", "_linalg", "_fft", "_special")]

# Names without a row: watched as Python code, classes, or not for programs.
NO_ROW = {
    # of torch.Tensor
    *"__torch_function__ __torch_dispatch__ __weakref__ __dict__ __new__".split(),
    *"__subclasshook__ __init_subclass__".split(),
    # of torch.nn.functional: names that it imports
    *"boolean_dispatch BroadcastingList1 BroadcastingList2 BroadcastingList3".split(),
    *"Callable Optional Union TYPE_CHECKING DType Tensor".split(),
    *"ScalingType SwizzleType".split(),
}


@pytest.fixture(scope="module")
def rows():
    return table.build()


def flag(rows, fn):
    return F(rows[fn])


def test_combinations_are_told_apart():
    values = [int(f) for f in F.__members__.values()]
    assert len(values) == len(set(values))


def test_no_row_is_a_combination_without_a_name(rows):
    known = {int(f) for f in F.__members__.values()}
    known |= {F.CALL | F.DYNAMIC, F.CALL | F.LATER, F.CALL | F.STATE}
    known |= {F.SETS_STATE | F.OPENS, F.SETS_STATE | F.CLOSES, F.PURE | F.TRUSTED}
    known |= {F.HOST_READ | F.LATE}
    assert set(rows.values()) <= known


def test_every_method_of_tensors_has_a_row(rows):
    missing = []
    for name in dir(torch.Tensor):
        if name.startswith("_") and not name.startswith("__"):
            continue
        owner = next(c for c in torch.Tensor.__mro__ if name in vars(c))
        obj = vars(owner)[name]
        if owner is object or name in NO_ROW:
            continue
        if callable(obj) or hasattr(obj, "__get__"):
            obj = getattr(owner, name) if isinstance(obj, staticmethod) else obj
            if obj not in rows:
                missing.append(name)
    assert missing == []


def test_every_function_of_nn_functional_has_a_row(rows):
    space = torch.nn.functional
    missing = [
        name
        for name, obj in vars(space).items()
        if not name.startswith("_")
        and name not in NO_ROW
        and callable(obj)
        and not isinstance(obj, type)
        and obj not in rows
    ]
    assert missing == []


@pytest.mark.parametrize("space", SPACES)
def test_every_public_builtin_has_a_row(rows, space):
    missing = [
        name
        for name in dir(space)
        if not name.startswith("_")
        and isinstance(getattr(space, name), types.BuiltinFunctionType)
        and getattr(space, name) not in rows
    ]
    assert missing == []


def overloads(name):
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        found = torch._C._get_operation_overload(f"aten::{name}", schema.overload_name)
        if found is not None:
            yield schema, {str(tag).split(".")[-1] for tag in found[2]}


def operators():
    for space in SPACES:
        for name in dir(space):
            if isinstance(getattr(space, name), types.BuiltinFunctionType):
                yield name, getattr(space, name)
    for name, obj in vars(torch._C.TensorBase).items():
        if isinstance(obj, types.MethodDescriptorType):
            yield name, obj


def test_torch_agrees_on_what_depends_on_data(rows):
    wrong = []
    for name, fn in operators():
        f = F(rows.get(fn, F.REFUSE))
        for _, tags in overloads(name):
            safe = F.DYNAMIC | F.REFUSE | F.HOST_READ
            if "dynamic_output_shape" in tags and not f & safe:
                wrong.append(name)
            if "data_dependent_output" in tags and not f & (F.HOST_READ | F.REFUSE):
                wrong.append(name)
    assert wrong == []


def test_operations_answer_with_tensors_and_metadata_does_not(rows):
    """By the dispatcher's schemas; TorchScript has others, of numbers and lists."""
    tensors = ("Tensor", "List[Tensor]")
    wrong = []
    for name, fn in operators():
        f = F(rows.get(fn, F.REFUSE))
        for schema, _ in overloads(name):
            if not any(str(a.type) == "Tensor" for a in schema.arguments):
                continue
            answers = [str(r.type) for r in schema.returns]
            if f == F.CALL and any(a not in tensors for a in answers):
                wrong.append((name, answers))
            if f == F.METADATA and any(a in tensors for a in answers):
                wrong.append((name, answers))
    assert wrong == []


def sample(*size, dtype=torch.float32, device="meta"):
    return torch.ones(size, dtype=dtype, device=device)


METADATA_CALLS = {
    "size": lambda x: x.size(),
    "shape": lambda x: x.shape,
    "stride": lambda x: x.stride(),
    "dim": lambda x: x.dim(),
    "numel": lambda x: torch.numel(x),
    "dtype": lambda x: x.dtype,
    "device": lambda x: x.device,
    "layout": lambda x: x.layout,
    "is_contiguous": lambda x: x.is_contiguous(),
    "requires_grad": lambda x: x.requires_grad,
    "is_floating_point": lambda x: torch.is_floating_point(x),
    "result_type": lambda x: torch.result_type(x, 1),
    "__len__": lambda x: len(x),
    "element_size": lambda x: x.element_size(),
    "itemsize": lambda x: x.itemsize,
    "nbytes": lambda x: x.nbytes,
    "get_device": lambda x: x.get_device(),
    "dim_order": lambda x: x.dim_order(),
    "is_inference": lambda x: x.is_inference(),
    "is_conj": lambda x: x.is_conj(),
}


@pytest.mark.parametrize("name", METADATA_CALLS)
def test_metadata_needs_no_data(rows, name):
    owner = next((c for c in torch.Tensor.__mro__ if name in vars(c)), None)
    fn = vars(owner)[name] if owner is not None else getattr(torch, name)
    assert flag(rows, fn) == F.METADATA
    answer = METADATA_CALLS[name](sample(2, 3))
    assert not isinstance(answer, torch.Tensor)


def call_samples():
    nn = torch.nn.functional
    x, w = sample(2, 4), sample(4, 4)
    image = sample(1, 2, 6, 6)
    index = sample(3, dtype=torch.int64)
    return {
        torch.add: (x, x),
        torch.matmul: (x, w),
        torch.sum: (x,),
        torch.max: (x, 1),
        torch.cat: ([x, x],),
        torch.zeros_like: (x,),
        torch.bernoulli: (x,),
        torch.index_select: (x, 1, index),
        torch.einsum: ("ij,jk->ik", x, w),
        torch.norm: (x,),
        torch.meshgrid: ([index, index],),
        torch.tensordot: (x, w, 1),
        torch.linalg.norm: (x,),
        torch.linalg.svd: (w,),
        torch.fft.rfft: (x,),
        torch.special.expit: (x,),
        torch.Tensor.add_: (x, 1),
        torch.Tensor.to: (x, torch.float16),
        torch.Tensor.float: (x,),
        torch.Tensor.__radd__: (x, 1),
        torch.Tensor.__rsub__: (x, 1),
        torch.Tensor.__matmul__: (x, w),
        torch.Tensor.detach: (x,),
        torch.Tensor.cpu: (sample(2, device="cpu"),),
        nn.linear: (x, w),
        nn.relu: (x,),
        nn.gelu: (x,),
        nn.softmax: (x, 1),
        nn.dropout: (x, 0.5),
        nn.layer_norm: (x, (4,)),
        nn.batch_norm: (x, sample(4), sample(4)),
        nn.conv2d: (image, sample(3, 2, 3, 3)),
        nn.max_pool2d: (image, 2),
        nn.avg_pool2d: (image, 2),
        nn.embedding: (index, w),
        nn.cross_entropy: (x, sample(2, dtype=torch.int64)),
        nn.scaled_dot_product_attention: (x, x, x),
        nn.normalize: (x,),
    }


def tensors_only(answer):
    if isinstance(answer, (tuple, list)):
        return all(tensors_only(a) for a in answer)
    return isinstance(answer, torch.Tensor)


@pytest.mark.parametrize("fn", call_samples(), ids=lambda fn: fn.__name__)
def test_operations_run_without_data(rows, fn):
    assert flag(rows, fn) == F.CALL
    assert tensors_only(fn(*call_samples()[fn]))


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (torch.nonzero, ()),
        (torch.masked_select, (torch.ones(2, 3, dtype=torch.bool),)),
        (torch.unique, ()),
        (torch.argwhere, ()),
        (torch.Tensor.nonzero, ()),
        (torch.Tensor.unique, ()),
        (torch.unique_consecutive, ()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_dynamic_shapes_follow_the_data(rows, fn, args):
    assert flag(rows, fn) == F.CALL | F.DYNAMIC
    zeros, mixed = torch.zeros(2, 3), torch.arange(6.0).reshape(2, 3)
    if args:
        assert fn(mixed, ~args[0]).shape != fn(mixed, args[0]).shape
    else:
        assert fn(zeros).shape != fn(mixed).shape


ROWS = [
    (torch.Tensor.item, F.HOST_READ | F.LATE),
    (torch.Tensor.tolist, F.HOST_READ),
    (torch.Tensor.numpy, F.HOST_READ),
    (torch.Tensor.__bool__, F.HOST_READ | F.LATE),
    (torch.Tensor.__contains__, F.HOST_READ),
    (torch.equal, F.HOST_READ),
    (torch.allclose, F.HOST_READ),
    (torch.Tensor.data_ptr, F.HOST_READ),
    (torch.Tensor.storage_offset, F.HOST_READ),
    (torch.Tensor.backward, F.REFUSE),
    (torch.Tensor.register_hook, F.HOOKS),
    (torch.Tensor.retain_grad, F.HOOKS),
    (torch._C._functions.ReluBackward0.register_prehook, F.HOOKS),
    (torch._C._FunctionBase.name, F.NODE),
    (torch.Tensor.requires_grad_, F.CALL | F.STATE),
    (torch.nn.Parameter, F.CALL),
    (torch.Tensor.resize_, F.RESIZES),
    (torch.Tensor.resize_as_, F.CALL | F.STATE),
    (torch.sparse.mm, F.CALL),
    (torch.Tensor.untyped_storage, F.REFUSE),
    (torch.Tensor.as_subclass, F.CALL),
    (torch.Tensor.__deepcopy__, F.REFUSE),
    (torch.Tensor.grad, F.REFUSE),
    (torch.Tensor.grad_fn, F.REFUSE),
    (torch.Tensor.is_leaf, F.REFUSE),
    (torch.Tensor._version, F.REFUSE),
    (torch.manual_seed, F.REFUSE),
    (torch.get_rng_state, F.REFUSE),
    (torch.save, F.REFUSE),
    (torch.autograd.grad, F.REFUSE),
    (torch.autograd.backward, F.REFUSE),
    (torch.from_numpy, F.LISTED),
    (torch.set_default_dtype, F.REFUSE),
    (torch.quantize_per_tensor, F.CALL),
    (torch._C._functorch._add_batch_dim, F.CALL),
    (torch._C._functorch._vmap_increment_nesting, F.SETS_STATE | F.OPENS),
    (torch._C._functorch._grad_decrement_nesting, F.SETS_STATE | F.CLOSES),
    (torch.is_grad_enabled, F.AMBIENT),
    (torch.is_autocast_enabled, F.AMBIENT),
    (torch.get_default_dtype, F.AMBIENT),
    (torch.get_default_device, F.AMBIENT),
    (torch._C._get_tracing_state, F.AMBIENT),
    (torch.jit.is_tracing, F.AMBIENT),
    (torch.compiler.is_compiling, F.COMPILING),
    (torch._C._set_grad_enabled, F.SETS_STATE),
    (torch.set_autocast_enabled, F.SETS_STATE),
    (torch.autocast_increment_nesting, F.SETS_STATE),
    (torch.clear_autocast_cache, F.SETS_STATE),
    (torch.jit.is_scripting, F.PURE),
    (torch.typename, F.INLINE),
    (torch.is_tensor, F.INLINE),
    (torch.broadcast_shapes, F.METADATA),
    (torch.overrides.has_torch_function, F.ASKS),
    (torch.overrides.has_torch_function_unary, F.ASKS),
    (torch.zeros, F.FACTORY),
    (torch.arange, F.FACTORY),
    (torch.tensor, F.LISTED),
    (torch.as_tensor, F.LISTED),
    (torch.Tensor.view, F.SHAPED),
    (torch.Tensor.split, F.SHAPED),
    (torch.nn.functional.interpolate, F.SHAPED),
    (torch.repeat_interleave, F.COUNTED),
    (torch.Tensor.repeat_interleave, F.COUNTED),
    (torch.nn.functional.one_hot, F.COUNTED),
    (torch.where, F.LONE),
    (torch.Tensor.where, F.CALL),
    (torch.Tensor.__getitem__, F.INDEX),
    (torch.Tensor.__setitem__, F.CALL),
    (torch.Tensor.__eq__, F.EITHER),
    (torch.Tensor.type, F.EITHER),
    (torch.Tensor.T, F.CALL),
    (torch.Tensor.data, F.CALL | F.LATER),
    (torch.Tensor.__iter__, F.INLINE),
    (torch.nn.init.zeros_, F.INLINE),
    (torch.nn.functional._canonical_mask, F.INLINE),
    (torch._assert, F.INLINE),
    (torch._foreach_add_, F.CALL),
    (torch._VF.lstm, F.CALL),
    (torch.nn.functional.triplet_margin_with_distance_loss, F.INLINE),
]


@pytest.mark.parametrize(
    ("fn", "expected"), ROWS, ids=[getattr(fn, "__name__", str(fn)) for fn, _ in ROWS]
)
def test_row(rows, fn, expected):
    assert flag(rows, fn) == expected


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (torch.ops.aten.add, F.CALL),
        (torch.ops.aten.add.Tensor, F.CALL),
        (torch.ops.aten.nonzero.default, F.CALL | F.DYNAMIC),
        (torch.ops.aten.item.default, F.HOST_READ),
        (torch.ops.aten._local_scalar_dense.default, F.HOST_READ),
        (torch.ops.aten.sym_size.int, F.METADATA),
        (torch.ops.aten.set_.source_Tensor, F.REFUSE),
        (torch.ops.aten.repeat_interleave.self_int, F.COUNTED),
    ],
    ids=str,
)
def test_operator_objects(op, expected):
    assert isinstance(op, table.op_object_types())
    assert table.op_flags(op) == expected


def test_operator_of_a_library_may_do_anything():
    with torch.library._scoped_library("magpy_table", "FRAGMENT") as library:
        library.define("double(Tensor x) -> Tensor")
        op = torch.ops.magpy_table.double
        assert table.op_flags(op.default) == F.CALL | F.DYNAMIC | F.TRUSTED
        assert table.op_flags(op) == F.CALL | F.DYNAMIC | F.TRUSTED
        library.define("into(Tensor(a!) x, Tensor y) -> ()")
        op = torch.ops.magpy_table.into
        assert table.op_flags(op) == F.CALL | F.DYNAMIC | F.TRUSTED | F.WRITES


@torch.jit.script
def _branch(x, n: int):
    y = x.relu().view(x.size(0), -1)
    return y * n if n > 2 else y


@torch.jit.script
def _value(x):
    return x * 2 if bool(x.sum() > 0) else x


@torch.jit.script
def _loop(x, n: int):
    for _ in range(int(x[0])):
        x = x * n
    return x


@torch.jit.script
def _select(x):
    return x[x > 0]


@torch.jit.script
def _write(x):
    return x.add_(1)


@torch.jit.script
def _span(x, y, most: int):
    return torch.tensor(min(max(x.size(-2), y.size(-2)), most))


@torch.jit.script
def _span_or_value(x, most: int):
    return x.sum() if x.size(0) > most else torch.tensor(most)


@torch.jit.script
def _warn(x):
    warnings.warn("so")
    return x


@torch.jit.script
def _text(x):
    return f"{x}"


@torch.jit.script
def _mode(x):
    with torch.no_grad():
        return x * 2


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (_branch, F.EITHER),
        (_span, F.SIZED),
        (_span_or_value, F.EITHER),
        (_value, F.HOST_READ),
        (_loop, F.HOST_READ),
        (_select, F.CALL | F.DYNAMIC),
        (_write, F.CALL | F.WRITES),
        (_warn, F(0)),
        (_text, F(0)),
        (_mode, F(0)),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_scripted_functions(fn, expected):
    assert table.op_flags(fn) == expected


def test_types():
    assert table.tensor_types() == (torch.Tensor, torch.nn.Parameter)
    for value in (torch.float32, torch.device("cpu"), torch.Size([1]), torch.strided):
        assert isinstance(value, table.constant_types())
    prefixes = table.skip_module_prefixes()
    assert {"torch", "numpy", "functools"} <= set(prefixes)
    assert "__main__" not in prefixes


def test_building_loads_nothing(rows):
    code = (
        "import sys, torch\n"
        "from magpy import _torch_table as table\n"
        "before = set(sys.modules); table.build(); print(*set(sys.modules) - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_engine_finds_every_row(rows):
    """Builtins with the same C code compare equal, but are told apart by the engine."""
    import magpy
    from magpy._engine import effect_class

    magpy.compile(lambda x: x, backend="eager")  # sets the engine up
    builtins = [fn for fn in rows if isinstance(fn, types.BuiltinFunctionType)]
    assert torch.mm in builtins and len(builtins) > 500
    lost = [fn for fn in builtins if effect_class(fn) != "torch"]
    assert not lost
    assert effect_class(torch.mm) == effect_class(torch.spmm) == "torch"
