"""Every defence of the registry: it keeps the digits' accuracy, says what it hides, and gives the same bits twice."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from plaintext_models.data import datasets
from plaintext_models.defences.adversarial import pgd
from plaintext_models.defences.registry import DEFENCES, defence
from plaintext_models.evaluation.flags import zero_gradients
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=12)
#: Of what costs much, less: one step of attacks in place of five.
RECIPES_OF = {
    "T26": replace(RECIPE, epochs=5, hardening=pgd(0.1, 1).hardening),
    "A13": replace(RECIPE, epochs=4),
    "S10": replace(RECIPE, epochs=30),
    **dict.fromkeys(("M7", "M11", "M23", "M44"), replace(RECIPE, epochs=5)),
}
#: Whatever has a file of its own, and forms that hide other gradients than the usual one or are random unlike it.
CHECKED = [
    *(name for name, entry in DEFENCES.items() if entry.form is None),
    *("T30-low-pass", "M7-deterministic", "M10-stochastic"),
]
STEP = 5e-3  # of the differences that gradients are compared with: far below a level of three bits


def recipe(identifier):
    return RECIPES_OF.get(identifier.partition("-")[0], RECIPE)


@cache
def defended(identifier):
    generator = torch.Generator().manual_seed(1)
    return DEFENCES[identifier].defend(recipe(identifier), datasets.load("digits"), generator), generator


@cache
def shortly(identifier):
    short = replace(recipe(identifier), epochs=1)
    return DEFENCES[identifier].defend(short, datasets.load("digits"), torch.Generator()).target


def cross_entropy(target, images, labels):
    return functional.cross_entropy(target.logits(images), labels, reduction="none")


def disagreement(target, generator, images, labels):
    """How far gradients are from differences of the loss, relative to their length: 0 is equal, 1 is unrelated."""
    way = torch.randn(images.shape, generator=torch.Generator().manual_seed(2)).sign()
    generator.manual_seed(3)
    gradient, _ = target.gradient(images, lambda logits: functional.cross_entropy(logits, labels, reduction="none"))
    promised = (gradient * way).flatten(1).sum(1)
    ends = []
    for sign in (1, -1):
        generator.manual_seed(3)
        with torch.no_grad():
            ends.append(cross_entropy(target, images + sign * STEP * way, labels))
    measured = (ends[0] - ends[1]) / (2 * STEP)
    return float((measured - promised).norm() / promised.norm())


@pytest.mark.parametrize("identifier", CHECKED)
class TestDefence:
    def test_it_keeps_the_accuracy_of_clean_images(self, identifier, held_out):
        target = defended(identifier)[0].target
        with torch.no_grad():
            right = target.logits(held_out[0]).argmax(1) == held_out[1]
        assert right.double().mean() > 0.85

    def test_it_says_whether_it_is_random(self, identifier, held_out):
        found, generator = defended(identifier)
        assert found.target.stochastic == DEFENCES[identifier].random
        assert (found.randomness_off is not None) == DEFENCES[identifier].random
        with torch.no_grad():
            generator.manual_seed(4)
            one, two = (found.target.logits(held_out[0]) for _ in range(2))
            generator.manual_seed(4)
            again = found.target.logits(held_out[0])
        assert torch.equal(one, two) != DEFENCES[identifier].random
        assert torch.equal(one, again)

    def test_it_says_whether_it_detects(self, identifier, held_out):
        found = defended(identifier)[0]
        assert (found.detector is not None) == DEFENCES[identifier].detects
        if found.detector is not None:
            with torch.no_grad():
                turned_away = (found.detector(held_out[0]) > 0).double().mean()
            assert turned_away < 0.2  # a share of 0.05 on the training part

    def test_it_says_which_gradients_it_hides(self, identifier, held_out):
        found, generator = defended(identifier)
        images, labels = held_out
        images = 0.02 + 0.96 * images + 0.01 * torch.rand(images.shape, generator=torch.Generator().manual_seed(5))
        error = disagreement(found.target, generator, images, labels)
        if DEFENCES[identifier].gradients == "straight through":
            assert error > 0.5
        else:
            assert error < 0.3
        attacked = found.bare if DEFENCES[identifier].gradients == "lost" else found.target
        gradient, _ = attacked.gradient(images, lambda z: functional.cross_entropy(z, labels, reduction="none"))
        hidden = zero_gradients(gradient) is not None
        assert hidden == (DEFENCES[identifier].gradients == "lost")
        if hidden:
            gradient, _ = found.target.gradient(images, lambda z: functional.cross_entropy(z, labels, reduction="none"))
            assert zero_gradients(gradient) is None

    def test_the_same_seeds_give_the_same_bits(self, identifier, held_out, digits):
        short, images = replace(recipe(identifier), epochs=1), held_out[0]
        one, two = (
            DEFENCES[identifier].defend(short, digits, torch.Generator().manual_seed(7)).target.logits(images)
            for _ in range(2)
        )
        assert torch.equal(one, two)


@pytest.mark.parametrize("identifier", [name for name in DEFENCES if name not in CHECKED])
def test_other_forms_are_other_networks(identifier, held_out):
    usual = DEFENCES[identifier.partition("-")[0]]
    one, two = (shortly(name).logits(held_out[0]) for name in (identifier, usual.identifier))
    assert not torch.equal(one, two)
    assert replace(DEFENCES[identifier], identifier="", name="", form=None, source="") == replace(
        usual, identifier="", name="", source=""
    )


@pytest.mark.parametrize("identifier", DEFENCES)
def test_it_is_cited(identifier):
    entry = DEFENCES[identifier]
    assert entry.identifier == identifier
    assert entry.section
    text = (Path(datasets.__file__).parents[1] / "defences" / f"{entry.module}.py").read_text(encoding="utf-8")
    assert text.startswith(f'"""{identifier.partition("-")[0]}, ')
    assert entry.source.rpartition(", ")[2] in text


def test_an_unknown_identifier_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`identifier` must be one of T2.*T33.*, got 'T99'"):
        defence("T99")
    assert defence("T33") is DEFENCES["T33"]


def test_the_registry_needs_no_torch():
    code = "import plaintext_models.defences.registry, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
