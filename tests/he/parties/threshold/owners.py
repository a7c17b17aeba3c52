"""Data owner, model owner and evaluator in one process, and what is seen of their messages."""

from math import prod

import numpy as np

from he import Client, Policy
from he.formats.messages import Kind
from he.formats.seal_bridge import to_bytes
from he.formats.seal_bytes import read_secret
from he.kernels.reference import centred
from he.parties.threshold.ceremony import DataShare, ModelShare
from he.parties.threshold.opening import Opener
from he.parties.threshold.together import Together
from he.testing import compiled, square_graph, table_network
from tests.he.forge import form_of, residues_of
from tests.vectors.document import coefficients, transformed

BITS = {"bfv": 40, "ckks": 6}
NETWORKS = {"bfv": table_network(), "ckks": square_graph()}
POLICY = Policy.trusting("insecure")


def joint(network, scheme, **options):
    """A network, compiled for a key of two owners on a small insecure ring."""
    return compiled(network, weights="encrypted", threshold=BITS[scheme], security="insecure", **options)


CIRCUITS = {scheme: joint(network, scheme, images=2) for scheme, network in NETWORKS.items()}


def made(circuit):
    """The keys of a data owner and of a model owner, who have exchanged all messages."""
    data, model = DataShare(circuit.interface, policy=POLICY), ModelShare(circuit.interface)
    model.finish(data.second(model.shares(data.first(model.commit(data.invitation)))))
    return data.key, model.key


class Owners:
    """All parties of a circuit."""

    def __init__(self, circuit):
        self.circuit, self.parties = circuit, Together.of(circuit, 1)
        self.client, self.session, self.vouching, self.opener, self.owner, self.data, self.model = self.parties

    def new_client(self, **options):
        key = self.data
        return Client(
            self.circuit.interface, key.share, key.evaluation_keys.to_bytes(),
            public_key=key.public_key.to_bytes(), policy=POLICY, **options,
        )  # fmt: skip

    def new_opener(self, **options):
        return Opener(self.owner, self.model, self.vouching.verification_key, **options)

    def answer(self, images):
        """The answer to a new request, which is kept."""
        self.request = self.client.encrypt(images)
        return self.session.evaluate(self.request)


def secret_of(key):
    """The coefficients of a share of the secret: Python's integers [N]."""
    rows = read_secret(to_bytes(key.share._secret), key.share.parameters, key.share.context.key_parms_id())
    p = key.share.parameters.primes[0]
    return np.array([centred(x, p) for x in coefficients(rows[0].tolist(), p)], object)


def product(x, y, p):
    """Two polynomials multiplied modulo a prime: Python's integers [N]."""
    pairs = zip(*(transformed([int(c) % p for c in one], p) for one in (x, y)), strict=True)
    return np.array(coefficients([a * b % p for a, b in pairs], p), object)


def whole(rows, primes):
    """The integers around 0 that have these residues."""
    q = prod(primes)
    total = sum(row * (q // p * pow(q // p, -1, p)) for row, p in zip(rows, primes, strict=True))
    return (total + q // 2) % q - q // 2


def decrypted(interface, answer, secret):
    """c_0 + c_1 s of an answer's first ciphertext: integers around 0, by plain ones alone."""
    primes = interface.parameters.primes[: interface.output_level]
    c, rows = residues_of(Kind.RESPONSE, interface, answer).astype(object), []
    for j, p in enumerate(primes):
        first, second = ((coefficients(x.tolist(), p) if form_of(Kind.RESPONSE, interface).ntt else x) for x in c[:, j])
        rows.append((np.array(first, object) + product(second, secret, p)) % p)
    return whole(rows, primes)
