import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Conv2d, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation, Requantise
from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from intnn.layers.nodes import Add, Concatenate, IntPolynomial, Reshape, Scale, SumPool2d
from intnn.testing import int_inputs, int_networks


def require_identical(network, x, path):
    """The model gives the network's logits, on given inputs and on those at the ends of the domain."""
    network.to_onnx(path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    lo, hi = network.input_domain.lo, network.input_domain.hi
    ends = [np.full((1, *network.input_shape), end) for end in (lo, hi)]
    mixed = np.random.default_rng(0).choice([lo, hi], (8, *network.input_shape))
    batch = np.concatenate([x, *ends, mixed, worst(network)])
    (found,) = session.run(["logits"], {"input": batch})
    assert found.dtype == np.int64
    assert np.array_equal(found, network.logits(batch))
    return {node.op_type for node in onnx.load(path).graph.node}


def worst(network):
    """Inputs that drive the sums of a first dense layer to both ends of their range."""
    first, domain = network.layers[0], network.input_domain
    if not isinstance(first, Dense):
        return np.full((1, *network.input_shape), domain.lo)
    high = np.where(first.weight > 0, domain.hi, domain.lo)
    return np.concatenate([high, np.where(first.weight > 0, domain.lo, domain.hi)])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_random_networks_give_identical_integers(tmp_path_factory, data):
    network = data.draw(int_networks())
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    require_identical(network, data.draw(int_inputs(network)), path)


@st.composite
def branched(draw):
    """A network with branches, joins, windows of any geometry, scales and polynomials."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, largest = draw(st.sampled_from([1, 2])), draw(st.sampled_from([3, 127, 255, 1 << 20]))

    def weights(*shape):
        return rng.integers(-largest, largest, shape, endpoint=True)

    side = st.integers(0, 2)
    convolution = Conv2d(
        weights(4, 2 // groups, draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        weights(4),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding=(draw(side), draw(side), draw(side), draw(side)),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        groups=groups,
    )
    rows = convolution.output_shape((2, 5, 6))[1]
    pool = SumPool2d((draw(st.integers(1, min(2, rows))), 1), draw(st.integers(1, 2)), (0, draw(side), 1, 0))
    degree = draw(st.integers(1, 3)) if largest < 1000 else 2
    polynomial = IntPolynomial((*(int(c) for c in rng.integers(-3, 4, degree)), draw(st.sampled_from([1, -2]))))
    layers = [convolution, pool, polynomial, Scale(weights(4) % 5, weights(4)), Add(), Concatenate(), Flatten()]
    inputs = [(-1,), (0,), (1,), (1,), (2, 3, 1), (4, 3), (5,)]
    lo = draw(st.sampled_from([0, -4, -128, 100]))
    domain = IntDomain(lo, lo + draw(st.sampled_from([1, 15, 255])))
    return IntNetwork((2, 5, 6), domain, tuple(layers), inputs=tuple(inputs))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_branches_windows_and_polynomials(tmp_path_factory, data):
    network = data.draw(branched())
    path = tmp_path_factory.getbasetemp() / "branched.onnx"
    if network.accumulator_bound >= 1 << 63:
        with pytest.raises(ValueError, match=r"must have all values below 2\*\*63 to be an ONNX model"):
            network.to_onnx(path)
    else:
        require_identical(network, data.draw(int_inputs(network)), path)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-128, 127), (-255, 0), (3, 250)])
@pytest.mark.parametrize("weights", [(-128, 127), (0, 255), (-255, 0), (-127, 128)])
def test_whole_bytes_do_not_saturate(tmp_path, low, high, weights):
    rng = np.random.default_rng(0)
    dense = Dense(rng.choice(weights, (3, 300)), rng.integers(-9, 9, 3))
    network = IntNetwork((300,), IntDomain(low, high), (dense,))
    assert "MatMulInteger" in require_identical(network, np.full((1, 300), high), tmp_path / "m.onnx")
    convolution = Conv2d(rng.choice(weights, (3, 4, 3, 3)), rng.integers(-9, 9, 3), 2, 1)
    network = IntNetwork((4, 7, 7), IntDomain(low, high), (convolution,))
    assert "ConvInteger" in require_identical(network, np.full((1, 4, 7, 7), high), tmp_path / "c.onnx")


def test_what_is_wider_than_bytes_is_int64(tmp_path):
    for domain, weight in ((IntDomain(0, 256), 1), (IntDomain(0, 1), 256), (IntDomain(-1, 255), 1)):
        network = IntNetwork((2,), domain, (Dense(np.full((1, 2), weight), [0]),))
        assert "MatMul" in require_identical(network, np.zeros((1, 2), int), tmp_path / "m.onnx")
    wide = IntNetwork((4,), IntDomain(0, 255), (Dense(np.full((1, 4), 255), [1 << 60]),))
    assert "MatMulInteger" not in require_identical(wide, np.zeros((1, 4), int), tmp_path / "m.onnx")


def test_sums_near_the_end_of_int64(tmp_path):
    network = IntNetwork((2,), IntDomain(-7, 7), (Dense([[2**59, 2**59 - 3], [-(2**58), 5]], [1, -1]),))
    require_identical(network, np.array([[7, -7]]), tmp_path / "m.onnx")


@given(st.integers(0, 62), st.integers(-(2**40), 2**40), st.integers(-9, 0), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_rescaling_rounds_alike(tmp_path_factory, shift, multiplier, lo, hi):
    network = IntNetwork((9,), IntDomain(-9, 9), (Requantise([multiplier], shift, IntDomain(lo, hi)),))
    require_identical(network, np.arange(-4, 5)[None], tmp_path_factory.getbasetemp() / "rescaled.onnx")


def test_saturation_beyond_32_bits(tmp_path):
    # onnxruntime 1.31 compares vectors of int64 by their lower halves in Clip, Min and Max.
    network = IntNetwork((9,), IntDomain(-9, 9), (Requantise([238609295], 0, IntDomain(0, 1)),))
    require_identical(network, np.arange(-4, 5)[None], tmp_path / "m.onnx")


def test_sums_of_windows_beyond_53_bits(tmp_path):
    layers = (Conv2d([[[[2**54 + 1]]]], [0]), SumPool2d(2, 1))
    require_identical(IntNetwork((1, 3, 3), IntDomain(0, 3), layers), np.ones((1, 1, 3, 3), int), tmp_path / "m.onnx")


def test_tables_on_rings_and_shapes(tmp_path):
    table = Lut(IntDomain.ring(5), [7, -(2**62), 0, 3, 2**62])
    layers = (Reshape((2, 3)), LutActivation(table), Flatten())
    network = IntNetwork((6,), IntDomain.ring(5), layers)
    require_identical(network, np.array([[-2, -1, 0, 1, 2, 0]]), tmp_path / "m.onnx")


def test_what_the_file_says_of_itself(tmp_path):
    network = IntNetwork((2,), IntDomain(0, 3), (Flatten(),), 3.0, "net", {"classes": ["a", "b"]})
    network.to_onnx(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["input_domain"]) == [0, 3, None]
    assert float(said["input_scale"]) == 3.0
    assert json.loads(said["metadata"]) == {"classes": ["a", "b"]}
    assert (model.graph.name, model.graph.input[0].name, model.graph.output[0].name) == ("net", "input", "logits")
    with pytest.raises(ConversionError, match="input 'input' must be of float32 or float64, got INT64"):
        from_onnx(tmp_path / "m.onnx")


def test_files_appear_whole_or_not_at_all(tmp_path):
    network = IntNetwork((2,), IntDomain(0, 3), (Flatten(),))
    with pytest.raises(FileNotFoundError, match="must be a folder that exists"):
        network.to_onnx(tmp_path / "none" / "m.onnx")
    with pytest.raises(TypeError, match="`path` must be a string or a Path"):
        network.to_onnx(3)
    huge = IntNetwork((2,), IntDomain(0, 2**40), (IntPolynomial((0, 0, 1)),))
    with pytest.raises(
        ValueError, match=r"below 2\*\*63 to be an ONNX model, got 1208925819614629174706176; use fewer"
    ):
        huge.to_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
