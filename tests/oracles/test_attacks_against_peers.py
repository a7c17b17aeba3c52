"""Our attacks against those of foolbox and pyautoattack, on a small trained network; the same referee for both."""

import pytest
import torch
from torch import nn

from bench.cases.attacks import PAIRINGS, Problem, judged, nearest, within
from bench.peers.attacks import foolbox
from plaintext_models.attacks.ball.pgd import bim, fgsm
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.training.loop import train

RADII = 0.05, 0.1, 0.15  # at which the network is neither right nor wrong on all images
IMAGES = 1000
TOLERATED = 2  # images: 0.2 points


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def network(digits):
    with deterministic(0):
        module = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(72, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )
    train(module, digits, epochs=8, batch_size=64, learning_rate=1e-2, seed=0, progress=False)
    return module


@pytest.fixture
def problem(digits, network):
    """A maker of problems; seeded, as foolbox draws from torch's own generator, and on one thread."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        # training images are images, too, and there are enough of them
        images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
        yield lambda radius=0.0, count=IMAGES: Problem("cnn", network, images[:count], labels[:count], radius, 0)
        torch.set_num_threads(threads)


@pytest.fixture
def _foolbox():
    pytest.importorskip("foolbox")


@pytest.fixture
def _pyautoattack():
    pytest.importorskip("pyautoattack")


pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers, which are older than what they run on
needs_foolbox = pytest.mark.usefixtures("_foolbox")
needs_pyautoattack = pytest.mark.usefixtures("_pyautoattack")


def robust(worth):
    return round(IMAGES * worth.robust_accuracy)


def both(name, problem):
    case = PAIRINGS[name]
    return judged(case, problem, problem.attack(case.ours)), judged(case, problem, problem.attack(case.peer))


@needs_foolbox
@pytest.mark.parametrize("radius", RADII)
def test_fgsm_gives_the_same_images(problem, radius):
    given = problem(radius)
    ours, theirs = given.attack(within(fgsm)), given.attack(PAIRINGS["fgsm"].peer)
    fooled = (ours != given.images).flatten(1).any(1)  # ours gives back a clean image where it fails
    assert 50 < fooled.sum() < 1000
    torch.testing.assert_close(ours[fooled], theirs[fooled], rtol=0, atol=1e-6)
    assert judged(PAIRINGS["fgsm"], given, ours) == judged(PAIRINGS["fgsm"], given, theirs)


@needs_foolbox
@pytest.mark.parametrize("radius", RADII)
def test_pgd_from_the_image_is_as_strong(problem, radius):
    given = problem(radius)
    peer = foolbox("LinfPGD", ball=True, steps=40, rel_stepsize=2.5 / 40, random_start=False)
    ours, theirs = (judged(PAIRINGS["pgd-40"], given, given.attack(attack)) for attack in (within(bim, steps=40), peer))
    assert 50 < robust(ours) < 950
    # the same path; ours stops at the first image that fools, where foolbox looks at the last one only
    assert robust(theirs) - TOLERATED <= robust(ours) <= robust(theirs)
    assert not ours.complaints


@needs_foolbox
@pytest.mark.parametrize("radius", RADII)
def test_pgd_from_random_points_is_as_strong(problem, radius):
    ours, theirs = both("pgd-40", problem(radius))
    assert abs(robust(ours) - robust(theirs)) <= TOLERATED


@needs_foolbox
@pytest.mark.parametrize("name", ["deepfool", "ddn"])
def test_the_nearest_images_are_as_near(problem, name):
    ours, theirs = both(name, problem())
    assert ours.success == 1
    assert theirs.success > 0.99
    assert ours.median == pytest.approx(theirs.median, rel=0.01)


@needs_foolbox
def test_deepfool_for_linf_is_as_near(problem):
    given, case = problem(), PAIRINGS["deepfool"]
    peer = foolbox("LinfDeepFoolAttack", ball=False, steps=50)
    ours, theirs = (given.attack(attack) for attack in (nearest(deepfool, norm="linf", steps=50), peer))
    sizes = [(found - given.images).abs().flatten(1).amax(1).median().item() for found in (ours, theirs)]
    assert judged(case, given, ours).success == 1
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


@needs_foolbox
def test_carlini_wagner_is_as_near_as_with_more_steps(problem):
    given, case = problem(count=48), PAIRINGS["carlini-wagner"]
    peer = foolbox("L2CarliniWagnerAttack", ball=False, binary_search_steps=9, steps=300)
    ours, theirs = (judged(case, given, given.attack(attack)) for attack in (case.ours, peer))
    assert ours.success == 1
    assert ours.median <= 1.02 * theirs.median


@needs_pyautoattack
@pytest.mark.parametrize(("name", "count"), [("apgd", 1000), ("apgd-targeted", 250)])
def test_apgd_is_as_strong(problem, name, count):
    ours, theirs = both(name, problem(0.1, count))
    # from other random points: so much does either differ from one seed to the next
    assert ours.robust_accuracy == pytest.approx(theirs.robust_accuracy, abs=0.01)
    assert not ours.complaints


@pytest.mark.slow  # 5,000 queries of Square, twice
@needs_pyautoattack
def test_the_ensemble_is_as_strong_as_the_standard_one(problem):
    ours, theirs = both("autoattack", problem(0.1, count=100))
    assert 0.2 < ours.robust_accuracy <= theirs.robust_accuracy
    assert not ours.complaints
