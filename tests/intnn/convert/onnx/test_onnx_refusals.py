import tracemalloc

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from intnn.convert.onnx import builder
from tests.intnn.convert.onnx.models import Model

INT = np.int64


def image(build, shape=(2, 6, 6)):
    """A model of images whose output an operator makes."""
    model = Model(shape)
    return model, build(model)


def refused(path, message):
    with pytest.raises(ConversionError, match=message):
        from_onnx(path)


def scaled_by(shape):
    return lambda m: m.add("Mul", "x", m.tensor(np.ones(shape)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda m: m.add("Mul", "x", m.add("Sigmoid", m.add("Split", "x", axis=1))),
            r"node 'nsplit0' \(Split, which gives 'split0'\) must be of an operator.*leave gates \(GLU\) out",
        ),
        (lambda m: m.add("Mul", "x", m.add("Tanh", m.add("Sigmoid", "x"))), "must be a function that a graph has"),
        (lambda m: m.add("GatherND", "x", m.tensor([[0]], INT)), "give the module itself, which may pool adaptively"),
        (lambda m: m.add("Erf", "x"), r"\(Erf, .*must be a function that a graph has"),
        (lambda m: m.add("ArgMax", m.add("Flatten", "x"), axis=1), "ArgMax.*leave it to the client"),
        (lambda m: m.add("LayerNormalization", "x", m.tensor(np.ones(6))), "train with BatchNormalization"),
        (lambda m: m.add("Softmax", "x", axis=1), "a softmax is read over all outputs"),
        (lambda m: m.add("Softmax", m.add("Flatten", "x"), axis=0), "a softmax is read over all outputs"),
        (lambda m: m.add("Relu", m.add("Softmax", m.add("Flatten", "x"))), "a softmax is read over all outputs"),
        (
            lambda m: m.add("Transpose", "x", perm=[0, 2, 3, 1]),
            "output .* must not be transposed; export the model with",
        ),
        (
            lambda m: m.add("Conv", m.add("Transpose", "x", perm=[0, 3, 1, 2]), m.tensor(np.ones((1, 6, 1, 1)))),
            "must read channels first, got an input with transposed axes",
        ),
        (lambda m: m.add("Transpose", "x", perm=[1, 0, 2, 3]), "must keep the batch axis first"),
        (lambda m: m.add("Reshape", "x", m.tensor([2, -1], INT)), "must keep the batch axis first and 72 elements"),
        (lambda m: m.add("Reshape", "x", m.tensor([0, 7], INT)), "must keep the batch axis first and 72 elements"),
        (lambda m: m.add("Reshape", "x", m.add("Shape", "x", start=1)), "must have start=0"),
        (lambda m: m.add("Concat", "x", "x", axis=2), "must be along the channels, got axis 2"),
        (scaled_by((2, 6, 6, 6)), "must have a constant that fits shape"),
        (scaled_by((3, 1, 1)), r"must have a constant that fits shape \(batch, 2, 6, 6\), got \(3, 1, 1\)"),
        (lambda m: m.add("Div", m.tensor(1), "x"), "must not divide by zero, nor by a value of the network"),
        (lambda m: m.add("Div", "x", m.tensor(0)), "must not divide by zero"),
        (lambda m: m.add("Pow", "x", m.tensor(0.5)), "must have an exponent among the integers from 1 to 16, got 0.5"),
        (
            lambda m: m.add("Mul", m.add("Conv", "x", m.tensor(np.ones((2, 2, 1, 1)))), "x"),
            "got a product or quotient of two values; leave gates"[:38],
        ),
        (
            lambda m: m.add("AveragePool", "x", kernel_shape=[2, 2], pads=[2] * 4),
            "must have a pixel of the image in every window; pool with less padding",
        ),
        (lambda m: m.add("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]), "must have dilations of 1"),
        (
            lambda m: m.add("Conv", "x", m.tensor(np.ones((1, 2, 3, 3))), pads=[-1, 0, 0, 0]),
            "must have 4 pads of at least 0",
        ),
        (
            lambda m: m.add("Conv", "x", m.tensor(np.ones((1, 2, 9, 9)))),
            "does not fit: .*at least as large as its window",
        ),
        (lambda m: m.add("Conv", "x", m.tensor(np.full((1, 2, 3, 3), np.nan))), "`weight` must be finite"),
        (lambda m: m.add("Conv", "x", "x"), "must have a constant as operand 1"),
        (lambda m: m.add("ReduceMean", "x", axes=[1]), "must be over all spatial axes"),
        (lambda m: m.add("Cast", "x", to=TensorProto.FLOAT16), "must cast to float32 or float64"),
        (lambda m: m.add("Cast", "x", to=TensorProto.INT64), "what integers look up, as embeddings do, as vectors"),
        (
            lambda m: m.add("ArgMax", m.add("Transpose", "x", perm=[1, 0, 2, 3]), axis=1),
            r"\(ArgMax",
        ),  # not what is around
        (lambda m: m.add("Slice", "x", m.tensor([0], INT), m.tensor([1], INT)), "must take a part of a constant; lea"),
        (
            lambda m: m.add("Slice", m.tensor(np.ones(3)), *(m.tensor([i], INT) for i in (0, 1, 0, 0))),
            "must take steps other than 0",
        ),
        (lambda m: m.add("PRelu", "x", m.tensor(np.ones((2, 1, 1)) * [[[1]], [[2]]])), "must have one slope"),
        (lambda m: m.add("MatMul", "x", m.tensor(np.ones((6, 6)))), "must multiply vectors by a matrix"),
        (lambda m: m.add("Identity", "x"), "must be calculated, got the input itself"),
        (lambda m: m.add("Add", m.tensor([1.0]), m.tensor([2.0])), "must depend on the input"),
        (lambda m: m.add("Sub", "x", m.add("Transpose", "x", perm=[0, 1, 3, 2])), "one order of axes, got one of them"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_operators_that_no_graph_has(tmp_path, build, message):
    model, output = image(build)
    refused(model.save(tmp_path / "m.onnx", output), message)


def valid(shape=(3,)):
    model = Model(shape)
    return model.proto(model.add("Relu", model.add("Gemm", "x", model.tensor(np.ones((3, 2))))))


def stored(path, proto):
    path.write_bytes(proto.SerializeToString())
    return path


def with_input(*sides, kind=TensorProto.FLOAT):
    proto = valid()
    del proto.graph.input[:]
    proto.graph.input.append(helper.make_tensor_value_info("x", kind, sides))
    return proto


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (
            with_input("n", "width"),
            "input 'x' must have fixed sides behind the batch axis, got width; export it for one",
        ),
        (with_input("n", None), "must have fixed sides behind the batch axis, got an open side"),
        (with_input(8, 3), "^input 'x' must have an open batch axis or one of 1, got 8; export it for one row"),
        (with_input(3), "must have a batch axis and others behind it, got 1 axes"),
        (with_input("n", 3, kind=TensorProto.FLOAT16), "got FLOAT16; convert the model to float32"),
        (with_input("n", 3, kind=TensorProto.UINT8), "must be of float32 or float64, got UINT8; .*scale images"),
        (with_input("n", 1 << 40), "`input_shape`"),
    ],
)
def test_inputs_that_are_none(tmp_path, proto, message):
    with pytest.raises(ValueError, match=message):
        from_onnx(stored(tmp_path / "m.onnx", proto))


def test_opsets_and_domains(tmp_path):
    for version in (6, 9999):
        proto = valid()
        proto.opset_import[0].version = version
        refused(stored(tmp_path / "m.onnx", proto), f"must be of an opset from 7 to .*, got {version}; export it")
    proto = valid()
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "Scaler", "ai.onnx.ml"
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    refused(stored(tmp_path / "m.onnx", proto), r"ai\.onnx\.ml\.Scaler.*`from_sklearn`")


def test_several_inputs_and_outputs(tmp_path):
    more = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    model = Model((3,))
    output = model.add("Relu", "x")
    refused(model.save(tmp_path / "m.onnx", output, inputs=more[1:]), "must have one input, got 'x', 'y'; concatenate")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in (output, "x")]
    refused(model.save(tmp_path / "m.onnx", output, outputs=outputs), "must have one output, got 'relu0', 'x'; leave")
    model = Model((2, 4, 4))
    pooled = helper.make_node("MaxPool", ["x"], ["p", "places"], kernel_shape=[2, 2])
    model.nodes.append(pooled)
    end = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2, 3, 3])
    assert from_onnx(model.save(tmp_path / "m.onnx", "p", outputs=[end])).output_shape == (2, 3, 3)
    cast = helper.make_tensor_value_info("places", TensorProto.INT64, ["n", 2, 3, 3])
    refused(model.save(tmp_path / "m.onnx", "p", outputs=[cast]), "must have one output that is read, got 'places'")


def test_control_flow_and_functions(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, ["n", 3])]
    )
    model = Model((3,))
    output = model.add("If", model.tensor(True, bool), then_branch=branch, else_branch=branch)
    refused(model.save(tmp_path / "m.onnx", output), r"\(If, .*must not depend on values, got control flow")
    proto = valid()
    body = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    proto.functions.append(body)
    refused(
        stored(tmp_path / "m.onnx", proto), "must have no functions of its own, got 'F'; write the result of onnx.inl"
    )


def test_weights_in_other_files_and_of_other_types(tmp_path):
    proto = valid()
    onnx.save_model(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    refused(
        tmp_path / "m.onnx",
        "tensor 't0' must lie in the file itself, got external data; export it with external_data=False",
    )
    for dtype, message in ((np.float16, "must not be of a half type; convert"), (np.complex64, "got COMPLEX64")):
        proto = valid()
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((3, 2), dtype), "t0"))
        refused(stored(tmp_path / "m.onnx", proto), message)


def test_files_that_are_none(tmp_path):
    path, encoded = tmp_path / "m.onnx", valid().SerializeToString()
    for data in (b"", b"\0" * 100, b"PK\x03\x04" + bytes(100), encoded[:-20], b"text\n" * 100):
        path.write_bytes(data)
        refused(path, "file 'm.onnx' must be")
    with path.open("wb") as file:
        file.truncate(1 << 31)  # sparse: it has no bytes
    refused(path, "must have less than 2 GB, got 2147483648 bytes")
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "none.onnx")
    with pytest.raises(TypeError, match="`path` must be a string or a Path"):
        from_onnx(3)


def announcing(**dims):
    """A model whose weight announces sides that its bytes do not have."""
    proto = valid()
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(dims["sides"])
    return proto


def shape_of_constants(*sides):
    model = Model((3,))
    huge = model.add("ConstantOfShape", model.tensor(sides, INT))
    return model.proto(model.add("Mul", "x", huge))


def broadcast():
    model = Model((3,))
    column, row = (model.tensor(np.ones(shape)) for shape in ((1 << 16, 1), (1, 1 << 16)))
    return model.proto(model.add("Mul", "x", model.add("Mul", column, row)))


def doubled():
    model = Model((3,))
    x = model.tensor(np.zeros(1 << 10))
    for _ in range(30):
        x = model.add("Concat", x, x, axis=0)
    return model.proto(model.add("Mul", "x", x))


def padded():
    model = Model((1, 4, 4))
    return model.proto(model.add("Pad", "x", model.tensor([0, 0, 1 << 15, 1 << 15] * 2, INT)))


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (announcing(sides=[1 << 40, 1 << 20]), "must hold .* bytes for shape|must be valid ONNX"),
        (announcing(sides=[-1, 2]), "must have a shape|must be valid ONNX|must hold"),
        (shape_of_constants(1 << 30, 1 << 30), "must have at most 16777216 elements"),
        (shape_of_constants(-1), "must have at most"),
        (broadcast(), r"must give at most 16777216 elements, got shape \(65536, 65536\)"),
        (doubled(), "must give at most 16777216 elements"),
        (padded(), "does not fit: `output shape`"),
    ],
)
def test_sizes_are_checked_before_anything_is_made(tmp_path, proto, message):
    path = stored(tmp_path / "m.onnx", proto)
    from_onnx(stored(tmp_path / "good.onnx", valid()))  # modules are loaded
    tracemalloc.start()
    refused(path, message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e8  # what is in the file, and a constant below the limit; all would be some GB or more


def test_parameters_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "_MAX_PARAMETERS", 1 << 12)
    model, x = Model((16, 16)), "x"
    for _ in range(20):  # a row of factors stands for a whole image of them
        x = model.add("Mul", model.add("Relu", x), model.tensor(np.arange(16.0)[None]))
    refused(model.save(tmp_path / "m.onnx", x), "does not fit: a graph must have at most 4096 parameters")


def rewired(*edges):
    model = Model((3,))
    for read, made in edges:
        model.nodes.append(helper.make_node("Relu", [read], [made]))
    return model.proto(edges[-1][1], outputs=[helper.make_tensor_value_info(edges[-1][1], 1, ["n", 3])])


@pytest.mark.parametrize(
    "proto",
    [
        rewired(("b", "a"), ("a", "b")),
        rewired(("a", "a")),
        rewired(("nowhere", "a")),
        rewired(("x", "a"), ("x", "a")),
        rewired(("x", "x")),
    ],
)
def test_cycles_and_names_that_are_defined_twice(tmp_path, proto):
    refused(stored(tmp_path / "m.onnx", proto), "must be valid ONNX|must read what stands before it")


def test_long_files_take_no_recursion(tmp_path):
    model, x = Model((3,)), "x"
    for i in range(2000):
        x = model.add(["Relu", "Tanh", "Neg"][i % 3], x)
    doubled = x
    for _ in range(100):
        doubled = model.add("Add", doubled, doubled)
    assert len(from_onnx(model.save(tmp_path / "m.onnx", doubled)).nodes) > 1300
    for _ in range(100):
        x = model.add("Mul", x, model.add("Add", x, model.tensor(1)))
    refused(model.save(tmp_path / "m.onnx", x), "must be a function that a graph has")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_are_refused_or_read(tmp_path_factory, data):
    encoded = bytearray(valid().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    path.write_bytes(encoded)
    try:
        graph = from_onnx(path)
    except ValueError:  # ConversionError is one
        return
    assert np.isfinite(graph.logits(np.zeros((1, 3)))).all()
