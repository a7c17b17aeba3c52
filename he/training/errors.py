"""How far a head that was trained on ciphertexts is from its clear twin: a bound, known before anything is encrypted.

Errors are random, and a polynomial with independent coefficients has independent slots; deviations are those at a
complex root, and tails those of `he.readers.deviations`. With e_x and e_y the errors of fresh samples and targets, the
total over samples of (x + e_x)(R + e_R) differs from that of x R by

    sum x e_R    at most sqrt(n b) times e_R's deviation, since |x| <= sqrt(n b) for every feature
    sum R e_x    at most |Y| times e_x's, since no residual is longer than the targets
    sum e_x e_R  of all slots, also of those without a sample

and by what relinearisation and rescaling add, of which a total takes the root of the slots, and packing
(`he.readers.traces`). Where the head is expanded, that adds too, to the head in residuals alone. An error of the head,
e_W, comes back in the next residual as X e_W, and in its gradient as X^T X e_W. What is carried is a bound on the
covariance of a column of e_W: X^T X turns s^2 times the identity into at most (n b s)^2 times it. So it does where
slots have errors of their own, as those behind key switches: the sum of (X_c^T X_c)^2 over groups c of samples is at
most the square of the top eigenvalue of all X_c^T X_c together. Errors of which it is not known that they are
independent, such as those of several steps, are added without squares.
"""

from __future__ import annotations

import math

from he.readers.deviations import NONE, Deviations
from he.readers.key_switching import key_switch_variance
from he.readers.traces import expansion_variance, packing_variance
from he.readers.variance import ERROR_VARIANCE, deviation_at_root, rounding_variance
from he.ring.gadget import Gadget
from he.training.plan import HeadPlan, StepScales
from he.training.whitening import LARGEST

_ENCODING_VARIANCE = 1 / 4  # of a coefficient that is rounded up or down at random, at most


def head_error(plan: HeadPlan) -> float:
    """Return a bound on the error of every weight of an encrypted head, in the weight's unit.

    It holds if the top eigenvalue of the samples' moments is at most the plan's bound, and misses with a probability
    below 2^-39 for a weight. Roundings of float64, some 2^-45 of the largest weight, are not in it.
    """
    head, fixed = _Errors(plan).head()
    return head.bound + fixed


def logit_error(plan: HeadPlan) -> float:
    """Return a bound on the error of every logit that an encrypted head gives an encrypted sample.

    It is that of `head_error` for a sample of the largest length that there is, and of what one more product adds.

    Raises:
        ParameterError: The plan leaves no level for logits.
    """
    errors = _Errors(plan)
    head, fixed = errors.head()
    head = errors.expanded(head, plan.head_level, plan.scales[-1].head)
    length = LARGEST * math.sqrt(plan.features)
    added = errors.product(plan.head_level, plan.logit_scale * plan.parameters.primes[1], head, plan.head_norm)
    return (head * length).with_(added).bound + fixed * length


class _Errors:
    """The errors of one plan's values, step by step."""

    def __init__(self, plan: HeadPlan) -> None:
        N, (samples, targets) = plan.degree, plan.scale_bits
        self._plan, self._n, self._slots = plan, plan.samples, N // 2
        fresh = deviation_at_root(N, ERROR_VARIANCE + _ENCODING_VARIANCE)
        self._x, self._y = Deviations(normal=fresh / 2.0**samples), Deviations(normal=fresh / 2.0**targets)
        self._sample_scale, self._rounding = 2.0**samples, deviation_at_root(N, rounding_variance(N))
        self._packed_rounding = math.sqrt(2 * rounding_variance(N))  # of a pair of coefficients
        self._column = math.sqrt(self._n * plan.descent.bound)  # of X: a bound on its norm
        self._targets = math.sqrt(self._n) * plan.target_norm

    def head(self) -> tuple[Deviations, float]:
        """Return the deviations of a head's errors, and a bound on what integer factors change in a column."""
        n, weights = self._n, self._plan.descent.weights
        residual, gradients, fixed, fixed_gradients = self._y, list[Deviations](), 0.0, list[float]()
        head = spread = NONE
        for row, scales in zip(weights, self._plan.scales, strict=True):
            own = self._gradient(scales, residual, spread)
            gradients.append(own)
            fixed_gradients.append(self._rounded_targets(len(gradients)) + n * self._plan.descent.bound * fixed)
            shares = [weight / n for weight in row]
            head, fixed = NONE, self._rounded_factors(row, scales)
            for share, gradient, certain in zip(shares, gradients, fixed_gradients, strict=True):
                head, fixed = head.with_(gradient * share), fixed + certain * share
            if scales.earlier:
                head = head.with_(Deviations(product=self._packed_rounding / scales.head))
            spread = self.expanded(head, scales.level - 1, scales.head)
            residual = self._residual(scales, spread, sum(row))
        return head, fixed

    def _gradient(self, scales: StepScales, residual: Deviations, head: Deviations) -> Deviations:
        """Return the errors of a step's gradient times n, from those of its residuals, and of the head in them."""
        x, n, root, scale = self._x.normal, self._n, math.sqrt(self._slots), scales.gradient
        carried = head * (n * self._plan.descent.bound)
        crossed = math.sqrt(self._slots * n) * (residual.normal + residual.product)  # of at most n blocks
        crossed += math.sqrt(n * self._plan.features * self._plan.descent.bound) * (head.normal + head.product)
        added = math.hypot(self._switch(scales.level) / (self._sample_scale * scales.residual), self._rounding / scale)
        packing = math.sqrt(2 * packing_variance(self._plan.parameters, scales.level - 1)) / scale
        fresh = Deviations(normal=x * self._targets, product=x * crossed + math.hypot(root * added, packing))
        return carried.with_(residual * self._column).with_(fresh)

    def expanded(self, head: Deviations, level: int, scale: float) -> Deviations:
        """Return the errors of a packed head once it is expanded, at a level and a scale."""
        return head.and_(Deviations(product=math.sqrt(expansion_variance(self._plan.parameters, level)) / scale))

    def _residual(self, scales: StepScales, head: Deviations, weights: float) -> Deviations:
        """Return the errors of the next step's residuals, but for what the head's error makes of samples."""
        if not scales.targets:
            return NONE
        length = weights * self._plan.gradient_bound / self._n  # of two columns of the head
        product_scale = self._sample_scale * scales.head
        rounded = self._rounding * self._plan.parameters.primes[scales.level - 2] / product_scale  # of targets
        made = self.product(scales.level - 1, product_scale, head, length)
        return self._y.with_(made.and_(Deviations(product=rounded)))

    def product(self, level: int, scale: float, head: Deviations, length: float) -> Deviations:
        """Return what a product of samples with a head adds, rescaled, to what the head's error makes of samples.

        Args:
            level: The level of the factors.
            scale: The scale of the product before it is rescaled.
            head: The deviations of the head's errors.
            length: A bound on the norm of two of its columns together.
        """
        rounded = self._rounding * self._plan.parameters.primes[level - 1] / scale
        crossed = math.sqrt(self._plan.features) * self._x.normal * (head.normal + head.product)
        switched = self._switch(level) / scale
        return Deviations(self._x.normal * length, crossed + math.hypot(switched, rounded))

    def _switch(self, level: int) -> float:
        """Return the deviation that a key switch adds, with the rounding of its result, in units of coefficients."""
        return math.sqrt(key_switch_variance(Gadget.of(self._plan.parameters, level)) + self._rounding**2)

    def _rounded_targets(self, step: int) -> float:
        """Return what the integer factor of targets in a residual changes at most in the gradient of a step."""
        if step == 1:
            return 0.0
        return self._column * self._targets / (2 * self._plan.scales[step - 2].targets)

    def _rounded_factors(self, row: tuple[float, ...], scales: StepScales) -> float:
        """Return what the integer factors of earlier gradients change at most in a column of the head."""
        pairs = zip(row[:-1], scales.earlier, strict=True)
        return sum(weight / (2 * factor) for weight, factor in pairs) * self._plan.gradient_bound / self._n
