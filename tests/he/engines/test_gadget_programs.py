"""Whole programs under keys for chosen gadgets: exact, and with the noise budget that was bounded."""

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.gadgets import choose_gadgets
from he.compiler.place_bfv import place_bfv
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
from he.readers.cost import cost, key_gadgets
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.ring.arithmetic import centred
from he.ring.gadget import Gadgets
from he.ring.params import Parameters
from tests.he.compiler.test_place import random_program
from tests.he.engines.seal_side import decrypted, encrypted

BFV = Parameters("bfv", 1024, (40,) * 8 + (44,), plain_modulus=65537, security="insecure")


@cache
def secret():
    return SecretKey.generate(BFV)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.sampled_from(["chosen", "most"]))
def test_programs_are_exact_and_no_noisier_than_bounded(seed, length, how):
    rng = np.random.default_rng(seed)
    placed, _ = place_bfv(random_program(rng, BFV, length), BFV)
    most = [min(4, len(BFV.primes) - level) for level in range(1, BFV.levels + 1)]
    gadgets = choose_gadgets(placed, BFV) if how == "chosen" else Gadgets.of(BFV, most)
    (noise,) = run(placed, BfvNoiseAlgebra(BFV, gadgets=gadgets))
    if noise.budget_bits < 1:
        return
    keys = key_gadgets(cost(placed, BFV).uses, gadgets)
    data = secret().hybrid_keys(keys)
    assert len(data) == cost(placed, BFV, gadgets=gadgets).key_bytes
    encoder = Encoder.of(BFV, gadgets)
    bound = SwitchingKeys.of(encoder, hybrid.read_all(data, keys, BFV.scheme))
    slots = rng.integers(-9, 10, (len(placed.inputs), BFV.slots))
    fresh = [encrypted(secret(), x) for x in slots]
    inputs = [lambda x=x: compact.read(x, compact.Form.fresh(BFV)).residues for x in fresh]
    weights = Weights(
        {plain: encoder.factor(placed.plaintexts[plain.index], plain) for plain in placed.factors},
        {plain: encoder.addend(placed.plaintexts[plain.index], plain) for plain in placed.addends},
        {},
    )
    (expected,) = run(placed, ClearAlgebra(BFV.t, slots, placed.plaintexts, BFV.rows))
    for threads in (1, 2):
        with Workers(threads) as workers:
            algebra = Residues.of(BFV.scheme)(encoder, weights, bound, False, inputs, workers, Buffers())
            (value,) = run_on(workers, placed, algebra)
            found, budget = decrypted(secret(), algebra.from_ntt(value))
        assert np.array_equal(centred(found, BFV.t), centred(expected, BFV.t))
        assert budget >= noise.budget_bits - 1  # SEAL rounds down
