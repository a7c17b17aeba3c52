"""What a target refuses, and what it says of it."""

import functools
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import margin
from plaintext_models.attacks.core.target import Target, fresh_look
from plaintext_models.attacks.nearest.deepfool import deepfool

IMAGES, LABELS = torch.full((3, 1, 2, 2), 0.5), torch.tensor([0, 1, 2])
WEIGHTS = torch.arange(12.0).reshape(4, 3)


def linear(images):
    return images.flatten(1) @ WEIGHTS


def summed(logits):
    return logits.sum(1)


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.5, 0.5), (float("nan"), 1.0)])
def test_bounds_increase(bounds):
    with pytest.raises(ValueError, match="`bounds` must be increasing"):
        Target(linear, bounds=bounds)


@pytest.mark.parametrize("inner", [False, True])
def test_refuses_a_model_in_training_mode(inner):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)).eval()
    (model[1] if inner else model).train()
    with pytest.raises(ValueError, match=r"must be in evaluation mode, got one in training mode; call model.eval\(\)"):
        Target(model)
    assert Target(model.eval()).differentiable


def test_refuses_forwards_that_differ_unless_declared():
    generator = torch.Generator().manual_seed(0)

    def noisy(images):
        return linear(images) + torch.randn(len(images), 3, generator=generator)

    with pytest.raises(
        ValueError, match="two forwards of the same images differ; declare the target `stochastic=True`"
    ):
        Target(noisy).check(IMAGES, LABELS)
    assert Target(noisy, stochastic=True).check(IMAGES, LABELS).shape == (3, 3)


@pytest.mark.parametrize(
    ("value", "found"),
    [(1.01, "values from 0.5 to 1.01"), (-0.01, "values from -0.01 to 0.5"), (float("nan"), "NaN"), (float("inf"), "")],
)
def test_refuses_images_outside_the_range(value, found):
    images = IMAGES.clone()
    images[1, 0, 1, 1] = value
    with pytest.raises(ValueError, match=f"`images` must be numbers from 0.0 to 1.0, got {found}"):
        Target(linear).check(images, LABELS)


def test_takes_images_at_the_bounds():
    images = torch.tensor([[-1.0, 2.0, 0.0, 2.0]])
    logits = Target(linear, bounds=(-1, 2)).check(images, LABELS[:1])
    assert torch.equal(logits, linear(images))
    assert not logits.requires_grad


@pytest.mark.parametrize(("label", "found"), [(3, "values from 0 to 3"), (-1, "values from -1 to 1")])
def test_refuses_labels_outside_the_classes(label, found):
    with pytest.raises(ValueError, match=f"`labels` must be from 0 to 2, got {found}"):
        Target(linear).check(IMAGES, torch.tensor([0, 1, label]))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES[:0], LABELS[:0]),
        (IMAGES, LABELS[:2]),
        (IMAGES, LABELS[:, None]),
        (torch.full((3,), 0.5), LABELS),
        (torch.tensor(0.5), torch.tensor(0)),
    ],
)
def test_refuses_empty_batches_and_shapes_that_do_not_fit(images, labels):
    with pytest.raises(ValueError, match=r"`images` must be \[batch, \*shape\] with one label each and at least one"):
        Target(linear).check(images, labels)


@pytest.mark.parametrize(("images", "labels"), [(IMAGES.long(), LABELS), (IMAGES, LABELS.float())])
def test_refuses_other_dtypes(images, labels):
    with pytest.raises(TypeError, match="`images` must be floats and `labels` integers, got torch"):
        Target(linear).check(images, labels)


@pytest.mark.parametrize("answers", [lambda images: images, lambda images: linear(images)[:1]])
def test_refuses_what_is_not_a_row_an_image(answers):
    with pytest.raises(ValueError, match=r"the model must return \[batch, classes\], got"):
        Target(answers).check(IMAGES, LABELS)


def test_logits_are_numbers():
    target = Target(lambda images: (images.flatten(1) - 1).sqrt())
    with pytest.raises(FloatingPointError, match="logits must be numbers, got NaN; check its weights and its inputs"):
        target.logits(IMAGES)
    with pytest.raises(FloatingPointError, match="logits must be numbers"):
        target.check(IMAGES, LABELS)


def test_gradients_are_numbers():
    # sqrt at 0 has an infinite slope, and 0 times that is not a number
    target = Target(lambda images: 0 * images.flatten(1).sqrt() + images.flatten(1))
    images = IMAGES.clone()
    images[1] = 0
    with pytest.raises(FloatingPointError, match="got NaN for 1 of 3 images; attack another loss"):
        target.gradient(images, summed)


def test_gradient_of_every_image_by_itself():
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    gradient, logits = Target(linear).gradient(images, lambda logits: margin(logits, LABELS))
    assert torch.equal(logits, linear(images))
    rivals = linear(images).scatter(1, LABELS[:, None], -torch.inf).argmax(1)
    torch.testing.assert_close(gradient.flatten(1), (WEIGHTS[:, rivals] - WEIGHTS[:, LABELS]).T)
    assert not any(values.requires_grad for values in (gradient, logits, images))


def test_leaves_no_gradients_behind():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    Target(model).gradient(IMAGES, summed)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradient_averages_over_draws():
    scales = iter([1.0, 2.0, 6.0])
    gradient, logits = Target(lambda images: next(scales) * linear(images), stochastic=True).gradient(
        IMAGES, summed, draws=3
    )
    torch.testing.assert_close(logits, 3 * linear(IMAGES))
    torch.testing.assert_close(gradient.flatten(1), 3 * WEIGHTS.sum(1).expand(3, -1))


def test_an_oracle_has_no_gradients():
    oracle = Target.oracle(linear, bounds=(-1, 1), stochastic=True)
    assert (oracle.bounds, oracle.stochastic, oracle.differentiable) == ((-1, 1), True, False)
    assert torch.equal(oracle.logits(IMAGES), linear(IMAGES))
    with pytest.raises(TypeError, match="this target answers queries only"):
        oracle.gradient(IMAGES, summed)


def test_widths_of_ranges():
    assert (Target(linear, bounds=(-1, 2)).width, Target(linear, bounds=(-1, 2)).narrowest) == (3, 3)
    channels = Target(linear, bounds=((0, 0), (1, 1000)))
    assert (channels.width, channels.narrowest) == (1000, 1)
    assert channels.bounds == ((0.0, 0.0), (1.0, 1000.0))


def module():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3))


SEEN = {
    "module": lambda net: Target(net),
    "forward": lambda net: Target(net.forward),
    "call": lambda net: Target(net.__call__),
    "partial": lambda net: Target(functools.partial(net)),
    "argument": lambda net: Target(functools.partial(lambda model, images: model(images), net)),
    "keyword": lambda net: Target(functools.partial(lambda images, model: model(images), model=net)),
    "decorated": lambda net: Target(torch.no_grad()(net.forward)),
    "oracle": lambda net: Target.oracle(functools.partial(net.forward)),
    "decisions": lambda net: Target.decisions(net, 3),
    "target": lambda net: Target(Target(net).logits),
}


@pytest.mark.parametrize("wrap", SEEN.values(), ids=SEEN)
def test_modules_that_were_handed_over_are_seen(wrap):
    with pytest.raises(ValueError, match=r"evaluation mode, got one in training mode; call model.eval\(\) first"):
        wrap(module().train())
    net = module().eval()
    target, mean = wrap(net), net[1].running_mean.clone()
    net.train()
    with pytest.raises(ValueError, match="evaluation mode"):
        target.logits(IMAGES)
    assert torch.equal(net[1].running_mean, mean)


def test_objects_that_have_whatever_is_asked_for_are_functions():
    model = mock.MagicMock(side_effect=linear)
    assert torch.equal(Target(model).logits(IMAGES), linear(IMAGES))


def test_a_mode_that_changes_with_the_last_forward():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    forwards = []
    net.register_forward_hook(lambda *_: forwards.append(1))
    attack = functools.partial(pgd, Target(net), IMAGES, Goal(net(IMAGES).argmax(1)), Ball("linf", 0.1), steps=2)
    forwards.clear()
    attack()
    last = len(forwards)
    forwards.clear()

    def switch(*_):
        net.train(len(forwards) == last)

    net.register_forward_hook(switch)
    with pytest.raises(ValueError, match="evaluation mode"):
        attack()


def test_a_target_at_the_address_of_another_is_checked():
    generator = torch.Generator().manual_seed(0)

    def noisy(images):
        return linear(images) + torch.randn(len(images), 3, generator=generator)

    with fresh_look():
        Target(linear).check(IMAGES, LABELS)  # freed at once, were it not kept
        for _ in range(5):
            fresh = Target(noisy)
            assert fresh.is_new()
            with pytest.raises(ValueError, match="two forwards of the same images differ"):
                fresh.check(IMAGES, LABELS)
            del fresh


class Forwards(torch.autograd.Function):
    """The identity, without a way back."""

    @staticmethod
    def forward(_, values):
        return values.clone()


def overwriting(images):
    root = linear(images).exp()
    kept = root * root
    root += 1
    return kept


def beside(images):
    weight = torch.ones(3, requires_grad=True)
    return linear(images.detach()) * weight


@pytest.mark.parametrize("attack", ["pgd", "deepfool", "gradient"])
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (beside, TypeError, "logits have no gradient by its images; wrap it by Target.oracle instead"),
        (lambda x: torch.from_numpy(linear(x).detach().numpy()), TypeError, "logits have no gradient by its images"),
        (overwriting, ValueError, "must be differentiable by its images, and failed: .* Target.oracle instead"),
        (lambda x: Forwards.apply(linear(x)), ValueError, "must be differentiable by its images, and failed"),
    ],
    ids=["detached", "numpy", "overwriting", "no way back"],
)
def test_the_way_back_is_covered_as_the_way_there(model, error, message, attack):
    goal = Goal(linear(IMAGES).argmax(1))
    actions = {
        "pgd": lambda: pgd(Target(model), IMAGES, goal, Ball("linf", 0.1)),
        "deepfool": lambda: deepfool(Target(model), IMAGES, goal, "l2"),
        "gradient": lambda: Target(model).gradient(IMAGES, summed),
    }
    with pytest.raises(error, match=message):
        actions[attack]()


@pytest.mark.parametrize("loss", [lambda logits: logits.detach()[:, 0], lambda logits: torch.zeros(len(logits))])
def test_a_loss_without_a_gradient(loss):
    with pytest.raises(TypeError, match="`loss` must be differentiable by the logits, got values without a gradient"):
        Target(linear).gradient(IMAGES, loss)


@pytest.mark.parametrize("values", [5, [1, 2, 3], None])
def test_a_loss_of_no_tensor(values):
    with pytest.raises(TypeError, match=r"`loss\(...\)` must be a Tensor, got"):
        Target(linear).gradient(IMAGES, lambda _: values)


def test_options_are_bools():
    for name in ("stochastic", "differentiable"):
        assert getattr(Target(linear, **{name: np.True_}), name) is True
        with pytest.raises(TypeError, match=f"`{name}` must be a bool, got str"):
            Target(linear, **{name: "no"})


def test_a_module_made_in_inference_mode_is_told_of():
    with torch.inference_mode():
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    with pytest.raises(ValueError, match=r"make its modules outside of torch\.inference_mode"):
        Target(net).gradient(IMAGES, summed)


@pytest.mark.parametrize(
    "answers", [lambda x: x[::-1], lambda x: x.astype(">f8"), lambda x: x.astype(np.longdouble), lambda x: x[:, ::-1]]
)
def test_answers_of_any_layout(answers):
    expected = answers(linear(IMAGES).numpy()).astype(np.float64)
    np.testing.assert_array_equal(Target.oracle(lambda x: answers(linear(x).numpy())).logits(IMAGES), expected)


@pytest.mark.parametrize("answers", [["a"] * 3, None, [None] * 3, [[1], [1, 2], [1]]])
def test_decisions_that_are_no_classes(answers):
    with pytest.raises((TypeError, ValueError), match="`answers` must be"):
        Target.decisions(lambda _: answers, 3).logits(IMAGES)
    with pytest.raises(TypeError, match="`answers` must be a module or a function of images, got str"):
        Target.decisions("abc", 3)
    with pytest.raises(TypeError, match="`logits` must be a tensor, an array or nested lists of numbers"):
        Target.oracle(lambda x: linear(x).numpy().astype(object)).logits(IMAGES)
    with pytest.raises(TypeError, match="`logits` must be a dense tensor"):
        Target(lambda x: linear(x).to_sparse()).logits(IMAGES)


@pytest.mark.parametrize("bounds", [(-3e38, 3e38), (0, 1e200), (0, 10**400), ((0, 0), (1, 1e13))])
def test_bounds_that_float32_cannot_square(bounds):
    with pytest.raises(ValueError, match=r"`bounds` must be increasing, .* from -1e\+12 to 1e\+12"):
        Target(linear, bounds=bounds)


def test_levels_that_float32_tells_apart():
    assert Target(linear, levels=1 << 16).levels == 1 << 16
    with pytest.raises(ValueError, match="`levels` must lie in"):
        Target(linear, levels=1 << 20)
