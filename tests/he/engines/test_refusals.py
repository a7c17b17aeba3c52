"""What an engine refuses at its door, and sums of more terms than a kernel takes at once."""

import numpy as np
import pytest

from he import Circuit, Interface, Parameters, connect, prepare
from he.circuit.inputs import InputSpec
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.engines.rns.encode import encode_approximate
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import MAX_LEVELS
from he.kernels.passes.evaluate import MAX_ADDED
from he.program.operations import Scalar, Source
from he.program.recorder import Recorder


def sum_of(terms: int, bits: tuple[int, ...] = (40, 40)) -> Circuit:
    """A circuit that adds its input, four numbers of each of 256 images, so many times to nothing."""
    packing, recorder = Packing(2, 512, 128, split_rows=True), Recorder()
    program = recorder.program(1, [recorder.add([recorder.input(0)] * terms)])
    layout = InputLayout.of(packing, 4, np.arange(4)[:, None])
    interface = Interface(
        parameters=Parameters("bfv", 1024, bits, 65537, security="insecure"),
        inputs=(InputSpec("numbers", Source(), (4,), -500, 500, None, layout),),
        output=OutputLayout(packing, 4, 4),
        rotation_steps=(),
        swaps_rows=False,
        multiplies=False,
        rerandomises=False,
        tolerance=0.0,
        output_scale=1.0,
        output_level=len(bits) - 1,
        commitment="0" * 64,
    )
    return Circuit(interface, program, 1.0, (), bytes(32))


def test_primes_that_are_too_long_for_a_factor_are_left_to_seal():
    circuit, numbers = sum_of(3, (60, 60)), np.arange(8).reshape(2, 4)
    with pytest.raises(ValueError, match=r"`coeff_modulus_bits` must be at most 50 each, got \(60, 60\)"):
        prepare(circuit)
    client, session = connect(circuit, engine="seal")
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(numbers))), 3 * numbers)


def test_more_primes_than_a_sum_allows_are_refused():
    with pytest.raises(ValueError, match=f"must have at most {MAX_LEVELS} data primes, .* got {MAX_LEVELS + 1}"):
        prepare(sum_of(3, (50,) * (MAX_LEVELS + 2)))


@pytest.mark.parametrize("engine", ["rns", "seal"])
@pytest.mark.parametrize("terms", [1, 2, MAX_ADDED, MAX_ADDED + 1, 2 * MAX_ADDED, 3 * MAX_ADDED - 1])
def test_sums_of_many_terms_are_whole(terms, engine):
    numbers = np.random.default_rng(terms).integers(-500, 501, (256, 4))
    client, session = connect(sum_of(terms), engine=engine)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(numbers))), terms * numbers)


def test_coefficients_beyond_64_bits_are_encoded():
    slots = np.random.default_rng(0).normal(size=32)
    exact, large = encode_approximate(slots, 2.0**40), encode_approximate(slots, 2.0**100)
    assert (exact.dtype, large.dtype) == (np.int64, object)
    assert max(abs(c / 2**60 - e) for c, e in zip(large.tolist(), exact.tolist(), strict=True)) <= 0.5


def test_numbers_that_no_float_holds_at_their_scale_are_refused():
    """A stored circuit may hold them; they ended in an OverflowError."""
    with pytest.raises(ValueError, match="must fit float64, got larger numbers"):
        encode_approximate(np.full(32, 1e300), 2.0**40)
    encoder = Encoder.of(Parameters("ckks", 1024, (30, 40), scale_bits=20, security="insecure"))
    with pytest.raises(ValueError, match=r"must fit float64, got -1e\+300"):
        encoder.integers(Scalar(-1e300, 1, 2.0**40), 1, addend=False)
