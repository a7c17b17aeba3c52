"""Sums of products of ciphertexts: relinearised once, the same numbers, cheaper, and no noisier."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.place_bfv import place_bfv
from he.compiler.place_ckks import place
from he.program.algebra import run
from he.program.operations import Add, Relinearise
from he.program.recorder import Recorder
from he.program.relinearisation import relinearised_once
from he.readers.clear import ClearAlgebra
from he.readers.cost import cost
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.ring.arithmetic import centred
from he.ring.gadget import Gadgets
from tests.he.compiler.test_place import EVEN, random_program
from tests.he.engines.seal_side import decrypted
from tests.he.engines.test_gadget_programs import BFV, CKKS, evaluated, secret_for


def inner_products(terms, apart=0, nested=False):
    """x . y of so many ciphertexts, every product relinearised where it is made; some are read by others too."""
    recorder = Recorder()
    x, y = ([recorder.input(2 * i + j) for i in range(terms)] for j in range(2))
    products = [recorder.relinearise(recorder.multiply(a, b)) for a, b in zip(x, y, strict=True)]
    total = products[0]
    if nested:
        for product in products[1:]:
            total = recorder.add([total, product])
    else:
        total = recorder.add([*products, x[0]])
    outputs = [total, *(recorder.rotate(product, 1) for product in products[:apart])]
    return recorder.program(BFV.slots, outputs)


@given(st.integers(2, 6), st.integers(0, 3), st.booleans())
def test_a_sum_is_relinearised_once_and_what_others_read_where_it_was(terms, apart, nested):
    program = inner_products(terms, min(apart, terms), nested)
    late = relinearised_once(program)
    alone = min(apart, terms)
    assert late.counts["Relinearise"] == alone + (alone < terms)
    assert late.counts["Multiply"] == program.counts["Multiply"] == terms
    slots = np.random.default_rng(0).integers(-9, 10, (2 * terms, BFV.slots))
    clear = ClearAlgebra(BFV.t, slots, (), BFV.rows)
    for found, expected in zip(run(late, clear), run(program, clear), strict=True):
        assert np.array_equal(found, expected)


def test_a_product_that_no_other_joins_is_relinearised_where_it_was():
    """A sum with rotations stays one of two polynomials, whose division by special primes is put off."""
    program = inner_products(1)
    assert relinearised_once(program) is program


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("specials", [1, 3])
def test_encrypted_sums_are_exact_cheaper_and_no_noisier(nested, specials):
    program = inner_products(5, nested=nested)
    placed, _ = place_bfv(relinearised_once(program), BFV)
    before, _ = place_bfv(program, BFV)
    gadgets = Gadgets.of(BFV, [min(specials, 9 - level) for level in range(1, 9)])
    spent, usual = (cost(p, BFV, gadgets=gadgets) for p in (placed, before))
    assert spent.total < usual.total
    assert spent.work["Relinearise"].times(5) == usual.work["Relinearise"]
    (noise,), (noisier,) = (run(p, BfvNoiseAlgebra(BFV, gadgets=gadgets)) for p in (placed, before))
    assert noise.budget_bits >= noisier.budget_bits
    slots = np.random.default_rng(1).integers(-9, 10, (10, BFV.slots))
    (expected,) = run(program, ClearAlgebra(BFV.t, slots, (), BFV.rows))
    for residues in evaluated(placed, gadgets, slots, secret_for(BFV)):
        found, budget = decrypted(secret_for(BFV), residues)
        assert np.array_equal(centred(found, BFV.t), centred(expected, BFV.t))
        assert budget >= noise.budget_bits - 1


def test_sums_of_products_at_scales():
    recorder = Recorder()
    x, y = recorder.input(0), recorder.input(1)
    products = [recorder.relinearise(recorder.multiply(a, b)) for a, b in ((x, x), (x, y), (y, y))]
    program = relinearised_once(recorder.program(CKKS.slots, [recorder.add(products)]))
    assert program.counts["Relinearise"] == 1
    placed = place(program, EVEN, CKKS)
    slots = np.random.default_rng(2).uniform(-1, 1, (2, CKKS.slots))
    (expected,) = run(program, ClearAlgebra(None, slots, (), CKKS.rows))
    for residues in evaluated(placed, Gadgets.of(CKKS), slots, secret_for(CKKS)):
        found, _ = decrypted(secret_for(CKKS), residues, 2.0**80 / CKKS.primes[len(residues[0])])
        assert np.abs(found - expected).max() < 1e-6


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.sampled_from([BFV, CKKS]))
def test_programs_without_such_sums_stay_as_they_are(seed, length, parameters):
    program = random_program(np.random.default_rng(seed), parameters, length)
    added = {a for operation in program.operations if isinstance(operation, Add) for a in operation.args}
    relinearised = {
        program.first_values[i] for i, operation in enumerate(program.operations) if isinstance(operation, Relinearise)
    }
    late = relinearised_once(program)
    if not added & relinearised:
        assert late.operations == program.operations
    assert late.counts["Relinearise"] <= program.counts["Relinearise"]
