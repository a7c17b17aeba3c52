"""Examples that weigh more or less, probabilities, and learning that goes on."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import IntClassifier, IntDomain
from intnn.training.examples import MOST_REPEATS, Examples, repeats_of


def blobs(n=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return np.clip(labels[:, None] * 80 + rng.integers(-20, 21, (n, 4)) + 40, 0, 255), labels


def small(**options):
    return IntClassifier(**{"layers": (6,), "epochs": 2, "batch_size": 8, "backend": "numpy", **options})


def bits(classifier):
    return classifier.network_.fingerprint


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.integers(1, 40), st.sampled_from([int, float]))
def test_whole_weights_are_numbers_of_times(counts, batch_size, kind):
    X, y = blobs(12)
    counts = np.array(counts)
    if len(set(y[counts > 0])) < 2:
        return
    weighted = small(batch_size=batch_size).fit(X, y, counts.astype(kind))
    repeated = small(batch_size=batch_size).fit(X.repeat(counts, axis=0), y.repeat(counts))
    assert bits(weighted) == bits(repeated)
    assert weighted.classes_.tolist() == repeated.classes_.tolist()


def test_weights_all_alike_change_nothing():
    X, y = blobs()
    for weight in (1, 0.3, 1 / 60, 1e-300):
        assert bits(small().fit(X, y, np.full(60, weight))) == bits(small().fit(X, y))


def test_a_weight_of_zero_leaves_an_example_out_of_the_scaling_as_well():
    X, y = blobs()
    far = np.vstack([X / 255, np.full((1, 4), 1e6)])
    weighted = small(scaling="minmax").fit(far, [*y, 0], [*np.ones(60), 0])
    assert bits(weighted) == bits(small(scaling="minmax").fit(X / 255, y))
    assert np.array_equal(weighted.scaling_.least, small(scaling="minmax").fit(X / 255, y).scaling_.least)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.integers(0, 2**63), st.integers(0, 99))
def test_an_epoch_shows_proportions_rounded_up_or_down(weights, seed, epoch):
    n, weights = len(weights), np.array(weights)
    repeats = repeats_of(weights)
    examples = Examples.of(np.zeros((n, 1, 1, 1), np.int64), np.zeros(n, np.int64), IntDomain(0, 1), repeats)
    seen = np.bincount(np.concatenate([*examples.batches(1, seed, epoch)]), minlength=n)
    is_whole = bool((weights == np.rint(weights)).all())
    assert len(np.concatenate([*examples.batches(1, seed, epoch)])) == (weights.sum() if is_whole else n)
    expected = weights if is_whole else weights * n / weights.sum()
    # Rounded up or down; and a share may end within 2^-32 of a whole number.
    assert (np.abs(seen - expected) < 1 + 1e-9 * n).all()


def test_over_many_epochs_everything_is_shown_as_often_as_it_weighs():
    weights = np.array([0.5, 1.25, 3.0, 0.01, 2.2])
    examples = Examples.of(
        np.zeros((5, 1, 1, 1), np.int64), np.zeros(5, np.int64), IntDomain(0, 1), repeats_of(weights)
    )
    seen = sum(np.bincount(np.concatenate([*examples.batches(1, 3, epoch)]), minlength=5) for epoch in range(4000))
    # Of 4000 draws, whose share has a deviation below 1 / (2 sqrt(4000)): five of these.
    np.testing.assert_allclose(seen / 4000, weights * 5 / weights.sum(), atol=5 / (2 * 4000**0.5))


def test_fractions_train_to_the_same_bits_on_every_backend():
    X, y = blobs(30)
    weights = np.random.default_rng(0).random(30)
    assert len({bits(small(backend=b, epochs=1).fit(X, y, weights)) for b in ("reference", "numpy", "numba")}) == 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(6), "must not be zero for every example"),
        (-np.ones(6), "must be finite and not negative"),
        (np.full(6, np.nan), "must be finite and not negative"),
        (np.full(6, np.inf), "must be finite and not negative"),
        (np.ones(5), r"must hold 6 numbers, .*\(5,\)"),
        (np.ones((6, 1)), r"must hold 6 numbers, .*\(6, 1\)"),
        (1.0, "must hold 6 numbers"),
        (["a"] * 6, "must hold 6 numbers"),
        (np.full(6, MOST_REPEATS), "must add up to at most"),
        (np.full(6, 1e308), "must add up to at most .*, got inf; divide them"),
        ([1, 0, 0, 1, 0, 0], "at least two classes"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    X, y = blobs(6)
    with pytest.raises(ValueError, match=message):
        small().fit(X, y, weights)
    if "add up" not in message and "classes" not in message:
        with pytest.raises(ValueError, match=message):
            small().fit(X, y).score(X, y, weights)


def test_a_score_weighs_its_answers():
    X, y = blobs()
    model = small(epochs=20).fit(X, y)
    right = model.predict(X) == (wrong := np.where(np.arange(60) < 15, (y + 1) % 3, y))
    weights = np.arange(60) / 7
    assert model.score(X, wrong, weights) == np.average(right, weights=weights)
    assert model.score(X, wrong, right.astype(int)) == 1.0


X, y = blobs()
FITTED = small().fit(X, y)


@given(st.sampled_from([5e-324, 1e-300, 1.0, 1e300, np.finfo(float).max]), st.integers(0, 2**60 - 1))
def test_a_score_is_that_of_proportions_whatever_their_unit(unit, chosen):
    weights = np.where([chosen >> i & 1 for i in range(60)], unit, 0.0)
    if not weights.any():
        weights[0] = unit
    expected = np.mean((FITTED.predict(X) == y)[weights > 0])
    with np.errstate(over="raise", invalid="raise"):
        assert FITTED.score(X, y, weights) == pytest.approx(expected)


def test_a_checkpoint_is_of_its_weights(tmp_path):
    from intnn import FormatError

    X, y = blobs()
    path, weights = tmp_path / "run.npz", np.ones(60)
    first = small(checkpoint=path).fit(X, y, weights)
    assert bits(small(checkpoint=path).fit(X, y, weights)) == bits(first)
    with pytest.raises(FormatError, match=r"identity\.data"):
        small(checkpoint=path).fit(X, y, weights + 1)


def test_probabilities_are_what_the_loss_makes_of_logits():
    from intnn.training.ops import numpy_
    from intnn.training.tables import EXP_EXPONENT, LOGIT_EXPONENT, exponential

    X, y = blobs()
    for classes, truth in ((3, y), (2, y.clip(0, 1))):
        model = small(epochs=10).fit(X, truth)
        found, logits = model.predict_proba(X), model.network_.logits(X)
        assert found.shape == (60, classes)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)
        assert np.array_equal(np.argsort(found), np.argsort(logits))
        in_nats = numpy_.rescale(logits, round(-np.log2(model.logit_unit_)) - LOGIT_EXPONENT)
        trained = numpy_.softmax_errors(in_nats, truth, exponential()) / 2**EXP_EXPONENT
        # A logit is rounded to 1/64 nat, by half of it at most, and so are those that it is compared with.
        np.testing.assert_allclose(found - np.eye(classes)[truth], trained, atol=1 / 64)


def test_probabilities_of_distant_logits_do_not_overflow():
    X, y = blobs()
    model = small(epochs=1).fit(X, y)
    model.logit_unit_ = 1e6
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("options", [{}, {"scaling": "minmax"}, {"momentum_shift": 0}, {"moved_by": 1}])
def test_learning_goes_on_to_the_same_bits_on_every_backend_and_after_pickle(options):
    X, y = blobs(33)
    X = X.reshape(33, 1, 2, 2) if "moved_by" in options else X
    parts = [slice(0, 16), slice(16, 33), slice(0, 33)]
    found = set()
    for backend in ("reference", "numpy", "numba"):
        model = small(backend=backend, **options)
        for part in parts:
            model = pickle.loads(pickle.dumps(model.partial_fit(X[part], y[part], classes=[2, 1, 0])))
        found.add(bits(model))
    assert len(found) == 1
    assert model.classes_.tolist() == [0, 1, 2]


def test_learning_in_parts_learns():
    X, y = blobs()
    model, other = small(), blobs(seed=1)
    for _ in range(30):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert model.score(*other) > 0.9  # seen: 1.0
    before = bits(model)
    assert bits(copy.deepcopy(model).partial_fit(X, y)) == bits(model.partial_fit(X, y)) != before


def test_one_epoch_at_a_constant_rate_is_a_partial_fit():
    X, y = blobs()
    # A single step has the first rate, whether it falls afterwards or not.
    whole = small(epochs=1, batch_size=60).fit(X, y)
    assert bits(small(batch_size=60).partial_fit(X, y, classes=[0, 1, 2])) == bits(whole)
    assert bits(whole.partial_fit(X, y)) != bits(small(epochs=2, batch_size=60).fit(X, y))


def test_fit_begins_anew_and_partial_fit_goes_on():
    X, y = blobs()
    fresh = bits(small().fit(X, y))
    model = small().partial_fit(X, y, classes=[0, 1, 2])
    assert bits(model.fit(X, y)) == fresh
    reports = []
    model.set_params(callback=reports.append).partial_fit(X, y)
    assert [(r.number, r.seen) for r in reports] == [(3, 56)]
    assert bits(model) != fresh


def test_where_a_batch_holds_all_examples_their_order_makes_no_difference():
    X, y = blobs(20)
    order = np.random.default_rng(0).permutation(20)
    assert bits(small(batch_size=20).fit(X, y)) == bits(small(batch_size=32).fit(X[order], y[order]))
    assert bits(small(batch_size=19).fit(X, y)) != bits(small(batch_size=19).fit(X[order], y[order]))


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, {"y": [0, 1, 3]}, r"`y` must hold labels of `classes`, got np.int64\(3\)"),
        ({}, {"y": ["a", "b", "c"]}, "`y` must hold integers, like the classes, got strings"),
        ({}, {"classes": [0, 1]}, r"`classes` must stay as they were, \[0 1 2\], got \[0 1\]"),
        ({}, {"X": np.zeros((3, 5), int)}, "X has 5 features, but IntClassifier is expecting 4 features"),
        ({}, {"X": np.zeros((3, 1, 2, 2), int)}, r"`X` must have shape \(batch, 4\)"),
        ({"layers": (7,)}, {}, "`layers`, .* must stay as they were"),
        ({"weight_bits": 4}, {}, "`layers`, `weight_bits`, .* must stay"),
        ({"input_domain": (-9, 9)}, {"X": np.zeros((3, 4), int)}, "`input_domain` .* must stay"),
        ({"scaling": "minmax"}, {}, "`scaling` must stay as they were"),
        ({"checkpoint": "run.npz"}, {}, "`checkpoint` must be None"),
    ],
)
def test_what_cannot_go_on_is_refused_and_nothing_is_lost(change, arguments, message):
    X, y = blobs()
    model = small().partial_fit(X, y, classes=[0, 1, 2])
    before = bits(model)
    model.set_params(**change)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(**{"X": X[:3], "y": y[:3], **arguments})
    assert bits(model) == before


def test_the_first_call_needs_all_classes():
    X, y = blobs()
    with pytest.raises(ValueError, match="`classes` must be given in the first call"):
        small().partial_fit(X, y)
    for classes, message in (
        ([1], r"`classes` must hold at least two classes, got only 1 class: \[1\]"),
        ([], "`classes` must hold at least two classes, got only 0"),
        ([0.5, 1], "`classes` must hold 2 integers"),
        (3, "`classes` must be a sequence of labels, got 3"),
        ("ab", "`classes` must be a sequence of labels, got 'ab'"),
        ([[0, 1, 2]], "`classes` must be a sequence of labels"),
    ):
        with pytest.raises(ValueError, match=message):
            small().partial_fit(X, y, classes=classes)
