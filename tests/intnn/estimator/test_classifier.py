"""IntClassifier: learns, remembers, goes on where it stopped, and refuses what it cannot learn from."""

from fractions import Fraction

import numpy as np
import pytest

from intnn import FormatError, IntDomain
from intnn.estimator.classifier import IntClassifier
from intnn.training.plan import Convolution
from plaintext_models.data import datasets


def digits():
    data = datasets.load("digits")
    images, held_out = (np.rint(a * 240).astype(np.int64) for a in (data.train_images, data.test_images))
    return images, data.train_labels, held_out, data.test_labels


def blobs(n=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return np.clip(labels[:, None] * 80 + rng.integers(-20, 21, (n, 4)) + 40, 0, 255), labels


def small(**options):
    return IntClassifier(**{"layers": (8,), "epochs": 4, "batch_size": 8, **options})


def bits(classifier):
    return classifier.network_.fingerprint


def test_it_learns_easy_blobs():
    X, y = blobs()
    assert small(epochs=30).fit(X, y).score(*blobs(seed=1)) == 1.0


def test_it_learns_digits_within_a_few_epochs():
    X, y, held_out, truth = digits()
    classifier = IntClassifier((32,), epochs=6).fit(X.reshape(len(X), -1), y)
    # Seen: 93 to 96 % over ten seeds; guessing gives 10 %.
    assert classifier.score(held_out.reshape(len(held_out), -1), truth) > 0.9


def test_digits_reach_97_percent_on_average():
    X, y, held_out, truth = digits()
    X, held_out = X.reshape(len(X), -1), held_out.reshape(len(held_out), -1)
    scores = [IntClassifier(random_state=seed).fit(X, y).score(held_out, truth) for seed in range(5)]
    assert np.mean(scores) >= 0.97


def test_images_go_through_convolutions():
    X, y, held_out, truth = digits()
    classifier = IntClassifier((Convolution(4, 3, padding=1, pool=2),), epochs=4).fit(X[:600], y[:600])
    assert classifier.score(held_out, truth) > 0.7  # seen: 80 to 88 %


def test_labels_come_back_as_they_were():
    X, y = blobs()
    names = np.array(["ant", "bee", "cat"])
    classifier = small(epochs=30).fit(X, names[y])
    assert classifier.classes_.tolist() == ["ant", "bee", "cat"]
    assert classifier.score(X, names[y]) == 1.0
    assert small(epochs=30).fit(X, y * 10 - 3).predict(X[:3]).tolist() == [-3, 7, 17]


def test_equal_seeds_give_equal_bits():
    X, y = blobs()
    assert bits(small().fit(X, y)) == bits(small().fit(X, y))
    assert bits(small().fit(X, y)) != bits(small(random_state=1).fit(X, y))


def test_the_network_can_be_saved(tmp_path):
    X, y = blobs()
    classifier = small().fit(X, y)
    classifier.network_.save(tmp_path / "network.npz")
    again = type(classifier.network_).load(tmp_path / "network.npz")
    assert np.array_equal(again.logits(X), classifier.decision_function(X))


class StopError(Exception):
    pass


@pytest.mark.parametrize("last", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, last):
    X, y = blobs()
    undisturbed = small().fit(X, y)

    def stop(epoch):
        if epoch.number == last:
            raise StopError

    path = tmp_path / "run.npz"
    with pytest.raises(StopError):
        small(checkpoint=path, callback=stop).fit(X, y)
    seen = []
    resumed = small(checkpoint=path, callback=seen.append).fit(X, y)
    assert [epoch.number for epoch in seen] == list(range(last + 1, 5))
    assert bits(resumed) == bits(undisturbed)


def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path):
    X, y = blobs()
    path = tmp_path / "run.npz"
    small(checkpoint=path).fit(X, y)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            small(checkpoint=path).fit(X, y)
        assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("options", "part"),
    [({"layers": (9,)}, "network"), ({"random_state": 5}, "schedule"), ({"epochs": 5}, "schedule")],
)
def test_another_runs_checkpoint_is_refused_and_kept(tmp_path, options, part):
    X, y = blobs()
    path = tmp_path / "run.npz"
    small(checkpoint=path).fit(X, y)
    before = path.read_bytes()
    with pytest.raises(FormatError, match=f"identity.{part}"):
        small(checkpoint=path, **options).fit(X, y)
    with pytest.raises(FormatError, match=r"identity\.data"):
        small(checkpoint=path).fit(X[::-1], y)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.ones((4, 2)), [0, 1, 0, 1], TypeError, "`X` must hold integers"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], TypeError, "`X` must hold integers"),
        (np.full((4, 2), 256), [0, 1, 0, 1], ValueError, "`X` must lie in"),
        (np.zeros((4, 2, 2), int), [0, 1, 0, 1], ValueError, "`X` must have shape"),
        (np.zeros((0, 2), int), [], ValueError, "`X` must have shape"),
        (np.zeros((4, 2), int), [0, 1, 0], ValueError, "`y` must hold 4"),
        (np.zeros((4, 2), int), [0.0, 1.0, 0.5, np.nan], ValueError, "`y` must hold 4 integers or strings"),
        (np.zeros((4, 2), int), [1, 1, 1, 1], ValueError, "at least two classes"),
        (np.zeros((1, 2), int), [1], ValueError, "at least two classes"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(X, y, error, message):
    with pytest.raises(error, match=message):
        small().fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"learning_rate": 0}, "`learning_rate`"),
        ({"learning_rate": 2}, "`learning_rate`"),
        ({"momentum_shift": 16}, "`momentum_shift`"),
        ({"random_state": -1}, "`random_state`"),
        ({"weight_bits": 9}, "`weight_bits`"),
        ({"layers": (0,)}, r"`layers\[0\]`"),
        ({"input_domain": IntDomain(0, 256)}, "`input_domain` must lie in"),
    ],
)
def test_bad_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(*blobs())


def test_constant_features_and_single_batches_are_no_obstacle():
    X, y = blobs()
    X[:, 0] = 7
    assert small(epochs=60, batch_size=1000, learning_rate=Fraction(1, 4)).fit(X, y).score(X, y) > 0.6


def test_an_unfitted_classifier_says_so():
    with pytest.raises(ValueError, match="not fitted yet"):
        small().predict([[0, 0, 0, 0]])


def test_parameters_are_stored_as_given_and_can_be_changed():
    classifier = small()
    assert classifier.get_params()["layers"] == (8,)
    assert classifier.set_params(epochs=7).epochs == 7
    assert set(IntClassifier().get_params()) == set(classifier.fit(*blobs()).get_params())
    with pytest.raises(ValueError, match="`depth` must be one of"):
        classifier.set_params(depth=3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": 64}, TypeError, r"`layers` must be a sequence of hidden layers such as \(64, 32\), got 64"),
        ({"layers": "64"}, TypeError, r"`layers` must be a sequence .*, got '64'"),
        ({"layers": (64.0,)}, TypeError, r"`layers\[0\]`: `units` must be an integer, got 64.0"),
        ({"learning_rate": np.nan}, ValueError, r"`learning_rate` must lie in \[2\*\*-30, 1\], got nan"),
        ({"learning_rate": np.inf}, ValueError, "`learning_rate` must lie in .*, got inf"),
        ({"learning_rate": 1e-12}, ValueError, "`learning_rate` must lie in .*, got 1e-12"),
        ({"learning_rate": "fast"}, TypeError, "`learning_rate` must be a float, got 'fast'"),
        ({"learning_rate": True}, TypeError, "`learning_rate` must be a float, got True"),
        ({"learning_rate": None}, TypeError, "`learning_rate` must be a float, got None"),
        ({"epochs": 2.0}, TypeError, "`epochs` must be an integer, got 2.0"),
        ({"mirrored": "no"}, TypeError, "`mirrored` must be True or False, got 'no'"),
        ({"mirrored": True}, ValueError, "`moved_by` and `mirrored` must be 0 and False for rows of features"),
        ({"moved_by": 1}, ValueError, "`moved_by` and `mirrored` must be 0 and False for rows of features"),
        ({"scaling": np.array([1, 2])}, ValueError, "`scaling` must be None or"),
        ({"verbose": "no"}, TypeError, "`verbose` must be an integer, got 'no'"),
        ({"callback": 3}, TypeError, "`callback` must be a function of an Epoch or None, got 3"),
        ({"checkpoint": "run.txt"}, ValueError, "must end in .npz or .json, got 'run.txt'"),
        ({"checkpoint": 5}, TypeError, "`checkpoint` must be a string or a Path, got int"),
        ({"checkpoint": b"run.npz"}, TypeError, "`checkpoint` must be a string or a Path, got bytes"),
        ({"checkpoint": "no/such/run.npz"}, FileNotFoundError, "must be a folder that exists, to write run.npz"),
        ({"backend": None}, ValueError, "`backend` must be .*, got None"),
        ({"random_state": None}, TypeError, "`random_state` must be an integer, got None"),
    ],
)
def test_arguments_of_the_next_type_over_are_named_before_anything_is_trained(options, error, message):
    seen = []
    with pytest.raises(error, match=message):
        small(**{"callback": seen.append, **options}).fit(*blobs())
    assert not seen


def test_numbers_of_numpy_are_numbers():
    X, y = blobs()
    options = {"layers": np.array([8]), "epochs": np.int64(4), "learning_rate": np.float64(0.05)}
    assert bits(small(**options).fit(X.tolist(), y.tolist())) == bits(small().fit(X, y))
    assert bits(small(learning_rate=np.array(0.25)).fit(X, y)) == bits(small(learning_rate=Fraction(1, 4)).fit(X, y))


def test_a_network_of_scaled_floats_rounds_no_raw_ones():
    X, y = blobs()
    network = small(scaling="minmax").fit(X / 255, y).network_
    with pytest.raises(ValueError, match="make integers of them by the IntClassifier's `scaling_`"):
        network.quantise_input(X / 255)
    assert small().fit(X, y).network_.quantise_input(X / 1.0).shape == X.shape
