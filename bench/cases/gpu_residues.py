"""The CUDA engine and its kernels beside those of the CPU: are they bit-equal?

The simulator checks the same on smaller rings (`tests/he/engines/cuda_simulation.py`).
"""

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numba import cuda

from he import Circuit, compile_approximate, compile_exact
from he.compiler.search import PackingName
from he.engines.cuda.engine import CudaEngine
from he.engines.cuda.pieces import Pieces
from he.engines.cuda.products import CudaProducts
from he.engines.cuda.requests import Requests
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import RnsEngine
from he.engines.rns.products import Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.formats import compact, hybrid
from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.kernels.cuda import columns, transform
from he.kernels.cuda.columns import NONE, PIECES
from he.kernels.cuda.tables import MODULUS, ONE, DeviceArray, device_tables, with_quotients
from he.kernels.passes import evaluate
from he.kernels.tables.chain import Chain, chain
from he.parties.rehearsal import random_ciphertext
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from he.ring.primes import ntt_primes
from he.ring.scheme import Scheme
from he.testing import square_graph, table_network
from intnn.layers.activations import Activation
from intnn.layers.linear import Dense
from intnn.machine.cuda.device import free_bytes
from intnn.machine.cuda.launch import run
from intnn.network.graph import Graph

BITS = (50, 40, 30, 50)
LEVELS = len(BITS)


def random_keys(circuit: Circuit, rng: np.random.Generator) -> bytes:
    """Keys of uniform residues: evaluation takes them like any others."""
    scheme = circuit.parameters.scheme
    forms = [hybrid.digit_form(gadget, scheme) for _, gadget in circuit.interface.keys for _ in gadget.groups]
    return b"".join(random_ciphertext(form, rng) for form in forms)


def random_request(circuit: Circuit, rng: np.random.Generator) -> list[bytes]:
    """Ciphertexts of uniform residues."""
    return [random_ciphertext(Form.fresh(circuit.parameters), rng) for _ in circuit.program.inputs]


def answers_agree(circuit: Circuit, *, graph: bool = False, ahead: bool = False) -> bool:
    """Whether both engines answer a request with the same bytes; as a graph, two more, which the graph evaluates.

    One more is copied ahead, as if it were verified meanwhile, if that is asked for.
    """
    rng = np.random.default_rng(0)
    keys = random_keys(circuit, rng)
    ours, theirs = CudaEngine(graph=graph).prepare(circuit).bind(keys), RnsEngine().prepare(circuit).bind(keys)

    def answered_ahead(request: Sequence[bytes]) -> list[bytes]:
        return ours.evaluate_ahead([memoryview(one) for one in request], lambda: None)

    for answered in (*[ours.evaluate] * (1 + 2 * graph), *[answered_ahead] * ahead):
        request = random_request(circuit, rng)
        if answered(request) != theirs.evaluate(request):
            return False
    return True


def pieces_agree(circuit: Circuit) -> bool:
    """Whether both engines answer requests with the same bytes that take every piece of pinned memory several times.

    The last one is copied ahead.

    Raises:
        ValueError: if a request fits them.
    """
    size, room = Form.fresh(circuit.parameters).bytes * len(circuit.program.inputs), PIECES * columns.PIECE_BYTES
    if size <= room:
        raise ValueError(f"`circuit` must take requests of more than {room} bytes, got {size}")
    return answers_agree(circuit, graph=True, ahead=True)


def memory_comes_back(circuit: Circuit, sessions: int) -> bool:
    """Whether sessions of a thread that uses the GPU for nothing else answer, and leave no memory taken behind them.

    Each answers twice, the second time by a graph, and is dropped there.
    """
    rng = np.random.default_rng(0)
    keys, request, prepared = random_keys(circuit, rng), random_request(circuit, rng), CudaEngine().prepare(circuit)
    expected = RnsEngine().prepare(circuit).bind(keys).evaluate(request)

    def in_a_thread(count: int) -> bool:
        equal: list[bool] = []

        def use() -> None:
            for _ in range(count):
                session = prepared.bind(keys)
                equal.extend(session.evaluate(request) == expected for _ in range(2))
                del session
                gc.collect()

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return len(equal) == 2 * count and all(equal)

    answered, before = in_a_thread(1), free_bytes()  # kernels are loaded then, and stay
    held, during = prepared.bind(keys), free_bytes()
    del held
    before_all = free_bytes()
    answered = in_a_thread(sessions) and answered
    return answered and before_all - free_bytes() <= (before - during) // 2  # what one session takes


def wide_graph() -> Graph:
    """A graph of two squares of sums of 256 inputs, each of which is a ciphertext: 34 MiB of them in a secure ring."""
    rng = np.random.default_rng(7)
    sums = Dense(rng.normal(size=(2, 256)) / 16, rng.normal(size=2))
    return Graph((256,), (sums, Activation("square"), Dense(rng.normal(size=(3, 2)), rng.normal(size=3))))


def transforms_agree(N: int, count: int) -> bool:
    """Whether rows of all primes are transformed as on the CPU, and back to what they were."""
    tables = chain(N, ntt_primes(BITS, N))
    x = random_rows(tables, count)
    held, there, back, scales = transform_memory(tables, x)
    device = device_tables(tables)
    run(transform.forward(device, held, there, scales))
    expected = x.copy()
    for i, row in enumerate(expected):
        evaluate.forward(tables.tables, row, i % LEVELS)
    forth = held.copy_to_host()[len(x) :]
    run(transform.inverse(device, held, back, scales))
    return np.array_equal(forth, expected) and np.array_equal(held.copy_to_host()[: len(x)], x)


def arrivals_agree(N: int, count: int) -> bool:
    """Whether ciphertexts as they come, with seeds and without, have the residues that the CPU reads.

    The largest numbers are no primes: they refuse about every fourth and every fifth word of a stream.
    """
    rng, numbers = np.random.default_rng(0), (*((1 << 64) // m + 2 | 1 for m in (4, 5)), *ntt_primes(BITS, N))
    constants = np.zeros((len(numbers), 6), np.uint64)
    constants[:, MODULUS], constants[:, ONE] = numbers, [(1 << 64) // p for p in numbers]
    equal, stream = [], cuda.stream()
    for seeded in (True, False):
        form = Form(numbers, N, True, 1.0, seeded)
        given = [random_ciphertext(form, rng) for _ in range(count)]
        residues = cuda.to_device(np.zeros((count, 2, len(numbers), N), np.uint64))
        requests = Requests(form, cuda.to_device(constants), residues, Pieces(count * form.bytes + 8, threads=1))
        requests.copy(given, stream)
        run(requests.launches, stream)
        found = residues.copy_to_host()
        equal.append(not requests.verdict(0)[0])
        equal += [np.array_equal(x, compact.read(one, form).residues) for x, one in zip(found, given, strict=True)]
    return all(equal)


def products_agree(parameters: Parameters) -> bool:
    """Whether products of matrices of ciphertexts are those of the CPU, as they are packed and transposed."""
    rng, top, N = np.random.default_rng(0), Gadget.of(parameters, parameters.levels), parameters.poly_modulus_degree
    encoder, level = Encoder.of(parameters), parameters.levels

    keys = SwitchingKeys.of(encoder, [(RELINEARISATION, top, uniform(rng, top.primes, N, len(top.groups), 2))])
    left = [uniform(rng, parameters.primes[:level], N, 2) for _ in range(6)]
    right = [[uniform(rng, parameters.primes[:level], N, 2) for _ in range(5)] for _ in range(3)]
    largest = np.array(parameters.primes[:level], np.uint64)[:, None] - np.uint64(1)
    for one in (*left[:3], *(row[1] for row in right)):
        one[:] = largest
    found = []
    with Workers(1) as workers:
        for kind in (CudaProducts, Products):
            made = kind.of(encoder, keys, workers, Buffers())
            packed = made.packed([partial(np.copy, x) for x in left], 2, 3)
            turned = packed.addresses.transpose(1, 0, 2, 3)[:1]
            found.append([*made.sums(packed.addresses, right), *made.sums(turned, right[:2])])
            if parameters.scheme.exact:  # the level stays, and results are factors as they lie
                results = [*made.held(packed.addresses, right)]
                found[-1] += made.sums(turned, [results[:5], results[5:]])
    expected = 20 if parameters.scheme.exact else 15
    return len(found[0]) == expected and all(np.array_equal(x, y) for x, y in zip(*found, strict=True))


def uniform(rng: np.random.Generator, primes: Sequence[int], N: int, *shape: int) -> np.ndarray:
    """Uniform residues, uint64 [*shape, primes, N]."""
    return np.stack([rng.integers(0, p, (*shape, N), np.uint64) for p in primes], axis=-2)


def random_rows(tables: Chain, count: int) -> np.ndarray:
    """So many rows of every prime, in turn, uint64 [count * primes, N], with the least and the largest residue."""
    moduli = np.array(tables.primes * count, np.uint64)[:, None]
    x = np.random.default_rng(0).integers(0, moduli, (len(moduli), tables.N), np.uint64)
    x[:, 0], x[:, 1] = 0, moduli[:, 0] - np.uint64(1)
    return x


def transform_memory(tables: Chain, x: np.ndarray) -> tuple[DeviceArray, ...]:
    """The memory of rows and their transforms, the tables of both transforms, and their scales."""
    rows, scales = len(x), with_quotients([(pow(tables.N, -1, p), p) for p in tables.primes])
    there = [(i, rows + i, i % LEVELS, NONE, NONE, 0) for i in range(rows)]
    back = [(rows + i, i, i % LEVELS, i % LEVELS) for i in range(rows)]
    held = np.concatenate([x, np.full_like(x, (1 << 64) - 1)])
    lines = (np.array(table, np.int64).view(np.uint64) for table in (there, back))
    return cuda.to_device(held), *map(cuda.to_device, lines), cuda.to_device(scales)


def checks(N: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The checks with their names; each says whether the device and the CPU agree in every bit."""
    yield "residues: ciphertexts as they come", partial(arrivals_agree, N, 3)
    chosen = (Scheme.BFV, {"plain_modulus": 65537}), (Scheme.CKKS, {"scale_bits": 40})
    for scheme, numbers in chosen:
        parameters = Parameters(scheme, N, (40, 40, 40, 50), security="insecure", **numbers)
        yield f"residues: products of matrices of ciphertexts, {scheme.value}", partial(products_agree, parameters)
    packings: tuple[tuple[int, PackingName], ...] = (1, "latency"), (4, "throughput")
    for images, packing in packings:
        exact = compile_exact(table_network(), images=images, packing=packing, security="insecure")
        approximate = compile_approximate(square_graph(), images=images, packing=packing, security="insecure")
        yield f"residues: tables in BFV, {packing}", partial(answers_agree, exact)
        yield f"residues: squares in CKKS, {packing}", partial(answers_agree, approximate)
        yield f"residues: squares in CKKS, {packing}, as a graph", partial(answers_agree, approximate, graph=True)
    wide = compile_approximate(wide_graph(), images=4, packing="throughput")
    yield "residues: sessions that end in another thread", partial(memory_comes_back, wide, 12)
    yield "residues: squares in CKKS, requests of 34 MiB", partial(pieces_agree, wide)
