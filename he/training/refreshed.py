"""What plans have in common whose weights an owner refreshes between steps.

All weights stand in one ciphertext, two to a pair: *fresh* at the top level, and *worn* at level 1, to which
totals over samples are added as they come. That takes no product: a rate, the mean over samples and all factors are in
the scale at which a worn weight stands. Momentum takes two integer factors for fresh weights at level 2, the same for
all of them: so all weights have one ratio of the fresh to the worn scale.

Of all values only worn weights must fit the modulus that is left. Sums and products of ciphertexts are those of
integers modulo all primes, and a rescaling takes a multiple of their product to a multiple of the product of the
others: what wraps around on the way does so by multiples of the modulus, and is the same in the end.
"""

from __future__ import annotations

from typing import Protocol

from he.formats.compact import Form
from he.ring.params import Parameters
from he.training.frame import Frame
from intnn.values.arrays import FloatArray

_SPARE = 1.0  # bits of the modulus that no weight within reach comes to, so that few beyond look as if they were
MOMENTUM = 2  # the level of fresh weights that become worn


class RefreshedPlan(Frame, Protocol):
    """A plan of steps between which weights are refreshed."""

    @property
    def weights(self) -> int:
        """The number of pairs of weights, which all stand in one ciphertext."""

    @property
    def initial(self) -> FloatArray:
        """The weights at the start, which are public: float64 [weights, 2]."""

    @property
    def steps(self) -> int:
        """The number of steps."""

    @property
    def levels(self) -> int:
        """The levels of a step."""

    @property
    def reach(self) -> float:
        """What no weight may exceed."""

    @property
    def fresh_scales(self) -> FloatArray:
        """The scales of fresh weights, one for every pair: float64 [weights, 1]."""

    @property
    def worn_scales(self) -> FloatArray:
        """The scales of worn weights, one for every pair: float64 [weights, 1]."""

    @property
    def move_factors(self) -> tuple[int, int]:
        """What fresh weights, and those before, are multiplied by at level 2 for momentum, and to be worn.

        They are rounded to integers, which changes a weight by some 2^-28 of itself in a step.
        """

    @property
    def fresh_form(self) -> Form:
        """The form of a ciphertext of fresh weights."""

    @property
    def worn_form(self) -> Form:
        """The form of a ciphertext of worn weights."""


def fresh_form(parameters: Parameters) -> Form:
    """Return the form of a ciphertext of fresh weights, which stand at scales of their own."""
    return Form(parameters.data_primes, parameters.poly_modulus_degree, True, 1.0, seeded=True)


def worn_form(parameters: Parameters) -> Form:
    """Return the form of a ciphertext of worn weights, which stand at scales of their own."""
    return Form.result(parameters, 1, 1.0)


def worn_room(parameters: Parameters) -> float:
    """Return how large a worn weight may be, times its scale: a bit below what would wrap around."""
    return 2.0 ** (parameters.log2_modulus(1) - 1 - _SPARE)


def move_factors(momentum: float, parameters: Parameters, fresh: float, worn: float) -> tuple[int, int]:
    """Return the factors of `RefreshedPlan.move_factors`, from the two scales of any weight."""
    ratio = worn / fresh * parameters.primes[MOMENTUM - 1]
    return round((1 + momentum) * ratio), round(momentum * ratio)
