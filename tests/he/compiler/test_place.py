"""Placing modulus switches and rescalings changes no value, and keeps every operand at its ciphertext's level."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.place_bfv import place_bfv
from he.compiler.place_ckks import Precision, place
from he.compiler.recorders import Encrypting
from he.program.algebra import apply, run
from he.program.operations import Add, Rescale, Rotate, SwitchModulus
from he.program.placed import output_levels
from he.program.recorder import Recorder
from he.readers.clear import ClearAlgebra
from he.readers.layer_norms import Norms
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.readers.noise_ckks import CkksErrorAlgebra
from he.ring.params import ParameterError, Parameters

BFV = Parameters("bfv", 1024, (40,) * 10 + (60,), plain_modulus=65537, security="insecure")
CKKS = Parameters("ckks", 1024, (60,) + (40,) * 8 + (60,), scale_bits=40, security="insecure")
EVEN = Precision(40, (40,) * 40, (40,) * 40, early=True)  # every scale is one prime


def random_program(rng, parameters, length):
    """A program of random operations, of depth below 8. Sums are over rotations, whose scales agree."""
    recorder, bfv = Recorder(), parameters.scheme == "bfv"
    values = [(recorder.input(i), 0) for i in range(3)]

    def plain():
        draw = rng.integers(-32768, 32769, parameters.slots) if bfv else rng.normal(size=parameters.slots)
        return recorder.plaintext(draw)

    def scalar():
        return int(rng.integers(1, 65537)) if bfv else float(rng.normal())

    for _ in range(length):
        (a, i), (b, j) = (values[k] for k in rng.integers(0, len(values), 2))
        deeper = max(i, j) + 1
        kind = rng.choice(["dot", "scalars", "add plain", "rotate", "swap", "product", "sum"])
        if kind in ("dot", "scalars", "product") and deeper > 7:
            continue
        match kind:
            case "dot":
                turned = [a, recorder.rotate(a, int(rng.integers(1, 512)))]
                values.append((recorder.plain_dot(turned, [plain(), plain()]), i + 1))
            case "scalars":
                values.append((recorder.scalar_dot([a, b], [scalar(), scalar()], scalar()), deeper))
            case "add plain":
                values.append((recorder.add_plain(a, plain()), i))
            case "rotate":
                values.append((recorder.rotate(a, int(rng.integers(1, 512))), i))
            case "swap" if bfv:
                values.append((recorder.swap_rows(a), i))
            case "product":
                values.append((recorder.relinearise(recorder.multiply(a, b)), deeper))
            case "sum":
                values.append((recorder.add([a, recorder.rotate(a, 1), a]), i))
    return recorder.program(parameters.slots, [values[-1][0]])


@dataclass(frozen=True)
class Placed:
    level: int
    scale: float


class LevelAlgebra:
    """Follows levels and scales as SEAL would, and insists on what SEAL insists on."""

    def __init__(self, parameters):
        self.parameters = parameters

    def input(self, index):
        return Placed(self.parameters.levels, 2.0 ** (self.parameters.scale_bits or 0))

    def _same(self, values):
        (level,) = {v.level for v in values}
        assert level >= 1
        return level

    def plain_dot(self, values, plains):
        level = self._same(values)
        assert {p.level for p in plains} == {level}
        (scale,) = {v.scale * p.scale for v, p in zip(values, plains, strict=True)}
        return Placed(level, scale if self.parameters.scheme == "ckks" else 1.0)

    def scalar_dot(self, values, scalars, constant):
        level = self._same(values)
        if self.parameters.scheme == "bfv":
            return Placed(level, 1.0)
        assert {s.level for s in (*scalars, constant)} == {level}
        for v, s in zip(values, scalars, strict=True):
            # The engine sets the sum's scale to the constant's: off by float64 rounding, 2^-52, and no more.
            assert v.scale * s.scale == pytest.approx(constant.scale, rel=2**-51)
        return Placed(level, constant.scale)

    def add_plain(self, a, plain):
        assert plain.level == a.level
        assert self.parameters.scheme == "bfv" or plain.scale == a.scale
        return a

    def add(self, values):
        assert len({v.scale for v in values}) == 1
        return Placed(self._same(values), values[0].scale)

    def multiply(self, a, b):
        return Placed(self._same([a, b]), a.scale * b.scale)

    def relinearise(self, a):
        return a

    def rotate(self, a, step):
        return a

    def swap_rows(self, a):
        return a

    def switch_modulus(self, a):
        assert a.level > 1
        return Placed(a.level - 1, a.scale)

    def rescale(self, a):
        assert a.level > 1
        return Placed(a.level - 1, a.scale / self.parameters.primes[a.level - 1])


def clear(program, parameters):
    bfv = parameters.scheme == "bfv"
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 9, (3, parameters.slots)) if bfv else rng.normal(size=(3, parameters.slots))
    return run(program, ClearAlgebra(parameters.plain_modulus, x, program.plaintexts, parameters.rows))


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_placed_bfv_programs_mean_the_same(seed, length):
    program = random_program(np.random.default_rng(seed), BFV, length)
    placed, values = place_bfv(program, BFV)
    noise = values[program.outputs[0]]
    assert np.array_equal(clear(placed, BFV), clear(program, BFV))
    assert run(placed, LevelAlgebra(BFV))[0].level == noise.level
    assert run(placed, BfvNoiseAlgebra(BFV)) == [noise]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_placed_ckks_programs_mean_the_same(seed, length):
    program = random_program(np.random.default_rng(seed), CKKS, length)
    with np.errstate(over="ignore", invalid="ignore"):  # powers of powers of values above one
        assert np.array_equal(clear(placed := place(program, EVEN, CKKS), CKKS), clear(program, CKKS), equal_nan=True)
    assert run(placed, LevelAlgebra(CKKS))[0].level == 1


def test_bfv_drops_primes_that_only_carry_noise():
    """A square of noise far above a prime's worth of rounding: dropping that prime is free."""
    recorder = Recorder()
    x = recorder.input(0)
    for _ in range(2):
        x = recorder.relinearise(recorder.multiply(x, x))
    program = recorder.program(BFV.slots, [x])
    placed, values = place_bfv(program, BFV)
    noise = values[program.outputs[0]]
    dropped = placed.counts["SwitchModulus"]
    assert dropped >= 1
    assert noise.level == BFV.levels - dropped
    (unplaced,) = run(program, BfvNoiseAlgebra(BFV))
    # Each operation may lose a sixteenth of a bit, and there are fewer than 16 operations and switches here.
    assert unplaced.budget_bits - 1 <= noise.budget_bits <= unplaced.budget_bits + 1


def test_ckks_keeps_the_nominal_scale_through_plain_products():
    recorder = Recorder()
    x = recorder.input(0)
    for _ in range(8):
        x = recorder.plain_dot([x], [recorder.plaintext(np.ones(CKKS.slots))])
    placed = place(recorder.program(CKKS.slots, [x]), EVEN, CKKS)
    assert placed.counts["Rescale"] == 8
    assert placed.counts["SwitchModulus"] == 0
    # Every prime is within one part in 2^20 of 2^40 at this degree, and there are eight.
    assert run(placed, LevelAlgebra(CKKS))[0].scale == pytest.approx(2.0**40, rel=8 / 2**20)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_with_encrypted_factors_all_products_are_rescaled_at_once(encrypted, early):
    """So the rotations of the next layer take fewer primes; with plain ones, it shares a prime with the square."""
    recorder = Encrypting() if encrypted else Recorder()
    x = recorder.input(0)
    square = recorder.relinearise(recorder.multiply(x, x))
    operands = [recorder.plaintext(np.ones(CKKS.slots))] * 2
    total = recorder.plain_dot([square, recorder.rotate(square, 1)], operands)
    placed = place(recorder.program(CKKS.slots, [total]), replace(EVEN, early=early), CKKS)
    kinds = [type(operation) for operation in placed.operations]
    assert (kinds.index(Rescale) < kinds.index(Rotate)) is (encrypted and early)
    assert kinds.count(Rescale) == 2
    assert output_levels(placed, CKKS) == {1}


def test_a_program_deeper_than_the_chain_is_refused():
    recorder = Recorder()
    x = recorder.input(0)
    for _ in range(9):
        x = recorder.relinearise(recorder.multiply(x, x))
    with pytest.raises(ParameterError, match="deeper than the 9 data primes of CKKS, N=1024"):
        place(recorder.program(CKKS.slots, [x]), EVEN, CKKS)


def test_ckks_refuses_to_add_values_of_different_scales():
    recorder = Recorder()
    x = recorder.input(0)
    square = recorder.relinearise(recorder.multiply(x, x))
    with pytest.raises(ValueError, match="operands of an addition must share a scale"):
        place(recorder.program(CKKS.slots, [recorder.add([x, square])]), EVEN, CKKS)


def test_operations_that_belong_to_the_other_scheme_are_refused():
    recorder = Recorder()
    program = recorder.program(BFV.slots, [recorder.rescale(recorder.input(0))])
    with pytest.raises(TypeError, match="BFV has no rescaling"):
        run(program, BfvNoiseAlgebra(BFV))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.integers(12, 40))
def test_guards_are_computed_at_the_last_levels_and_change_nothing_else(seed, length, bits):
    """Whatever they are read from; what they show is as it was, at a scale of so many bits or more."""
    rng = np.random.default_rng(seed)
    plain = random_program(rng, CKKS, length)
    recorder = Recorder(plain.plaintexts, plain.inputs)
    known = []
    for operation in plain.operations:
        known += apply(recorder, operation, [known[a] for a in getattr(operation, "args", ())])
    needed = {plain.outputs[0]}  # a guard reads what the result is made of
    for position in reversed(range(len(plain.operations))):
        needed |= set(getattr(plain.operations[position], "args", ())) if position in needed else set()
    guards = []
    for value in rng.choice([known[a] for a in sorted(needed)], 2):
        total = recorder.scalar_dot([int(value)], [1.0], 0.5)
        guards.append(recorder.add([total, recorder.rotate(total, 1)]))
    program = recorder.program(plain.slots, [known[plain.outputs[0]], *guards], 2)
    assert set(program.guarding.values()) <= {0, 1}
    precision = replace(EVEN, guard_bits=(bits, bits))
    without, guarded = place(plain, EVEN, CKKS), place(program, precision, CKKS)
    assert guarded.guards == 2
    x = rng.normal(size=(3, CKKS.slots))
    expected = run(program, ClearAlgebra(None, x, program.plaintexts, 1))
    for found, due in zip(run(guarded, ClearAlgebra(None, x, guarded.plaintexts, 1)), expected, strict=True):
        assert found == pytest.approx(due, rel=1e-9, abs=1e-9)
    assert output_levels(guarded, CKKS) == {1}
    norms = [Norms(1.0, 1.0, 1.0, 1)] * (len(program.operations) + 1)
    read = run(guarded, CkksErrorAlgebra(CKKS, guarded, norms, 1.0))
    assert read[0].scale == run(without, CkksErrorAlgebra(CKKS, without, norms, 1.0))[0].scale
    for guard in read[1:]:
        assert 2.0**bits * (1 - 1e-6) <= guard.scale
    levels = {}
    for position, operation in enumerate(guarded.operations):
        args = getattr(operation, "args", ())
        level = min((levels[a] for a in args), default=CKKS.levels)
        levels[position] = level - isinstance(operation, Rescale | SwitchModulus)
        if position in guarded.guarding and isinstance(operation, Rotate | Add):
            assert levels[position] <= 2
