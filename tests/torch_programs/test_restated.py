"""A graph that raises after it has changed what an input is has changed nothing.

Each program changes data, shape, gradient or `requires_grad` of an input, and then takes `x[at]`,
which raises for some `at`.  Exception, Python effects and the tensors must be those of eager mode.
"""

import pytest
import torch

import magpy

BODIES = {
    "requires_grad_": "t.requires_grad_(); r = x[at]",
    "requires_grad": "t.requires_grad = True; r = x[at]",
    "no more": "g.requires_grad_(False); r = x[at]",
    "no more, and written": "g.requires_grad_(False); g.mul_(3); r = x[at]",
    "grad": "t.grad = torch.ones(3); r = x[at]",
    "no grad": "g.grad = None; r = x[at]",
    "grad written": "g.grad.mul_(2); g.grad = torch.zeros(3); r = x[at]",
    "data": "t.data = torch.ones(3); r = x[at]",
    "data twice": "t.data = torch.ones(3); t.data = torch.zeros(4); r = x[at]",
    "data, written": "t.mul_(2); t.data = torch.ones(3); t.add_(1); r = x[at]",
    "data of another shape": "t.data = torch.ones(2, 2); r = x[at]",
    "data of another type": "t.data = torch.ones(3, dtype=torch.float64); r = x[at]",
    "data, no number to differentiate": "t.data = torch.ones(3, dtype=torch.int64); r = x[at]",
    "data of a leaf": "g.data = torch.ones(3); r = x[at]",
    "smaller": "t.resize_(1, 2); r = x[at]",
    "larger": "t.resize_(4, 2); t.fill_(2); r = x[at]",
    "all": "t.data = torch.ones(3); t.grad = torch.zeros(3); t.requires_grad_(); r = x[at]",
    "without gradients": "s = torch.no_grad(); s.__enter__(); t.requires_grad_(); t.mul_(3)"
    "; t.grad = t * 2; s.__exit__(None, None, None); r = x[at]",
    "a view of it": "v = t[:2]; t.requires_grad_(); r = x[at]",
    "read late": "t.requires_grad_(); t.grad = torch.ones(3); r = x[at].item() + len(log)",
    "before a handler": "try_(lambda: setattr(t, 'grad', torch.ones(3)), lambda: x[at]); r = 0",
}

HANDLED = {
    "grad": "t.grad = torch.ones(3)",
    "requires_grad": "t.requires_grad_()",
    "data": "t.data = torch.ones(3)",
    "shape": "t.data = torch.ones(2, 3)",
}

PROGRAM = """
log = []

def try_(first, then):
    try:
        first()
        log.append("tried")
        then()
    except IndexError:
        log.append("caught")

def f(x, t, g, at):
    log.append(0)
    {}
    log.append(1)
    return r
"""


def seen(world, f, at):
    x, t = torch.arange(4.0), torch.arange(3.0)
    g = torch.ones(3, requires_grad=True)
    g.grad = torch.full((3,), 5.0)
    view, grad, before = t.view(3), g.grad, t._version
    world["log"].clear()
    try:
        end = repr(f(x, t, g, torch.tensor(at)))
    except (IndexError, RuntimeError) as error:
        end = (
            type(error),
            str(error),
            error.__traceback__.tb_next.tb_frame.f_code.co_name,
        )
    shares = t.data_ptr() == view.data_ptr(), g.grad is grad
    versions = t._version - before, view._version - before
    sizes = t.untyped_storage().nbytes(), view.untyped_storage().nbytes()
    tensors = [repr(v) for v in (t, t.grad, view, g, g.grad)]
    return end, shares, versions, sizes, tensors, t.requires_grad, list(world["log"])


def compare(body, fewest):
    worlds = [{"torch": torch}, {"torch": torch}]
    for world in worlds:
        exec(PROGRAM.format(body), world)
    fast = magpy.compile(worlds[1]["f"], backend="eager")
    for at in (1, 1, 1, 1, 9, 9, 1, 9, 1):
        right = seen(worlds[0], worlds[0]["f"], at)
        assert seen(worlds[1], fast, at) == right
    assert magpy.stats(fast)["hits"] >= fewest
    return magpy.stats(fast)


@pytest.mark.parametrize("body", BODIES)
def test_a_graph_that_raises_has_changed_nothing(body):
    stats = compare(BODIES[body], 5)
    assert stats["breaks"] == {}
    assert stats["reasons"] == {"graph-raised": 3}


@pytest.mark.parametrize("body", HANDLED)
def test_the_handler_of_the_program_runs(body):
    handler = "except IndexError:\n        log.append('caught'); r = None"
    compare(f"try:\n        {HANDLED[body]}; r = x[at]\n    {handler}", 5)


@pytest.mark.parametrize("body", HANDLED)
def test_finally_runs_once(body):
    compare(
        f"try:\n        {HANDLED[body]}; r = x[at]\n    finally:\n        log.append(2)",
        5,
    )


def test_a_gradient_of_another_shape_is_put_back():
    """`resize_` keeps it, but nobody can assign it to such a tensor."""

    def run(compiled):
        state = {"t": torch.ones(2, 3), "at": torch.tensor([1, 0])}

        def f(x):
            t = state["t"]
            y = x * 1
            t.data = torch.ones(2, 3)
            t.grad = torch.zeros(2, 3)
            rows = t[state["at"]]
            t.resize_(3, 2)
            t.fill_(2)
            return y, rows, t.view(2, 3)[state["at"]]

        call, seen = magpy.compile(f, backend="eager") if compiled else f, []
        for n in range(5):
            if n == 3:
                state["at"] = state["at"] + 4
            try:
                rows = [row.tolist() for row in call(torch.ones(2, requires_grad=True))]
            except IndexError as error:
                rows = [str(error)]
            t = state["t"]
            seen.append((rows, t.tolist(), t.grad.tolist(), t._version))
        return seen, magpy.stats(call)["hits"] if compiled else 0

    (expected, _), (found, hits) = run(compiled=False), run(compiled=True)
    assert found == expected
    assert hits
