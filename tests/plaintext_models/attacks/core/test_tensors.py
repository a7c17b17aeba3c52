"""Whatever holds numbers becomes the tensor that it stands for, or is refused by name."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plaintext_models.attacks.core.tensors import class_labels, dense, tensor

KINDS = ["<f4", ">f4", "<f8", ">f8", "<i2", ">i2", "<i8", ">i8", "u1", "?"]


@given(
    arrays.arrays(st.sampled_from([np.dtype(kind) for kind in KINDS]), st.sampled_from([(3,), (2, 3), (3, 1, 2)])),
    st.booleans(),
    st.booleans(),
)
def test_arrays_of_any_layout(values, backwards, frozen):
    given = values[..., ::-1] if backwards else values.T
    given.flags.writeable = not frozen
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = tensor(given, "values")
    np.testing.assert_array_equal(made.numpy(), given)
    assert made.numpy().dtype == given.dtype.newbyteorder("=")
    assert not np.shares_memory(made.numpy(), given)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[0.5, 1]], torch.float32),
        ([[1, 0.5]], torch.float32),
        (np.array([[0.5, 1]]).tolist(), torch.float32),
        ([np.array([0.5, 1])], torch.float64),
        ([torch.tensor([0.5, 1])], torch.float32),
        ((torch.tensor([0.5, 1], dtype=torch.float64),), torch.float64),
        (np.array([[0.5, 1]], np.longdouble), torch.float64),
    ],
)
def test_sequences_and_their_types(values, dtype):
    made = tensor(values, "values")
    assert made.dtype == dtype
    assert sorted(made.flatten().tolist()) == [0.5, 1]


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_torchs_default_device_is_not_asked(device):
    with torch.device(device):
        assert tensor(np.ones(2), "values").tolist() == [1, 1]
        assert class_labels([0, 1], "labels").tolist() == [0, 1]


@pytest.mark.parametrize("values", ["a", ["a"], None, [None], object(), {1: 2}, np.array([1, "a"], object), 2**70])
def test_what_holds_no_numbers(values):
    for read in (tensor, class_labels):
        with pytest.raises(TypeError, match=r"`some` must be a tensor, an array or nested lists of numbers, got"):
            read(values, "some")


def test_unequal_rows():
    with pytest.raises(ValueError, match="`some` must be an array, with rows of equal lengths"):
        tensor([[1, 2], [3]], "some")


@pytest.mark.filterwarnings("ignore")  # torch calls some of them prototypes
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.eye(2).to_sparse_csr(),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    ],
    ids=["sparse", "csr", "nested", "jagged"],
)
def test_tensors_that_are_not_dense(make):
    values = make()
    for read in (tensor, class_labels, dense):
        with pytest.raises(TypeError, match="`some` must be a dense tensor, got"):
            read(values, "some")


@pytest.mark.parametrize("make", [torch.arange, np.arange, lambda n: torch.arange(n, dtype=torch.uint8)])
def test_labels_are_a_copy(make):
    given = make(5)
    labels = class_labels(given, "labels")
    given += 1
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_tensors_made_in_inference_mode_can_be_saved():
    with torch.inference_mode():
        values, labels = tensor(torch.ones(2), "values"), class_labels(torch.arange(2), "labels")
    assert not values.is_inference()
    assert not labels.is_inference()
