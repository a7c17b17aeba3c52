"""Inputs of another scale than the samples raise a warning, and no others do."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intnn import Dense, Graph, IntDomain, IntNetwork, QuantConfig, calibrate, quantise
from intnn.estimator.scaling import Scaling
from intnn.network.scale import FAR, MANY, ROWS, SMALL, warn_of_scale

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 1, 6, 6)) * (RNG.random((20, 1, 6, 6)) < 0.3) / 255  # mostly background
TABLE = RNG.normal(size=(40, 3)) * [1.0, 300.0, 0.01] + [5.0, 1000.0, 0.1]
FAR_OUT, ODD, TINY = "far outside", "in feature", "less than a hundredth"

batches = arrays(np.float64, st.tuples(st.integers(1, 24), st.integers(1, 12)), elements=st.floats(-1e3, 1e3))


def ends_of(samples):
    return samples.min(axis=0), samples.max(axis=0)


@pytest.mark.parametrize(
    ("x", "low", "high", "said"),
    [
        (IMAGES * 255, 0.0, 1.0, FAR_OUT),
        (IMAGES[:1] * 255, 0.0, 1.0, FAR_OUT),
        (IMAGES * 255, -1.0, 1.0, FAR_OUT),
        (IMAGES * 255, -0.4, 2.8, FAR_OUT),
        (IMAGES, 0.0, 255.0, TINY),
        (IMAGES / 255, 0.0, 1.0, TINY),
        (2 * IMAGES - 1, -255.0, 255.0, TINY),
        (TABLE, *ends_of((TABLE - TABLE.mean(axis=0)) / TABLE.std(axis=0)), ODD),
        ((TABLE - TABLE.mean(axis=0)) / TABLE.std(axis=0), *ends_of(TABLE), ODD),
        (TABLE, -4.0, 4.0, ODD),
        (TABLE * [1, 100, 1], *ends_of(TABLE), r"feature\(s\) 1;"),
    ],
)
def test_another_scale_is_seen(x, low, high, said):
    with pytest.warns(UserWarning, match=said) as found:
        warn_of_scale(x, low, high)
    assert len(found) == 1
    assert "scale them as its samples were" in str(found[0].message)


@given(batches, st.floats(-FAR, FAR), st.booleans())
def test_no_shift_of_samples_raises_a_doubt(samples, widths, each):
    low, high = ends_of(samples) if each else (samples.min(), samples.max())
    warn_of_scale(samples + 0.999 * widths * (np.asarray(high) - low), low, high)


@given(batches, st.floats(0.0, 1.0 + FAR))
def test_no_small_factor_raises_a_doubt(samples, factor):
    end = np.abs(samples).max()
    warn_of_scale(samples * factor * (factor > SMALL), -end, end)
    warn_of_scale(np.abs(samples) * factor * (factor > SMALL), 0.0, end)


@given(batches, st.data())
def test_what_concerns_half_of_the_values_raises_no_doubt(samples, data):
    end = np.abs(samples).max()
    places = data.draw(arrays(np.bool_, samples.shape))
    for column in range(samples.shape[1]):  # at most half of each, and of those that are not zero
        some = np.flatnonzero(places[:, column] & (samples[:, column] != 0))
        places[:, column] = False
        places[some[: np.count_nonzero(samples[:, column]) // 2], column] = True
    warn_of_scale(np.where(places, samples * 1e6, samples), -end, end)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 8)), elements=st.sampled_from([0.0, 0.0, 0.0, 1e4]))
)
def test_marks_and_constant_inputs_raise_no_doubt(marks):
    for low, high in ((0.0, 1.0), (-3.0, 3.0), (0.0, 1e9)):
        warn_of_scale(marks, low, high)


@pytest.mark.parametrize(
    "x",
    [
        IMAGES[:1] * 0.003,  # one dark image, of floats
        np.minimum(IMAGES, 1 / 255),  # many, of bytes
        np.zeros_like(IMAGES),
        np.full_like(IMAGES, 0.001),
        np.concatenate([IMAGES[:3] * 0.003, np.zeros_like(IMAGES)]),  # and nothing beside them
        np.where(np.arange(36).reshape(6, 6) == 7, IMAGES * 1e6, IMAGES),  # a broken pixel
        np.concatenate([IMAGES[:15] * 1e3, IMAGES[:1] / 255, IMAGES, IMAGES]),  # fewer than the others
    ],
)
def test_rare_images_raise_no_doubt(x):
    warn_of_scale(x, 0.0, 1.0)


def test_a_sparse_feature_raises_no_doubt_where_it_is_seldom_seen():
    """Though samples had none of it, so that its range is of zeros alone but for a margin."""
    x = np.zeros((100, 2))
    x[:, 0] = RNG.random(100)
    x[:40, 1] = 1000 + np.arange(40)
    warn_of_scale(x, np.array([0.0, -0.25]), np.array([1.0, 1.25]))


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (-1.7e308, 1.7e308)])
def test_a_range_of_one_value_or_of_all_floats_has_no_scale(low, high):
    warn_of_scale(RNG.normal(size=(MANY, ROWS)) * 1e300, low, high)


def network(x, **config):
    graph = Graph((36,), (Dense(RNG.normal(size=(3, 36)), np.zeros(3)),))
    return quantise(graph, calibrate(graph, x), QuantConfig(**config))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_every_way_in_of_floats_has_the_warning(bits):
    x = IMAGES.reshape(20, 36)
    small, large = network(x, input_bits=bits), network(x * 255, input_bits=bits)
    for given_network, good, bad, said in ((small, x, x * 255, FAR_OUT), (large, x * 255, x, TINY)):
        given_network.quantise_input(good)
        with pytest.warns(UserWarning, match=said):
            rounded = given_network.quantise_input(bad)
        with pytest.warns(UserWarning, match=said):
            given_network.real_logits(bad)
        assert (given_network.round_input(bad) == rounded).all()
    scaling = Scaling.of(TABLE, IntDomain(0, 255))
    scaling(TABLE)
    with pytest.warns(UserWarning, match=FAR_OUT):
        scaling(TABLE * 100)
    metadata = {"scaling": {"least": scaling.least.tolist(), "step": scaling.step.tolist()}}
    layer = Dense(np.ones((1, 3), np.int64), np.zeros(1, np.int64))
    by_feature = IntNetwork((3,), IntDomain(0, 255), (layer,), metadata=metadata)
    by_feature.quantise_input(TABLE)
    with pytest.warns(UserWarning, match=ODD):
        by_feature.quantise_input(TABLE * [1, 100, 1])


def test_a_line_of_the_caller_is_shown_once():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        small = network(IMAGES.reshape(20, 36))
        for images in (IMAGES, IMAGES[:3], IMAGES[:1]):
            small.quantise_input(images.reshape(-1, 36) * 255)
    assert len(found) == 1
    assert found[0].filename == __file__
