"""The architectures by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from plaintext_models.nets.cnn import cnn, pooled_cnn, stacked_cnn, strided_cnn, table_cnn
from plaintext_models.nets.dbm import Dbm
from plaintext_models.nets.layers import Stretch
from plaintext_models.nets.logistic import Logistic
from plaintext_models.nets.maxout import maxout
from plaintext_models.nets.mlp import mlp, table_mlp
from plaintext_models.nets.rbf import Rbf
from plaintext_models.nets.recurrent import LSTM
from plaintext_models.nets.resnet import resnet
from plaintext_models.stochastic.networks import masked_cnn
from plaintext_models.stochastic.weights import randomise


def randomised(base: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """An architecture whose weights are drawn; beside what `base` takes, it takes `weights`: what `randomise` takes."""

    def built(
        input_shape: tuple[int, int, int], classes: int, *, weights: Mapping[str, Any], **options: Any
    ) -> nn.Module:
        module = base(input_shape, classes, **options)
        randomise(module, **weights)
        return module

    return built


def stretched(base: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """An architecture behind a `Stretch`; beside what `base` takes, it takes `stretch`: that layer's low and high."""

    def built(
        input_shape: tuple[int, int, int], classes: int, *, stretch: tuple[float, float], **options: Any
    ) -> nn.Sequential:
        return nn.Sequential(Stretch(*stretch), base(input_shape, classes, **options))

    return built


#: Architectures of float layers, whose weights may be drawn.
FLOAT: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "mlp": mlp,
        "cnn": cnn,
        "pooled_cnn": pooled_cnn,
        "stacked_cnn": stacked_cnn,
        "strided_cnn": strided_cnn,
        "resnet": resnet,
        "maxout": maxout,
        "lstm": LSTM,
    }
)

#: All architectures; those of float layers also with weights that are drawn, "random_mlp" and so on, and behind a
#: stretched contrast, "stretched_mlp" and so on.
BUILDERS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        **FLOAT,
        **{f"random_{name}": randomised(base) for name, base in FLOAT.items()},
        **{f"stretched_{name}": stretched(base) for name, base in FLOAT.items()},
        "masked_cnn": masked_cnn,
        "rbf": Rbf,
        "dbm": Dbm,
        "logistic": Logistic,
        "table_mlp": table_mlp,
        "table_cnn": table_cnn,
    }
)


def build(name: str, input_shape: tuple[int, int, int], classes: int, **options: Any) -> nn.Module:
    """A new network, its weights drawn from torch's generator.

    Args:
        name: A key of `BUILDERS`.
        input_shape: The shape of one input, (channels, height, width).
        classes: Number of outputs.
        **options: What else this architecture takes; see its function.

    Raises:
        ValueError: The name is unknown, or an option is out of range.
        TypeError: The architecture has no such option.
    """
    if name not in BUILDERS:
        raise ValueError(f"`name` must be one of {', '.join(BUILDERS)}, got {name!r}")
    return BUILDERS[name](input_shape, classes, **options)
