"""The training loop: it learns, repeats itself to the bit, and cleans up after an interruption."""

import pytest
import torch
from torch import nn

from plaintext_models.data import datasets
from plaintext_models.data.augment import RandomAffine
from plaintext_models.determinism import deterministic
from plaintext_models.nets.cnn import table_cnn
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import augmented, cross_entropy, minimise, train


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def fresh(seed=0):
    with deterministic(seed):
        return table_cnn((1, 8, 8), 10, channels=4, kernel=3, points=57, input_bits=2, even=True)


SETTINGS = {"epochs": 2, "batch_size": 64, "learning_rate": 5e-3, "seed": 3, "progress": False}


def test_learns(digits):
    with deterministic(0):
        module = mlp((1, 8, 8), 10, [32])
    history = train(module, digits, **{**SETTINGS, "epochs": 5})
    assert len(history) == 5
    assert history[-1].loss < history[0].loss
    assert history[-1].accuracy > 0.8  # a tenth is chance
    assert not module.training


def test_is_deterministic_whatever_the_global_generator_does(digits):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = fresh()
        history = train(module, digits, **SETTINGS, batch=[augmented(RandomAffine(8, 0.08, 0.08, 1))])
        results.append((history, module.state_dict()))
    (first, a), (second, b) = results
    assert first == second
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_depends_on_the_seed(digits):
    histories = [train(fresh(), digits, **{**SETTINGS, "seed": seed}) for seed in (0, 1)]
    assert histories[0] != histories[1]


def test_leaves_torch_as_it_was(digits):
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        train(fresh(), digits, **SETTINGS)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_interruption_puts_the_module_back(digits):
    module = fresh()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    calls = 0

    def interrupt(images, generator):
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        return images

    with pytest.raises(KeyboardInterrupt):
        train(module, digits, **SETTINGS, batch=[augmented(interrupt)])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_loss_that_explodes_is_reported(digits):
    with deterministic(0):
        module = mlp((1, 8, 8), 10, [32, 32], "square")
    with pytest.raises(FloatingPointError, match="lower `learning_rate`"):
        train(module, digits, **{**SETTINGS, "learning_rate": 1e12})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "`epochs` must lie in"),
        ({"batch_size": 0}, "`batch_size` must lie in"),
        ({"batch_size": 1438}, "`batch_size` must lie in"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be positive"),
        ({"weight_decay": -1.0}, "`weight_decay` not negative"),
    ],
)
def test_refuses(digits, change, message):
    with pytest.raises(ValueError, match=message):
        train(fresh(), digits, **{**SETTINGS, **change})


@pytest.mark.parametrize("spoilt", ["loss", "gradients"])
def test_a_loss_that_is_no_number_stops_at_its_step_and_leaves_the_last_good_epoch(digits, spoilt):
    """Spoilt in the sixth step of the second epoch; bad gradients show in the step after, or, of the last one, now."""
    module, good = fresh(), []

    def spoil(logits, batch):
        value = cross_entropy(logits, batch)
        if batch.step == (27 if spoilt == "loss" else 43):
            return value * torch.nan if spoilt == "loss" else value + (0 * logits.sum()).sqrt()  # of 0: a slope of inf
        return value

    with pytest.raises(FloatingPointError, match=f"step {28 if spoilt == 'loss' else 44} of 44; lower"):
        train(
            module,
            digits,
            **SETTINGS,
            gradient_limit=None,
            loss=spoil,
            after_epoch=lambda *_: good.append({name: value.clone() for name, value in module.state_dict().items()}),
        )
    assert len(good) == 1
    assert all(torch.equal(value, good[0][name]) for name, value in module.state_dict().items())
    assert not module.training


def test_hooks_see_every_batch_in_turn(digits):
    seen, told = [], []

    def darker(batch):
        seen.append((batch.step, batch.steps, len(batch.images)))
        assert torch.equal(batch.images, batch.clean)
        return batch.images / 2

    def inverted(batch):
        assert torch.equal(batch.images, batch.clean / 2)
        return 1 - batch.images

    def weighted(logits, batch):
        assert torch.equal(batch.images, 1 - batch.clean / 2)
        return 0.0 * logits.sum() + 2.0

    history = train(
        fresh(),
        digits,
        **SETTINGS,
        batch=[darker, inverted],
        loss=weighted,
        after_epoch=lambda number, record: told.append((number, record)),
    )
    assert [step for step, _, _ in seen] == list(range(44))  # 2 epochs of 1437 // 64
    assert {(steps, count) for _, steps, count in seen} == {(44, 64)}
    assert told == list(enumerate(history, 1))
    assert {record.loss for record in history} == {2.0}


def test_the_gradient_limit_changes_what_is_learnt(digits):
    states = []
    for limit in (None, 1e9, 1e-3):
        module = fresh()
        train(module, digits, **SETTINGS, gradient_limit=limit)
        states.append(torch.cat([value.flatten() for value in module.state_dict().values()]))
    assert torch.equal(states[0], states[1])  # a factor of 1 changes no bit
    assert not torch.equal(states[0], states[2])
    with pytest.raises(ValueError, match="`gradient_limit` must be positive or None, got 0"):
        train(fresh(), digits, **SETTINGS, gradient_limit=0)


def test_any_loss_on_any_targets_is_minimised():
    inputs = torch.rand(400, 3, generator=torch.Generator().manual_seed(0))
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    scores = []
    history = minimise(
        module,
        inputs,
        targets,
        epochs=30,
        batch_size=40,
        learning_rate=0.1,
        seed=0,
        loss=lambda outputs, batch: (outputs - batch.labels).square().mean(),
        score=lambda outputs, batch: scores.append(len(outputs)) or -float((outputs - batch.labels).abs().max()),
        progress=False,
    )
    assert history[-1].loss < 1e-3 < history[0].loss
    assert history[0].accuracy < history[-1].accuracy < 0
    assert set(scores) == {40}
