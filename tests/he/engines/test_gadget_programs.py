"""Whole programs under keys for chosen gadgets: right, and for BFV with the noise budget that was bounded."""

from functools import cache

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from he.compiler.gadgets import choose_gadgets
from he.compiler.place_bfv import place_bfv
from he.compiler.place_ckks import place
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers, run_on
from he.engines.rns.weights import Weights
from he.formats import compact, hybrid
from he.parties.keys import SecretKey
from he.program.algebra import run
from he.readers.clear import ClearAlgebra
from he.readers.cost import cost
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.ring.arithmetic import centred
from he.ring.gadget import Gadgets
from he.ring.params import Parameters
from tests.he.compiler.test_place import EVEN, LevelAlgebra, random_program
from tests.he.engines.seal_side import decrypted, encrypted

BFV = Parameters("bfv", 1024, (40,) * 8 + (44,), plain_modulus=65537, security="insecure")
CKKS = Parameters("ckks", 1024, (50,) + (40,) * 8 + (50,), scale_bits=40, security="insecure")
HOW = st.sampled_from(["chosen", "most"])


@cache
def secret_for(parameters):
    return SecretKey.generate(parameters)


def gadgets_for(placed, parameters, how):
    """Those that the cost model chooses; or as many special primes as there are, up to four."""
    if how == "chosen":
        return choose_gadgets(cost(placed, parameters), parameters)
    most = len(parameters.primes)
    return Gadgets.of(parameters, [min(4, most - level) for level in range(1, most)])


def evaluated(placed, gadgets, slots, secret):
    """The residues of the output, on one thread and on two, under keys that have travelled."""
    parameters = secret.parameters
    keys = gadgets.keys(cost(placed, parameters).uses)
    data = secret.hybrid_keys(keys)
    assert len(data) == cost(placed, parameters, gadgets=gadgets).key_bytes
    encoder = Encoder.of(parameters, gadgets)
    bound = SwitchingKeys.of(encoder, hybrid.read_all(data, keys, parameters.scheme))
    fresh = [encrypted(secret, x, parameters.input_scale) for x in slots]
    inputs = [lambda x=x: compact.read(x, compact.Form.fresh(parameters)).residues for x in fresh]
    weights = Weights(
        {plain: encoder.factor(placed.plaintexts[plain.index], plain) for plain in placed.factors},
        {plain: encoder.addend(placed.plaintexts[plain.index], plain) for plain in placed.addends},
        {},
    )
    for threads in (1, 2):
        with Workers(threads) as workers:
            algebra = Residues.of(parameters.scheme)(encoder, weights, bound, False, inputs, workers, Buffers())
            (value,) = run_on(workers, placed, algebra)
            yield algebra.from_ntt(value)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), HOW)
def test_bfv_programs_are_exact_and_no_noisier_than_bounded(seed, length, how):
    rng = np.random.default_rng(seed)
    placed, _ = place_bfv(random_program(rng, BFV, length), BFV)
    gadgets = gadgets_for(placed, BFV, how)
    (noise,) = run(placed, BfvNoiseAlgebra(BFV, gadgets=gadgets))
    assume(noise.budget_bits > 1)
    slots = rng.integers(-9, 10, (len(placed.inputs), BFV.slots))
    (expected,) = run(placed, ClearAlgebra(BFV.t, slots, placed.plaintexts, BFV.rows))
    for residues in evaluated(placed, gadgets, slots, secret_for(BFV)):
        found, budget = decrypted(secret_for(BFV), residues)
        assert np.array_equal(centred(found, BFV.t), centred(expected, BFV.t))
        assert budget >= noise.budget_bits - 1  # SEAL rounds down


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), HOW)
def test_ckks_programs_come_close(seed, length, how):
    rng = np.random.default_rng(seed)
    placed = place(random_program(rng, CKKS, length), EVEN, CKKS)
    slots = rng.uniform(-1, 1, (len(placed.inputs), CKKS.slots))
    with np.errstate(over="ignore", invalid="ignore"):  # powers of powers
        (expected,) = run(placed, ClearAlgebra(None, slots, placed.plaintexts, CKKS.rows))
    assume(np.abs(expected).max() < 100)  # at level 1 there is no room for more
    scale = run(placed, LevelAlgebra(CKKS))[0].scale
    for residues in evaluated(placed, gadgets_for(placed, CKKS, how), slots, secret_for(CKKS)):
        found, _ = decrypted(secret_for(CKKS), residues, scale)
        assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())
