import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intnn import Activation, Conv2d, Dense, Flatten, IntPolynomial, LutActivation, Reshape, Scale, SumPool2d
from intnn.layers.nodes import Node
from intnn.ops import numpy_
from intnn.testing import float_arrays

W, B = np.ones((2, 3)), np.zeros(2)
KERNEL = np.ones((2, 3, 2, 2))
# Sums of at most 19 products of magnitude 16 in float64, in another order than torch's.
TOLERANCE = 1e-12


@given(st.data(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(2, 6))
def test_convolution_is_torch_s(data, channels, size, stride, padding, side):
    size = min(size, side)
    x = data.draw(float_arrays((2, channels, side, side + 1)))
    node = Conv2d(data.draw(float_arrays((2, channels, size, size))), data.draw(float_arrays((2,))), stride, padding)
    tensors = (torch.tensor(a) for a in (x, node.weight, node.bias))
    expected = torch.nn.functional.conv2d(*tensors, stride=stride, padding=padding).numpy()
    y = node.apply(x, numpy_)
    assert y.shape == (2, *node.output_shape(x.shape[1:])) == expected.shape
    assert np.abs(y - expected).max() <= TOLERANCE


@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(3, 6))
def test_pooling_is_torch_s_average_times_the_window(data, size, stride, side):
    x = data.draw(float_arrays((2, 2, side, side + 1)))
    node = SumPool2d(size, stride)
    expected = torch.nn.functional.avg_pool2d(torch.tensor(x), size, stride).numpy() * size**2
    y = node.apply(x, numpy_)
    assert y.shape == (2, *node.output_shape(x.shape[1:])) == expected.shape
    assert np.abs(y - expected).max() <= TOLERANCE


@given(float_arrays((3, 2, 2, 3)), st.data())
def test_dense_after_flatten_is_torch_s(x, data):
    node = Dense(data.draw(float_arrays((4, 12))), data.draw(float_arrays((4,))))
    flat = Flatten().apply(x, numpy_)
    assert flat.shape == (3, *Flatten().output_shape(x.shape[1:]))
    expected = torch.nn.functional.linear(*(torch.tensor(a) for a in (x.reshape(3, -1), node.weight, node.bias)))
    assert np.abs(node.apply(flat, numpy_) - expected.numpy()).max() <= TOLERANCE


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "square"])
@given(x=float_arrays((5,), 1000.0))
def test_activations_are_torch_s(name, x):
    expected = getattr(torch, name)(torch.tensor(x)).numpy()
    # A few ulps between two implementations of tanh and exp; squares reach 1e6 and are rounded alike.
    assert np.abs(Activation(name).apply(x) - expected).max() <= 1e-15


def test_a_polynomial_has_ascending_coefficients():
    assert Activation("polynomial", (1, 2, 3)).apply(np.array([0.0, 2.0])).tolist() == [1.0, 17.0]


def test_pool_steps_by_its_size_unless_told():
    assert SumPool2d(3).step == 3
    assert SumPool2d(3) == SumPool2d(3, 3)
    assert SumPool2d(3, 1).step == 1


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Dense(W, B[:1]), ValueError, r"`bias` must have shape \(2,\), one value per output, got \(1,\)"),
        (lambda: Dense(W[0], B), ValueError, r"`weight` must have shape \[out, in\]"),
        (lambda: Dense(W[:0], B[:0]), ValueError, "without empty axes"),
        (lambda: Dense(W * np.nan, B), ValueError, "`weight` must be finite"),
        (lambda: Dense(W, B + np.inf), ValueError, "`bias` must be finite"),
        (lambda: Dense(W, B.astype(int)), TypeError, "`bias` must hold floats, got dtype int64"),
        (lambda: Dense(W.astype(int), B), TypeError, "`bias` must hold integers, got dtype float64"),
        (lambda: Dense(W > 0, B), TypeError, "`weight` must hold integers, got dtype bool"),
        (lambda: Dense(W.astype(complex), B), TypeError, "`weight` must hold integers, got dtype complex128"),
        (lambda: Conv2d(W, B), ValueError, r"`weight` must have shape \[out, in, kh, kw\]"),
        (lambda: Conv2d(KERNEL, B, stride=0), ValueError, "`stride` must lie in"),
        (lambda: Conv2d(KERNEL, B, padding=-1), ValueError, "`padding` must lie in"),
        (lambda: Conv2d(KERNEL, B, stride=1.5), TypeError, "`stride` must be an integer, got 1.5"),
        (lambda: SumPool2d(0), ValueError, "`size` must lie in"),
        (lambda: SumPool2d(2, "2"), TypeError, "`stride` must be an integer, got '2'"),
        (
            lambda: Activation("swish"),
            ValueError,
            "`name` must be one of relu, leaky_relu, elu, .*, got 'swish'",
        ),
        (lambda: Activation("relu", (1.0,)), ValueError, r"`coefficients` must be empty for relu, got \(1.0,\)"),
        (lambda: Activation("hardtanh", (1.0,)), ValueError, r"`coefficients` must be \(low, high\) for hardtanh, got"),
        (lambda: Activation("hardtanh", (1.0, 0.0)), ValueError, "`coefficients` must be in order for a hardtanh"),
        (lambda: Activation("polynomial"), ValueError, "`coefficients` must be given for a polynomial, got none"),
        (lambda: IntPolynomial((1,)), ValueError, "`coefficients` must have a degree from 1 to 64"),
        (lambda: IntPolynomial((1, 2, 0)), ValueError, "not end in zero"),
        (lambda: IntPolynomial((1.0, 2.0)), TypeError, "`coefficients` must be an integer"),
        (lambda: Scale(np.ones(2), np.ones(3)), ValueError, r"`bias` must have shape \(2,\)"),
        (lambda: Conv2d(np.ones((3, 1, 2, 2)), np.ones(3), groups=2), ValueError, "`groups` must divide the 3 outputs"),
        (
            lambda: Conv2d(np.ones((3, 1, 2, 2)), np.ones(3), padding=(1, 2)),
            ValueError,
            "`padding` must be one integer",
        ),
        (lambda: Reshape(3), TypeError, "`shape` must be a tuple"),
        (lambda: Activation("polynomial", (np.nan,)), ValueError, "`coefficients` must be finite"),
        (lambda: LutActivation([1, 2]), TypeError, "`lut` must be a Lut, got list"),
    ],
)
def test_what_is_no_layer(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("node", "shape", "message"),
    [
        (Dense(W, B), (4,), r"Dense\(3 -> 2\) must have an input of shape \(3,\), got \(4,\)"),
        (Dense(W, B), (3, 1, 1), r"must have an input of shape \(3,\)"),
        (Conv2d(KERNEL, B), (1, 4, 4), r"must have an input of shape \(3, height, width\), got \(1, 4, 4\)"),
        (Conv2d(KERNEL, B), (3, 1, 4), "must have an input at least as large as its window"),
        (SumPool2d(2), (1, 1, 4), "must have an image of at least 2 x 2"),
        (SumPool2d(2), (8,), "must have an image of at least 2 x 2"),
    ],
)
def test_shapes_that_do_not_fit(node, shape, message):
    with pytest.raises(ValueError, match=message):
        node.output_shape(shape)


def test_parameters_are_private_and_read_only():
    weight = W.copy()
    node = Dense(weight, B)
    weight[:] = 7
    assert node.weight.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        node.weight[0, 0] = 7


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32])
def test_parameters_are_stored_in_one_of_two_types(dtype):
    node = Dense(W.astype(dtype), B.astype(dtype))
    assert node.weight.dtype == node.bias.dtype == (np.float64 if dtype is np.float32 else np.int64)
    assert isinstance(node, Node)


@pytest.mark.parametrize("coefficients", [[1, 2.0], np.array([1.0, 2.0]), (np.float32(1), np.int64(2))])
def test_coefficients_may_be_any_numbers(coefficients):
    assert Activation("polynomial", coefficients) == Activation("polynomial", (1.0, 2.0))


@pytest.mark.parametrize("coefficients", [3.0, None, ("a",), (True,), (1j,)])
def test_what_are_no_coefficients_is_named(coefficients):
    with pytest.raises(TypeError, match="`coefficients` must be"):
        Activation("polynomial", coefficients)
