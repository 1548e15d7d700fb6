"""State that no argument carries: noticed, refused, put back."""

import contextlib
import fnmatch
import locale
import pathlib
import platform
import re
import subprocess
import sys
import threading
import warnings

import pytest

torch = pytest.importorskip("torch")
testing = pytest.importorskip("magpy._engine_testing")
magpy = pytest.importorskip("magpy")

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def started():
    testing.tensor_init()
    testing.ambient_init()
    # From "not set" to what it means anyway: a change that cannot be taken back.
    torch.set_float32_matmul_precision(torch.get_float32_matmul_precision())


def take():
    snapshot = testing.ambient_take()
    assert not isinstance(snapshot, str), snapshot
    return snapshot


@contextlib.contextmanager
def changed(getter, setter, value):
    old = getter()
    setter(value)
    try:
        yield
    finally:
        setter(old)


def backend(owner, name, value):
    return changed(
        lambda: getattr(owner, name), lambda v: setattr(owner, name, v), value
    )


def nested_autocast():
    """Autocast contexts that change nothing but their depth."""
    return torch.autocast("cpu", enabled=False)


GUARDED = {
    "grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "autocast_cuda": lambda: changed(
        lambda: torch.is_autocast_enabled("cuda"),
        lambda v: torch.set_autocast_enabled("cuda", v),
        True,
    ),
    "autocast_mps": lambda: changed(
        lambda: torch.is_autocast_enabled("mps"),
        lambda v: torch.set_autocast_enabled("mps", v),
        True,
    ),
    "autocast_dtype": lambda: changed(
        lambda: torch.get_autocast_dtype("cpu"),
        lambda v: torch.set_autocast_dtype("cpu", v),
        torch.float16,
    ),
    "autocast_cache": lambda: changed(
        torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, False
    ),
    "autocast_depth": nested_autocast,
    "default_dtype": lambda: changed(
        torch.get_default_dtype, torch.set_default_dtype, torch.float64
    ),
    "deterministic": lambda: changed(
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
        True,
    ),
    "precision_high": lambda: changed(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "high"
    ),
    "precision_medium": lambda: changed(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "cudnn": lambda: backend(torch.backends.cudnn, "enabled", False),
    "cudnn_benchmark": lambda: backend(torch.backends.cudnn, "benchmark", True),
    "cudnn_deterministic": lambda: backend(torch.backends.cudnn, "deterministic", True),
    "fill": lambda: backend(
        torch.utils.deterministic, "fill_uninitialized_memory", False
    ),
    "mkldnn": lambda: torch.backends.mkldnn.flags(enabled=False),
    "sdp": lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    "threads": lambda: changed(
        torch.get_num_threads, torch.set_num_threads, 1 + (torch.get_num_threads() == 1)
    ),
    "recursion": lambda: changed(
        sys.getrecursionlimit, sys.setrecursionlimit, sys.getrecursionlimit() + 99
    ),
    "denormal": lambda: changed(lambda: False, torch.set_flush_denormal, True),
    "locale": lambda: changed(
        lambda: locale.setlocale(locale.LC_NUMERIC),
        lambda name: locale.setlocale(locale.LC_NUMERIC, name),
        "C" if locale.setlocale(locale.LC_NUMERIC) != "C" else "C.UTF-8",
    ),
    "digits": lambda: changed(
        sys.get_int_max_str_digits, sys.set_int_max_str_digits, 0
    ),
    "fp16_sums": lambda: backend(
        torch.backends.cuda.matmul, "allow_fp16_accumulation", True
    ),
    "sdp_reduction": lambda: changed(
        torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed,
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp,
        True,
    ),
    "fp16": lambda: backend(
        torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False
    ),
    "default_device": lambda: changed(
        lambda: None, torch.set_default_device, torch.device("cpu")
    ),
    "device_context": lambda: torch.device("meta"),
}


@pytest.fixture(params=[True, False], ids=["words", "asked"])
def words(request):
    old = testing.ambient_words(request.param)
    yield request.param
    testing.ambient_words(old)


@pytest.mark.parametrize("enter", GUARDED.values(), ids=GUARDED)
def test_change_is_noticed(enter, words):
    snapshot = take()
    assert testing.ambient_check(snapshot)
    with enter():
        assert not testing.ambient_check(snapshot)
        inside = take()
        assert testing.ambient_check(inside)
        testing.ambient_words(not words)
        assert testing.ambient_check(inside)
        testing.ambient_words(words)
    assert testing.ambient_check(snapshot)
    assert not testing.ambient_check(inside)


@pytest.mark.parametrize("enter", GUARDED.values(), ids=GUARDED)
def test_change_is_noticed_after_a_thousand_hits(enter):
    fast = magpy.compile(lambda x: x + 1, backend="eager")
    x = torch.ones(2)
    for _ in range(1002):
        fast(x)
    before = magpy.stats(fast)
    assert before["hits"] == 1001
    with enter():
        assert torch.equal(fast(x), x + 1)
        assert magpy.stats(fast)["hits"] == before["hits"]
    assert torch.equal(fast(x), x + 1)
    assert magpy.stats(fast)["hits"] == before["hits"] + 1


def setting(owner, name, value):
    return lambda: changed(
        lambda: getattr(owner, name), lambda v: setattr(owner, name, v), value
    )


# A row, and a change that it alone notices.
ALONE = {
    "GRAD": torch.no_grad,
    "FORWARD_GRAD": lambda: changed(
        torch._C._is_fwd_grad_enabled, torch._C._set_fwd_grad_enabled, False
    ),
    "ANOMALY": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "SAVED_HOOKS_OFF": lambda: torch.autograd.graph.disable_saved_tensors_hooks(
        "not now"
    ),
    "COMPILING": setting(torch.compiler, "_is_compiling_flag", True),
    "FORWARD_AD": setting(torch.autograd.forward_ad, "_current_level", 0),
    "DISPATCH_KEYS": GUARDED["autocast_cuda"],
    "DEFAULT_DTYPE": GUARDED["default_dtype"],
    "FILL_EMPTY": GUARDED["fill"],
    "CUDNN": GUARDED["cudnn"],
    "CUDNN_BENCHMARK": GUARDED["cudnn_benchmark"],
    "CUDNN_DETERMINISTIC": GUARDED["cudnn_deterministic"],
    "MKLDNN": GUARDED["mkldnn"],
    "FP16_REDUCTION": GUARDED["fp16"],
    "BF16_REDUCTION": setting(
        torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False
    ),
    "FP16_ACCUMULATION": GUARDED["fp16_sums"],
    "SDP_REDUCTION": GUARDED["sdp_reduction"],
    "DETERMINISTIC": GUARDED["deterministic"],
    "LOCALE": GUARDED["locale"],
}


@pytest.mark.filterwarnings("ignore:Anomaly")
@pytest.mark.parametrize("row", ALONE)
def test_a_row_that_is_left_out_is_missed(row):
    """So it is this row's word, or its getter, that notices."""
    snapshot = take()
    with ALONE[row]():
        assert not testing.ambient_check(snapshot)
        testing.ambient_plant(row)
        try:
            assert testing.ambient_check(snapshot)
        finally:
            testing.ambient_plant(None)
        assert not testing.ambient_check(snapshot)
    assert testing.ambient_check(snapshot)


def test_words_tell_of_most_rows():
    """On x86-64, where the code of getters is known; others ask."""
    pinned = (ROOT / "requirements" / "dev.txt").read_text()
    known = f"torch=={torch.__version__.split('+')[0]}" in pinned
    if not known or platform.machine() != "x86_64":
        pytest.skip("another torch, or another processor")
    asked = set(testing.ambient_asked())
    told = {"GRAD", "TRACING", "FILL_EMPTY", "CUDNN", "SDP_MATH", "DEFAULT_DTYPE"}
    assert asked.isdisjoint(told)
    assert len(asked) <= 22, asked


class Mode(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise AssertionError("user code ran")


class DispatchMode(torch.utils._python_dispatch.TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise AssertionError("user code ran")


REFUSED = {
    "function_mode": Mode,
    "no_function": torch._C.DisableTorchFunction,
    "no_subclass": torch._C.DisableTorchFunctionSubclass,
    "dispatch_mode": DispatchMode,
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "saved": lambda: torch.autograd.graph.saved_tensors_hooks(id, id),
    "forward_ad": torch.autograd.forward_ad.dual_level,
}


@pytest.mark.filterwarnings("ignore:Anomaly")
@pytest.mark.parametrize("enter", REFUSED.values(), ids=REFUSED)
def test_mode_is_refused(enter):
    snapshot = take()
    with enter():
        assert not testing.ambient_check(snapshot)
        assert isinstance(testing.ambient_take(), str)
    assert testing.ambient_check(snapshot)


def test_transforms_and_tracing_are_refused():
    snapshot = take()
    seen = []

    def look(x):
        seen.append((testing.ambient_check(snapshot), testing.ambient_take()))
        return x * 1

    torch.vmap(look)(torch.ones(2))
    torch.func.grad(look)(torch.ones(()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(look, torch.ones(2), check_trace=False)
    assert [check for check, _ in seen] == [False] * 3
    assert "functorch" in seen[0][1]
    assert "functorch" in seen[1][1]
    assert "jit" in seen[2][1]


def test_threads_have_their_own_state():
    snapshot = take()
    answers = []

    def other():
        answers.append(testing.ambient_check(snapshot))
        with torch.autocast("cpu"):
            answers.append(testing.ambient_check(snapshot))

    with torch.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert not testing.ambient_check(snapshot)
    assert answers == [True, False]


def test_restore():
    snapshot = take()
    torch._C._set_grad_enabled(False)
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)
    torch.set_autocast_cache_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.autocast_increment_nesting()
    torch.autocast_increment_nesting()
    torch.backends.cudnn.benchmark = True
    assert not testing.ambient_check(snapshot)
    testing.ambient_restore(snapshot)
    assert testing.ambient_check(snapshot)
    assert torch.is_grad_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    with nested_autocast():
        inner = take()
    testing.ambient_restore(inner)
    assert testing.ambient_check(inner)
    testing.ambient_restore(snapshot)
    assert testing.ambient_check(snapshot)


def test_restore_of_warn_only():
    torch.use_deterministic_algorithms(True, warn_only=True)
    snapshot = take()
    torch.use_deterministic_algorithms(False)
    testing.ambient_restore(snapshot)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)


def test_cuda_that_has_not_started():
    """It is as it is when it has: a compiler may start it before the first hit."""
    code = (
        "import torch, magpy\n"
        "f = magpy.compile(lambda x: x + 1, backend='eager')\n"
        "f(torch.ones(1))\n"
        "print(torch.cuda.is_initialized())\n"
        "torch.cuda.is_available() and torch.cuda.init()\n"
        "f(torch.ones(1))\n"
        "print(magpy.stats(f)['hits'], *f.entries()[0]['ambient'], sep='\\n')"
    )
    out = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", code], text=True
    )
    lines = out.splitlines()
    assert lines[:2] == ["False", "1"]
    if not hasattr(torch._C, "_cuda_getDevice"):
        return  # built without CUDA
    assert "torch._C._cuda_getDevice() == 0" in lines
    assert "torch._C._cuda_isCurrentStreamCapturing() == False" in lines


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda():
    torch.cuda.init()
    snapshot = take()
    assert testing.ambient_check(snapshot)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        assert testing.ambient_check(snapshot)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        captured = testing.ambient_check(snapshot)
        graph.capture_end()
    assert not captured
    assert testing.ambient_check(snapshot)
    assert "torch._C._cuda_getDevice() == 0" in testing.ambient_text(snapshot)
    if torch.cuda.device_count() > 1:
        with torch.cuda.device(1):
            assert not testing.ambient_check(snapshot)


def test_text():
    lines = testing.ambient_text(take())
    for line in (
        "torch.is_grad_enabled() == True",
        "torch.is_autocast_enabled('cpu') == False",
        "torch.get_default_dtype() == torch.float32",
        "depth of torch.autocast == 0",
    ):
        assert line in lines


def test_contradictory_settings_are_refused_not_raised():
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("an older torch")
    old = torch.backends.cuda.matmul.fp32_precision
    snapshot = take()
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        assert not testing.ambient_check(snapshot)
        testing.ambient_take()
    finally:
        torch.backends.cuda.matmul.fp32_precision = old
    assert testing.ambient_check(snapshot)


WALK = """
import re, sys, types, torch
SET = re.compile(r"(^|_)(set|enable|disable|push|use)($|_|[A-Z])|^_?(clear|increment)_")
SCOPE = "Guard|Disable|Enable|Force|Preserve|Restore|Include|Exclude|Below|Mode$"
for name, module in list(sys.modules.items()):
    if name.split(".")[0] != "torch" or not isinstance(module, types.ModuleType):
        continue
    for key, value in list(vars(module).items()):
        if type(value) is types.BuiltinFunctionType and SET.search(key):
            print(key)
        elif name.startswith("torch._C") and type(value) is not types.ModuleType:
            if isinstance(value, type) and re.search(SCOPE, key):
                print(key)
"""


def test_every_state_of_torch_is_listed():
    """Either it has a row, or docs/internals/ambient.md says why it needs none."""
    walk = [sys.executable, "-W", "ignore", "-c", WALK]
    found = set(subprocess.check_output(walk, text=True).split())
    assert {"set_num_threads", "_set_grad_enabled", "_InferenceMode"} <= found
    rows = set(
        re.findall(r"\w+", (ROOT / "engine" / "torch" / "ambient.def").read_text())
    )
    page = (ROOT / "docs" / "internals" / "ambient.md").read_text()
    listed = re.findall(r"`([\w*]+)`", page)
    of_torch = re.findall(r"`([\w*]+)`", page[page.index("## torch: off") :])
    missing = [
        name
        for name in sorted(found - rows)
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in listed)
    ]
    assert missing == []
    pinned = (ROOT / "requirements" / "dev.txt").read_text()
    if f"torch=={torch.__version__.split('+')[0]}" in pinned:  # others lack some
        stale = {p for p in of_torch if not fnmatch.filter(found, p)} - rows
        assert stale == set(), "names that stand for nothing"


def test_getters_that_are_constants_have_rows():
    """What the operator table calls a constant of the ambient state changes a row."""
    for getter, enter in (
        (torch.get_num_threads, "threads"),
        (torch.get_default_dtype, "default_dtype"),
        (torch.is_grad_enabled, "grad"),
        (torch.is_inference_mode_enabled, "inference"),
        (torch.is_autocast_cache_enabled, "autocast_cache"),
        (torch.get_float32_matmul_precision, "precision_high"),
        (torch._C._get_cudnn_benchmark, "cudnn_benchmark"),
        (torch._C._get_mkldnn_enabled, "mkldnn"),
        (torch._C._get_math_sdp_enabled, "sdp"),
    ):
        compiled = magpy.compile(lambda getter=getter: getter(), backend="eager")
        plain = [compiled() for _ in range(3)]
        assert plain == [getter()] * 3
        with GUARDED[enter]():
            assert compiled() == getter()
        assert compiled() == getter()


def test_check_is_fast():
    """Half a microsecond is the aim; a busy machine gets ten times that."""
    assert min(testing.ambient_time(take(), 2000) for _ in range(20)) < 5_000
