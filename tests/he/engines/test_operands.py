"""Sums of products with encrypted operands: in plain integers, on both engines, and in parts."""

import itertools

import numpy as np
import pytest

from he import compile_approximate, compile_exact, connect, prepare
from he.engines.rns.encoder import Encoder, ExactEncoder
from he.engines.rns.operands import Operands
from he.formats.compact import Form
from he.formats.seal_bridge import SealDataError
from he.parties.encrypted_network import operand_forms
from he.parties.public_encryptor import PublicEncryptor
from he.testing import inputs, square_graph, table_network

EXACT = compile_exact(table_network(), weights="encrypted", security="insecure", images=4)
APPROXIMATE = compile_approximate(square_graph(), weights="encrypted", security="insecure", images=4)
CASES = [(EXACT, table_network()), (APPROXIMATE, square_graph())]


@pytest.mark.parametrize(("circuit", "network"), CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_engines_agree_on_encrypted_networks(circuit, network, threads):
    x = inputs(network, 3)
    for prepared in (prepare(circuit), prepare(circuit.with_usual_keys(), "seal")):
        client, session = connect(prepared, threads=threads)
        logits = client.decrypt(session.evaluate(client.encrypt(x)))
        assert np.abs(logits - network.logits(x)).max() <= (0 if circuit is EXACT else circuit.output_bound)


def test_a_sum_that_the_auxiliary_primes_cannot_hold_is_made_of_parts(monkeypatch):
    x = inputs(table_network(), 2)
    client, session = connect(EXACT, threads=1)
    calls = []
    monkeypatch.setattr(ExactEncoder, "most_terms", lambda self, level: calls.append(level) or 2)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), table_network().logits(x))
    assert calls


def test_auxiliary_primes_hold_as_many_products_as_stated():
    """In integers: so many of the largest products, of N coefficients below q / 2 each, scaled by t, twice."""
    encoder = Encoder.of(EXACT.parameters)
    N, t = EXACT.parameters.poly_modulus_degree, EXACT.parameters.t
    for level in range(1, EXACT.parameters.levels + 1):
        q = int(np.prod([*map(int, EXACT.parameters.primes[:level])], dtype=object))
        auxiliary = int(np.prod([*map(int, encoder.auxiliary[: level + encoder.more])], dtype=object))
        most = encoder.most_terms(level)
        assert most >= 1
        assert most * t * (2 * N * (q // 2 + 1) ** 2) // q + 1 < auxiliary // 2


def test_a_tensor_product_equals_plain_integers():
    """Modulo every prime of products: the three sums over all terms, slot by slot of the transform."""
    _client, session = connect(EXACT, threads=1)
    algebra, encoder = session.evaluator.algebra(), Encoder.of(EXACT.parameters, EXACT.interface.gadgets)
    dot = max((op for op in EXACT.program.operations if type(op).__name__ == "CipherDot"), key=lambda op: len(op.args))
    level = dot.plains[0].level
    primes = encoder.product_primes(level)
    rng, N = np.random.default_rng(0), EXACT.parameters.poly_modulus_degree
    moduli = np.array(encoder.moduli(primes), object)[:, None]
    x, w = (
        np.array([[[rng.integers(0, p, N) for p in moduli[:, 0]] for _ in range(2)] for _ in dot.plains], np.uint64)
        for _ in range(2)
    )
    algebra._operands = Operands({p: encoder.factors(part, primes) for p, part in zip(dot.plains, w, strict=True)}, {})
    found = algebra._tensor(list(x), dot.plains, primes)
    due = [0, 0, 0]
    for (i, j), term in itertools.product(np.ndindex(2, 2), range(len(dot.plains))):
        due[i + j] = due[i + j] + x[term, i].astype(object) * w[term, j].astype(object)
    assert np.array_equal(found, np.array([total % moduli for total in due], np.uint64))


@pytest.mark.parametrize("change", ["fewer", "more", "short", "large"])
@pytest.mark.parametrize("circuit", [EXACT, APPROXIMATE])
def test_other_ciphertexts_than_the_network_has_are_refused(circuit, change):
    client, _ = connect(circuit)
    parts = list(PublicEncryptor(circuit, client.public_key).encrypted())
    bad = {
        "fewer": parts[:-1],
        "more": [*parts, parts[0]],
        "short": [parts[0][:-1], *parts[1:]],
        "large": [b"\xff" * len(parts[0]), *parts[1:]],
    }[change]
    keys = client.evaluation_keys.divided(circuit.interface)[0]
    with pytest.raises(SealDataError, match=r"ciphertexts|bytes|below their primes"):
        prepare(circuit)._prepared.bind(keys, 1, network=bad)


def test_forms_are_those_of_the_levels_at_which_operands_are_used():
    forms = operand_forms(EXACT)
    assert forms == [Form.operand(EXACT.parameters, p.level, 0.0) for p in EXACT.program.encrypted]
    assert len({len(form.primes) for form in forms}) > 1
