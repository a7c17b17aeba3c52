"""The algebra that bounds the error of a CKKS program before anything is encrypted, without a look at its weights.

All slots of a value count as alike, and of the weights only the norms of each linear layer are known. So a bound holds
for every network of one architecture and these norms, and whoever learns what was chosen by it learns no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.program.program import Program
from he.readers.deviations import NONE, Deviations, Spread, max_of
from he.readers.key_switching import key_switch_variance
from he.readers.layer_norms import Norms
from he.readers.public_key import encryption_variance
from he.readers.series import Series
from he.readers.variance import ERROR_VARIANCE, deviation_at_root, rounding_variance
from he.ring.gadget import Gadgets
from he.ring.params import Parameters

#: The most variance of a number that is rounded up or down at random, to the right mean (`he.circuit.rounding`), twice:
#: deviations are those at a complex root, and what is rounded here is real, in every slot.
ENCODING_VARIANCE = 2 * 1 / 4


@dataclass(frozen=True)
class CkksError:
    """The error of a CKKS value, the same for all of its slots.

    Attributes:
        level: the number of data primes.
        scale: the scale of the ciphertext.
        magnitude: a bound on every slot's absolute value.
        layers: the number of its linear layer, from 1 in the order of the program; 0 for an input.
        own: the deviations of the error in one slot.
        joint: the deviations of any sum of the units' errors by factors whose squares add up to one. The units are the
            neighbouring slots that hold them in a packed value; or the features of a layer, which are values of their
            own. The covariance of their errors is at most the square of this number times the identity. Of a packed
            value, this is the part that is the same in all copies.
        loose: of a packed value, the same of the part that may differ from copy to copy.
        rotated: of a packed value, the slots by which it was rotated since it was made.
        period: of a packed value, after how many slots `joint` repeats; 0 for where its layer's copies do.
        turned, shared: of a packed value that has been rotated, before products: the deviations that the last rotation
            has added, and those of rotations before it, which other values may share. `loose` contains neither.
        entering: within a linear layer, `joint`, `loose` and `spread` of what its weights are applied to, by the number
            of the layer before; these and `own` are then what was added since.
        spread: behind a square, the errors of what was squared; `joint` and `loose` contain what was added since.
        units: whether this is the output of a linear layer as it is.
        series: what an activation has made of a unit so far, of that unit; None if it is not known.
    """

    level: int
    scale: float
    magnitude: float
    layers: int = 0
    own: Deviations = NONE
    joint: Deviations = NONE
    loose: Deviations = NONE
    rotated: int = 0
    period: int = 0
    turned: Deviations = NONE
    shared: Deviations = NONE
    entering: Mapping[int, tuple[Deviations, Deviations, Spread | None]] | None = None
    spread: Spread | None = None
    units: bool = False
    series: Series | None = None

    @property
    def bound(self) -> float:
        """A bound on the error of a slot."""
        return self.own.bound

    def within(self, series: Series | None) -> CkksError:
        """Return the value, which is bounded by a series as well."""
        return self if series is None else replace(self, series=series, magnitude=min(self.magnitude, series.bound))

    def plus(self, independent: Deviations) -> CkksError:
        """Return the value with an error that is independent from unit to unit, and the same in all copies."""
        return replace(self, own=self.own.and_(independent), joint=self.joint.and_(independent))

    def plus_loose(self, independent: Deviations) -> CkksError:
        """Return the value with an error that is independent from slot to slot."""
        return replace(self, own=self.own.and_(independent), loose=self.loose.and_(independent))

    def times(self, factor: float) -> CkksError:
        """Return the value with errors that have been multiplied, slot by slot, by no more than a factor."""
        return replace(self, own=self.own * factor, joint=self.joint * factor, loose=self.loose * factor)

    def settled(self) -> CkksError:
        """Return the value with all of its error in `joint` and `loose`, where no linear layer follows."""
        if self.spread is None:
            return self
        joint, loose, _ = self.spread.settled(self.joint, self.loose)
        return replace(self, joint=joint, loose=loose, spread=None)


class CkksErrorAlgebra(Algebra[CkksError]):
    """Bounds the magnitude and the error of every value of a program.

    A polynomial with independent coefficients has independent slots, because the embedding is orthogonal up to scale.
    Errors of a layer's outputs are not independent, because the outputs share inputs: so what is carried besides the
    deviation of one slot is a bound on the covariance of all. W turns a covariance of at most d^2 into one of at most
    |W|^2 d^2, with the spectral norm |W|, and an output's variance into at most |w|^2 d^2, with its row w. An
    activation multiplies each error by no more than its slope. Kim, Papadimitriou and Polyakov, *Approximate
    homomorphic encryption with reduced approximation error*, CT-RSA 2022, section 3, add variances of slots alone.

    Where features are packed, a unit reads as many neighbouring slots as there are inputs, from its own place on, and
    so from one copy of the input into the next. An error that is the same in all copies, as of what the client sends
    and of how weights are rounded, behind the first layer's sum, meets W. One that is not, as of rescalings and key
    switching, meets one part of W in one copy and the rest, a triangle, in the next. The norm of either is at most
    log(n) / pi + 1 + 1 / n times |W| (Angelos, Cowen and Narayan, *Triangular truncation and finding the norm of a
    Hadamard multiplier*, Linear Algebra and its Applications 1992), or found for the weights; `Norms.loose` is the sum.

    Such a layer is a sum of W_b R_b over rotations R_b, and each rotation adds an error e_b of its own. The W_b are W's
    diagonals in classes by the remainder of their number: Fourier coefficients of D W D*, with D a diagonal matrix of
    phases. By Parseval's identity the sum of all W_b W_b* is at most |W|^2, so together the e_b count as one error.
    Rotations that were composed of the same others share errors, which count as often as the program rotates.

    A square multiplies the error of unit i by 2 x_i: by no more than twice the largest |x_i|. But where the Euclidean
    norm of x is known to be at most l, as behind a guard (`he.compiler.ranges`), the next layer makes of it W D with
    D = diag(2 x), whose rows have norms of at most 2 l max |W_ij|, and whose Frobenius norm is at most 2 l times the
    largest norm of a column of W. So errors are carried over a square as they were before it, and the less of both
    bounds counts behind the next layer. Parts of W D that read c copies have norms whose squares add up to no more.

    What remains assumed: roundings of ciphertexts and digits are uniform and independent of each other and of the
    secret, as they are where ciphertexts look random.

    Args:
        parameters: a CKKS set.
        program: the program; sums and rotations of packed values occur within linear layers, and in guards.
        norms: those of every linear layer of the program, in order.
        magnitude: the largest absolute value of an input.
        gadgets: those by which keys are switched; by default with one special prime.
    """

    def __init__(
        self, parameters: Parameters, program: Program, norms: Sequence[Norms], magnitude: float,
        gadgets: Gadgets | None = None,
    ) -> None:  # fmt: skip
        self._parameters, self._norms, self._magnitude = parameters, norms, magnitude
        self._gadgets = gadgets or Gadgets.of(parameters)
        N = parameters.poly_modulus_degree
        self._packed, self._row, self._rotations = program.slots > 1, program.slots, program.counts["Rotate"]
        self._finished = 0  # linear layers of packed values, which follow each other in the program
        # Deviations that rounding the coefficients of a plaintext, or of a ciphertext, to integers causes.
        self._encoding = deviation_at_root(N, ENCODING_VARIANCE)
        self._rounding = deviation_at_root(N, rounding_variance(N, owners=parameters.owners))
        self._encryption = deviation_at_root(N, encryption_variance(parameters))  # of an operand, by a public key
        self._longer = math.sqrt(2) if program.counts["SquareParts"] else 1.0  # than the parts: complex slots

    def input(self, index: int) -> CkksError:
        p = self._parameters
        if p.owners == 1:
            fresh = Deviations(normal=deviation_at_root(p.poly_modulus_degree, ERROR_VARIANCE + ENCODING_VARIANCE))
        else:  # by the public key, like an operand
            fresh = Deviations(normal=self._encoding, product=self._encryption)
        return CkksError(p.levels, p.input_scale, self._magnitude).plus(fresh * (1 / p.input_scale))

    def plain_dot(self, values: Sequence[CkksError], plains: Sequence[Plain]) -> CkksError:
        entering = {}
        for layer in {v.layers for v in values}:
            read = _alike([v for v in values if v.layers == layer])
            shared = max_of([v.shared for v in read]) * math.sqrt(self._rotations)
            loose = max_of([v.loose.and_(v.turned) for v in read]).and_(shared)
            assert read[0].period % self._norms[self._finished].width == 0  # whole periods are read, in every lane
            entering[layer] = max_of([v.joint for v in read]), loose, read[0].spread
        first, scale = values[0], plains[0].scale
        relative = math.hypot(*(v.magnitude / plain.scale for v, plain in zip(values, plains, strict=True)))
        result = CkksError(first.level, first.scale * scale, self._norms[self._finished].magnitude, self._finished + 1)
        return replace(result, entering=entering).plus(Deviations(normal=self._encoding * relative))

    def cipher_dot(self, values: Sequence[CkksError], plains: Sequence[Plain]) -> CkksError:
        # An operand's error is its own in every slot, and meets a value with its error.
        pairs = zip(values, plains, strict=True)
        met = math.hypot(*((v.magnitude + v.bound) / plain.scale for v, plain in pairs))
        return self.plain_dot(values, plains).plus_loose(Deviations(product=self._encryption * met))

    def scalar_dot(self, values: Sequence[CkksError], scalars: Sequence[Scalar], constant: Scalar) -> CkksError:
        # The powers of one value carry the same error, and all units have the same rounded scalars.
        values = [v.settled() for v in values]
        first, magnitude, own, joint, loose = values[0], abs(constant.value), NONE, NONE, NONE
        for v, s in zip(values, scalars, strict=True):
            rounding = 0.0 if (s.value * s.scale).is_integer() else v.magnitude / (2 * s.scale)
            magnitude += abs(s.value) * v.magnitude
            own = own.with_(v.own * abs(s.value)).with_(Deviations(normal=rounding))
            joint = joint.with_(v.joint * abs(s.value)).with_(Deviations(normal=self._encoding * rounding))
            loose = loose.with_(v.loose * abs(s.value))
        found = CkksError(first.level, first.scale * scalars[0].scale, magnitude, first.layers, own, joint, loose)
        return found.within(Series.sum([v.series for v in values], [s.value for s in scalars], constant.value))

    def matrix(self, values: Sequence[CkksError], matrix: Matrix) -> list[CkksError]:
        values = _alike(values)
        first, norms = values[0], self._norms[values[0].layers]
        entering = max_of([v.joint for v in values])
        own, joint, _ = _behind(first.spread, norms)
        largest = self._longer * max(v.magnitude for v in values)
        rounding = math.sqrt(ENCODING_VARIANCE * norms.terms) / matrix.scale * largest
        result = CkksError(
            level=first.level,
            scale=first.scale * matrix.scale,
            magnitude=norms.magnitude,
            layers=first.layers + 1,
            own=own.and_(entering * norms.row),
            joint=joint.and_(entering * norms.spectral),
            units=True,
            series=Series.of_unit(norms.magnitude),
        )
        return [result.plus(Deviations(normal=rounding))] * len(matrix.constants)

    def add_plain(self, a: CkksError, plain: Plain) -> CkksError:
        norms = self._norms[a.layers - 1]
        a = a.plus(Deviations(normal=self._encoding / plain.scale))
        if a.entering is None:
            return a
        self._finished = a.layers
        # A client gathers the inputs of each unit of a first layer into slots that no other unit reads.
        first = self._packed and set(a.entering) == {0}
        # Of units of several layers, whose errors may depend on each other, the variances add up in the worst case.
        joint, loose, spread = NONE, NONE, None
        alone = self._packed and norms.width >= self._row  # one copy fills the row: no errors differ from copy to copy
        for of_joint, of_loose, spread in a.entering.values():
            if alone:
                of_joint, of_loose = of_joint.and_(of_loose), NONE
                spread = spread and spread._replace(joint=spread.joint.and_(spread.loose), loose=NONE)
            if spread and len(a.entering) > 1:  # what is known of the lengths of several layers is not of use
                of_joint, of_loose, spread = spread.settled(of_joint, of_loose)
            joint, loose = joint.and_(of_joint), loose.and_(of_loose)
        own_behind, joint_behind, loose_behind = _behind(spread, norms)
        return replace(
            a,
            own=a.own.and_(joint.and_(loose) * norms.row).and_(own_behind),
            joint=a.joint.and_(joint * (norms.row if first else norms.spectral)).and_(joint_behind),
            loose=a.loose.and_(loose * norms.loose).and_(loose_behind),
            entering=None,
            units=True,
            series=Series.of_unit(a.magnitude),
        )

    def add_cipher(self, a: CkksError, plain: Plain) -> CkksError:
        return self.add_plain(a.plus_loose(Deviations(product=self._encryption / plain.scale)), plain)

    def add(self, values: Sequence[CkksError]) -> CkksError:
        own, joint, loose = NONE, NONE, NONE
        if all(v.entering is None for v in values):
            return self._sum_outside(values)
        for v in values:
            own, joint, loose = own.and_(v.own), joint.and_(v.joint), loose.and_(v.loose)
        met: dict[int, tuple[Deviations, Deviations, Spread | None]] = {}
        for entering in [v.entering for v in values if v.entering is not None]:
            for layer, found in entering.items():
                known = met.get(layer, found)
                met[layer] = max_of([known[0], found[0]]), max_of([known[1], found[1]]), found[2]
        return replace(values[0], own=own, joint=joint, loose=loose, entering=met or None)

    def _sum_outside(self, values: Sequence[CkksError]) -> CkksError:
        """Bound a sum outside of linear layers, where nothing is known of how errors go together, but of one's turns.

        A value and its rotations by all multiples of a k-th of its period add up to one whose errors have a k-th of the
        period, however they differed within it. A sum of k units' errors has k times the variance at most that bounds
        those of all units. What the rotations add of their own differs from copy to copy, and from period to period
        where their sum is rotated once more.
        """
        values = [v.settled() for v in values]
        first, turned = values[0], NONE
        own, joint, loose = NONE, NONE, NONE
        for v in values:
            own, joint, loose = own.with_(v.own), joint.with_(v.joint), loose.with_(v.loose)
            turned = turned.with_(v.turned.and_(v.shared))
        magnitude, (step, left) = sum(v.magnitude for v in values), divmod(first.period or self._row, len(values))
        result = replace(first, magnitude=magnitude, own=own, turned=NONE, shared=NONE, units=False, series=None)
        if self._packed and not left and [v.rotated for v in values] == [step * i for i in range(len(values))]:
            alike, differing = (first.joint, first.loose) if first.period else (first.joint.and_(first.loose), NONE)
            longer = math.sqrt(len(values))
            return replace(result, joint=alike * longer, loose=(differing * longer).and_(turned), period=step)
        return replace(result, joint=joint, loose=loose.with_(turned))

    def multiply(self, a: CkksError, b: CkksError) -> CkksError:
        """Bound a product by the slopes of its factors, which are the other factor with its error.

        The square of an error counts like the error times its bound, although its mean is not 0, and it is no copy from
        copy to copy: at scales of 2^20 and more, it is far below the other errors.
        """
        spread = self._spread(a, a, 1.0) if a is b else None
        a, b = a.settled(), b.settled()
        of_a, of_b = a.times(b.magnitude + b.bound), b.times(a.magnitude)
        return CkksError(
            level=a.level,
            scale=a.scale * b.scale,
            magnitude=a.magnitude * b.magnitude,
            layers=a.layers,
            own=of_a.own.with_(of_b.own),
            joint=NONE if spread else of_a.joint.with_(of_b.joint),
            loose=NONE if spread else of_a.loose.with_(of_b.loose),
            spread=spread,
        ).within(Series.product(a.series, b.series))

    def _spread(self, a: CkksError, b: CkksError, longer: float) -> Spread | None:
        """Return the errors of units that are multiplied with themselves, None if these are no units.

        Each of both errors is multiplied by the units, which are `longer` where they are complex.
        """
        norms = self._norms[a.layers - 1]
        if not (a.units and b.units and math.isfinite(norms.length)):
            return None
        slope = longer * a.magnitude + a.bound
        length = longer * norms.length + math.sqrt(norms.outputs) * a.bound
        return Spread(a.joint.with_(b.joint), a.loose.with_(b.loose), slope, length)

    def square_parts(self, a: CkksError, conjugate: CkksError) -> CkksError:
        # The error of (z + z')^2 - i (z - z')^2 is 4 (a f + i b g) with f and g parts of the operands' errors.
        spread = self._spread(a, conjugate, self._longer)
        a, conjugate = a.settled(), conjugate.settled()
        of_a, of_b = (v.times(self._longer * a.magnitude + a.bound) for v in (a, conjugate))
        return CkksError(
            level=a.level,
            scale=4 * a.scale * a.scale,
            magnitude=a.magnitude * a.magnitude,
            layers=a.layers,
            own=of_a.own.with_(of_b.own),
            joint=NONE if spread else of_a.joint.with_(of_b.joint),
            loose=NONE if spread else of_a.loose.with_(of_b.loose),
            spread=spread,
        )

    def conjugate(self, a: CkksError) -> CkksError:
        return self.swap_rows(a)

    def relinearise(self, a: CkksError) -> CkksError:
        return self._plus_noise(a, self._key_switch(a, relinearises=True))

    def rotate(self, a: CkksError, step: int) -> CkksError:
        turned = self._key_switch(a)
        if a.entering is None:
            shared = a.shared.and_(a.turned)
            return replace(a, own=a.own.and_(turned), turned=turned, shared=shared, rotated=a.rotated + step)
        return a.plus_loose(turned)

    def swap_rows(self, a: CkksError) -> CkksError:
        return self._plus_noise(a, self._key_switch(a))

    def switch_modulus(self, a: CkksError) -> CkksError:
        return replace(a, level=a.level - 1)

    def rescale(self, a: CkksError) -> CkksError:
        scale = a.scale / self._parameters.primes[a.level - 1]
        return self._plus_noise(replace(a, level=a.level - 1, scale=scale), Deviations(product=self._rounding / scale))

    def _plus_noise(self, a: CkksError, independent: Deviations) -> CkksError:
        return a.plus_loose(independent) if self._packed else a.plus(independent)

    def _key_switch(self, a: CkksError, *, relinearises: bool = False) -> Deviations:
        switched = key_switch_variance(self._gadgets.at(a.level), self._parameters.owners, relinearises=relinearises)
        variance = switched + 2 * self._rounding**2  # SEAL's engine rounds twice
        return Deviations(product=math.sqrt(variance) / a.scale)

    def room(self, a: CkksError) -> float:
        """Return the bits by which a value and its error stay below half of the modulus; of outputs, some must be left.

        Before the end none has to be: all operations are the same modulo the modulus, whatever it wraps around.
        """
        largest = (self._longer * a.magnitude + a.bound) * a.scale
        return self._parameters.log2_modulus(a.level) - 1 - math.log2(largest)


def _alike(values: Sequence[CkksError]) -> Sequence[CkksError]:
    """Return values whose errors are spread alike, as those of rotations of one value are."""
    return values if len({v.spread for v in values}) == 1 else [v.settled() for v in values]


def _behind(spread: Spread | None, norms: Norms) -> tuple[Deviations, Deviations, Deviations]:
    """Return what a linear layer makes of errors that a square has spread: one output's, `joint` and `loose`."""
    if spread is None:
        return NONE, NONE, NONE
    joint, loose, slope, length = spread
    return (
        joint.and_(loose) * min(slope * norms.row, length * norms.largest),
        joint * min(slope * norms.spectral, length * norms.column),
        loose * min(slope * norms.loose, math.sqrt(norms.parts) * length * norms.column),
    )
