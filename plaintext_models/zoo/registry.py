"""All models, each with what it is for and how it is made. Importing this does not need torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.augment import MirroredCrop, RandomAffine
from plaintext_models.proofs.schedule import Schedule
from plaintext_models.zoo.recipe import Hardening, Kind, Recipe

DIGITS = RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=0.5)
MNIST = RandomAffine(degrees=8, zoom=0.08, shear=0.08, shift=1)
# What torch's AdamW does by default: the attacked networks were first trained so.
DECAY = 0.01

# 57 points: an even table on them is a polynomial of degree 28 in the square of its input.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "digits-table-mlp": Recipe(
            "The smallest network of integers that is evaluated on ciphertexts.",
            "digits",
            "table_mlp",
            {"hidden": 64, "points": 57, "input_bits": 2, "even": True},
            epochs=200,
            learning_rate=5e-3,
            batch_size=64,
            augment=DIGITS,
            kind="shipped",
        ),
        "digits-table-cnn": Recipe(
            "A convolution and a table on ciphertexts, for the embedded images.",
            "digits",
            "table_cnn",
            {"channels": 8, "kernel": 3, "padding": 1, "points": 57, "input_bits": 2, "even": True},
            epochs=200,
            learning_rate=5e-3,
            batch_size=64,
            augment=DIGITS,
            kind="shipped",
        ),
        "digits-square-cnn": Recipe(
            "A float network with squares for approximate arithmetic, for the embedded images.",
            "digits",
            "cnn",
            {"channels": 8, "kernel": 3, "hidden": (32,), "activation": "square"},
            epochs=60,
            learning_rate=3e-3,
            batch_size=64,
            weight_decay=0.5,
            unit_variance=True,
            kind="shipped",
        ),
        "mnist-table-mlp": Recipe(
            "Integers and a table on ciphertexts, without a convolution.",
            "mnist",
            "table_mlp",
            {"hidden": 256, "points": 57, "input_bits": 1, "even": True},
            epochs=40,
            learning_rate=3e-3,
            augment=MNIST,
            kind="shipped",
        ),
        "mnist-table-cnn": Recipe(
            "Integers, a convolution and a table on ciphertexts.",
            "mnist",
            "table_cnn",
            {"channels": 16, "kernel": 7, "stride": 3, "points": 57, "input_bits": 1, "even": True},
            epochs=40,
            learning_rate=5e-3,
            batch_size=64,
            augment=MNIST,
            kind="shipped",
        ),
        # Decay keeps the worst case small, too: without it, logits could reach a hundred times as far.
        "mnist-square-cnn": Recipe(
            "A float network with squares for approximate arithmetic.",
            "mnist",
            "cnn",
            {"channels": 16, "kernel": 7, "stride": 3, "hidden": (64,), "activation": "square"},
            epochs=40,
            learning_rate=4e-3,
            weight_decay=0.5,
            unit_variance=True,
            augment=MNIST,
            kind="shipped",
        ),
        "mnist-small-cnn": Recipe(
            "The network that other toolkits are compared on.",
            "mnist",
            "cnn",
            {"channels": 4, "kernel": 7, "stride": 3, "hidden": (64,), "activation": "square"},
            epochs=30,
            learning_rate=4e-3,
            weight_decay=0.5,
            unit_variance=True,
            augment=RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=1),
            kind="shipped",
        ),
        "digits-mlp": Recipe(
            "What attacks are tried on, without any defence.",
            "digits",
            "mlp",
            {"hidden": (64, 32)},
            epochs=20,
            learning_rate=5e-3,
            batch_size=64,
        ),
        "digits-pgd-mlp": Recipe(
            "The same network, trained against projected gradient ascent.",
            "digits",
            "mlp",
            {"hidden": (64, 32)},
            epochs=60,
            learning_rate=5e-3,
            batch_size=64,
            weight_decay=DECAY,
            gradient_limit=None,
            hardening=Hardening(Ball("linf", 0.15), steps=5),
        ),
        "mnist-cnn": Recipe(
            "What attacks on MNIST are tried on, without any defence.",
            "mnist",
            "pooled_cnn",
            epochs=2,
            learning_rate=3e-3,
            batch_size=64,
        ),
        "mnist-pgd-cnn": Recipe(
            "The same network, trained against projected gradient ascent.",
            "mnist",
            "pooled_cnn",
            epochs=4,
            learning_rate=3e-3,
            batch_size=128,
            weight_decay=DECAY,
            gradient_limit=None,
            hardening=Hardening(Ball("linf", 0.3), steps=7),
        ),
        "mnist-stretched-cnn": Recipe(
            "The robust one: behind a stretched contrast attacks move grey pixels alone, and it learns from those.",
            "mnist",
            "stretched_strided_cnn",
            {"channels": (16, 32), "hidden": 100, "stretch": (0.4, 0.6)},
            epochs=16,
            learning_rate=3e-3,
            batch_size=128,
            gradient_limit=None,
            augment=RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=1),
            hardening=Hardening(Ball("linf", 0.3), steps=3, ramp=0.3),
        ),
        "cifar10-resnet": Recipe(
            "What attacks on CIFAR-10 are tried on, without any defence.",
            "cifar10",
            "resnet",
            {"channels": (32, 64, 128), "halve": True},
            epochs=10,
            learning_rate=5e-3,
            augment=MirroredCrop(4),
        ),
        "cifar10-pgd-resnet": Recipe(
            "A network twice as wide, trained against projected gradient ascent for an hour.",
            "cifar10",
            "resnet",
            {"channels": (64, 128, 256), "halve": True},
            epochs=20,
            learning_rate=5e-3,
            gradient_limit=None,
            augment=MirroredCrop(4),
            hardening=Hardening(Ball("linf", 8 / 255), steps=2, ramp=0.3),
        ),
        "digits-certified-mlp": Recipe(
            "What is proved of integers, on the embedded images.",
            "digits",
            "mlp",
            {"hidden": (64,), "input_bits": 2},
            epochs=60,
            learning_rate=5e-3,
            batch_size=64,
            proofs=Schedule(0.1, clean=0.1),
            kind="certified",
        ),
        # One bit: of what stands in the ball of radius 0.3, only pixels between 0.2 and 0.8 can change.
        "mnist-certified-mlp": Recipe(
            "What is proved of integers, for images of one bit.",
            "mnist",
            "mlp",
            {"hidden": (512, 256), "input_bits": 1},
            epochs=20,
            learning_rate=3e-3,
            proofs=Schedule(0.3, clean=0.1),
            kind="certified",
        ),
        "mnist-mlp": Recipe(
            "The perceptron of the report on the stochastic delta rule.",
            "mnist",
            "mlp",
            {"hidden": (100, 100, 100)},
            epochs=20,
            learning_rate=1e-3,
            batch_size=64,
            gradient_limit=None,
        ),
        "mnist-lstm": Recipe(
            "That report's recurrent network, which reads an image a row at a time.",
            "mnist",
            "lstm",
            {"hidden": 130, "steps": 28},
            epochs=20,
            learning_rate=1e-3,
            batch_size=64,
        ),
        "mnist-softmax": Recipe(
            "A linear classifier, on which adversarial images are explained.",
            "mnist",
            "mlp",
            {"hidden": ()},
            epochs=5,
            learning_rate=3e-3,
            batch_size=64,
        ),
        "mnist-maxout": Recipe(
            "A deep network whose units are maxima of linear maps, trained with dropout.",
            "mnist",
            "maxout",
            {"hidden": (240, 240)},
            epochs=60,
            learning_rate=2e-3,
            batch_size=100,
        ),
        "mnist-dbm": Recipe(
            "A generative model that classifies by inference.",
            "mnist",
            "dbm",
            {"hidden": (500, 500)},
            epochs=30,
            learning_rate=1e-2,
            batch_size=100,
        ),
        "mnist-shallow-cnn": Recipe(
            "The network of Keras's example, whose plasticity is compared with that of a deeper one.",
            "mnist",
            "stacked_cnn",
            {"channels": (32, 64), "dropout": (0.25, 0.5)},
            epochs=12,
            learning_rate=1e-3,
        ),
        "mnist-deep-cnn": Recipe(
            "The same with one more convolution.",
            "mnist",
            "stacked_cnn",
            {"channels": (32, 64, 64), "dropout": (0.25, 0.5)},
            epochs=12,
            learning_rate=1e-3,
        ),
        "mnist-rbf": Recipe(
            "A shallow network that is sure of nothing far from what it knows.",
            "mnist",
            "rbf",
            {"rank": 0},
            epochs=10,
            learning_rate=1e-2,
            batch_size=100,
        ),
    }
)


def of_kind(kind: Kind, dataset: str | None = None) -> tuple[str, ...]:
    """The names of the recipes of a kind, for one data set or for all, in the registry's order.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(Kind))}, got {kind!r}")
    return tuple(name for name, recipe in RECIPES.items() if recipe.kind == kind and dataset in (None, recipe.dataset))
