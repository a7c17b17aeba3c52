"""Runs what training takes on the CUDA engine in Numba's simulator, beside the CPU; prints the outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
import weakref

import numpy as np
import pytest

from bench.cases.gpu_residues import products_agree
from he.engines.cuda import products
from he.engines.cuda.products import CudaProducts
from he.engines.cuda.traces import CudaTraces
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.products import Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.formats.compact import Form
from he.formats.seal_bytes import SealDataError
from he.formats.switching import RELINEARISATION
from he.parties.rehearsal import random_ciphertext
from he.ring import params
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import Parameters
from he.ring.slots import trace_elements
from he.training.head import Descent
from he.training.plan import HeadPlan
from he.training.trainer import Trainer
from tests.he.training.made import CLASSES, FEATURES, blocks, keys
from tests.intnn.cuda_simulation import prepare

N = 64


def traces(scheme):
    """Five ciphertexts packed, and five numbers expanded, with pairs and without; parts of them together."""
    rng, chosen = np.random.default_rng(4), {"plain_modulus": 257} if scheme == "bfv" else {"scale_bits": 30}
    parameters = Parameters(scheme, N, (40, 40, 44), security="insecure", **chosen)
    encoder, top, level = Encoder.of(parameters), Gadget.of(parameters, 2), 1

    def residues(primes, *shape):
        return np.stack([rng.integers(0, p, (*shape, N), np.uint64) for p in primes], axis=-2)

    pairs, found, refs = scheme == "ckks", [], []
    elements = trace_elements(N, pairs)
    keys = SwitchingKeys.of(encoder, [(e, top, residues(top.primes, len(top.groups), 2)) for e in elements])
    given, higher = ([residues(parameters.primes[:primes], 2) for _ in range(5)] for primes in (level, 2))
    with Workers(1) as workers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Traces, "_block", 2)
        patch.setattr(CudaTraces, "_block", 2)
        patch.setattr("he.engines.cuda.traces._TOGETHER", 2)
        for one in (CudaTraces(encoder, keys), Traces(encoder, keys, workers, Buffers())):
            found.append(
                [one.packed(given, 5), *one.expanded(given[0], 5), one.packed(higher[:2], 2), one.packed(given, 5)]
            )
            refs.append(weakref.ref(one))
    gone = refs[0]() is None  # and its memory with it, whenever the collector comes
    return gone and all(np.array_equal(x, y) for x, y in zip(*found, strict=True))


def matrix_products(scheme):
    """Matrices of ciphertexts, of whose results some are finished at once."""
    chosen = {"plain_modulus": 257} if scheme == "bfv" else {"scale_bits": 30}
    parameters = Parameters(scheme, N, (40, 40, 44), security="insecure", **chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_TOGETHER", 4)
        return products_agree(parameters)


def what_training_refuses():
    """Keys of several special primes, ciphertexts of several levels, and sums of more products than fit their words."""
    parameters = Parameters("ckks", N, (40, 40, 44), security="insecure", scale_bits=30)
    top, other = Gadget.of(parameters, 2), Encoder.of(parameters, Gadgets.of(parameters, [2, 1]))
    zeros = np.zeros((len(top.groups), 2, len(top.primes), N), np.uint64)
    keys = SwitchingKeys.of(
        Encoder.of(parameters), [(e, top, zeros) for e in (RELINEARISATION, *trace_elements(N, True))]
    )
    with Workers(1) as workers, pytest.MonkeyPatch.context() as patch:
        for made in (lambda: CudaTraces(other, keys), lambda: CudaProducts.of(other, keys, workers, Buffers())):
            with pytest.raises(ValueError, match="`encoder` must have one special prime at every level"):
                made()
        levels = [np.zeros((2, level, N), np.uint64) for level in (2, 1)]
        with pytest.raises(ValueError, match=r"`ciphertexts` must have one level and at most .* rows"):
            CudaTraces(Encoder.of(parameters), keys).packed(levels, 2)
        patch.setattr(products, "MAX_PRODUCTS", 7)
        with pytest.raises(ValueError, match="`left` must have at most 3 terms, got 4; add up parts of them"):
            CudaProducts.of(Encoder.of(parameters), keys, workers, Buffers()).sums(np.zeros((1, 4, 2, 2), np.int64), [])
    return True


def read_samples():
    """Ciphertexts that travel are read with the fast engine's residues; what is none is refused with its words."""
    rng, parameters = np.random.default_rng(8), Parameters("ckks", N, (40, 40, 44), security="insecure", scale_bits=30)
    encoder, top, form = Encoder.of(parameters), Gadget.of(parameters, 2), Form.fresh(parameters)
    zeros = np.zeros((len(top.groups), 2, len(top.primes), N), np.uint64)
    switching = SwitchingKeys.of(encoder, [(RELINEARISATION, top, zeros)])
    given = [random_ciphertext(form, rng) for _ in range(6)]
    with Workers(1) as workers:
        made, theirs = (kind.of(encoder, switching, workers, Buffers()) for kind in (CudaProducts, Products))
        found, expected = made.read(given, form, 2, 3), theirs.read(given, form, 2, 3)
        with pytest.MonkeyPatch.context() as patch:  # blocks along the last axis of a grid are counted in 16 bits
            patch.setattr("intnn.machine.cuda.launch.MOST_BLOCKS", (1 << 20, 4, 4))
            in_parts = made.read(given, form, 2, 3)
        for of in (made, theirs):
            with pytest.raises(SealDataError, match="its residues must be below their primes"):
                of.read([*given[:5], b"\xff" * form.bytes], form, 2, 3)
            with pytest.raises(SealDataError, match=f"a ciphertext must have {form.bytes} bytes, got 3"):
                of.read([*given[:5], b"abc"], form, 2, 3)
            with pytest.raises(ValueError, match="must be 2 rows of 3, at least one, got 5"):
                of.read(given[:5], form, 2, 3)
    shape = found.addresses.shape == expected.addresses.shape == (2, 3, 2, 2)
    return shape and all(np.array_equal(one.memory.copy_to_host(), expected.rows()) for one in (found, in_parts))


def a_head():
    """A head that is trained on two blocks of encrypted samples, in two steps."""
    plan = HeadPlan(40, FEATURES + 1, CLASSES, Descent(2, 2.5), security="insecure", ring_degree=N)
    heads = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_TOGETHER", 4)
        patch.setattr("he.engines.cuda.traces._TOGETHER", 2)
        for engine in ("cuda", "rns"):
            trainer = Trainer(plan, keys(plan)[1], 1, engine=engine)
            for block in blocks(plan):
                trainer.add(block)
            heads.append(trainer.fit().to_bytes())
    return len(blocks(plan)) == 2 and heads[0] == heads[1]


CHECKS = {
    "ckks, traces": lambda: traces("ckks"),
    "bfv, traces": lambda: traces("bfv"),
    "ckks, matrix products": lambda: matrix_products("ckks"),
    "bfv, matrix products": lambda: matrix_products("bfv"),
    "samples that are read": read_samples,
    "a head": a_head,
    "what training refuses": what_training_refuses,
}

if __name__ == "__main__":
    params.RING_DEGREES = (N, *params.RING_DEGREES)
    prepare()
    print(json.dumps({name: check() for name, check in CHECKS.items()}))
