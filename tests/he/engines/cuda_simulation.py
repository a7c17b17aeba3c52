"""Runs circuits on the CUDA engine in Numba's simulator, and compares the bytes of answers with the fast engine's.

Rings are as small as the CPU's kernels allow, which no parameters of the toolkit may be. Keys and inputs are random.
Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import cuda

from bench.cases.gpu_residues import answers_agree, memory_comes_back, random_keys, random_request, transforms_agree
from he import compile_approximate, compile_exact
from he.compiler import search
from he.compiler.place_ckks import place
from he.engines.cuda import device as engine_device
from he.engines.cuda.device import Board, Resident
from he.engines.cuda.engine import CudaEngine, planned
from he.engines.cuda.places import places, stacked
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import RnsEngine, encoder_of
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers, run_on
from he.engines.rns.weights import Weights
from he.kernels.cuda.columns import root_bytes
from he.kernels.cuda.tables import forget_tables
from he.parties.encrypted_network import operand_forms
from he.parties.rehearsal import random_ciphertext
from he.readers.cost import cost
from he.ring import params
from he.ring.gadget import Gadgets
from he.ring.params import Parameters
from he.ring.slots import automorphism
from he.testing import square_graph, table_network
from intnn.machine.cuda import graph
from intnn.machine.cuda import launch as launches
from intnn.machine.cuda.device import DeviceError
from tests.he.compiler.test_place import EVEN, random_program
from tests.intnn.cuda_simulation import prepare
from tests.intnn.several_gpus import Gpus

N = 64
LARGER = 512  # whose transforms take two passes, as all do on a GPU


def same_answers(circuit):
    assert circuit.parameters.poly_modulus_degree == N
    return answers_agree(circuit)


def two_passes(compiled):
    """The answers of a circuit on a larger ring."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "RING_DEGREES", (LARGER, *params.RING_DEGREES[1:]))
        patch.setattr(search, "ALL_RING_DEGREES", (LARGER, *search.ALL_RING_DEGREES[1:]))
        circuit = compiled()
        assert circuit.parameters.poly_modulus_degree == LARGER
        return answers_agree(circuit)


def encrypted_weights(circuit, clear):
    """A request, or images in the clear, where the model's owner has encrypted weights and biases."""
    rng, circuit = np.random.default_rng(3), circuit.public
    keys, request = random_keys(circuit, rng), random_request(circuit, rng)
    network = [random_ciphertext(form, rng) for form in operand_forms(circuit)]
    if clear:
        request = list(rng.integers(0, 9, (len(request), circuit.parameters.slots)))
    ours = CudaEngine().prepare(circuit).bind(keys, network=network)
    reference = RnsEngine().prepare(circuit).bind(keys, 1, network=network)
    return ours.evaluate(request) == reference.evaluate(request)


def two_sessions():
    """Sessions of a stored circuit, with the same keys, share these, and nothing that a request leaves behind."""
    circuit, rng = compile_approximate(square_graph(), images=1, security="insecure"), np.random.default_rng(2)
    keys, requests = random_keys(circuit, rng), [random_request(circuit, rng) for _ in range(2)]
    stored, reference = RnsEngine().prepare(circuit), RnsEngine().prepare(circuit).bind(keys, 1)
    prepared = CudaEngine().restore(circuit, stored.arrays())
    first = prepared.bind(keys, 3)
    second = prepared.bind(b"", like=first)
    assert first.threads == 3
    assert second.board.keys is first.board.keys
    answers = [session.evaluate(request) for session, request in zip((first, second), requests, strict=True)]
    return (
        answers == [reference.evaluate(request) for request in requests] and first.evaluate(requests[1]) == answers[1]
    )


def one_at_a_time():
    """A session's second evaluation waits for the first one, whoever asks for them."""
    circuit = compile_approximate(square_graph(), images=1, security="insecure")
    board = CudaEngine().prepare(circuit).bind(random_keys(circuit, np.random.default_rng(0))).board
    begun, seen, others = [], [], []

    def evaluated(inputs):
        begun.append(inputs)
        if len(begun) == 1:
            others.append(threading.Thread(target=board.evaluate, args=("second",)))
            others[0].start()
            others[0].join(0.2)  # it waits for longer, and so for the lock
            seen.extend(begun)

    board._evaluated = evaluated
    board.evaluate("first")
    others[0].join()
    return seen == ["first"] and begun == ["first", "second"]


def no_graph():
    """Where no graph can be captured, a session says why once, and answers all the same."""
    circuit, rng = compile_approximate(square_graph(), images=1, security="insecure"), np.random.default_rng(2)
    keys, request = random_keys(circuit, rng), random_request(circuit, rng)

    def refused(*_):
        raise RuntimeError("the stream is captured already")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "captured", refused)
        session = CudaEngine().prepare(circuit).bind(keys)
        answer = session.evaluate(request)
        with pytest.warns(RuntimeWarning, match="started one by one: the stream is captured already"):
            again = session.evaluate(request)
    return answer == again == session.evaluate(request) == RnsEngine().prepare(circuit).bind(keys, 1).evaluate(request)


def memory_that_is_taken():
    """A circuit and a session take the bytes that were explained, but for lines that stand for empty tables.

    Tables of primes that lie there already are not asked for again.
    """
    forget_tables()  # those that an earlier check may still hold
    taken, real = [], {name: getattr(cuda, name) for name in ("to_device", "device_array", "pinned_array")}

    def counted(make):
        def made(*arguments):
            array = make(*arguments)
            taken.append(array.nbytes)
            return array

        return made

    with pytest.MonkeyPatch.context() as patch:
        for name, make in real.items():
            patch.setattr(cuda, name, counted(make))
        circuit = compile_approximate(square_graph(), images=1, security="insecure")
        prepared = CudaEngine().prepare(circuit)
        once, said = sum(taken), prepared.memory()
        prepared.bind(random_keys(circuit, np.random.default_rng(0)))
        session, asked = sum(taken) - once, []
        patch.setattr(engine_device, "require_memory", asked.append)
        CudaEngine().prepare(circuit)
    roots = root_bytes(N, len(encoder_of(circuit).chain.primes))
    shared = sum(count for what, count in said.items() if what.endswith("once"))
    return (
        shared <= once <= shared + 64 * len(prepared.plan.launches)
        and session == sum(said.values()) - shared
        and asked == [shared - roots]
    )


def hybrid_keys():
    """Random programs under keys of two and three special primes."""
    parameters = Parameters("ckks", N, (50,) + (40,) * 3 + (50,), scale_bits=40, security="insecure")
    return all(same_rows(parameters, seed, specials) for seed, specials in ((1, 2), (2, 3)))


def same_rows(parameters, seed, specials):
    rng = np.random.default_rng(seed)
    program = place(random_program(rng, parameters, 6), EVEN, parameters)
    most = len(parameters.primes)
    gadgets = Gadgets.of(parameters, [min(specials, most - level) for level in range(1, most)])
    keys = gadgets.keys(cost(program, parameters).uses)
    encoder = Encoder.of(parameters, gadgets)

    def residues(primes, *shape):
        return np.stack([rng.integers(0, p, (*shape, N), np.uint64) for p in primes], axis=-2)

    bound = SwitchingKeys.of(encoder, [(e, g, residues(g.primes, len(g.groups), 2)) for e, g in keys])
    weights = Weights(
        {plain: encoder.factor(program.plaintexts[plain.index], plain) for plain in program.factors},
        {plain: encoder.addend(program.plaintexts[plain.index], plain) for plain in program.addends},
        {},
    )
    inputs = [residues(parameters.data_primes, 2) for _ in program.inputs]
    with Workers(1) as workers:
        given = [lambda x=x: x.copy() for x in inputs]
        algebra = Residues.of(parameters.scheme)(encoder, weights, bound, False, given, workers, Buffers())
        expected = [algebra.from_ntt(v) for v in run_on(workers, program, algebra, algebra.made_by(program))]
    plan = planned(program, encoder, places(weights, keys), False)
    board = plan_on_device(plan, encoder, weights, bound, keys)
    found = board.evaluate([x.reshape(-1, N) for x in inputs])
    return all(np.array_equal(x.reshape(y.shape), y) for x, y in zip(found, expected, strict=True))


def plan_on_device(plan, encoder, weights, bound, keys):
    rows = [*(factors.rows() for factors in weights.factors.values()), *weights.addends.values()]
    orders = [automorphism(N, element) for element in dict.fromkeys(e for e, _ in keys) if element != 1]
    resident = Resident(plan, encoder.chain, stacked(rows, np.uint64, N), stacked(orders, np.int32, N))
    key_rows = [bound.key(element, gadget).factors.rows() for element, gadget in keys]
    return Board(resident, plan, stacked(key_rows, np.uint64, N))


def lost_device():
    """A launch that fails says so by its own error, a new circuit trusts no table, and the session goes on."""
    circuit = compile_approximate(square_graph(), images=1, security="insecure")
    rng = np.random.default_rng(1)
    prepared, request = CudaEngine().prepare(circuit), random_request(circuit, rng)
    evaluator = prepared.bind(random_keys(circuit, rng))
    answer, call = evaluator.evaluate(request), evaluator.board.launches[3]

    class CudaDriverError(Exception):
        """What the driver raises, by its name."""

    def fails(_):
        raise CudaDriverError("[CUDA_ERROR_LAUNCH_FAILED] launch failed")

    evaluator.board.launches[3] = fails
    with pytest.raises(DeviceError, match="the GPU was lost"):
        evaluator.evaluate(request)
    evaluator.board.launches[3] = call
    anew = CudaEngine().prepare(circuit).resident.tables is not prepared.resident.tables
    return anew and evaluator.evaluate(request) == answer


def several_devices():
    """A circuit stays on the GPU where it was prepared, whichever a thread uses, and its tables go with it."""
    circuit, rng = compile_approximate(square_graph(), images=1, security="insecure"), np.random.default_rng(1)
    keys, request = random_keys(circuit, rng), random_request(circuit, rng)
    answer = RnsEngine().prepare(circuit).bind(keys, 1).evaluate(request)
    with pytest.MonkeyPatch.context() as patch:
        gpus = Gpus(patch, (launches, "compiled"), (cuda, "pinned_array"))
        with cuda.gpus[1]:
            prepared = CudaEngine().prepare(circuit)
        session = prepared.bind(keys)  # here the other GPU is in use
        with ThreadPoolExecutor(1) as other_thread:
            same = other_thread.submit(session.evaluate, request).result() == answer
        stayed = {*gpus.used} == {(1, name) for name in ("to_device", "device_array", "pinned_array", "compiled")}
        shared = CudaEngine().prepare(circuit), CudaEngine().prepare(circuit)
        first, second = (one.resident.tables for one in shared)
        apart = first is second and first is not prepared.resident.tables
        gone = [weakref.ref(tables) for tables in (first, prepared.resident.tables)]
        del prepared, shared, first, second
        held = gone[0]() is None and gone[1]() is not None  # by the session
        del session
    return same and stayed and apart and held and gone[1]() is None


def keys_elsewhere():
    """A session that takes the keys of another one has a copy where its circuit is."""
    circuit, rng = compile_approximate(square_graph(), images=1, security="insecure"), np.random.default_rng(1)
    keys = random_keys(circuit, rng)
    with pytest.MonkeyPatch.context() as patch:
        gpus = Gpus(patch, (launches, "compiled"))
        one = CudaEngine().prepare(circuit).bind(keys)
        with cuda.gpus[1]:
            other = CudaEngine().prepare(circuit)
        gpus.used.clear()
        two = other.bind(b"", like=one)
    return (
        two.board.keys is not one.board.keys
        and np.array_equal(two.board.keys.copy_to_host(), one.board.keys.copy_to_host())
        and {*gpus.used} == {(1, "to_device"), (1, "device_array")}
    )


CHECKS = {
    "transforms": lambda: transforms_agree(128, 2),
    "ckks, throughput": lambda: same_answers(
        compile_approximate(square_graph(), images=4, packing="throughput", security="insecure")
    ),
    "bfv, one image": lambda: same_answers(compile_exact(table_network(points=3), images=1, security="insecure")),
    "ckks, two passes": lambda: two_passes(lambda: compile_approximate(square_graph(), images=1, security="insecure")),
    "bfv, two passes": lambda: two_passes(
        lambda: compile_exact(table_network(points=3), images=1, security="insecure")
    ),
    "bfv, encrypted weights": lambda: encrypted_weights(
        compile_exact(table_network(points=3), images=1, security="insecure", weights="encrypted"), clear=True
    ),
    "ckks, encrypted weights": lambda: encrypted_weights(
        compile_approximate(square_graph(), images=1, security="insecure", weights="encrypted"), clear=False
    ),
    "several special primes": hybrid_keys,
    "two sessions": two_sessions,
    "sessions that end in another thread": lambda: memory_comes_back(
        compile_approximate(square_graph(), images=1, security="insecure"), 2
    ),
    "one evaluation at a time": one_at_a_time,
    "no graph": no_graph,
    "memory": memory_that_is_taken,
    "a lost device": lost_device,
    "several devices": several_devices,
    "keys of a session on another device": keys_elsewhere,
}

if __name__ == "__main__":
    params.RING_DEGREES = (N, *params.RING_DEGREES)
    search.ALL_RING_DEGREES = (N, *search.ALL_RING_DEGREES)
    prepare()
    print(json.dumps({name: check() for name, check in CHECKS.items()}))
