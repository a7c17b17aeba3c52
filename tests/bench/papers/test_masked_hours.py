"""What the full versions of M take: passes are counted, of each network once."""

import pytest

from bench.papers.experiment import Setting
from bench.papers.masked import Head
from bench.papers.masked_hours import GATED, IMAGES, USUAL, full_hours
from bench.papers.masked_kinds import chapter_3, head, seen
from bench.papers.masked_subjects import Confident, Spread, Swept, Transferred
from bench.papers.masked_toy import Toy

HOUR = 3.6e6
EPOCHS = 25


def hours(*subjects, seeds=1):
    return full_hours([Setting(str(number), one) for number, one in enumerate(subjects)], seeds)


def rounded(number):
    return float(f"{number:.1g}")


def of(kind, name, **more):
    one = seen(name, False)
    return kind(one.network, one.view, **more)


def test_trainings_are_counted_once():
    once = EPOCHS * IMAGES * USUAL / HOUR
    assert hours(of(Spread, "CNN")) == rounded(once)
    assert hours(of(Spread, "CNN"), of(Confident, "CNN"), of(Spread, "SAP"), of(Spread, "CNN-BIN")) == rounded(2 * once)
    assert hours(of(Spread, "CNN"), seeds=10) == rounded(10 * once)
    assert hours(of(Transferred, "CNN", sources={"CNN": seen("CNN", False), "SGBN": seen("SGBN", False)})) == rounded(
        EPOCHS * IMAGES * (USUAL + GATED) / HOUR
    )
    classifier = head("SGBN", 0, False)
    assert isinstance(classifier.network, Head)
    assert hours(Swept(classifier.network, thorough=False)) == rounded(EPOCHS * IMAGES * GATED / HOUR)
    assert hours(Toy("none")) == 0


@pytest.mark.parametrize(
    ("name", "passes"),
    [("CNN", 40 + 5000 / 3), ("CNN-BIN", 40 * 61 + 5000 * 30 / 5 / 3)],  # 30 draws, and a twin that draws nothing
)
def test_attacks_by_all_means_take_as_many_passes_as_they_make(name, passes):
    attacked = (EPOCHS * IMAGES + 2 * 1250 * passes) * USUAL / HOUR
    assert hours(of(Swept, name)) == rounded(attacked)
    assert hours(of(Swept, name, thorough=False)) == rounded(EPOCHS * IMAGES * USUAL / HOUR)


def test_attacks_in_training_count():
    late = EPOCHS * IMAGES * (1 + 40 / 5)  # of 40 steps, in the last fifth
    assert hours(of(Spread, "BNN with PGD"), seeds=10) == rounded(10 * late * USUAL / HOUR)


def test_more_layers_take_longer():
    found = [hours(Spread(chapter_3(False, layers)), seeds=1000) for layers in (0, 1, 2)]
    assert found == sorted(set(found))
