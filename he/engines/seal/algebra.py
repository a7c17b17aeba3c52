"""The operations of circuits by SEAL's evaluator, for each scheme."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.circuit.circuit import Circuit
from he.engines.seal.centred import CentredSwitching, Switch
from he.formats.seal_bytes import LevelIds
from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.ring.slots import imaginary_units


class Value:
    """A ciphertext, and its number-theoretic transform once a plain product has asked for it."""

    __slots__ = ("ciphertext", "transformed")

    def __init__(self, ciphertext: Any) -> None:
        self.ciphertext = ciphertext
        self.transformed: Any = None

    def fresh(self, rotations: int) -> Value:
        """Return the same ciphertext without its transform; the number of rotations is ignored."""
        return Value(self.ciphertext)


# SEAL refuses to compute a transparent ciphertext, which is legible without a key. A product with a plaintext of zeros
# is one, so None stands for it; the compiler refuses circuits with such an output.
_Maybe = Value | None


def present(value: _Maybe) -> Value:
    """Return the ciphertext, which is one wherever the client sees it."""
    assert value is not None  # the compiler refuses circuits that ignore their input
    return value


class SealAlgebra(Algebra[_Maybe]):
    """The operations that both schemes share; the constructor encodes all plaintexts once."""

    def __init__(self, circuit: Circuit, context: Any, ids: LevelIds) -> None:
        self._circuit, self._context, self._ids = circuit, context, ids
        self._evaluator = sealapi.Evaluator(context)
        self._relin: Any = None
        self._galois: Any = None
        self._operands: Mapping[Plain, Any] = {}
        self._inputs: Sequence[Any] = ()
        self._switching = CentredSwitching(circuit.parameters, context, ids)
        self._factors = {plain: self._encode_factor(plain) for plain in circuit.program.factors}
        self._addends = {plain: self._encode(plain) for plain in circuit.program.addends}

    def with_keys(self, relin: Any, galois: Any, operands: Mapping[Plain, Any]) -> SealAlgebra:
        """Return the same algebra with one client's keys, and a network that was encrypted for them."""
        bound = copy(self)
        bound._relin, bound._galois, bound._operands = relin, galois, operands
        bound._switching = CentredSwitching(self._circuit.parameters, self._context, self._ids)
        return bound

    def on(self, inputs: Sequence[Any]) -> SealAlgebra:
        """Return the same algebra on these ciphertexts."""
        bound = copy(self)
        bound._inputs = inputs
        return bound

    def mod_down(self, value: _Maybe) -> _Maybe:
        """Return the value itself: SEAL divides by the special prime within every rotation."""
        return value

    @abstractmethod
    def _encode(self, plain: Plain) -> Any:
        """Return a packed plaintext as SEAL encodes it; None if that is zero."""

    def _encode_factor(self, plain: Plain) -> Any:
        """Return a packed plaintext in the form that products need; None if it is zero."""
        return self._encode(plain)

    def input(self, index: int) -> _Maybe:
        return Value(self._inputs[index])

    def add(self, values: Sequence[_Maybe]) -> _Maybe:
        present = [v.ciphertext for v in values if v is not None]
        if len(present) < 2:
            return Value(present[0]) if present else None
        total = sealapi.Ciphertext()
        self._evaluator.add(present[0], present[1], total)
        for ciphertext in present[2:]:
            self._evaluator.add_inplace(total, ciphertext)
        return Value(total)

    def add_plain(self, a: _Maybe, plain: Plain) -> _Maybe:
        plaintext = self._addends[plain]
        return a if plaintext is None else self._unary(self._evaluator.add_plain, a, plaintext)

    def cipher_dot(self, values: Sequence[_Maybe], plains: Sequence[Plain]) -> _Maybe:
        return self.add([self.multiply(v, Value(self._operands[p])) for v, p in zip(values, plains, strict=True)])

    def add_cipher(self, a: _Maybe, plain: Plain) -> _Maybe:
        return self.add([a, Value(self._operands[plain])])

    def multiply(self, a: _Maybe, b: _Maybe) -> _Maybe:
        if a is None or b is None:
            return None
        product = sealapi.Ciphertext()
        if a is b:
            self._evaluator.square(a.ciphertext, product)
        else:
            self._evaluator.multiply(a.ciphertext, b.ciphertext, product)
        return Value(product)

    def relinearise(self, a: _Maybe) -> _Maybe:
        return self._switched(a, "relinearise", lambda ct, out: self._evaluator.relinearize(ct, self._relin, out))

    def switch_modulus(self, a: _Maybe) -> _Maybe:
        return self._unary(self._evaluator.mod_switch_to_next, a)

    def rescale(self, a: _Maybe) -> _Maybe:
        return self._unary(self._evaluator.rescale_to_next, a)

    def _switched(self, a: _Maybe, key: Hashable, switch: Switch) -> _Maybe:
        return a and Value(self._switching.switched(a.ciphertext, key, switch))

    @staticmethod
    def _unary(operation: Any, a: _Maybe, *operands: Any) -> _Maybe:
        if a is None:
            return None
        result = sealapi.Ciphertext()
        operation(a.ciphertext, *operands, result)
        return Value(result)

    def _sum_of_products(self, factors: Sequence[tuple[Any, Any]]) -> Any:
        """Return the sum of ciphertext * plaintext over pairs of one form; None if there are none."""
        total = None
        for ciphertext, plaintext in factors:
            product = sealapi.Ciphertext()
            self._evaluator.multiply_plain(ciphertext, plaintext, product)
            if total is None:
                total = product
            else:
                self._evaluator.add_inplace(total, product)
        return total


class BfvAlgebra(SealAlgebra):
    """The operations of BFV."""

    def _encode(self, plain: Plain) -> Any:
        encoder, plaintext = sealapi.BatchEncoder(self._context), sealapi.Plaintext()
        encoder.encode(self._circuit.operand(plain).tolist(), plaintext)
        return None if plaintext.is_zero() else plaintext

    def _encode_factor(self, plain: Plain) -> Any:
        plaintext = self._encode(plain)
        if plaintext is not None:
            self._evaluator.transform_to_ntt_inplace(plaintext, self._ids[plain.level])
        return plaintext

    def plain_dot(self, values: Sequence[_Maybe], plains: Sequence[Plain]) -> _Maybe:
        factors = []
        for value, plain in zip(values, plains, strict=True):
            plaintext = self._factors[plain]
            if value is not None and plaintext is not None:
                if value.transformed is None:
                    value.transformed = sealapi.Ciphertext()
                    self._evaluator.transform_to_ntt(value.ciphertext, value.transformed)
                factors.append((value.transformed, plaintext))
        total = self._sum_of_products(factors)
        if total is not None:
            self._evaluator.transform_from_ntt_inplace(total)
        return total and Value(total)

    def scalar_dot(self, values: Sequence[_Maybe], scalars: Sequence[Scalar], constant: Scalar) -> _Maybe:
        pairs = [(v, self._centred(s)) for v, s in zip(values, scalars, strict=True)]
        products = [(self._signed(v.ciphertext, s), _constant(abs(s))) for v, s in pairs if v is not None and s]
        if not products:  # all scalars are 0, and SEAL multiplies by none; the sum of these factors is t
            value = next((v for v in values if v is not None), None)
            if value is None:
                return None
            half = self._t // 2
            products = [(value.ciphertext, _constant(half)), (value.ciphertext, _constant(self._t - half))]
        total = self._sum_of_products(products)
        if self._centred(constant):
            self._evaluator.add_plain_inplace(total, _constant(int(constant.value) % self._t))
        return Value(total)

    def _signed(self, ciphertext: Any, sign: int) -> Any:
        """Return the ciphertext, negated for a negative sign: SEAL multiplies by a number near t with more noise."""
        if sign > 0:
            return ciphertext
        result = sealapi.Ciphertext()
        self._evaluator.negate(ciphertext, result)
        return result

    def _centred(self, scalar: Scalar) -> int:
        return (int(scalar.value) + self._t // 2) % self._t - self._t // 2

    @property
    def _t(self) -> int:
        return self._circuit.parameters.t

    def rotate(self, a: _Maybe, step: int) -> _Maybe:
        return a and self._rotated(a, self._circuit.parameters.galois_element(step))

    def swap_rows(self, a: _Maybe) -> _Maybe:
        return a and self._rotated(a, 2 * self._circuit.parameters.poly_modulus_degree - 1)

    def _rotated(self, a: Value, element: int) -> _Maybe:
        return self._switched(a, element, lambda ct, out: self._evaluator.apply_galois(ct, element, self._galois, out))


def _constant(number: int) -> Any:
    """Return the constant polynomial, which has the same number in every slot and multiplies without a transform."""
    return sealapi.Plaintext(f"{number:X}")


class CkksAlgebra(SealAlgebra):
    """The operations of CKKS."""

    def _encode(self, plain: Plain) -> Any:
        values = self._circuit.operand(plain).tolist()
        return self._encoded(values, plain.level, plain.scale)

    def _encoded(self, values: Sequence[complex], level: int, scale: float) -> Any:
        encoder, plaintext = sealapi.CKKSEncoder(self._context), sealapi.Plaintext()
        encoder.encode(values, self._ids[level], scale, plaintext)
        return None if plaintext.is_zero() else plaintext

    def plain_dot(self, values: Sequence[_Maybe], plains: Sequence[Plain]) -> _Maybe:
        pairs = [(v, self._factors[p]) for v, p in zip(values, plains, strict=True)]
        total = self._sum_of_products([(v.ciphertext, p) for v, p in pairs if v is not None and p is not None])
        return total and Value(total)

    def matrix(self, values: Sequence[_Maybe], matrix: Matrix) -> Sequence[_Maybe]:
        return super().matrix(values, self._circuit.factors(matrix))

    def scalar_dot(self, values: Sequence[_Maybe], scalars: Sequence[Scalar], constant: Scalar) -> _Maybe:
        factors = []
        for value, scalar in zip(values, scalars, strict=True):
            plaintext = self._encoded([scalar.value] * len(self._units), scalar.level, scalar.scale)
            if value is not None and plaintext is not None:
                factors.append((value.ciphertext, plaintext))
        total = self._sum_of_products(factors)
        both = 1 + self._units if self._circuit.interface.both_parts else np.ones(len(self._units))
        plaintext = self._encoded((constant.value * both).tolist(), constant.level, constant.scale)
        total.scale = constant.scale  # it equals every product's scale but for rounding
        if plaintext is not None:
            self._evaluator.add_plain_inplace(total, plaintext)
        return Value(total)

    def rotate(self, a: _Maybe, step: int) -> _Maybe:
        return self._switched(a, step, lambda ct, out: self._evaluator.rotate_vector(ct, step, self._galois, out))

    def swap_rows(self, a: _Maybe) -> _Maybe:
        raise TypeError("CKKS slots have one row")

    def conjugate(self, a: _Maybe) -> _Maybe:
        return self._switched(a, "conjugate", lambda ct, out: self._evaluator.complex_conjugate(ct, self._galois, out))

    def square_parts(self, a: _Maybe, conjugate: _Maybe) -> _Maybe:
        if a is None or conjugate is None:
            return None
        total, difference = sealapi.Ciphertext(), sealapi.Ciphertext()
        self._evaluator.add(a.ciphertext, conjugate.ciphertext, total)
        self._evaluator.sub(a.ciphertext, conjugate.ciphertext, difference)
        self._evaluator.square_inplace(total)
        self._evaluator.square_inplace(difference)
        minus_unit = self._encoded((-self._units).tolist(), difference.coeff_modulus_size(), 1.0)
        self._evaluator.multiply_plain_inplace(difference, minus_unit)
        self._evaluator.add_inplace(total, difference)
        total.scale = 4 * total.scale
        return Value(total)

    @property
    def _units(self) -> np.ndarray:
        return imaginary_units(self._circuit.parameters.poly_modulus_degree)
