"""The noise of what is encrypted under a key of two owners, measured: the bounds hold, and are not far off."""

import numpy as np
import pytest

from he.formats.messages import Kind
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.readers.noise_ckks import CkksErrorAlgebra
from he.readers.public_key import encryption_norm, encryption_variance
from tests.he.forge import residues_of
from tests.he.parties.threshold.owners import CIRCUITS, NETWORKS, Owners, product, secret_of, whole
from tests.vectors.document import coefficients


@pytest.fixture(scope="module", params=CIRCUITS)
def errors(request):
    """The parameters, and the coefficients of the errors of encryptions of images of zeros."""
    owners, found = Owners(CIRCUITS[request.param]), []
    interface = owners.circuit.interface
    parameters, secret = interface.parameters, secret_of(owners.data) + secret_of(owners.model)
    shape = NETWORKS[request.param].input_shape
    for _ in range(2):
        zeros = np.zeros((1, *shape), np.int64 if request.param == "bfv" else np.float64)
        c = residues_of(Kind.REQUEST, interface, owners.client.encrypt(zeros))
        rows = []
        for j, p in enumerate(parameters.data_primes):
            first, second = (coefficients(x.tolist(), p) if parameters.scheme.ntt_form else x for x in c[:, j])
            rows.append((np.array(first, object) + product(second, secret, p)) % p)
        found.append(whole(rows, parameters.data_primes).astype(float))
    return parameters, np.array(found)


def test_fresh_ciphertexts_have_the_noise_of_the_public_key_of_both(errors):
    parameters, found = errors
    assert max(np.linalg.norm(found, axis=1)) <= encryption_norm(parameters) <= 8 * np.linalg.norm(found[0])
    assert found.var() == pytest.approx(encryption_variance(parameters), rel=0.5)  # the norms of secrets differ
    if parameters.scheme.exact:
        relative = parameters.t * 2.0 ** -parameters.log2_modulus(parameters.levels)
        assert relative * encryption_norm(parameters) <= BfvNoiseAlgebra(parameters).input(0).bound


def test_slots_of_inputs_stay_within_a_bound_that_knows_the_tails_of_products():
    """Encryption by a public key rounds, and multiplies by the secret: a normal number's tail ends far too early."""
    circuit, rng = CIRCUITS["ckks"], np.random.default_rng(0)
    N, scale = circuit.parameters.poly_modulus_degree, circuit.parameters.input_scale
    bound = CkksErrorAlgebra(circuit.parameters, circuit.program, [], 1.0).input(0).bound * scale

    def at_roots(coefficients):  # half of them: the others are conjugates
        return np.fft.fft(coefficients * np.exp(-1j * np.pi / N * np.arange(N)))[..., : N // 2]

    secrets = at_roots(rng.integers(-1, 2, (2, 2000, N)).sum(axis=0))
    first, second = map(at_roots, rng.random((2, 2000, N)) - 0.5)
    slots = (first + second * secrets).real
    assert np.abs(slots).max() <= bound <= 4 * np.abs(slots).max()
