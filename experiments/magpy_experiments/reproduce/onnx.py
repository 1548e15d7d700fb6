"""A backend for both front ends: graphs exported to ONNX, and run by ONNX Runtime.

Parameters stay inputs of the model.  Inputs and results are bound where they lie in memory;
nothing is copied.  It stands here and not in the product: ONNX has no writes to inputs, and
torch's exporter can end the process (``x.data``).
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
#: Operators of ONNX that draw numbers of their own.
_DRAWS = ("Random", "Bernoulli", "Multinomial", "Dropout")


class Unfit(Exception):
    """ONNX cannot say what a graph does."""


def convert(gm: GraphModule, inputs: Sequence[torch.Tensor]) -> Callable[..., Any]:
    """Return what runs a graph in ONNX Runtime; a backend as TorchDynamo takes them.

    Args:
        gm: it answers a tuple or list of tensors.
        inputs: of a call.

    Raises:
        Unfit: ONNX cannot say what the graph does.
        ImportError: packages are missing.
    """
    import torch

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(f"pip install {' '.join(missing)}")
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        raise Unfit("ONNX Runtime gives no gradients")
    if not inputs:
        raise Unfit("a graph without inputs")
    model = _export(gm, inputs)
    drawing = [n.op_type for n in model.graph.node if n.op_type.startswith(_DRAWS)]
    if drawing:
        raise Unfit(f"ONNX Runtime draws numbers of its own ({drawing[0]})")
    return _Session(model, gm, inputs)


def _export(gm: GraphModule, inputs: Sequence[torch.Tensor]) -> Any:
    import torch
    from torch._guards import tracing

    with _quiet(), tracing(None), torch.no_grad():
        try:
            program = torch.onnx.export(
                gm.eval(),
                tuple(inputs),
                input_names=[_name(at) for at in range(len(inputs))],
                dynamo=True,
                verbose=False,
                optimize=True,
            )
        except Exception as error:
            text = str(error).strip().partition("\n")[0]
            raise Unfit(f"it cannot be exported to ONNX: {text[:200]}") from error
    assert program is not None
    return program.model_proto


def _name(at: int) -> str:
    return f"input_{at}"


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints and warns."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Session:
    """A model in ONNX Runtime, with the shapes of its results.

    Args:
        model: of ONNX.
        gm: what it was made of.
        inputs: of a call.
    """

    def __init__(
        self, model: Any, gm: GraphModule, inputs: Sequence[torch.Tensor]
    ) -> None:
        import onnxruntime
        import torch
        from torch._subclasses import FakeTensorMode

        self._device = inputs[0].device
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=_providers(self._device)
        )
        self._names = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]
        known = {_name(at): at for at in range(len(inputs))}
        self._used = [known[name] for name in self._names]
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            results = gm.forward(*[mode.from_tensor(x) for x in inputs])
        self._results = [(tuple(x.shape), x.dtype) for x in results]
        if len(self._results) != len(self._outputs):
            raise Unfit("results of the graph are no results of the model")

    def __call__(self, *args: torch.Tensor) -> tuple[torch.Tensor, ...]:
        import torch

        binding = self._session.io_binding()
        kept = []
        for name, at in zip(self._names, self._used, strict=True):
            x = args[at].contiguous()
            kept.append(x)
            self._bind(binding.bind_input, name, x)
        results = []
        for name, (shape, dtype) in zip(self._outputs, self._results, strict=True):
            y = torch.empty(shape, dtype=dtype, device=self._device)
            results.append(y)
            self._bind(binding.bind_output, name, y)
        if self._device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        self._session.run_with_iobinding(binding)
        if self._device.type == "cuda":
            binding.synchronize_outputs()
        return tuple(results)

    def _bind(self, bind: Callable[..., Any], name: str, x: torch.Tensor) -> None:
        kind, index = x.device.type, x.device.index or 0
        bind(name, kind, index, _dtypes()[x.dtype], tuple(x.shape), x.data_ptr())


def _providers(device: torch.device) -> list[Any]:
    import onnxruntime

    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    wanted = "CUDAExecutionProvider"
    if device.type != "cuda" or wanted not in onnxruntime.get_available_providers():
        raise ImportError("pip install onnxruntime-gpu")
    return [(wanted, {"device_id": device.index or 0}), "CPUExecutionProvider"]


def _dtypes() -> dict[torch.dtype, Any]:
    import numpy
    import torch

    return {
        torch.float32: numpy.float32,
        torch.float64: numpy.float64,
        torch.float16: numpy.float16,
        torch.int64: numpy.int64,
        torch.int32: numpy.int32,
        torch.int16: numpy.int16,
        torch.int8: numpy.int8,
        torch.uint8: numpy.uint8,
        torch.bool: numpy.bool_,
    }
