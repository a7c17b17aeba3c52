"""What a program costs, against counts by hand, and against the bytes that SEAL writes."""

from collections import Counter

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he import compile_approximate, compile_exact
from he.compiler.place_bfv import place_bfv
from he.formats import switching
from he.formats.compact import Form, compact
from he.formats.seal_bridge import create_context, level_ids, to_bytes
from he.formats.seal_bytes import read_keys
from he.program.operations import Multiply, Relinearise, Rotate, SwapRows, arguments
from he.program.recorder import Recorder
from he.readers.cost import Work, ciphertext_bytes, cost, key_bytes
from he.readers.work import Switches
from he.ring.params import Parameters
from he.testing import square_graph, table_network
from tests.he.compiler.test_place import BFV, random_program

UNIT = Parameters("ckks", 8192, (60, 40, 40, 60), scale_bits=40)


def rotations(*steps):
    """One input, rotated by every step, and the sum of all."""
    recorder = Recorder()
    x = recorder.input(0)
    return recorder.program(UNIT.slots, [recorder.add([recorder.rotate(x, step) for step in steps])])


def test_a_rotation_is_a_decomposition_products_and_a_division():
    spent = cost(rotations(1), UNIT)
    # Three digits in four primes, and two polynomials divided by the special prime: 3 * 4 + 2 * 4 transforms.
    assert spent.work["Rotate"] == Work(transforms=20, products=2 * 3 * 4)


def test_ten_hoisted_rotations_share_their_digits():
    spent = cost(rotations(*range(1, 11)), UNIT)
    assert spent.work["Rotate"] == Work(transforms=12, products=10 * 24)
    assert spent.work["Add"].transforms == 8  # the division by the special prime, once for all
    assert (spent.hoisted, spent.groups, spent.single) == (10, 1, 0)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_counts_equal_those_of_a_walk_over_the_operations(seed, length):
    """Key switches, hoisted groups and keys, found again from the list of operations and their levels."""
    placed, _ = place_bfv(random_program(np.random.default_rng(seed), BFV, length), BFV)
    levels, keys, turns, decomposed, shared = [], {}, Counter(), Counter(), Counter()
    for operation in placed.operations:
        level = min((levels[a] for a in arguments(operation)), default=BFV.levels)
        levels.append(level - (type(operation).__name__ == "SwitchModulus"))
        element = None
        match operation:
            case Rotate((a,), step):
                element = BFV.galois_element(step)
            case SwapRows((a,)):
                element = 2 * BFV.poly_modulus_degree - 1
            case Relinearise():
                element = 1
        if element is None:
            continue
        keys[element] = max(keys.get(element, 0), level)
        (shared if element != 1 and turns[a] else decomposed)[level] += 1
        if element != 1:
            turns[a] += 1
    spent = cost(placed, BFV)
    for level in range(1, BFV.levels + 1):
        done = spent.switches.get(level, Switches())
        assert (done.decomposed, done.shared) == (decomposed[level], shared[level])
    assert spent.keys == keys
    hoisted = [n for n in turns.values() if n > 1]
    assert (spent.hoisted, spent.groups, spent.single) == (sum(hoisted), len(hoisted), turns.total() - sum(hoisted))
    assert spent.key_bytes == len(keys) * key_bytes(BFV, BFV.levels)
    assert spent.needed_key_bytes == sum(key_bytes(BFV, level) for level in keys.values()) <= spent.key_bytes
    assert spent.total == pytest.approx(sum(spent.units.values()))
    assert set(spent.units) == {type(op).__name__ for op in placed.operations}


def test_a_square_transforms_one_operand():
    recorder = Recorder()
    x, y = recorder.input(0), recorder.input(1)
    for a, operands in ((x, 1), (y, 2)):
        (done,) = (
            w
            for kind, w in cost(recorder.program(BFV.slots, [recorder.multiply(x, a)]), BFV).work.items()
            if kind == Multiply.__name__
        )
        expected = (2 * BFV.levels + 1) * (2 * operands + 3)
        assert done.transforms == (expected if operands == 1 else expected + (2 * BFV.levels + 1) * 5)


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters("ckks", 8192, (35, 30, 30, 29, 29, 24, 37), scale_bits=27),
        Parameters("ckks", 8192, (42, 50, 50, 22, 50), scale_bits=30),
        Parameters("bfv", 16384, (45,) * 7 + (50,), plain_modulus=65537),
    ],
    ids=str,
)
def test_bytes_are_those_that_travel(parameters):
    context = create_context(parameters)
    keys = sealapi.KeyGenerator(context)
    made = read_keys(to_bytes(keys.create_relin_keys()), parameters, context.key_parms_id())
    assert len(switching.write(made.values(), parameters)) == key_bytes(parameters, parameters.levels)
    encryptor, plaintext = sealapi.Encryptor(context, keys.secret_key()), sealapi.Plaintext()
    if parameters.scheme == "bfv":
        sealapi.BatchEncoder(context).encode([1], plaintext)
    else:
        sealapi.CKKSEncoder(context).encode([1.0], 2.0**parameters.scale_bits, plaintext)
    encrypted, ids = to_bytes(encryptor.encrypt_symmetric(plaintext)), level_ids(context, parameters)
    seed = 64
    written = compact(encrypted, Form.fresh(parameters), parameters, ids)
    assert len(written) == ciphertext_bytes(parameters, parameters.levels, polynomials=1) + seed


@pytest.mark.parametrize(
    ("compile_it", "network"), [(compile_exact, table_network()), (compile_approximate, square_graph())]
)
def test_a_circuit_explains_its_cost(compile_it, network):
    circuit = compile_it(network, security="insecure")
    spent, text = circuit.cost(), circuit.explain()
    assert f"rotations: {spent.hoisted} hoisted, of {spent.groups} values, and {spent.single} single" in text
    assert f"cost: {spent.total:.1f} units of one SEAL rotation" in text
    assert f", {spent.key_bytes / 1e6:.1f} MB" in text
