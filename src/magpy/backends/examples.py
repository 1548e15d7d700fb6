"""``node.meta["example_value"]``: what TorchDynamo's graphs tell backends of their values.

The graph runs once on fake tensors, which have shapes, dtypes and devices but no memory,
so nothing is computed and nothing of the program's is written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magpy import logs, seal

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy.shapes.world import Live

FAKE_LOGGER = "torch._subclasses.fake_tensor"  # tells of kernels for fakes that raise
# Code of these packages may run while a graph is compiled; the program's may not.
_PACKAGES = ("torch", "_operator", "builtins", "math")


def annotate(gm: GraphModule, inputs: Sequence[Any], live: Live | None = None) -> None:
    """Set ``example_value`` of every node up to the first that cannot be faked.

    Args:
        gm: the graph.
        inputs: live tensors; with `live`, their fakes and symbols.
        live: where symbols come from.
    """
    from torch import fx
    from torch._subclasses import FakeTensorMode

    class Annotator(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if not _is_torchs(n):
                raise NotImplementedError(f"{n.target} is not torch's")
            result = super().run_node(n)
            if n.op != "output":
                n.meta["example_value"] = n.meta["val"] = result
            return result

    try:
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        with seal.quiet(FAKE_LOGGER), mode if live is None else live.aside():
            fakes = [like(x) for x in inputs] if live is None else inputs
            Annotator(gm).run(*fakes, enable_io_processing=False)
    except Exception as error:
        # Data-dependent, or no fake kernel: the rest has no example.
        text = f"example values end early: {type(error).__name__}: {error}"
        logs.write("graph", text, logging.DEBUG)


def like(x: Any) -> Any:
    """Return a fake tensor like `x`; numbers are what they are.

    Not ``mode.from_tensor(x)``: it would keep a weak reference to `x`, and then
    ``torch.utils.swap_tensors`` refuses it.
    """
    import torch

    if not isinstance(x, torch.Tensor):
        return x
    fake = torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device=x.device)
    return fake.requires_grad_(x.requires_grad)


def _is_torchs(node: Any) -> bool:
    if node.op != "call_function":
        return True
    module = str(getattr(node.target, "__module__", "") or "torch")
    return module.partition(".")[0] in _PACKAGES
