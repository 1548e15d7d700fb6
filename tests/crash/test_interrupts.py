"""A signal that comes while code of MagPy's own runs is the program's.

Its handler runs in whatever Python code is there; what it raises must not be taken for a
failure of ours.  Each function of the Python half that the engine calls is made to get a
real signal, once.
"""

import signal
import warnings

import pytest

torch = pytest.importorskip("torch")
engine = pytest.importorskip("magpy._engine")
if not engine.available()[0]:
    pytest.skip(f"engine off: {engine.available()[1]}", allow_module_level=True)

import magpy  # noqa: E402
from magpy import _effects, _transaction, trial  # noqa: E402
from magpy._torch_table import operators  # noqa: E402


class Alarm(Exception):
    """What many programs raise in their handlers."""


def alarm(signum, frame):
    raise Alarm("time is over")


def leave(signum, frame):
    raise SystemExit(3)


RAISED = {
    KeyboardInterrupt: signal.default_int_handler,
    Alarm: alarm,
    SystemExit: leave,
}


@pytest.fixture(params=RAISED, ids=lambda kind: kind.__name__)
def kind(request):
    before = signal.signal(signal.SIGINT, RAISED[request.param])
    yield request.param
    signal.signal(signal.SIGINT, before)


def interrupted(original, seen, times=1):
    """The function, but for a signal in its first calls."""

    def function(*args, **kwargs):
        if len(seen) < times:
            seen.append(original)
            signal.raise_signal(signal.SIGINT)
            sum(range(3))  # the handler has run by now
        return original(*args, **kwargs)

    return function


def call(fast, *args):
    """The call, and some code behind it; what it raised."""
    try:
        result = fast(*args)
        for _ in range(100):
            pass
        return result
    except BaseException as error:
        return error


def new_operator():
    """An operator that the engine has never asked about."""
    name = f"magpy_interrupts::twice{len(made)}"

    @torch.library.custom_op(name, mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    made.append(twice)
    return getattr(torch.ops.magpy_interrupts, name.partition("::")[2]).default


made = []
ASKED = {
    "what_it_may_do": (_effects, "effects_of"),
    "what_kind_it_is_of": (operators, "operator_named"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_while_something_is_recorded(asked, kind, monkeypatch):
    module, name = ASKED[asked]
    seen, operator = [], new_operator()
    monkeypatch.setattr(module, name, interrupted(getattr(module, name), seen))
    fast, x = magpy.compile(lambda x: operator(x), backend="eager"), torch.ones(3)
    error = call(fast, x)
    assert len(seen) == 1
    assert type(error) is kind, error
    assert error.args == kind_args(kind)
    for _ in range(4):
        assert torch.equal(call(fast, x), x * 2)
    assert magpy.stats(fast)["hits"] >= 2


def kind_args(kind):
    return {Alarm: ("time is over",), SystemExit: (3,)}.get(kind, ())


def test_while_a_graph_is_undone(kind, monkeypatch):
    """What it wrote is put back all the same, and the program's exception is there."""
    seen = []
    restore = _transaction._Inputs.restore
    monkeypatch.setattr(
        _transaction._Inputs, "restore", lambda self: interrupted(restore, seen)(self)
    )

    def f(x, a, log):
        x.add_(1)
        try:
            return torch.linalg.cholesky(a)
        except RuntimeError:
            log.append("caught")

    fast = magpy.compile(f, backend="eager")
    x, log = torch.zeros(2), []
    for _ in range(4):
        fast(x, torch.eye(2), log)
    assert magpy.stats(fast)["hits"] >= 2
    error = call(fast, x, -torch.eye(2), log)
    assert len(seen) == 1
    assert type(error) is kind, error
    # It came before the program began again, or in the midst of it.
    assert float(x[0]) in (4, 5)
    for n in range(3):
        before = float(x[0])
        assert call(fast, x, -torch.eye(2), log) is None
        assert float(x[0]) == before + 1


def test_while_results_of_a_trial_are_compared(kind, monkeypatch):
    seen = []
    agree = trial.Judge.agree
    monkeypatch.setattr(
        trial.Judge,
        "agree",
        lambda self, *args: interrupted(agree, seen)(self, *args),
    )

    def f(x):
        if torch.compiler.is_compiling() or x.sum() > 0:
            return x + 1
        return x - 1

    fast = magpy.compile(f, backend="eager")
    x = torch.ones(3)
    found = [call(fast, x) for _ in range(6)]
    errors = [e for e in found if isinstance(e, BaseException)]
    assert len(seen) == 1 and len(errors) == 1
    assert type(errors[0]) is kind
    assert all(torch.equal(r, x + 1) for r in found if not isinstance(r, BaseException))


def test_an_error_of_our_own_stays_ours(monkeypatch):
    """Only what a handler raised reaches the program."""
    calls = []

    def fails(target):
        calls.append(target)
        raise RuntimeError("no answer")

    monkeypatch.setattr(_effects, "effects_of", fails)
    operator = new_operator()
    fast, x = magpy.compile(lambda x: operator(x), backend="eager"), torch.ones(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            assert torch.equal(call(fast, x), x * 2)
    assert calls
