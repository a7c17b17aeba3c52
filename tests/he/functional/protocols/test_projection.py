"""Projections to bytes are exact, follow from public examples alone, and train through keys as they do in the clear."""

import pickle
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.errors import BudgetError
from he.functional.parties.authority import Authority
from he.functional.protocols.projection import (
    BYTES,
    MANY,
    ByteScaling,
    Projection,
    classifier_for,
    fit_projection,
    train,
)
from intnn import IntClassifier, IntDomain
from intnn.testing import int_arrays
from tests.he.functional.protocols.sources import Clear, Parties, digits

SUM = (1 << 38) - 1
ONE = ByteScaling(np.zeros(2, np.int64), np.ones(2, np.int64), 0)


def assert_same_network(left: IntClassifier, right: IntClassifier) -> None:
    assert left.network_.fingerprint == right.network_.fingerprint


@st.composite
def scalings(draw_, rank):
    centre = draw_(int_arrays((rank,), -SUM, SUM))
    return ByteScaling(centre, draw_(int_arrays((rank,), 0, 1 << 22)), draw_(st.integers(0, 60)))


@given(st.data(), st.integers(1, 4), st.sampled_from([SUM, 10_000, 20]))
def test_bytes_are_rounded_quotients_saturated(data, rank, largest):
    scaling, z = data.draw(scalings(rank)), data.draw(int_arrays((5, rank), -largest, largest))
    exact = [
        [floor(Fraction((a - c) * g, 1 << scaling.shift) + Fraction(1, 2)) for a, c, g in columns]
        for row in z.tolist()
        for columns in [zip(row, scaling.centre.tolist(), scaling.gain.tolist(), strict=True)]
    ]
    assert scaling(z).tolist() == [[min(max(value, -127), 127) for value in row] for row in exact]


@settings(max_examples=40)
@given(st.sampled_from([0, 0.25, 0.5, 1]), st.integers(0, 2**32), st.integers(1, 25))
def test_deviations_become_their_powers_and_the_largest_three_are_127(power, seed, bits):
    rng = np.random.default_rng(seed)
    deviations = 2.0 ** np.array([bits, bits + 1.5, bits + 4])
    z = np.rint(rng.normal(rng.integers(-1000, 1000), deviations, (400, 3))).astype(np.int64)
    scaling = ByteScaling.of(np.column_stack([z, np.full(400, 7)]), power)
    gain = np.ldexp(scaling.gain[:3].astype(float), -scaling.shift)
    after = gain * z.std(axis=0)
    assert np.allclose(after / after[2], (z.std(axis=0) / z[:, 2].std()) ** power, rtol=1e-3)
    assert np.isclose(3 * after.max(), 127, rtol=1e-5)
    assert scaling.gain[3] == 0
    assert np.abs(scaling.centre[:3] - z.mean(axis=0)).max() <= 0.5


@given(st.data(), st.integers(1, 3), st.integers(1, 5))
def test_a_projection_is_scaled_inner_products(data, rank, features):
    matrix = data.draw(int_arrays((rank, features), -127, 127))
    projection = Projection(matrix, data.draw(scalings(rank)))
    x = data.draw(int_arrays((4, features), -(1 << 15), (1 << 15) - 1))
    z = [[sum(a * b for a, b in zip(row, y, strict=True)) for y in matrix.tolist()] for row in x.tolist()]
    assert np.array_equal(projection(x), projection.scaling(np.array(z)))
    assert projection.rank == rank


def test_principal_components_are_those_of_the_public_examples():
    public, _ = digits(300)
    projection = fit_projection(public, 12)
    assert (projection.matrix.max(axis=1) == 127).all()
    assert (np.abs(projection.matrix).max(axis=1) == 127).all()
    centred = public - public.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:12]
    rows = projection.matrix / np.linalg.norm(projection.matrix, axis=1, keepdims=True)
    assert (np.abs((rows * components).sum(axis=1)) > 0.9999).all()


def test_components_do_not_depend_on_the_size_or_the_place_of_the_examples():
    public, _ = digits(300)
    assert np.abs(fit_projection(public, 8).matrix - fit_projection(3 * public - 20, 8).matrix).max() <= 1


@given(st.integers(0, 2**63 - 1), st.integers(1, 8))
def test_random_signs_follow_from_their_seed(seed, rank):
    public = np.arange(64).reshape(4, 16) % 7
    projection = fit_projection(public, rank, "random", seed=seed)
    assert projection.matrix.shape == (rank, 16)
    assert (np.abs(projection.matrix) == 1).all()
    assert np.array_equal(projection.matrix, fit_projection(public[::-1], rank, "random", seed=seed).matrix)


def test_random_signs_of_two_seeds_and_of_two_rows_differ_in_half_of_all_places():
    public = np.random.default_rng(0).integers(0, 10, (5, 4096))
    one, other = (fit_projection(public, 2, "random", seed=seed).matrix for seed in (0, 1))
    for left, right in ((one, other), (one[0], one[1]), (one, np.ones_like(one))):
        assert 0.45 < (left != right).mean() < 0.55


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from(["principal", "random"]))
def test_training_asks_for_its_keys_once_and_has_the_bits_of_training_in_the_clear(seed, rank, kind):
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(0, 10, (30, 6)), np.array(["left", "right", "left"])[np.arange(30) % 3]
    projection, products = fit_projection(x[:10], rank, kind), Clear(x)
    classifier = IntClassifier((3,), epochs=2, batch_size=8, input_domain=BYTES)
    trained = train(projection, products, labels, classifier)
    assert products.asked == [(0, 30)]
    assert products.keys_issued == rank
    inputs = projection(x)
    twin = IntClassifier((3,), epochs=2, batch_size=8, input_domain=BYTES).fit(inputs, labels)
    assert_same_network(trained, twin)
    assert trained.predict(inputs).tolist() == twin.predict(inputs).tolist()


@pytest.mark.parametrize(("name", "examples", "rank"), [("rlwe", 1437, 32), ("pads", 1437, 32), ("ddh", 10, 2)])
def test_digits_train_through_real_keys_to_the_bits_of_training_in_the_clear(tmp_path, name, examples, rank):
    x, labels = digits(examples)
    projection = fit_projection(x[:300], rank)
    with Authority(tmp_path / "journal") as authority:
        products = Parties(authority, name, IntDomain(0, 16), ("here", "there")).products(x, "projection", rank)
        trained = train(projection, products, labels)
        assert authority.exposure("data").rank_issued == rank
    assert_same_network(trained, classifier_for(examples).fit(projection(x), labels))


def test_a_projection_beyond_the_budget_is_refused(tmp_path):
    x, labels = digits(40)
    with Authority(tmp_path / "journal") as authority:
        products = Parties(authority, "pads", IntDomain(0, 16)).products(x, "projection", 7)
        with pytest.raises(BudgetError):
            train(fit_projection(x, 8), products, labels)
        assert products.keys_issued == authority.exposure("data").keys_issued == 0
        train(fit_projection(x, 7), products, labels)


def test_half_the_rank_of_digits_is_enough_to_read_them():
    x, labels = digits(1437)
    unseen, answers = digits(360, "test")
    projection = fit_projection(x[:300], 32)
    trained = train(projection, Clear(x), labels)
    assert (trained.predict(projection(unseen)) == answers).mean() >= 0.95


def test_classifiers_grow_with_the_number_of_examples():
    few, many = classifier_for(MANY - 1), classifier_for(MANY)
    assert few.layers < many.layers
    assert few.batch_size < many.batch_size
    assert few.input_domain == many.input_domain == BYTES


def test_stored_projections_are_made_anew():
    projection = fit_projection(digits(50)[0], 4)
    stored = pickle.loads(pickle.dumps(projection))
    x, _ = digits(20, "test")
    assert np.array_equal(stored(x), projection(x))
    for values in (stored.matrix, stored.scaling.centre, stored.scaling.gain):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


@pytest.mark.parametrize(
    ("public", "rank", "arguments", "message"),
    [
        (np.ones((1, 4), int), 1, {}, "`public` must hold at least two examples, got 1"),
        (np.ones((3, 4), int), 1, {}, "examples that differ in their projections"),
        (np.ones(4, int), 1, {}, r"`public` must have shape \[n, features\], got \[4\]"),
        (np.ones((3, 0), int), 1, {}, r"`public` must have shape \[n, features\], got \[3, 0\]"),
        (np.full((3, 4), 1 << 15), 1, {}, "`public` must lie in"),
        (np.eye(3, 4, dtype=int), 3, {}, r"`rank` must lie in \[1, 2\], got 3"),
        (np.eye(6, 4, dtype=int), 5, {}, r"`rank` must lie in \[1, 4\], got 5"),
        (np.eye(3, 4, dtype=int), 5, {"kind": "random"}, r"`rank` must lie in \[1, 4\], got 5"),
        (np.eye(3, 4, dtype=int), 0, {"kind": "random"}, r"`rank` must lie in \[1, 4\], got 0"),
        (np.eye(3, 4, dtype=int), 1, {"kind": "random", "seed": -1}, "`seed` must lie in"),
        (np.eye(3, 4, dtype=int), 1, {"kind": "pca"}, '`kind` must be "principal" or "random", got \'pca\''),
        (np.eye(3, 4, dtype=int), 1, {"power": 1.5}, r"`power` must lie in \[0, 1\], got 1.5"),
    ],
)
def test_projections_that_cannot_be_found_are_refused(public, rank, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_projection(public, rank, **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Projection(np.ones((3, 4), int), ONE), r"`matrix` must have shape \[2, features\]"),
        (lambda: Projection(np.ones((2, 0), int), ONE), r"`matrix` must have shape \[2, features\]"),
        (lambda: Projection(np.full((2, 4), 128), ONE), r"`matrix` must lie in \[-127, 127\], got 128"),
        (lambda: ByteScaling(ONE.centre, ONE.gain[:1], 0), "`centre` and `gain` must have one shape"),
        (lambda: ByteScaling(ONE.centre - SUM - 1, ONE.gain, 0), "`centre` must lie in"),
        (lambda: ByteScaling(ONE.centre, ONE.gain - 2, 0), "`gain` must lie in"),
        (lambda: ByteScaling(ONE.centre, ONE.gain << 23, 0), "`gain` must lie in"),
        (lambda: ByteScaling(ONE.centre, ONE.gain, 61), r"`shift` must lie in \[0, 60\], got 61"),
        (lambda: ONE(np.ones((1, 3), int)), r"`z` must have shape \[n, 2\], got \[1, 3\]"),
        (lambda: ONE(np.full((1, 2), SUM + 1)), "`z` must lie in"),
        (lambda: Projection(np.ones((2, 4), int), ONE)(np.ones((1, 3), int)), r"`x` must have shape \[n, 4\]"),
        (lambda: Projection(np.ones((2, 4), int), ONE)(np.full((1, 4), 1 << 15)), "`x` must lie in"),
    ],
)
def test_what_is_no_projection_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_projection_without_a_scaling_is_refused():
    with pytest.raises(TypeError, match="`scaling` must be a ByteScaling"):
        Projection(np.ones((1, 4), int), None)
