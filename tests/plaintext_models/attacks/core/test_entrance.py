"""What every attack does with arguments of the next type over: right, or refused by name with what to do."""

import copy
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from plaintext_models.attacks.black_box.discrimination import discriminate
from plaintext_models.attacks.black_box.substitute import substitute
from plaintext_models.attacks.black_box.transfer import transfer_matrix
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import in_batches
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.families import NEAREST, WITHIN
from plaintext_models.attacks.population.rubbish import ascended, evolved
from plaintext_models.attacks.population.upset import upset
from plaintext_models.evaluation.judge import Unnoticed, guarded, judge
from tests.plaintext_models.attacks.every import EVERY, RADII, Every
from tests.plaintext_models.attacks.soundness import require_sound

every = pytest.mark.parametrize("attack", EVERY, ids=str)


def same(one, other):
    return all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


@pytest.fixture(scope="module")
def problem(net, held_out):
    images, labels = (part[:4] for part in held_out)
    return net, images, labels


@every
@pytest.mark.parametrize(
    ("dtype", "logits"),
    [(torch.float32, torch.float64), (torch.float64, torch.float32), (torch.float32, torch.bfloat16)],
)
def test_types_that_meet(attack: Every, problem, dtype, logits):
    net, images, labels = problem
    target = attack.target(lambda x: net(x.float()).to(logits))
    goal = Goal(labels.to(torch.int32 if logits == torch.float64 else torch.uint8))
    assert goal.labels.dtype == torch.int64
    result = attack(target, images.to(dtype), goal)
    if attack.name not in ("ilcm", "one-step-least-likely"):  # those succeed with one class alone
        require_sound(target, images.to(dtype), goal, result)


@every
def test_integer_logits(attack: Every, problem):
    net, images, labels = problem
    if attack.member.gradients:
        with pytest.raises(TypeError, match="logits have no gradient by its images; wrap it by Target"):
            attack(Target(lambda x: (1000 * net(x)).round().long()), images, Goal(labels))
        return
    target = Target.oracle(lambda x: (1000 * net(x)).round().long().numpy())
    require_sound(target, images, Goal(labels), attack(target, images, Goal(labels)))


@every
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_is_the_callers(attack: Every, problem, mode):
    net, images, labels = problem
    expected = attack(attack.target(net), images, Goal(labels))
    before = [parameter.grad.clone() for parameter in net.parameters()]
    with mode():
        result = attack(attack.target(net), images.clone(), Goal(labels))
    assert same(result, expected)
    assert all(torch.equal(parameter.grad, grad) for parameter, grad in zip(net.parameters(), before, strict=True))


@every
def test_no_graph_comes_out(attack: Every, problem):
    net, images, labels = problem
    given = images.clone().requires_grad_()
    result = attack(attack.target(net), given, Goal(labels))
    assert not any(value.requires_grad for value in vars(result).values())
    assert given.grad is None


@every
def test_a_model_may_change_its_input(attack: Every, problem):
    net, images, labels = problem

    def in_place(x):
        return net(x.sub_(0.1).add_(0.1).clamp_(0, 1))

    given = images.clone()
    target = attack.target(in_place)
    result = attack(target, given, Goal(labels))
    assert torch.equal(given, images)
    if attack.name not in ("ilcm", "one-step-least-likely"):
        require_sound(target, images, Goal(labels), result)


@every
def test_torchs_defaults_are_the_callers(attack: Every, problem):
    net, images, labels = problem
    expected = attack(attack.target(net), images, Goal(labels))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        result = attack(attack.target(net), images, Goal(labels))
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(result, expected)
    assert torch.equal(torch.get_rng_state(), state)


@every
def test_other_containers_of_numbers(attack: Every, problem):
    net, images, labels = problem
    expected = attack(attack.target(net), images, Goal(labels))
    where = attack.where
    if attack.within:
        where = Ball(attack.norm, np.float64(RADII[attack.norm]))
        assert where == attack.where == Ball(attack.norm, torch.tensor(RADII[attack.norm], dtype=torch.float64))
        assert where != Ball(attack.norm, 1.0)
    array = images.numpy()
    read_only = np.frombuffer(array.tobytes(), np.float32).reshape(array.shape)
    for given in (array, images.tolist(), list(images), array.astype(">f4"), read_only, array[:, :, ::-1][:, :, ::-1]):
        assert same(attack(attack.target(net), given, Goal(labels.tolist()), where), expected)
    with pytest.raises(ValueError, match=r"must take images .* of torch\.float64, and failed: .*; cast them first"):
        attack(attack.target(net), images.double(), Goal(labels))


@every
def test_what_is_not_guessed(attack: Every, problem):
    net, images, labels = problem
    target, goal = attack.target(net), Goal(labels)
    for arguments, message in (
        ((net, images, goal), r"`target` must be a Target, got Sequential; wrap the model: Target\(model\)"),
        ((target, images, labels), r"`goal` must be a Goal, got Tensor; wrap the labels: Goal\(labels\)"),
        ((target, images, labels.numpy()), "`goal` must be a Goal, got ndarray"),
        ((target, "images", goal), "`images` must be"),
        ((target, images.half(), goal), "got torch.float16 and torch.int64; floats must have 32 or 64 bits"),
        ((target, images.bfloat16(), goal), "got torch.bfloat16 and"),
        ((target, images.to("meta"), goal), "`images` must have values, got a tensor on the device meta"),
        ((target, images.to_sparse(), goal), "`images` must be a dense tensor, got torch.sparse_coo"),
        (
            (target, images.numpy().astype(object), goal),
            "`images` must be a tensor, an array or nested lists of numbers",
        ),
        ((target, (255 * images).to(torch.uint8), goal), "`images` must be floats"),
    ):
        with pytest.raises(TypeError, match=message):
            attack(*arguments)
    if attack.within:
        with pytest.raises(TypeError, match="`ball` must be a Ball, got float; make one, as in Ball"):
            attack(target, images, goal, 0.3)
    for some in (images[:0], images[0, 0, 0], images[..., :0], torch.tensor(0.5), 0.5):
        with pytest.raises(ValueError, match="at least one image"):
            attack(target, some, Goal(labels[:0]))
    with pytest.raises(ValueError, match="one label each"):
        attack(target, images, Goal(labels[:3]))
    if attack.member.targets:
        with pytest.raises(ValueError, match=r"`targets` must be from 0 to 9, got values from 10 to 10"):
            attack(target, images, Goal(labels, torch.full_like(labels, 10)))


@every
@pytest.mark.parametrize(
    ("answers", "error", "message"),
    [
        (lambda logits: (logits, logits), TypeError, "one tensor of logits .*, got tuple; wrap it, as in Target"),
        (lambda logits: {"logits": logits}, TypeError, "got dict"),
        (lambda logits: logits.argmax(1), (ValueError, TypeError), r"must return \[batch, classes\]|have no gradient"),
        (lambda logits: logits[:, :1], ValueError, "a wrong class needs 2 classes, got 1"),
        (lambda logits: logits.masked_fill(logits > 0, -torch.inf), FloatingPointError, "got infinity; .* -1e9"),
        (lambda logits: logits > 0, TypeError, "real numbers, got torch.bool"),
    ],
    ids=["tuple", "dict", "labels", "one class", "infinity", "bool"],
)
def test_answers_that_are_no_logits(attack: Every, problem, answers, error, message):
    net, images, labels = problem
    with pytest.raises(error, match=message):
        attack(attack.target(lambda x: answers(net(x))), images, Goal(0 * labels))


INTEGERS = {
    "bim": ["steps"],
    "pgd": ["steps", "restarts", "draws", "seed"],
    "apgd": ["steps", "restarts", "draws", "seed"],
    "apgd-targeted": ["steps", "classes", "seed"],
    "ilcm": ["steps"],
    "universal": ["seed"],
    "few-pixel": ["population", "generations", "seed"],
    "local-search": ["chosen", "distance", "seed"],
    "square": ["steps", "seed"],
    "random-noise": ["draws", "seed"],
    "deepfool": ["steps", "candidates"],
    "ddn": ["steps", "seed"],
    "carlini-wagner": ["rounds", "steps"],
    "lbfgs": ["searches", "steps", "memory"],
}
FLOATS = {
    "bim": ["step_size"],
    "pgd": ["step_size"],
    "ilcm": ["step_size"],
    "jsma": ["theta"],
    "local-search": ["factor", "fraction"],
    "square": ["area"],
    "deepfool": ["overshoot"],
    "ddn": ["radius", "gamma"],
    "carlini-wagner": ["rate", "confidence"],
}


def first(name):
    return next(attack for attack in EVERY if attack.name == name)


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in INTEGERS for option in INTEGERS[name]])
def test_integers_of_other_types(problem, name, option):
    net, images, labels = problem
    attack = first(name)
    run = partial(attack, attack.target(net), images, Goal(labels))
    expected = run(**{option: 3})
    for three in (np.int64(3), np.uint8(3), torch.tensor(3), np.array(3)):
        assert same(run(**{option: three}), expected)
    for wrong in (2.0, np.float32(2), True, "2", None, float("nan"), float("inf")):
        with pytest.raises(TypeError, match=f"`{option}` must be an integer, got"):
            run(**{option: wrong})


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in FLOATS for option in FLOATS[name]])
def test_numbers_of_other_types(problem, name, option):
    net, images, labels = problem
    attack = first(name)
    run = partial(attack, attack.target(net), images, Goal(labels))
    expected = run(**{option: 0.5})
    for half in (np.float64(0.5), np.float32(0.5), torch.tensor(0.5), np.array(0.5)):
        assert same(run(**{option: half}), expected)
    for wrong in (float("nan"), float("inf"), np.float64("nan")):
        with pytest.raises(ValueError, match=f"`{option}` must be"):
            run(**{option: wrong})
    for wrong in ("0.5", [0.5], 1j, True):
        with pytest.raises(TypeError, match=f"`{option}` must be"):
            run(**{option: wrong})


@every
def test_a_softmax_is_warned_of(attack: Every, problem):
    net, images, labels = problem
    target = attack.target(lambda x: net(x).softmax(1))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        attack(target, images, Goal(labels))
    assert ["look like probabilities" in str(warning.message) for warning in told] == [True] * attack.member.gradients


@every
def test_modes_and_forwards_are_looked_at_every_time(attack: Every, problem):
    net, images, labels = problem
    model = nn.Sequential(net, nn.Dropout(0.5)).eval()
    target = attack.target(model)
    attack(target, images, Goal(labels))
    model[1].train()
    with pytest.raises(ValueError, match=r"evaluation mode, got one in training mode; call model.eval\(\) first"):
        attack(target, images, Goal(labels))
    noise = []
    target = attack.target(lambda x: net(x) + sum(torch.randn(len(x), 10) for _ in noise))
    attack(target, images, Goal(labels))
    noise.append(1)
    with pytest.raises(ValueError, match="two forwards of the same images differ"):
        attack(target, images, Goal(labels))


def test_the_end_is_looked_at_too(problem):
    net, images, labels = problem
    model = nn.Sequential(copy.deepcopy(net), nn.BatchNorm1d(10)).eval()
    before = model[1].running_mean.clone()

    def switching(logits, classes):
        model.train()
        return logits.gather(1, classes[:, None]).squeeze(1)

    with pytest.raises(ValueError, match="training mode"):
        WITHIN["pgd"].run(Target(model), images, Goal(labels), Ball("linf", 0.1), steps=1, loss=switching)
    assert torch.equal(model[1].running_mean, before)


def test_labels_live_where_images_do(problem):
    @entrance
    def both(images, labels):
        return images.device, labels.device

    _, images, labels = problem
    assert both(images.to("meta"), labels) == (torch.device("meta"),) * 2

    @entrance
    def goals(images, goal):
        return images.device, goal.labels.device

    assert goals(images.to("meta"), Goal(labels)) == (torch.device("meta"),) * 2


def test_batches_take_their_radii(problem):
    net, images, labels = problem
    radii = torch.tensor([0.05, 0.3, 0.0, 0.2])
    goal, ball = Goal(labels), Ball("linf", radii)
    whole = WITHIN["fgsm"].run(Target(net), images, goal, ball)
    parts = in_batches(WITHIN["fgsm"].run, Target(net), images, goal, ball=ball, batch_size=3)
    torch.testing.assert_close(parts.x_adv, whole.x_adv)
    assert ((whole.x_adv - images).abs().flatten(1).amax(1) <= radii + 1e-6).all()
    with pytest.raises(ValueError, match="`radius` must be one for all images or one each, got 4 for 3"):
        WITHIN["fgsm"].run(Target(net), images[:3], goal[torch.arange(3)], ball)


def test_families_are_covered():
    assert {attack.name for attack in EVERY} == set(WITHIN) | set(NEAREST)


def test_other_arguments_are_refused_by_name(problem):
    net, images, labels = problem
    target, goal, ball = Target(net), Goal(labels), Ball("linf", 0.1)
    pgd = WITHIN["pgd"].run
    with pytest.raises(TypeError, match="`random_start` must be a bool, got str"):
        pgd(target, images, goal, ball, random_start="no")
    assert same(pgd(target, images, goal, ball, random_start=np.True_), pgd(target, images, goal, ball))
    for loss in (lambda logits, _: logits.sum(), lambda logits, _: logits):
        with pytest.raises(ValueError, match="`loss` must give one number an image, got"):
            pgd(target, images, goal, ball, loss=loss)
    with pytest.raises(TypeError, match="`ball` must be a Ball, got NoneType"):
        pgd(target, images, goal, None)
    with pytest.raises(ValueError, match="`norm` must be one of l2, got Ball"):
        NEAREST["ddn"].run(target, images, goal, ball)
    with pytest.raises(TypeError, match="all models must be Targets, got Sequential; wrap it"):
        transfer_matrix({"a": net}, images, goal, partial(pgd, ball=ball))
    members = [True, False, True, False]
    assert torch.equal(
        discriminate(target, images, labels.numpy(), members).scores,
        discriminate(target, images, labels, torch.tensor(members)).scores,
    )
    with pytest.raises(TypeError, match="`members` must be bools, got"):
        discriminate(target, images, labels, [1, 0, 1, 0])


def test_trained_things_keep_to_the_images(problem):
    net, images, _ = problem
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            made = substitute(Target.oracle(net), images, lambda: copy.deepcopy(net), rounds=2, epochs=1)
            moves = upset(Target(net), images, Ball("linf", 0.1), epochs=1).perturbations
            assert evolved(Target(net), [0, 1], (1, 8, 8), generations=2).images.shape == (2, 1, 8, 8)
            assert ascended(Target(net), np.array([0, 1]), (1, 8, 8), steps=2).images.dtype == torch.float32
        assert made.target.logits(images).dtype == moves.dtype == torch.float32
    for name, value in (("learning_rate", float("nan")), ("learning_rate", float("inf")), ("step", float("inf"))):
        with pytest.raises(ValueError, match=f"`{name}` must be a number"):
            substitute(Target.oracle(net), images, lambda: net, **{name: value})


@pytest.mark.parametrize("attack", [attack for attack in EVERY if attack.within], ids=str)
@pytest.mark.parametrize("radius", [1e6, 3e38, 1e300])
def test_a_ball_far_larger_than_the_box_is_the_box(attack: Every, problem, radius):
    net, images, labels = problem
    target = attack.target(net)
    result = attack(target, images, Goal(labels), Ball(attack.norm, radius))
    assert result.x_adv.isfinite().all()
    if attack.name not in ("ilcm", "one-step-least-likely"):
        verdict = judge(target, images, Goal(labels), result, Ball(attack.norm, radius))
        assert verdict.admissible.all()
        assert torch.equal(verdict.broken, result.success)


def test_a_goal_of_a_detector_without_one(problem):
    net, images, labels = problem
    detector = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval()
    for action in (
        lambda target: WITHIN["pgd"].run(target, images, Unnoticed(labels), Ball("linf", 0.1), steps=2),
        lambda target: judge(target, images, Unnoticed(labels), images),
    ):
        with pytest.raises(ValueError, match="`goal` must not ask to go unnoticed where nothing looks; attack guarded"):
            action(Target(net))
        action(guarded(Target(net), detector))


def test_goals_are_compared_by_identity():
    goal = Goal([0, 1])
    assert goal != Goal([0, 1])
    assert len({goal, Unnoticed([0, 1])}) == 2
