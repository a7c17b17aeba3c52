"""The operations of training on ciphertexts of one feature each, by the fast engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from he.engines.rns.algebra import Approximate
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, require_size
from he.formats.seal_bytes import CiphertextArray
from he.parties.keys import EvaluationKeys
from he.program.operations import Scalar
from he.ring.params import Parameters
from intnn.values.value_object import Unstorable

Item = TypeVar("Item")
Result = TypeVar("Result")
_AT_ONCE = 8  # products that are held before they are added


class Frame(Protocol):
    """What the operations need to know of a plan."""

    @property
    def parameters(self) -> Parameters:
        """The encryption parameters."""

    @property
    def elements(self) -> tuple[int, ...]:
        """The Galois elements of totals over slots."""

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys, relinearisation's first."""


class Agreed(Frame, Protocol):
    """What keys that travel are checked against."""

    @property
    def digest(self) -> str:
        """A digest of all that is agreed on."""


class Arithmetic(Unstorable, instead="it holds tables of this process"):
    """Sums of products, totals and combinations under one pair of keys; every call is one thread's.

    Args:
        plan: The plan, whose totals the keys are for.
        keys: The evaluation keys: relinearisation, then the elements of totals.
        threads: How many calls `each` makes at once.

    Raises:
        SealDataError: The keys are not as many bytes as the plan's, or a residue is not below its prime.
    """

    def __init__(self, plan: Frame, keys: EvaluationKeys, threads: int) -> None:
        encoder, self._elements, self._threads = Encoder.of(plan.parameters), plan.elements, threads
        read, nothing = SwitchingKeys.read(encoder, keys.data, plan.key_elements), Weights({}, {}, {})
        self._algebra = Approximate(encoder, nothing, read, False, (), Workers(1), Buffers())

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call a function for all items, on as many threads as there are, and return the results in order."""
        if self._threads == 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(work, items))

    def products(self, xs: Sequence[Value], rows: Sequence[Sequence[Value]]) -> list[Value]:
        """Return for every column p the relinearised sum over i of xs[i] times rows[i][p], at the level of the rows."""
        level, columns = rows[0][0].level, len(rows[0])
        sums: list[Value | None] = [None] * columns
        for at in range(0, len(xs), _AT_ONCE):
            some = [self.lowered(x, level) for x in xs[at : at + _AT_ONCE]]
            for p in range(columns):
                made = [self._algebra.multiply(x, row[p]) for x, row in zip(some, rows[at:], strict=False)]
                before = sums[p]
                sums[p] = self._algebra.add(made if before is None else [before, *made])
        return [self._algebra.relinearise(value) for value in sums if value is not None]

    def lowered(self, a: Value, level: int) -> Value:
        """Return a value with so many primes left, of which it has more, or as many."""
        if a.level == level:
            return a
        return Value(np.ascontiguousarray(self._algebra.mod_down(a)[:, :level]))

    def combination(self, values: Sequence[Value], factors: Sequence[int]) -> Value:
        """Return the sum of integer multiples of values of one level, divided by the level's last prime and rounded."""
        level = values[0].level
        scalars = [Scalar(float(factor), level, 1.0) for factor in factors]
        return self._algebra.rescale(self._algebra.scalar_dot(values, scalars, Scalar(0.0, level, 1.0)))

    def rescale(self, a: Value) -> Value:
        """Return a value divided by its level's last prime, and rounded."""
        return self._algebra.rescale(a)

    def add(self, a: Value, b: Value) -> Value:
        """Return the sum of two values of one level."""
        return self._algebra.add([a, b])

    def total(self, a: Value) -> Value:
        """Return the sum over all slots, in every slot."""
        for element in self._elements:
            a.rotations = a.readers = 1  # nobody else reads it
            a = self._algebra.add([a, self._algebra.automorphism(a, element)])
        return Value(self._algebra.mod_down(a))


def read_keys(keys: EvaluationKeys | bytes, plan: Agreed) -> EvaluationKeys:
    """Return the evaluation keys of a plan that are given as such or as bytes; more bytes are not looked at.

    Raises:
        MessageError: They are damaged, too many, or for another plan.
        TypeError: They are neither.
    """
    if not isinstance(keys, EvaluationKeys):
        most = len(plan.key_elements) * switching.key_bytes(plan.parameters, plan.parameters.levels)
        require_size(Kind.EVALUATION_KEYS, keys, most)
        keys = EvaluationKeys(keys)
    if keys.circuit != plan.digest:
        raise MessageError("the evaluation keys were made for another plan; owners and trainer must agree on one")
    return keys


def written(value: Value, form: Form) -> bytes:
    """Return a value that has been divided, as a ciphertext of this form."""
    assert value.residues is not None
    return compact.write(CiphertextArray(value.residues, form.ntt, form.scale, None), form)
