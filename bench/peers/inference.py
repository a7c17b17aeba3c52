"""The same networks in other libraries, with float32 and with int8 arithmetic.

Every peer takes float32 inputs, as its users give them: its int8 models quantise them first, as they come from the
libraries' own tools. A peer whose library is not installed says so.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness.workloads import Workload
from bench.peers.missing import UnavailableError

Run = Callable[[np.ndarray], Any]  # a float32 batch in [0, 1] -> logits
Bind = Callable[[np.ndarray], Callable[[], Any]]  # a batch -> a call on it that returns its logits in the same buffer
CALIBRATION_BATCH = 64


def onnxruntime_float32(workload: Workload, threads: int) -> Run:
    """The float model in onnxruntime, as it is exported."""
    return _runner(_onnx_float32(workload, threads))


def onnxruntime_qdq(workload: Workload, threads: int) -> Run:
    """The model that onnxruntime's tool quantises statically, with pairs of operators that the run time fuses."""
    return _runner(_onnx_quantised(workload, threads, "QDQ"))


def onnxruntime_qoperator(workload: Workload, threads: int) -> Run:
    """The model that onnxruntime's tool quantises statically, with integer operators."""
    return _runner(_onnx_quantised(workload, threads, "QOperator"))


def torch_float32(workload: Workload, threads: int) -> Run:
    """The float model in torch, run eagerly."""
    return _torch_runner(_torch_module(workload), threads)


def torch_int8(workload: Workload, threads: int) -> Run:
    """The model that torch quantises statically by graph transformation, for x86 or Arm."""
    module = _torch_module(workload)
    import torch

    engine = "x86" if "x86" in torch.backends.quantized.supported_engines else "qnnpack"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations, which concern the tool and not its result
            from torch.ao.quantization import get_default_qconfig_mapping
            from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

            samples = torch.from_numpy(_calibration(workload))
            prepared = prepare_fx(module, get_default_qconfig_mapping(engine), (samples,))
            prepared(samples)
            quantised = convert_fx(prepared)
    except (ImportError, RuntimeError, NotImplementedError) as error:
        raise UnavailableError(str(error).splitlines()[0]) from error
    return _torch_runner(quantised, threads)


def numpy_float32(workload: Workload, threads: int) -> Run:
    """The float model in numpy: matrix products are BLAS's, windows are strided views."""
    from intnn.ops import numpy_

    limit = blas_limit(threads)

    def run(x: np.ndarray) -> np.ndarray:
        with limit():
            for affine in workload.maps:
                if affine.weight.ndim == 4:
                    x = numpy_.conv2d(x, affine.weight, affine.bias, 1, 0)
                else:
                    x = x.reshape(len(x), -1) @ affine.weight.T + affine.bias
                if affine.pools:
                    x = numpy_.sum_pool2d(x, 2, 2) * np.float32(0.25)
                if affine.rectifies:
                    x = np.maximum(x, 0)
        return x

    return run


PEERS: Mapping[str, Callable[[Workload, int], Run]] = {
    "onnxruntime float32": onnxruntime_float32,
    "onnxruntime int8 QDQ": onnxruntime_qdq,
    "onnxruntime int8 QOperator": onnxruntime_qoperator,
    "torch float32": torch_float32,
    "torch int8": torch_int8,
    "numpy float32": numpy_float32,
}


#: The same with inputs and outputs in buffers that stay, beside ours with the same.
BOUND_PEERS: Mapping[str, Callable[[Workload, int], Bind]] = {
    "onnxruntime float32, bound": lambda workload, threads: _binder(_onnx_float32(workload, threads)),
    "onnxruntime int8 QDQ, bound": lambda workload, threads: _binder(_onnx_quantised(workload, threads, "QDQ")),
    "onnxruntime int8 QOperator, bound": lambda workload, threads: _binder(
        _onnx_quantised(workload, threads, "QOperator")
    ),
}


def _calibration(workload: Workload) -> np.ndarray:
    return workload.inputs(CALIBRATION_BATCH, np.random.default_rng(0)).astype(np.float32) / np.float32(255)


def _onnx_model(workload: Workload, folder: Path) -> Path:
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise UnavailableError("onnx is not installed") from None
    nodes: list[Any] = []
    tensors: list[Any] = []
    x = "input"

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    shape_length = len(workload.network.input_shape)
    for i, affine in enumerate(workload.maps):
        for part, array in (("w", affine.weight), ("b", affine.bias)):
            tensors.append(numpy_helper.from_array(array, f"{part}{i}"))
        if affine.weight.ndim == 4:
            x = node("Conv", [x, f"w{i}", f"b{i}"])
        else:
            if shape_length == 3:
                x, shape_length = node("Flatten", [x]), 1
            x = node("Gemm", [x, f"w{i}", f"b{i}"], transB=1)
        if affine.pools:
            x = node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
        if affine.rectifies:
            x = node("Relu", [x])
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *workload.network.input_shape])]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", *workload.network.output_shape])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "float32.onnx"
    onnx.save(model, path)
    return path


def _onnx_float32(workload: Workload, threads: int) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return _session(_onnx_model(workload, Path(folder)), threads)


def _onnx_quantised(workload: Workload, threads: int, style: str) -> Any:
    with tempfile.TemporaryDirectory() as name:
        path = _onnx_model(workload, Path(name))
        try:
            from onnxruntime import quantization
        except ImportError:
            raise UnavailableError("onnxruntime is not installed") from None

        class Samples(quantization.CalibrationDataReader):
            rest = iter([{"input": _calibration(workload)}])

            def get_next(self) -> Any:
                return next(self.rest, None)

        target = Path(name) / "int8.onnx"
        import logging

        logging.disable(logging.WARNING)  # advice on preparing the model, which has nothing to prepare
        try:
            quantization.quantize_static(
                path,
                target,
                Samples(),
                quant_format=quantization.QuantFormat[style],
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
        finally:
            logging.disable(logging.NOTSET)
        return _session(target, threads)


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UnavailableError("onnxruntime is not installed") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _runner(session: Any) -> Run:
    return lambda x: session.run(None, {"input": x})[0]


def _binder(session: Any) -> Bind:
    def bind(x: np.ndarray) -> Callable[[], Any]:
        binding, output = session.io_binding(), session.get_outputs()[0].name
        binding.bind_cpu_input("input", x)
        binding.bind_output(output, "cpu")
        session.run_with_iobinding(binding)  # now the output's shape is known
        logits = binding.get_outputs()[0]
        binding.bind_ortvalue_output(output, logits)

        def call() -> Any:
            session.run_with_iobinding(binding)
            return logits

        return call

    return bind


def _torch_module(workload: Workload) -> Any:
    try:
        import torch
    except ImportError:
        raise UnavailableError("torch is not installed") from None
    modules: list[Any] = []
    is_image = len(workload.network.input_shape) == 3
    for affine in workload.maps:
        if affine.weight.ndim == 4:
            out, channels, *kernel = affine.weight.shape
            module: Any = torch.nn.Conv2d(channels, out, tuple(kernel))
        else:
            if is_image:
                modules.append(torch.nn.Flatten())
                is_image = False
            module = torch.nn.Linear(*affine.weight.shape[::-1])
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(affine.weight))
            module.bias.copy_(torch.from_numpy(affine.bias))
        modules.append(module)
        if affine.pools:
            modules.append(torch.nn.AvgPool2d(2))
        if affine.rectifies:
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules).eval()


def _torch_runner(module: Any, threads: int) -> Run:
    import torch

    def run(x: np.ndarray) -> Any:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return module(torch.from_numpy(x)).numpy()

    return run


def blas_limit(threads: int) -> Callable[[], Any]:
    """A context that holds numpy's BLAS to some threads, where threadpoolctl can."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        from contextlib import nullcontext

        return nullcontext
    controller = ThreadpoolController()
    return lambda: controller.limit(limits=threads, user_api="blas")
