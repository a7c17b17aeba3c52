"""ONNX models for tests: written node by node, or drawn at random from a grammar."""

from pathlib import Path

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper


class Model:
    """A model in the making; ``add`` returns the name of an operator's output."""

    def __init__(self, shape, batch="n", kind=TensorProto.FLOAT):
        self.nodes, self.tensors, self.shape, self.batch, self.kind = [], [], shape, batch, kind

    def tensor(self, values, dtype=np.float32):
        name = f"t{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values).astype(dtype), name))
        return name

    def add(self, operator, *inputs, domain="", **attributes):
        output = f"{operator.lower()}{len(self.nodes)}"
        attributes = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(operator, list(inputs), [output], f"n{output}", domain=domain, **attributes))
        return output

    def proto(self, output, opset=17, outputs=None, inputs=()):
        given = helper.make_tensor_value_info("x", self.kind, [self.batch, *self.shape])
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]

        def made(ends):
            graph = helper.make_graph(self.nodes, "net", [given, *inputs], ends, self.tensors)
            return helper.make_model(graph, opset_imports=opsets, ir_version=8)

        unshaped = helper.make_tensor_value_info(output, self.kind, None)
        (end,) = onnx.shape_inference.infer_shapes(made([unshaped])).graph.output
        if not end.type.tensor_type.HasField("shape"):  # of operators that onnx does not know
            end.type.tensor_type.shape.dim.add()
        return made(outputs or [end])

    def save(self, path: Path, output, **options) -> Path:
        path.write_bytes(self.proto(output, **options).SerializeToString())
        return path


def answers(path: Path, x):
    """What onnxruntime answers, flattened."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    # As it stands: what is fused may be refused by its own kernels (a Pad before a pool).
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    dtype = np.float64 if "double" in given.type else np.float32
    (y,) = session.run(None, {given.name: x.astype(dtype)})
    return y.reshape(len(y), -1)


SIMPLE = [
    "Relu",
    "LeakyRelu",
    "Elu",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "HardSigmoid",
    "HardSwish",
    "Selu",
    "Celu",
    "Neg",
    "Abs",
    "Softsign",
]


def activated(draw, model, x):
    """A value behind an activation: one operator, or a pattern of several."""
    kind = draw(
        st.sampled_from(
            [*SIMPLE, "clip", "gelu", "gelu_tanh", "silu", "mish", "softsign", "square", "scalar", "relu6", "below"]
        )
    )
    half = model.tensor(0.5)
    match kind:
        case "clip":
            return model.add("Clip", x, model.tensor(-0.5), model.tensor(0.75))
        case "relu6":
            return model.add("Min", model.add("Max", x, model.tensor(0)), model.tensor(6))
        case "below":
            return model.add("Clip", x, "", model.tensor(0.25))
        case "gelu":
            part = model.add("Erf", model.add("Div", x, model.tensor(np.sqrt(2))))
            return model.add("Mul", model.add("Mul", x, model.add("Add", part, model.tensor(1))), half)
        case "gelu_tanh":
            cube = model.add("Mul", model.add("Pow", x, model.tensor(3)), model.tensor(0.044715))
            part = model.add("Tanh", model.add("Mul", model.add("Add", x, cube), model.tensor(np.sqrt(2 / np.pi))))
            return model.add("Mul", model.add("Mul", half, x), model.add("Add", model.tensor(1), part))
        case "silu":
            return model.add("Mul", model.add("Sigmoid", x), x)
        case "mish":
            return model.add("Mul", x, model.add("Tanh", model.add("Softplus", x)))
        case "softsign":
            return model.add("Div", x, model.add("Add", model.add("Abs", x), model.tensor(1)))
        case "square":
            return draw(st.sampled_from([model.add("Mul", x, x), model.add("Pow", x, model.tensor(2))]))
        case "scalar":
            return model.add("Sub", model.tensor(0.5), model.add("Mul", x, model.tensor(-1.5)))
    return model.add(kind, x)


@st.composite
def float_models(draw):
    """A model, the name of its output and the shape of one input: a few layers on vectors, sequences or images."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(5,), (2, 9), (3, 7, 6), (2, 8, 8)]))
    model, now = Model(shape, draw(st.sampled_from(["n", 1]))), shape
    x = activated(draw, model, "x")

    def normal(*sides):
        return model.tensor(rng.normal(0, 0.5, sides))

    for _ in range(draw(st.integers(1, 4))):
        rank = len(now) - 1
        kinds = ["activation", "affine", "residual"] + (["flatten", "dense"] if not rank else [])
        kinds += ["conv", "conv", "norm", "average", "max", "concat", "pad"] if rank and min(now[1:]) >= 3 else []
        match draw(st.sampled_from(kinds)):
            case "activation":
                x = activated(draw, model, x)
            case "affine":
                sides = draw(st.sampled_from([(now[0], *[1] * rank), now, (1, *now), ()]))
                x = model.add(draw(st.sampled_from(["Add", "Sub", "Mul"])), x, normal(*sides))
            case "residual":
                x = model.add(draw(st.sampled_from(["Add", "Sub"])), x, activated(draw, model, x))
            case "flatten":
                x = model.add("Flatten", x)
            case "dense":
                out = draw(st.integers(1, 4))
                if draw(st.booleans()):
                    x = model.add("MatMul", x, normal(now[0], out))
                else:
                    x = model.add("Gemm", x, normal(out, now[0]), normal(out), transB=1, alpha=0.5)
                now = (out,)
            case "conv":
                groups = draw(st.sampled_from([1, now[0]]))
                out, side = groups * draw(st.integers(1, 2)), draw(st.integers(1, 3))
                automatic = draw(st.sampled_from([None, "SAME_UPPER", "SAME_LOWER", "VALID"]))
                pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)] if automatic is None else None
                strides = [draw(st.integers(1, 2)) for _ in range(rank)]
                weight = normal(out, now[0] // groups, *[side] * rank)
                x = model.add(
                    "Conv", x, weight, normal(out), group=groups, strides=strides, pads=pads, auto_pad=automatic
                )
                now = (out, *(-1 for _ in range(rank)))
            case "norm":
                statistics = [normal(now[0]), normal(now[0]), normal(now[0]), model.tensor(rng.random(now[0]) + 0.1)]
                x = model.add("BatchNormalization", x, *statistics)
            case "average":
                pads = [1] * 2 * rank
                x = model.add("AveragePool", x, kernel_shape=[2] * rank, pads=pads, count_include_pad=1)
                now = (now[0], *(-1 for _ in range(rank)))
            case "max":
                x = model.add("MaxPool", x, kernel_shape=[3] * rank, strides=[2] * rank)
                now = (now[0], *(-1 for _ in range(rank)))
            case "concat":
                x, now = model.add("Concat", x, activated(draw, model, x), axis=1), (2 * now[0], *now[1:])
            case "pad":
                sides = [0, 0, *[1] * rank, 0, 0, *[2] * rank]
                x, now = model.add("Pad", x, model.tensor(sides, np.int64)), (now[0], *(-1 for _ in range(rank)))
        if -1 in now:
            now = output_shape(model, x)
    if draw(st.booleans()):
        x, width = transposed(draw, model, x, now), int(np.prod(now))
        x = model.add("Gemm", x, normal(3, width), transB=1)
    return model, x, shape


def transposed(draw, model, x, shape):
    """A value as vectors, its axes perhaps in another order."""
    rank = len(shape)
    if rank > 1 and draw(st.booleans()):
        x = model.add("Transpose", x, perm=[0, *(1 + i for i in draw(st.permutations(range(rank))))])
    if draw(st.booleans()):
        return model.add("Flatten", x)
    return model.add("Reshape", x, model.tensor([0, -1], np.int64))


def output_shape(model, output):
    """The shape of a value without its batch axis."""
    (end,) = model.proto(output).graph.output
    return tuple(side.dim_value for side in end.type.tensor_type.shape.dim[1:])
