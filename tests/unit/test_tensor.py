"""Metadata of tensors in C: the shim and the getters must agree with Python."""

import gc
import weakref

import pytest

torch = pytest.importorskip("torch")
testing = pytest.importorskip("magpy._engine_testing")

CPU, META = 0, 14


@pytest.fixture(params=["shim", "getters"], autouse=True)
def path(request):
    testing.tensor_init()
    on = testing.tensor_use_shim(request.param == "shim")
    if request.param == "shim" and not on:
        pytest.skip("this torch has no usable shim")
    yield request.param
    testing.tensor_use_shim(True)


def inference(*size):
    with torch.inference_mode():
        return torch.ones(*size)


def with_grad():
    return torch.ones(4, 3, requires_grad=True)


def no_grad_view():
    with torch.no_grad():
        return with_grad()[1:]


SAMPLES = {
    "plain": lambda: torch.ones(2, 3),
    "scalar": lambda: torch.tensor(3),
    "empty": lambda: torch.ones(0, 4),
    "transposed": lambda: torch.ones(2, 3).t(),
    "offset": lambda: torch.arange(24.0).reshape(2, 3, 4)[:, 1:],
    "expanded": lambda: torch.ones(1).expand(5),
    "five": lambda: torch.ones(1, 2, 3, 4, 5),
    "six": lambda: torch.ones(1, 2, 1, 2, 1, 2).mT,
    "nine": lambda: torch.ones([2] * 9).permute(8, 0, 1, 2, 3, 4, 5, 6, 7),
    "leaf": with_grad,
    "result": lambda: with_grad() * 2,
    "view": lambda: with_grad()[1:],
    "no_grad_view": no_grad_view,
    "detached": lambda: with_grad().detach(),
    "parameter": lambda: torch.nn.Parameter(torch.ones(2)),
    "frozen": lambda: torch.nn.Parameter(torch.ones(2)).requires_grad_(False),
    "conj": lambda: torch.ones(2, dtype=torch.complex64).conj(),
    "neg": lambda: torch._neg_view(torch.ones(2)),
    "inference": lambda: inference(2, 3),
    "meta": lambda: torch.ones(2, 3, device="meta"),
    "channels_last": lambda: torch.ones(2, 3, 4, 4).contiguous(
        memory_format=torch.channels_last
    ),
    "cow": lambda: torch.ones(4)._lazy_clone(),
}
for dtype in "int8 int16 int32 bool uint8 uint16 float16 bfloat16 float64".split():
    SAMPLES[dtype] = lambda d=dtype: torch.ones(3, dtype=getattr(torch, d))


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_fields(make):
    t = make()
    fields = testing.tensor_fields(testing.tensor_meta(t))
    assert fields == {
        "type": type(t),
        "dtype": t.dtype,
        "layout": torch.strided,
        "device_type": META if t.is_meta else CPU,
        "device_index": -1,
        "key_set": torch._C._dispatch_keys(t).raw_repr(),
        "requires_grad": t.requires_grad,
        "sizes": tuple(t.shape),
        "strides": t.stride(),
    }


def test_check_tells_samples_apart():
    def key(t):
        keys = torch._C._dispatch_keys(t).raw_repr()
        return type(t), t.dtype, t.device, t.shape, t.stride(), keys, t.requires_grad

    tensors = [make() for make in SAMPLES.values()]
    metas = [testing.tensor_meta(t) for t in tensors]
    for t in tensors:
        for other, meta in zip(tensors, metas, strict=True):
            assert testing.tensor_check(t, meta) == (key(t) == key(other))


def test_check_follows_changes_in_place():
    t = torch.ones(2, 3)
    meta = testing.tensor_meta(t)
    changes = [
        lambda: t.t_(),
        lambda: t.requires_grad_(),
        lambda: setattr(t, "data", torch.ones(3, 2, dtype=torch.float64)),
        lambda: setattr(t, "data", torch.ones(7)),
    ]
    for change in changes:
        change()
        assert not testing.tensor_check(t, meta)
        assert testing.tensor_check(t, testing.tensor_meta(t))
        meta = testing.tensor_meta(t)


def test_metas_of_one_path_serve_the_other(path):
    for make in SAMPLES.values():
        t = make()
        meta = testing.tensor_meta(t)
        testing.tensor_use_shim(path != "shim")
        assert testing.tensor_check(t, meta)
        testing.tensor_use_shim(path == "shim")


class Sub(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: torch.ones(2), (1, 1)),
        (lambda: torch.nn.Parameter(torch.ones(2)), (1, 1)),
        (lambda: torch.ones(2).as_subclass(Sub), (0, 1)),
        (lambda: torch.nn.parameter.UninitializedParameter(), (0, 1)),
        (lambda: torch.float32, (0, 0)),
        (lambda: torch.Tensor, (0, 0)),
        (lambda: [1], (0, 0)),
    ],
)
def test_which_objects_are_tensors(make, answer):
    assert testing.tensor_is(make()) == answer


def nested():
    return torch.nested.as_nested_tensor([torch.ones(2), torch.ones(3)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.eye(2).to_sparse_csr(),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        lambda: torch._to_functional_tensor(torch.ones(2)),
        lambda: torch._efficientzerotensor(2),
        lambda: torch.ones(2).as_subclass(Sub),
        nested,
        lambda: 3,
    ],
    ids="coo csr quantized functional zero subclass nested int".split(),
)
def test_what_cannot_be_described_raises(make, capfd):
    t = make()
    with pytest.raises(TypeError):
        testing.tensor_meta(t)
    plain = testing.tensor_meta(torch.ones(2))
    assert not testing.tensor_check(t, plain)
    assert capfd.readouterr() == ("", "")  # torch's shim logs its failures


def test_functorch_wrappers_are_refused():
    seen = []

    def look(x):
        with pytest.raises(TypeError):
            testing.tensor_meta(x)
        seen.append(type(x))
        return x

    torch.vmap(look)(torch.ones(2))
    torch.func.grad(look)(torch.ones(()))
    assert seen == [torch.Tensor] * 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.ones(2, 3), "f32[2, 3] cpu"),
        (lambda: torch.tensor(1), "i64[] cpu"),
        (lambda: torch.ones(2, 3).t(), "f32[3, 2] cpu strides=(1, 3)"),
        (with_grad, "f32[4, 3] cpu requires_grad"),
        (SAMPLES["parameter"], "f32[2] cpu requires_grad Parameter"),
        (SAMPLES["conj"], "c64[2] cpu conj"),
        (SAMPLES["neg"], "f32[2] cpu neg"),
        (SAMPLES["inference"], "f32[2, 3] cpu inference"),
        (SAMPLES["bool"], "bool[3] cpu"),
        (SAMPLES["meta"], "f32[2, 3] meta"),
        (lambda: torch.ones(2, 1, 3)[:, :0], "f32[2, 0, 3] cpu"),
    ],
)
def test_text(make, text):
    assert testing.tensor_text(testing.tensor_meta(make())) == text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: 3, "type: expected Tensor, got int"),
        (SAMPLES["parameter"], "type: expected Tensor, got Parameter"),
        (lambda: torch.ones(2, 3).double(), "dtype: expected f32, got f64"),
        (lambda: torch.ones(2, 3, device="meta"), "device: expected cpu, got meta"),
        (lambda: torch.ones(2), "ndim: expected 2, got 1"),
        (lambda: torch.ones(2, 4), "size of dimension 1: expected 3, got 4"),
        (lambda: torch.ones(3, 2).t(), "stride of dimension 0: expected 3, got 1"),
        (
            lambda: torch.ones(2, 3, requires_grad=True),
            "requires_grad: expected False, got True",
        ),
        (
            lambda: inference(2, 3),
            "kind of tensor (conj, neg, inference, ...): "
            "expected f32[2, 3] cpu, got f32[2, 3] cpu inference",
        ),
        (lambda: torch.eye(2).to_sparse(), "layout: expected a plain strided tensor"),
        (lambda: torch.ones(2, 3), "no difference"),
    ],
)
def test_diff(make, text):
    meta = testing.tensor_meta(torch.ones(2, 3))
    assert testing.tensor_diff(make(), meta) == text


def test_version():
    t = torch.ones(3)
    assert testing.tensor_version(t) == 0
    t.add_(1)
    t[0] = 5
    assert testing.tensor_version(t) == t._version == 2
    assert testing.tensor_version(inference(2)) == -1
    assert testing.tensor_version("no tensor") == -1


def test_extent():
    base = torch.arange(24.0).reshape(4, 6)
    start = base.data_ptr()
    assert testing.tensor_extent(base) == (start, start + 96)
    assert testing.tensor_extent(base[1]) == (start + 24, start + 48)
    assert testing.tensor_extent(base[:, 1]) == (start + 4, start + 4 + 18 * 4 + 4)
    assert testing.tensor_extent(base[0, 0].expand(9)) == (start, start + 4)
    assert testing.tensor_extent(base.to(torch.bool))[0] != start
    assert testing.tensor_extent(torch.ones(0)) is None
    assert testing.tensor_extent(torch.ones(2, device="meta")) is None
    assert testing.tensor_extent("no tensor") is None


def test_extent_leaves_lazy_copies_alone(path):
    if path == "getters":
        pytest.skip("data_ptr() makes the copy")
    clone = torch.ones(4)._lazy_clone()
    assert testing.tensor_extent(clone) is not None
    assert torch._C._is_cow_tensor(clone)


def test_check_makes_no_garbage():
    t = torch.ones(2, 3)
    meta = testing.tensor_meta(t)
    testing.tensor_check(t, meta)
    gc.collect()
    gc.disable()
    before = gc.get_count()[0]
    testing.tensor_time(t, meta, 1000)
    after = gc.get_count()[0]
    gc.enable()
    assert abs(after - before) < 5


def test_meta_holds_no_tensor():
    t = torch.ones(2, 3)
    dead = []
    meta = testing.tensor_meta(t)
    ref = weakref.finalize(t, dead.append, 1)
    del t
    assert dead == [1]
    assert not ref.alive
    assert testing.tensor_text(meta) == "f32[2, 3] cpu"


# -- Open sizes ----------------------------------------------------------------------


def opened(t, sizes, small=0, strides=0):
    meta = testing.tensor_meta(t)
    return meta, testing.tensor_open(meta, sizes, small, strides)


FIXED, FREE = -1, -2


@pytest.mark.parametrize(
    ("make", "sizes", "links"),
    [
        (lambda n: torch.ones(n, 3), 0b01, (FIXED, FIXED)),
        (lambda n: torch.ones(3, n), 0b10, (1, FIXED)),
        (lambda n: torch.ones(n, n), 0b11, (1, FIXED)),
        (lambda n: torch.ones(n, n, n), 0b111, (1, 2, FIXED)),
        (lambda n: torch.ones(2, n, 3, 4), 0b10, (1, FIXED, FIXED, FIXED)),
        (lambda n: torch.ones(2, n, 3, 4).transpose(1, 2), 0b100, (2, FIXED, FIXED, FIXED)),
        (lambda n: torch.ones(n, 2).t(), 0b10, (FIXED, FIXED)),
        (lambda n: torch.ones(2, n).t(), 0b01, (FIXED, 0)),
        (lambda n: torch.ones(1, n), 0b10, (1, FIXED)),
        (lambda n: torch.ones(2, 3, n, n).to(memory_format=torch.channels_last), 0b1100,
         (2, FIXED, 3, FIXED)),
        (lambda n: torch.ones(n, 1).expand(n, 7), 0b01, (FIXED, FIXED)),
        (lambda n: torch.ones(100, 40)[:n, :n], 0b11, (FIXED, FIXED)),
    ],
)  # fmt: skip
def test_strides_follow_open_sizes(make, sizes, links, path):
    meta, found = opened(make(8), sizes)
    assert found == links
    for n in (2, 5, 8, 31):
        assert testing.tensor_check(make(n), meta)
        diff = testing.tensor_diff(make(n), meta)
        assert diff == "no difference"
    for n in (0, 1):
        assert not testing.tensor_check(make(n), meta)
        assert "at least 2" in testing.tensor_diff(make(n), meta)


def test_open_sizes_pin_the_rest(path):
    meta, _ = opened(torch.ones(4, 6, 3), 0b010)
    assert testing.tensor_text(meta) == "f32[4, *, 3] cpu"
    assert testing.tensor_check(torch.ones(4, 9, 3), meta)
    wrong = {
        "size of dimension 0: expected 4, got 5": torch.ones(5, 9, 3),
        "size of dimension 2: expected 3, got 4": torch.ones(4, 9, 4),
        "stride of dimension 0: expected size * stride of dimension 1, got 60": (
            torch.ones(4, 20, 3)[:, :9]
        ),
        "stride of dimension 1: expected 3, got 6": torch.ones(4, 9, 6)[:, :, :3],
        "dtype: expected f32, got f64": torch.ones(4, 9, 3).double(),
        "ndim: expected 3, got 2": torch.ones(4, 9),
        "requires_grad: expected False, got True": torch.ones(
            4, 9, 3, requires_grad=True
        ),
    }
    for text, t in wrong.items():
        assert not testing.tensor_check(t, meta)
        assert testing.tensor_diff(t, meta) == text


def test_small_sizes_pass_only_where_they_may(path):
    meta, _ = opened(torch.ones(4, 6), 0b11, 0b01)
    assert testing.tensor_check(torch.ones(1, 6), meta)
    assert testing.tensor_check(torch.ones(0, 2), meta)
    assert not testing.tensor_check(torch.ones(4, 1), meta)
    meta, _ = opened(torch.ones(4, 6), 0, 0b11)
    assert not testing.tensor_check(torch.ones(1, 6), meta)


def test_free_strides(path):
    base = torch.ones(50, 90)
    meta, links = opened(base[:, :6], 0b10, 0, 0b01)
    assert links == (FREE, FIXED)
    assert testing.tensor_check(base[:, :9], meta)
    assert testing.tensor_check(torch.ones(50, 7), meta)
    assert not testing.tensor_check(torch.ones(50, 14)[:, ::2], meta)
    meta, _ = opened(base[:, :6], 0, 0, 0b01)
    assert testing.tensor_check(torch.ones(50, 6), meta)
    assert not testing.tensor_check(torch.ones(50, 7), meta)


def test_more_dimensions_than_a_tensor_holds_inside(path):
    meta, links = opened(torch.ones(2, 3, 2, 5, 2, 2, 2), 0b1000)
    assert links == (1, 2, 3, FIXED, FIXED, FIXED, FIXED)
    assert testing.tensor_check(torch.ones(2, 3, 2, 9, 2, 2, 2), meta)
    assert not testing.tensor_check(torch.ones(2, 3, 3, 9, 2, 2, 2), meta)
    assert not testing.tensor_check(torch.ones(2, 3, 2, 10, 2, 2, 2)[:, :, :, :9], meta)


def test_one_block_is_open_and_the_other_is_not():
    t = torch.ones(4, 6)
    plain = testing.tensor_meta(t)
    meta, _ = opened(t, 0b01)
    assert testing.tensor_check(t, plain)
    assert testing.tensor_check(t, meta)
    assert not testing.tensor_check(torch.ones(5, 6), plain)
