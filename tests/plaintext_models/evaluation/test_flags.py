"""Red flags: raised by what they are for, silent otherwise."""

import pytest
import torch

from plaintext_models.evaluation import flags

COMPARISONS = [
    flags.one_step_beats_many,
    flags.black_box_beats_white_box,
    flags.transfer_beats_direct,
    flags.surrogate_beats_own,
]


def first(count, n=200):
    return torch.arange(n) < count


@pytest.mark.parametrize("flag", COMPARISONS)
def test_a_weaker_attack_must_not_break_more(flag):
    assert flag(first(50), first(50)) is None
    assert flag(first(20), first(50)) is None
    assert flag(first(52), first(50)) is None
    finding = flag(first(60), first(50))
    assert finding is not None
    assert "10 of 200" in finding.evidence
    assert "(60)" in finding.evidence
    assert "(50)" in finding.evidence


@pytest.mark.parametrize("flag", COMPARISONS)
def test_images_are_compared_one_by_one(flag):
    assert flag(first(10), ~first(10)) is not None


@pytest.mark.parametrize(("count", "n", "found"), [(2, 10, False), (3, 10, True), (10, 1000, False), (11, 1000, True)])
def test_few_images_are_no_sign(count, n, found):
    assert (flags.accuracy_stays(first(count, n)) is not None) == found


def test_zero_gradients():
    gradients = torch.randn((100, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    assert flags.zero_gradients(gradients) is None
    gradients[:4] = 0
    finding = flags.zero_gradients(gradients)
    assert finding is not None
    assert finding.evidence.startswith("4 of 100")
    assert flags.zero_gradients(gradients[:0]) is None


def test_ties():
    logits = torch.randn((100, 5), generator=torch.Generator().manual_seed(0))
    assert flags.ties(logits) is None
    assert flags.ties(torch.cat([logits, torch.full((100, 2), -1e9)], 1)) is None  # never the largest
    finding = flags.ties(torch.cat([logits, logits], 1))
    assert finding is not None
    assert finding.evidence.startswith("100 of 100 images have two classes of the same logit")
