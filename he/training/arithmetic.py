"""The operations of training on ciphertexts, by the fast engine: matrix products, totals, combinations.

A ciphertext is uint64 [2, level, N] in transformed form. Samples lie in its slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from he.engines.rns.algebra import Approximate
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.products import Packed, Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, require_size
from he.formats.seal_bytes import CiphertextArray
from he.parties.evaluation_keys import EvaluationKeys
from he.program.operations import Scalar
from he.training.frame import Frame, Keyed
from intnn.machine.cuda.device import device
from intnn.values.value_object import Unstorable

Item = TypeVar("Item")
Result = TypeVar("Result")
Maker = Callable[[Encoder, SwitchingKeys, Workers, Buffers], Result]
Rows = Sequence[Sequence[np.ndarray]]  # of ciphertexts


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix of ciphertexts, packed for the left side of products.

    Attributes:
        addresses: The addresses of their rows of residues, int64 [rows, columns, 2, primes].
        held: What the addresses are of, on the host or on a GPU.
    """

    addresses: np.ndarray
    held: tuple[Packed, ...]

    @staticmethod
    def stacked(parts: Sequence[Matrix]) -> Matrix:
        """Return the rows of several matrices, one below the other. Nothing is copied."""
        held = tuple(factors for part in parts for factors in part.held)
        return Matrix(np.concatenate([part.addresses for part in parts]), held)

    @staticmethod
    def beside(parts: Sequence[Matrix]) -> Matrix:
        """Return the columns of several matrices, one beside the other, at the lowest of their levels; none copied."""
        primes = min(part.addresses.shape[-1] for part in parts)
        held = tuple(factors for part in parts for factors in part.held)
        return Matrix(np.concatenate([part.addresses[..., :primes] for part in parts], axis=1), held)

    @property
    def transposed(self) -> Matrix:
        """The matrix with its columns as rows. Nothing is copied."""
        return Matrix(self.addresses.transpose(1, 0, 2, 3), self.held)

    def taken(self, columns: np.ndarray) -> Matrix:
        """Return some of the columns, by their indices. Nothing is copied."""
        return Matrix(self.addresses[:, columns], self.held)

    def unfolded(self, columns: np.ndarray) -> Matrix:
        """Return a row for every tap of windows [places, taps]: what it meets in every row at every place, in order."""
        taken = self.addresses[:, columns]  # [rows, places, taps, 2, primes]
        return Matrix(taken.transpose(2, 0, 1, 3, 4).reshape(columns.shape[1], -1, *taken.shape[3:]), self.held)


class Arithmetic(Unstorable, instead="it holds tables of this process"):
    """Products, totals and combinations under one owner's keys.

    It is a context manager; within the context, several threads share the work of every call. Calls come from one
    thread.

    Args:
        plan: The plan that the keys are for.
        keys: The evaluation keys.
        threads: The number of threads.
        engine: "rns", or "cuda" to have matrix products and totals on the GPU in use; the ciphertexts are the same.

    Raises:
        DeviceError: There is no GPU for "cuda", or it has too little free memory.
        SealDataError: The keys are not as many bytes as the plan's, or a residue is not below its prime.
        ValueError: There is no engine of this name.
    """

    def __init__(self, plan: Frame, keys: EvaluationKeys, threads: int, engine: str = "rns") -> None:
        products, traces = _makers(engine)
        encoder, nothing, buffers = Encoder.of(plan.parameters), Weights({}, {}, {}), Buffers()
        read = SwitchingKeys.read(encoder, keys.data, plan.key_elements)
        self._workers, self._most = Workers(threads), plan.parameters.poly_modulus_degree // 2
        self._products = products(encoder, read, self._workers, buffers)
        self._traces = traces(encoder, read, self._workers, buffers)
        self._algebra = Approximate(encoder, nothing, read, False, (), self._workers, buffers)

    def __enter__(self) -> Arithmetic:
        self._workers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.__exit__(kind, error, trace)

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Call a function for all items, on as many threads as there are, and return the results in order."""
        results: dict[int, Result] = {}

        def some(first: int, stop: int) -> None:
            for index in range(first, stop):
                results[index] = work(items[index])

        # One task a thread: who waits for parts of an operation takes on others, one within the other.
        self._workers.share(len(items), some)
        return [results[index] for index in range(len(items))]

    def matrix(self, ciphertexts: Sequence[Callable[[], np.ndarray]], columns: int) -> Matrix:
        """Pack ciphertexts for the left side of products.

        Args:
            ciphertexts: Row by row, functions that return ciphertexts of one level. Each is called once, from any
                thread, and what it returns is held no longer than it takes to be packed.
            columns: The number of ciphertexts in a row.
        """
        packed = self._products.packed(ciphertexts, len(ciphertexts) // columns, columns)
        return Matrix(packed.addresses, (packed,))

    def samples(self, ciphertexts: Sequence[bytes | memoryview], form: Form, columns: int) -> Matrix:
        """Do what `matrix` does with ciphertexts as they travel, in one form.

        Raises:
            SealDataError: If the bytes of one are no such ciphertext.
        """
        packed = self._products.read(ciphertexts, form, len(ciphertexts) // columns, columns)
        return Matrix(packed.addresses, (packed,))

    def products(self, left: Matrix, right: Rows) -> Iterator[np.ndarray]:
        """Yield the entries of a matrix product, row by row, relinearised and rescaled: one level below the right side.

        Args:
            left: A matrix, at the level of the right side or a higher one.
            right: A row for every column of the left side, of ciphertexts of one level, at least 2.
        """
        return self._products.sums(left.addresses, right)

    def product_totals(self, left: Matrix, right: Rows, count: int) -> list[np.ndarray]:
        """Return the `totals` of the entries of a matrix product, of which there are so many."""
        return self.totals(self._products.held(left.addresses, right), count)

    def products_with(self, left: Matrix, packed: Sequence[np.ndarray], columns: int) -> Iterator[np.ndarray]:
        """Yield the entries of a matrix product whose right side is packed, row by row: as many columns, or pairs."""
        rows = left.addresses.shape[1]
        return self.products(left, rows_of(self._held(packed, rows * columns), columns))

    def dot(self, left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> np.ndarray:
        """Return a sum of products of ciphertexts of one level, at least 2, relinearised and rescaled."""
        products = [self._algebra.multiply(Value(a), Value(b)) for a, b in zip(left, right, strict=True)]
        whole = self._algebra.relinearise(self._algebra.add(products))
        return self._algebra.mod_down(self._algebra.rescale(whole))

    def conjugated(self, a: np.ndarray) -> np.ndarray:
        """Return a ciphertext of pairs (x, -y), of one of pairs (x, y)."""
        value = Value(a)
        value.rotations = 1  # nobody else needs its digits
        return self._algebra.mod_down(self._algebra.conjugate(value))

    def halves(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ciphertexts of the pairs (2 x, 0) and (0, 2 y), of one of pairs (x, y).

        As numbers they are 2 x and 2 y i, so that the second one's square is -4 y^2, of single numbers again.
        """
        other = self.conjugated(a)
        return self.combination([a, other], [1, 1]), self.combination([a, other], [1, -1])

    def totals(self, ciphertexts: Iterable[Any], count: int) -> list[np.ndarray]:
        """Return the totals over slots of ciphertexts of one level, packed: N / 2 to a ciphertext.

        Args:
            ciphertexts: They are taken when they are needed.
            count: Their number.
        """
        left = iter(ciphertexts)
        return [self._traces.packed(islice(left, size), size) for size in packed_sizes(count, self._most)]

    def expanded(self, packed: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
        """Return a ciphertext for every packed number, or pair, with that in all of its slots."""
        return [np.asarray(x) for x in self._held(packed, count)]

    def _held(self, packed: Sequence[np.ndarray], count: int) -> list[Any]:
        """Return what `expanded` does, where the engine has it."""
        sizes = packed_sizes(count, self._most)
        return [x for part, size in zip(packed, sizes, strict=True) for x in self._traces.held(part, size)]

    def lowered(self, a: np.ndarray, level: int) -> np.ndarray:
        """Return a ciphertext with so many primes left, of which it has more, or as many."""
        return a if a.shape[1] == level else np.ascontiguousarray(a[:, :level])

    def combination(
        self, ciphertexts: Sequence[np.ndarray], factors: Sequence[int], constant: float = 0.0
    ) -> np.ndarray:
        """Return the sum of integer multiples of ciphertexts of one level, and of a number, rounded, in all slots."""
        values, level = [Value(ciphertext) for ciphertext in ciphertexts], ciphertexts[0].shape[1]
        scalars = [Scalar(float(factor), level, 1.0) for factor in factors]
        return self._algebra.mod_down(self._algebra.scalar_dot(values, scalars, Scalar(constant, level, 1.0)))

    def rescale(self, a: np.ndarray) -> np.ndarray:
        """Return a ciphertext divided by its level's last prime, and rounded."""
        return self._algebra.mod_down(self._algebra.rescale(Value(a)))


def _makers(engine: str) -> tuple[Maker[Products], Maker[Traces]]:
    """Return what makes an engine's products, and its totals."""
    match engine:
        case "rns":
            return Products.of, Traces
        case "cuda":
            device()  # says what is missing before anything is loaded
            from he.engines.cuda.products import CudaProducts
            from he.engines.cuda.traces import CudaTraces

            return CudaProducts.of, lambda encoder, keys, *_: CudaTraces(encoder, keys)
    raise ValueError(f'`engine` must be "rns" or "cuda", got {engine!r}')


def packed_sizes(count: int, most: int) -> list[int]:
    """Return how many numbers each ciphertext holds, where so many are packed and one holds no more than ``most``."""
    return [min(most, count - start) for start in range(0, count, most)]


def rows_of(values: Sequence[np.ndarray], width: int) -> Rows:
    """Return ciphertexts row by row."""
    return [values[at : at + width] for at in range(0, len(values), width)]


def read_keys(keys: EvaluationKeys | bytes, plan: Keyed) -> EvaluationKeys:
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


def read(data: bytes | memoryview, form: Form) -> np.ndarray:
    """Return a ciphertext of this form.

    Raises:
        SealDataError: The bytes are no such ciphertext.
    """
    return compact.read(data, form).residues


def written(ciphertext: np.ndarray, form: Form) -> bytes:
    """Return a ciphertext as it travels, in this form."""
    return compact.write(CiphertextArray(ciphertext, form.ntt, form.scale, None), form)
