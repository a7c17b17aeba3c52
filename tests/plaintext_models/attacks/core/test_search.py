"""The bookkeeping that searches share."""

import torch

from plaintext_models.attacks.core import search
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.search import Search
from plaintext_models.attacks.core.target import Target

# a "network" of which an image's two elements are the logits
IMAGES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.2]])
LABELS = torch.tensor([0, 0, 0])


def begin() -> Search:
    return Search(Target.oracle(lambda images: images), IMAGES, Goal(LABELS))


def test_keeps_the_first_hit_of_an_image_and_counts_all():
    hunt = begin()
    assert hunt.rows.tolist() == [0, 2]  # the second is misclassified to begin with
    candidates = torch.tensor([[0.5, 0.4], [0.5, 0.6], [0.1, 0.9], [0.3, 0.2]])
    scores = hunt.ask(torch.tensor([0, 0, 0, 2]), candidates)
    torch.testing.assert_close(scores, torch.tensor([-0.1, 0.1, 0.8, -0.1]))
    assert hunt.rows.tolist() == [2]
    assert hunt.queries.tolist() == [3, 0, 1]
    result = hunt.conclude()
    assert torch.equal(result.x_adv, torch.stack([candidates[1], IMAGES[1], IMAGES[2]]))
    assert result.success.tolist() == [True, True, False]


def test_groups_hold_every_image_once_and_none_if_none_is_left(monkeypatch):
    monkeypatch.setattr(search, "CANDIDATES", 3)
    hunt = begin()
    assert [group.tolist() for group in hunt.groups(2)] == [[0], [2]]
    assert [group.tolist() for group in hunt.groups(1)] == [[0, 2]]
    hunt.active[:] = False
    assert hunt.groups(1) == ()
