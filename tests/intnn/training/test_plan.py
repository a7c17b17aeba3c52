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
        ((Hidden(3, "swish"),), (3,), "`activation` must be one of"),
        ((3,), (2, 2), "`input_shape` must be"),
        ((1,), (70_000,), "sums must stay below 2\\*\\*31"),
    ],
)
def test_plans_that_cannot_be_are_refused(layers, shape, message):
    with pytest.raises(ValueError, match=message):
        plan(layers, shape, IntDomain(0, 255), 3)
