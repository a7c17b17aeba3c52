"""Plans that cannot be are refused when they are made."""

import pytest

from intnn import IntDomain
from intnn.training.plan import Convolution, Hidden, plan


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ((0,), (3,), "units"),
        ((Convolution(2, 9),), (1, 5, 5), "must fit into the padded image"),
        ((Convolution(2, 3, pool=4),), (1, 5, 5), "pooling window"),
        ((3,), (2, 2), "`input_shape` must be"),
        ((1,), (70_000,), "sums must stay below 2\\*\\*31"),
    ],
)
def test_plans_that_cannot_be_are_refused(layers, shape, message):
    with pytest.raises(ValueError, match=message):
        plan(layers, shape, IntDomain(0, 255), 3)


@pytest.mark.parametrize(
    ("layer", "values", "message"),
    [
        (Hidden, {"units": 0}, "`units` must lie in"),
        (Hidden, {"units": 3, "activation": "swish"}, "`activation` must be one of"),
        (Convolution, {"channels": 0, "size": 3}, "`channels` must lie in"),
        (Convolution, {"channels": 2, "size": 0}, "`size` must lie in"),
        (Convolution, {"channels": 2, "size": 3, "stride": 0}, "`stride` must lie in"),
        (Convolution, {"channels": 2, "size": 3, "padding": -1}, "`padding` must lie in"),
        (Convolution, {"channels": 2, "size": 3, "pool": 17}, "`pool` must lie in"),
        (Convolution, {"channels": 2, "size": 3, "activation": "swish"}, "`activation` must be one of"),
    ],
)
def test_layers_that_cannot_be_are_refused_where_they_are_written(layer, values, message):
    with pytest.raises(ValueError, match=message):
        layer(**values)
    with pytest.raises(TypeError, match=r"must be an integer, got 2\.5"):
        layer(2.5, *[3] * (layer is Convolution))
