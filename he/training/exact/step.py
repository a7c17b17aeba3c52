"""One step of a network of squares on BFV ciphertexts, modulo one t: the sums of `intnn.training.squares.plan`.

Products are added up before they are scaled down, and totals over samples leave packed, as one ciphertext. Slots of no
sample hold zeros in features and targets, and so everywhere: the column of ones is zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np

from he.engines.rns.algebra import Exact
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.products import Packed, Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.kernels.instructions.tensors import COLUMNS
from he.training.exact.plan import ExactPlan
from intnn.values.value_object import Unstorable

Row = Sequence[np.ndarray]  # ciphertexts, uint64 [2, level, N] in transformed form


class ExactStep(Unstorable, instead="it holds tables of this process"):
    """The steps of one network modulo one plaintext prime, on the same samples.

    Args:
        plan: The plan.
        encoder: That of the parameters with this prime.
        keys: The evaluation keys, of `ExactPlan.key_elements`.
        workers: The threads that share the work, within their context.
        buffers: The memory of values.
    """

    def __init__(
        self, plan: ExactPlan, encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers
    ) -> None:
        self._plan, self._parameters, self._workers = plan, encoder.parameters, workers
        self._algebra = Exact(encoder, Weights({}, {}, {}), keys, False, (), workers, buffers)
        self._products = Products.of(encoder, keys, workers, buffers)
        self._traces = Traces(encoder, keys, workers, buffers, pairs=True)

    def read(self, data: bytes | memoryview) -> np.ndarray:
        """Return a fresh ciphertext, transformed.

        Raises:
            SealDataError: It is none of these parameters.
        """
        return self._residues(self._algebra.to_ntt(compact.read(data, Form.fresh(self._parameters)).residues))

    def set_samples(self, features: Row, targets: Row) -> None:
        """Keep the samples of all steps: the features, and the targets' negatives, both at the top level."""
        levels, count = self._plan.levels, len(features)
        self._features = self._packed(features, 1, levels.units)
        self._features_below = self._packed(features, count, levels.gradients)
        self._ones = self._lowered(features[-1], levels.logits)
        self._targets = [self._lowered(target, levels.logits) for target in targets]

    def gradients(self, first: np.ndarray, second: np.ndarray) -> bytes:
        """Make a step.

        Args:
            first: V, packed and at the top level: two hidden units a pair, and for each pair feature by feature.
            second: W, packed likewise: two rows a pair, class by class, and behind them its last row, in the first half
                and to be multiplied with the column of ones.

        Returns:
            The totals of X^T (U * E) and of U^2^T R, packed row by row, and behind them the sums of R, in either half;
            as a ciphertext that travels.
        """
        plan, levels = self._plan, self._plan.levels
        columns, classes = plan.columns, plan.squares.classes

        units = list(self._units(first))
        squares = [self._product(unit, unit, levels.logits) for unit in units]

        packed = self._lowered(second, levels.logits)
        *w, bias = _rows(self._traces.expanded(packed, (columns + 1) * classes), classes)
        logits = self._sums(self._packed([*squares, self._ones], 1, levels.logits), [*w, bias], levels.logits)
        residuals = [self._residual(*pair) for pair in zip(logits, self._targets, strict=True)]

        by_class = [[self._lowered(row[c], levels.errors) for row in w] for c in range(classes)]
        errors = self._sums(self._packed(residuals, 1, levels.errors), by_class, levels.inner)
        inner = [self._product(unit, error, levels.gradients) for unit, error in zip(units, errors, strict=True)]

        low = [self._lowered(residual, levels.gradients) for residual in residuals]
        left = self._packed(squares, columns, levels.gradients)
        found = [
            self._each_product(self._features_below, inner),
            self._each_product(left, low),
            (self._lowered(residual, levels.totals) for residual in low),
        ]
        return self._written(self._traces.packed((total for part in found for total in part), plan.answers))

    def _units(self, first: np.ndarray) -> Iterator[np.ndarray]:
        """Yield U, for so few columns at once that little of V is held, which is the largest of all."""
        features, columns = self._plan.squares.features, self._plan.columns
        expanded = self._traces.expanded(first, features * columns)
        for at in range(0, columns, COLUMNS):
            some = [list(islice(expanded, features)) for _ in range(min(COLUMNS, columns - at))]
            yield from self._sums(self._features, list(zip(*some, strict=True)), self._plan.levels.squares)

    def _residual(self, logit: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Add up the two halves of a logit, and the target's negative."""
        half = Value(logit)
        whole = self._algebra.add([half, self._algebra.swap_rows(half), Value(target)])
        return self._lowered(self._algebra.mod_down(whole), self._plan.levels.errors)

    def _packed(self, ciphertexts: Row, rows: int, level: int) -> Packed:
        """Return ciphertexts at a level as factors: all in one row, or each in a row of its own."""
        made: list[Callable[[], np.ndarray]] = [partial(self._lowered, x, level) for x in ciphertexts]
        return self._products.packed(made, rows, len(made) // rows)

    def _sums(self, left: Packed, right: Sequence[Row], level: int) -> list[np.ndarray]:
        """Return the sums of products of a row with every column, at a level."""
        return [self._lowered(x, level) for x in self._products.sums(left.addresses, right)]

    def _product(self, a: np.ndarray, b: np.ndarray, level: int) -> np.ndarray:
        """Return the product of two ciphertexts, at the level of the second, at a level below."""
        (result,) = self._sums(self._packed([a], 1, b.shape[1]), [[b]], level)
        return result

    def _each_product(self, left: Packed, right: Row) -> Iterator[np.ndarray]:
        """Yield the products of all with all, at the level of totals."""
        for x in self._products.sums(left.addresses, [right]):  # this frame keeps what the addresses are of
            yield self._lowered(x, self._plan.levels.totals)

    def _lowered(self, x: np.ndarray, level: int) -> np.ndarray:
        value = Value(x)
        while value.level > level:
            value = self._algebra.switch_modulus(value)
        return self._residues(value)

    def _written(self, x: np.ndarray) -> bytes:
        form = Form.result(self._parameters, self._plan.levels.answer, 1.0)
        residues = self._algebra.from_ntt(Value(self._lowered(x, self._plan.levels.answer)))
        return compact.write(CiphertextArray(residues, form.ntt, form.scale, None), form)

    @staticmethod
    def _residues(value: Value) -> np.ndarray:
        assert value.residues is not None
        return value.residues


def _rows(ciphertexts: Iterable[np.ndarray], width: int) -> list[list[np.ndarray]]:
    """Return ciphertexts row by row."""
    every = list(ciphertexts)
    return [every[at : at + width] for at in range(0, len(every), width)]
