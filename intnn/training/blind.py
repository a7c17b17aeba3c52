"""Training steps of somebody who never sees the inputs: their two products come from outside.

Inputs x [batch, fan_in] enter a step twice: in the first block's sums x wT, and in its gradient eT x. Everything else
needs labels, weights and these products only. So whoever is told the products, by functional decryption for example,
trains to the bits that a step on the inputs gives.
"""

from typing import Protocol

from intnn.training.ops import numpy_, reference
from intnn.training.plan import Plan
from intnn.training.step import ArrayHalves, Begun, Descent, Rate, Variables
from intnn.values.arrays import IntArray, integer, integers
from intnn.values.domain import IntDomain


class _Halves(Protocol):
    """What makes the halves of steps, on any backend with the same bits, and checks no shapes."""

    @property
    def weights(self) -> IntArray: ...

    def begin(
        self, sums: IntArray, labels: IntArray, rate: Rate, rounding: tuple[int, int], largest: int
    ) -> Begun | None: ...

    def finish(self, begun: Begun, gradient: IntArray, magnitude: int) -> bool: ...

    def state(self) -> list[Variables]: ...


class BlindStep:
    """Steps of one plan on batches of one size, without the inputs.

        logits, errors = step.begin(x @ step.weights.T, labels, rate, rounding)
        step.finish(errors.T @ x)

    gives the bits of `intnn.training.step.step` on x.

    Args:
        plan: The network; its first layer is dense.
        state: The variables to start from; they are copied.
        batch: The examples of a step.
        descent: The momentum and decay.
        backend: "reference", "numpy" or "numba"; all give the same bits.

    Raises:
        ValueError: The first layer is a convolution, gradients of such batches could overflow, or there is no such
            backend.
    """

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent, backend: str = "numba"):
        first = plan.blocks[0]
        if not first.is_dense:
            raise ValueError(
                f"the first layer must be dense, got a convolution with {first.rows} x {first.cols} outputs, whose "
                "patches only those gather who see the inputs; put a dense layer first"
            )
        self._batch = integer(batch, "batch", 1)
        first.gradient_shifts(self._batch)  # raises where gradients could overflow
        self._labels = IntDomain(0, plan.classes - 1)
        self._sums = _symmetric(first.fan_in * first.weight_limit * first.inputs.magnitude)
        self._sums_shape, self._labels_shape = (self._batch, first.outputs), (self._batch,)
        self._gradient_shape = first.outputs, first.fan_in
        self._magnitude = first.inputs.magnitude
        self._halves = _halves_on(backend, plan, state, self._batch, descent)
        self._begun: Begun | None = None

    @property
    def weights(self) -> IntArray:
        """The first layer's weights as products use them: int64 [outputs, fan_in], bytes within +-127."""
        return self._halves.weights

    def begin(
        self, sums: IntArray, labels: IntArray, rate: Rate, rounding: tuple[int, int]
    ) -> tuple[IntArray, IntArray]:
        """Make the first half of a step: every layer but the first learns.

        Args:
            sums: The inner products of the batch's inputs with `weights`, int64 [batch, outputs].
            labels: The classes, int64 [batch].
            rate: The learning rate divided by the batch size.
            rounding: The seed and the number of the step, which name the streams of random roundings.

        Returns:
            The logits before the update, int64 [batch, classes], and the errors of the first layer's sums, int64
            [batch, outputs] within +-127.

        Raises:
            TypeError: ``sums`` or ``labels`` hold no integers.
            ValueError: Their shape is wrong, a label is no class, or no inputs of the plan have such sums. Nothing has
                changed then.
            RuntimeError: The step before has not been finished.
        """
        if self._begun is not None:
            raise RuntimeError("the step before must be finished first: call `finish` with its gradient")
        sums = _shaped(sums, self._sums_shape, "sums")
        labels = _shaped(labels, self._labels_shape, "labels")
        begun = self._halves.begin(sums, labels, rate, rounding, self._sums.hi)
        if begun is None:  # one of these says what is wrong
            self._sums.require(sums, "sums")
            self._labels.require(labels, "labels")
        assert begun is not None
        self._begun = begun
        return begun.logits, begun.errors

    def finish(self, gradient: IntArray) -> None:
        """Make the second half of a step: the first layer learns.

        Args:
            gradient: The inner products of errors and inputs, one for every output and input: int64 [outputs, fan_in].

        Raises:
            TypeError: ``gradient`` holds no integers.
            ValueError: Its shape is wrong, or no inputs of the plan have such a gradient. Nothing has changed then.
            RuntimeError: No step has begun.
        """
        if self._begun is None:
            raise RuntimeError("no step has begun: call `begin` first")
        gradient = _shaped(gradient, self._gradient_shape, "gradient")
        if not self._halves.finish(self._begun, gradient, self._magnitude):
            largest = self._magnitude * int(abs(self._begun.errors).sum(axis=0).max())
            _symmetric(largest).require(gradient, "gradient")
        self._begun = None

    def state(self) -> list[Variables]:
        """The variables as they are now, copied.

        Raises:
            RuntimeError: A step has begun and has not been finished.
        """
        if self._begun is not None:
            raise RuntimeError("a step has begun, and half of it is no state: call `finish` first")
        return self._halves.state()


def _halves_on(backend: str, plan: Plan, state: list[Variables], batch: int, descent: Descent) -> _Halves:
    match backend:
        case "numba":
            from intnn.training.cpu.compiled import CompiledHalves  # late: Numba costs nothing where nobody trains

            return CompiledHalves(plan, state, batch, descent)
        case "numpy":
            return ArrayHalves(plan, state, batch, descent, numpy_)
        case "reference":
            return ArrayHalves(plan, state, batch, descent, reference)
    raise ValueError(f'`backend` must be "reference", "numpy" or "numba", got {backend!r}')


def _symmetric(magnitude: int) -> IntDomain:
    return IntDomain(-magnitude, magnitude)


def _shaped(values: IntArray, shape: tuple[int, ...], name: str) -> IntArray:
    found = integers(values, name)
    if found.shape != shape:
        raise ValueError(f"`{name}` must have shape {list(shape)}, got {list(found.shape)}")
    return found
