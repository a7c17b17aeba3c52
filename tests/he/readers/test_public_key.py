"""Errors of encryption by a public key, and of sums of products with what was encrypted so."""

import numpy as np

from he import compile_approximate, compile_exact, connect
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.parties.public_encryptor import PublicEncryptor
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.readers.public_key import encryption_norm, encryption_variance
from he.testing import inputs, square_graph, table_network
from tests.he.engines.seal_side import decrypted

EXACT = compile_exact(table_network(), weights="encrypted", security="insecure")
APPROXIMATE = compile_approximate(square_graph(), weights="encrypted", security="insecure")


def operands(client, circuit):
    """Every encrypted operand, with the residues of its ciphertext."""
    forms = [Form.operand(circuit.parameters, plain.level, plain.scale) for plain in circuit.program.encrypted]
    made = PublicEncryptor(circuit, client.public_key).encrypted()
    return zip(circuit.program.encrypted, map(lambda *of: compact.read(*of).residues, made, forms), strict=True)


def test_operands_of_integers_decrypt_with_the_noise_that_is_bounded():
    client, _ = connect(EXACT)
    algebra, t = BfvNoiseAlgebra(EXACT.parameters), EXACT.parameters.t
    for plain, residues in operands(client, EXACT):
        slots, budget = decrypted(client.secret_key, residues)
        assert np.array_equal(slots % t, EXACT.operand(plain) % t)
        bound = algebra._encrypted(plain.level).budget_bits
        assert bound - 1 <= budget <= bound + 12


def test_operands_of_floats_are_as_far_off_as_modelled():
    errors = []
    for _ in range(6):
        client, _ = connect(APPROXIMATE)
        for plain, residues in operands(client, APPROXIMATE):
            slots, _ = decrypted(client.secret_key, residues, plain.scale)
            errors.append((slots - APPROXIMATE.operand(plain)) * plain.scale)
    N = APPROXIMATE.parameters.poly_modulus_degree
    modelled = np.sqrt(N * encryption_variance(APPROXIMATE.parameters) / 2)  # a slot is the real part at a root
    assert 0.8 * modelled <= np.sqrt(np.mean(np.square(errors))) <= 1.1 * modelled


def test_the_norm_holds_for_errors_as_seal_draws_them():
    """(e u + e' + e'' s) / p and the roundings of two polynomials, at the smallest p: of 200 none is beyond."""
    parameters, rng = EXACT.parameters, np.random.default_rng(0)
    N, p = parameters.poly_modulus_degree, min(parameters.primes)
    norms = []
    for _ in range(200):
        u, s = rng.integers(-1, 2, (2, N))
        e = rng.binomial(42, 0.5, (3, N)) - 21
        rounded = rng.random((2, N)) - 0.5
        whole = cyclic(e[0], u) + e[1] + cyclic(e[2], s)
        norms.append(np.linalg.norm(whole / p + rounded[0] + cyclic(rounded[1], s)))
    assert max(norms) <= encryption_norm(parameters)
    assert encryption_norm(parameters) <= 8 * max(norms)


def cyclic(a, b):
    """The product of polynomials modulo X^N + 1."""
    N = len(a)
    twist = np.exp(1j * np.pi / N * np.arange(N))
    return (np.fft.ifft(np.fft.fft(a * twist) * np.fft.fft(b * twist)) / twist).real


def test_a_sum_of_products_keeps_the_budget_that_is_bounded():
    """The first layer's sum, with the measured budget between the bound and what it may be too careful by."""
    client, session = connect(EXACT)
    program, algebra = EXACT.program, session.evaluator.algebra()
    dot = next(op for op in program.operations if type(op).__name__ == "CipherDot")
    _, parts = open_message(Kind.REQUEST, client.encrypt(inputs(table_network(), 1)))
    value = session.evaluator.read(parts[0])
    total = algebra.from_ntt(algebra.relinearise(algebra.cipher_dot([value], dot.plains[:1])))
    _, budget = decrypted(client.secret_key, total)
    noise = BfvNoiseAlgebra(EXACT.parameters)
    bound = noise.relinearise(noise.cipher_dot([noise.input(0)], dot.plains[:1])).budget_bits
    assert bound - 1 <= budget <= bound + 25
