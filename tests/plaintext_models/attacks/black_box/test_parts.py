"""Parts of networks with heads: sources of adversarial examples."""

from functools import partial

import pytest
import torch
from torch import nn

from plaintext_models.attacks.ball.pgd import fgsm
from plaintext_models.attacks.black_box.parts import Part, headed
from plaintext_models.attacks.black_box.transfer import transferred
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target


class Gated(nn.Module):
    """A network whose gate has no say; and a part that nothing calls."""

    def __init__(self, net):
        super().__init__()
        self.net, self.gate = net, nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.Sigmoid())
        self.idle = nn.Linear(2, 2)
        with torch.no_grad():
            self.gate[1].weight.copy_(torch.randn(40, 64, generator=torch.Generator().manual_seed(0)) / 4)

    def forward(self, images):
        return self.net(images) + 0 * self.gate(images).sum()


@pytest.fixture(scope="module")
def gated(net):
    return Gated(net).eval()


def test_a_gate_with_a_head_attacks_the_whole(gated, seen, held_out):
    images, labels = held_out
    weights = {name: value.clone() for name, value in gated.state_dict().items()}
    part = headed(gated, "gate", *seen, epochs=60)
    assert all(torch.equal(weights[name], value) for name, value in gated.state_dict().items())
    source, victim = Target(part), Target(gated)
    assert (source.logits(images).argmax(1) == labels).float().mean() > 0.8
    found = transferred(source, victim, images, Goal(labels), partial(fgsm, ball=Ball("linf", 0.3)))
    attacked = victim.logits(images).argmax(1) == labels
    assert found.success[attacked].float().mean() > 0.3


def test_its_gradient_is_that_of_the_part_alone(gated, held_out):
    images = held_out[0][:5]
    part = Part(gated, "gate", nn.Linear(40, 10).eval())
    alone = nn.Sequential(gated.gate, part.head).eval()
    one, other = (Target(model).gradient(images, lambda logits: logits[:, 3])[0] for model in (part, alone))
    assert torch.equal(one, other)
    assert torch.equal(Part(gated, "net")(images), gated.net(images))


def test_what_is_no_part_is_refused(gated, seen):
    with pytest.raises(ValueError, match=r"`name` must be one of net, .*gate, .* got 'gates'"):
        Part(gated, "gates")
    with pytest.raises(ValueError, match="`name` must be a part that the network calls, got 'idle'"):
        Part(gated, "idle")(seen[0])
    with pytest.raises(TypeError, match="`head` must be a Module, got int"):
        Part(gated, "gate", 5)
    with pytest.raises(ValueError, match="evaluation mode"):
        headed(Gated(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))).train(), "gate", *seen)
    with pytest.raises(ValueError, match="`epochs`"):
        headed(gated, "gate", *seen, epochs=0)
