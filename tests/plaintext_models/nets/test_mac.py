"""A network that answers questions: what it looks at, and that it can learn to look."""

import torch

from plaintext_models.nets.mac import Mac
from plaintext_models.training.loop import minimise


def asked(maps, questions):
    return torch.cat([maps, questions[:, :, None, None].float().expand(-1, -1, *maps.shape[2:])], 1)


def test_it_learns_to_read_the_map_that_is_asked_for():
    """The answer is whether the map of the first word is bright where the others are as often so."""
    generator = torch.Generator().manual_seed(0)
    bright = torch.randint(2, (600, 3), generator=generator)
    maps = bright[:, :, None, None] * torch.ones(3, 3) + 0.1 * torch.rand(600, 3, 3, 3, generator=generator)
    questions = torch.stack([torch.randint(3, (600,), generator=generator), torch.zeros(600).long()], 1)
    answers = bright[torch.arange(600), questions[:, 0]]
    torch.manual_seed(0)
    module = Mac(3, (3, 2), 2, width=16, steps=2)
    inputs = asked(maps, questions)
    minimise(module, inputs[:500], answers[:500], epochs=25, batch_size=50, learning_rate=2e-2, seed=0, progress=False)
    right = module(inputs[500:]).argmax(1) == answers[500:]
    assert right.double().mean() > 0.9  # a half is chance, and two thirds what no question tells


def test_it_knows_where_things_are():
    torch.manual_seed(0)
    module = Mac(2, (2,), 3).eval()
    maps = torch.rand(4, 2, 5, 6)
    questions = torch.tensor([[0], [1], [0], [1]])
    assert module(asked(maps, questions)).shape == (4, 3)
    assert not torch.allclose(module(asked(maps, questions)), module(asked(maps.flip(3), questions)), atol=1e-4)
    assert not torch.allclose(module(asked(maps, questions)), module(asked(maps, 1 - questions)), atol=1e-4)
