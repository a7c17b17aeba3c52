"""Runs requests as they come on the CUDA engine in Numba's simulator, beside the CPU; prints the outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda

from bench.cases.gpu_residues import arrivals_agree, pieces_agree, random_keys, random_request
from he import compile_approximate, compile_exact, connect
from he.compiler import search
from he.engines.cuda import pieces
from he.engines.cuda.engine import CudaEngine
from he.engines.cuda.pieces import Pieces
from he.engines.cuda.requests import Requests
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import RnsEngine
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.formats.seal_bytes import SealDataError
from he.kernels.cuda import columns
from he.kernels.cuda.columns import arrival_kernels, request_bytes
from he.kernels.cuda.tables import device_tables
from he.parties.ledger import MemoryLedger
from he.parties.rehearsal import random_ciphertext, rehearsed_request
from he.parties.session import Session
from he.ring import params
from he.ring.packed import word_bits
from he.ring.params import Parameters
from he.testing import inputs, square_graph, table_network
from intnn.machine.cuda.device import DeviceError
from intnn.machine.cuda.launch import run
from tests.intnn.cuda_simulation import prepare

SMALL = 64  # degree of circuits' rings
N = 512
WRONG = "its residues must be below their primes"
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=4, deadline=None, database=None)


@cache
def parameters(scheme, owners):
    chosen = {"plain_modulus": 12289} if scheme == "bfv" else {"scale_bits": 30}
    return Parameters(scheme, N, (50, 40, 30, 50), security="insecure", owners=owners, **chosen)


def placed(form, constants, count):
    """Requests, and where their residues belong."""
    unwritten = np.full((count, 2, len(form.primes), form.degree), (1 << 64) - 1, np.uint64)
    residues = cuda.to_device(unwritten)
    return Requests(form, constants, residues, Pieces(count * form.bytes + 8, threads=2)), residues


def unpacked(made, residues, ciphertexts):
    """The residues of ciphertexts, and whether they are said to be right."""
    made.copy(ciphertexts, cuda.stream())
    run(made.launches)
    return residues.copy_to_host(), not made.verdict(0)[0]


def with_a_wrong_residue(data, form, number):
    """A ciphertext in which all bits of one residue, by its number, are ones."""
    row, k = divmod(number, form.degree)
    widths = [word_bits(p) for p in form.primes] * form.polynomials
    ones = ((1 << widths[row]) - 1) << (form.degree * sum(widths[:row]) + k * widths[row])
    return (int.from_bytes(data, "little") | ones).to_bytes(len(data), "little")


def numbers_of(form):
    return st.integers(0, form.polynomials * len(form.primes) * form.degree - 1)


@few
@given(seeds, st.sampled_from(["bfv", "ckks"]), st.integers(1, 2), st.integers(1, 2), st.integers(99, 9999), st.data())
def residues_of_fresh_ciphertexts(seed, scheme, owners, count, words, data):
    """Those that the CPU reads, of keys with one owner and with two; a wrong request leaves nothing to the next one."""
    rng, chosen = np.random.default_rng(seed), parameters(scheme, owners)
    form = Form.fresh(chosen)
    assert form.seeded == (owners == 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "PIECE_BYTES", 8 * words)
        made, there = placed(form, device_tables(Encoder.of(chosen).chain).constants, count)
    assert len(made.launches) == len(arrival_kernels(form.seeded))
    given_ = [random_ciphertext(form, rng) for _ in range(count)]
    wrong = [memoryview(one) for one in given_]
    broken = data.draw(st.integers(0, count - 1))
    wrong[broken] = with_a_wrong_residue(given_[broken], form, data.draw(numbers_of(form)))
    with pytest.raises(SealDataError, match=WRONG):
        compact.read(wrong[broken], form)
    assert not unpacked(made, there, wrong)[1]
    found, right = unpacked(made, there, given_)
    assert right
    assert all(map(np.array_equal, found, [compact.read(one, form).residues for one in given_]))


def a_clients_request():
    """What a client encrypts, in a message that it lies in at any place."""
    network = square_graph()
    circuit = compile_approximate(network, images=1, security="insecure")
    client, _ = connect(circuit)
    _, parts = open_message(Kind.REQUEST, client.encrypt(inputs(network, 1)))
    form, chain = Form.fresh(circuit.parameters), Encoder.of(circuit.parameters).chain
    given_ = [part for part in parts if len(part) == form.bytes]
    found, right = unpacked(*placed(form, device_tables(chain).constants, len(given_)), given_)
    assert len(given_) == len(circuit.program.inputs) >= 1
    assert right
    assert all(map(np.array_equal, found, [compact.read(one, form).residues for one in given_]))


def noted(taken, make, *arguments):
    taken.append(make(*arguments))
    return taken[-1]


def the_memory_that_is_counted():
    """Arrays on the GPU take the bytes that are said beforehand."""
    for owners in (1, 2):
        chosen, taken = parameters("ckks", owners), []
        form, constants = Form.fresh(chosen), device_tables(Encoder.of(chosen).chain).constants
        residues = cuda.to_device(np.zeros((3, 2, len(form.primes), N), np.uint64))
        with pytest.MonkeyPatch.context() as patch:
            for name in ("to_device", "device_array"):
                made = getattr(cuda, name)
                patch.setattr(cuda, name, partial(noted, taken, made))
            Requests(form, constants, residues, Pieces(3 * form.bytes + 8, threads=1))
        said = request_bytes(3, form.bytes, form.polynomials, len(form.primes), N)
        assert sum(array.nbytes for array in taken) == said


@cache
def small(exact):
    """A circuit on a small ring, and keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "RING_DEGREES", (SMALL, *params.RING_DEGREES))
        patch.setattr(search, "ALL_RING_DEGREES", (SMALL, *search.ALL_RING_DEGREES))
        if exact:
            circuit = compile_exact(table_network(points=3), images=1, security="insecure")
        else:
            circuit = compile_approximate(square_graph(), images=4, packing="throughput", security="insecure")
    assert circuit.parameters.poly_modulus_degree == SMALL
    keys = random_keys(circuit, np.random.default_rng(0))
    theirs = RnsEngine().prepare(circuit).bind(keys, 1)
    return circuit, theirs, {graph: CudaEngine(graph=graph).prepare(circuit).bind(keys) for graph in (True, False)}


@few
@given(seeds, st.booleans(), st.booleans(), st.data())
def answers_after_wrong_requests(seed, exact, graph, data):
    """Wrong residues and lengths are refused with the CPU's words, and the next answer has its bytes."""
    circuit, theirs, sessions = small(exact)
    ours, form, rng = sessions[graph], Form.fresh(circuit.parameters), np.random.default_rng(seed)
    request = random_request(circuit, rng)
    broken = data.draw(st.integers(0, len(request) - 1))
    for wrong in (
        with_a_wrong_residue(request[broken], form, data.draw(numbers_of(form))),
        request[broken][: data.draw(st.integers(0, form.bytes - 1))],
        request[broken] + bytes(data.draw(st.integers(1, 9))),
    ):
        bad = [wrong if i == broken else one for i, one in enumerate(request)]
        said = []
        for evaluator in (ours, theirs):
            with pytest.raises(SealDataError) as caught:
                evaluator.evaluate(bad)
            said.append(str(caught.value))
        assert said[0] == said[1]
    assert ours.evaluate(request) == theirs.evaluate(request)


def lengths_before_copies():
    """Of a request in which one ciphertext has another length, nothing is copied."""
    circuit, _, sessions = small(exact=False)
    request, size = random_request(circuit, np.random.default_rng(1)), Form.fresh(circuit.parameters).bytes
    assert len(request) > 1
    request[-1] = request[-1][:-8]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Requests, "copy", lambda *_: pytest.fail("something was copied"))
        with pytest.raises(SealDataError, match=f"must have {size} bytes, got {size - 8}"):
            sessions[True].evaluate(request)


def lengths_that_only_add_up():
    """Each ciphertext has its own length where it is copied, whatever buffers became since, or say of themselves."""
    circuit, _, sessions = small(exact=False)
    request, size = random_request(circuit, np.random.default_rng(4)), Form.fresh(circuit.parameters).bytes
    answer, board = sessions[True].evaluate(request), sessions[True].board
    shorter, longer = request[0][:-8], request[1] + request[0][-8:]
    nothing = memoryview(np.zeros((size, 0), np.uint8))
    twice = memoryview(request[0] + request[1]).cast("B", (size, 2))
    for *pair, kind, said in (
        (shorter, longer, SealDataError, f"must have {size} bytes"),
        (longer, shorter, SealDataError, f"must have {size} bytes"),
        (nothing, twice, TypeError, "a ciphertext must be bytes, got a memoryview of other"),
    ):
        with pytest.raises(kind, match=said):
            board._requests.copy([*pair, *request[2:]], 0)
        assert sessions[True].evaluate(request) == answer


def slots_in_the_clear():
    """Requests of slots, and of slots beside ciphertexts, are those of the CPU; and then one of ciphertexts again."""
    for exact in (True, False):
        circuit, theirs, sessions = small(exact)
        rng = np.random.default_rng(2)
        request = random_request(circuit, rng)
        clear = list(rng.integers(0, 3, (len(request), circuit.parameters.slots)))
        for given_ in (clear, [clear[0], *request[1:]], request):
            assert sessions[True].evaluate(given_) == theirs.evaluate(given_)


def requests_of_several_pieces():
    """The check of `make gpu`, with smaller pieces."""
    circuit = small(exact=False)[0]
    with pytest.raises(ValueError, match="`circuit` must take requests of more than 16777216 bytes"):
        pieces_agree(circuit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "PIECE_BYTES", 512)
        patch.setattr(pieces, "_SHARE", 99)
        assert pieces_agree(circuit)


def requests_after_an_interrupt():
    """An interrupt while a request is copied leaves nothing to the next one, of ciphertexts or of slots."""
    circuit, theirs, _ = small(exact=False)
    rng, fill = np.random.default_rng(5), pieces._fill

    def interrupting(number):
        calls = iter(range(number))

        def filled(*given_):
            fill(*given_)
            if next(calls, None) == number - 1:
                raise KeyboardInterrupt

        return filled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "PIECE_BYTES", 1024)
        ours = CudaEngine().prepare(circuit).bind(random_keys(circuit, np.random.default_rng(0)))
        for number, clear in ((2, False), (13, True)):
            with pytest.MonkeyPatch.context() as interrupted:
                interrupted.setattr(pieces, "_fill", interrupting(number))
                with pytest.raises(KeyboardInterrupt):
                    ours.evaluate(random_request(circuit, rng))
            request = random_request(circuit, rng)
            if clear:
                request = list(rng.integers(0, 3, (len(request), circuit.parameters.slots)))
            assert ours.evaluate(request) == theirs.evaluate(request)


@cache
def sessions_that_read_ahead():
    """A small circuit, and sessions of an evaluator that reads its requests ahead, and of the CPU's."""
    circuit, theirs, sessions = small(exact=False)
    assert not sessions[True].reads_ahead  # nobody gains by that with requests as small as these
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "PIECE_BYTES", 512)
        patch.setattr(pieces, "_SHARE", 99)
        patch.setattr(pieces, "_LONG", 999)
        ours = CudaEngine().prepare(circuit).bind(random_keys(circuit, np.random.default_rng(0)), 3)
    assert ours.reads_ahead
    found = [Session(circuit.interface, "rehearsal", one, MemoryLedger(99), None) for one in (ours, theirs)]
    assert [session._ahead for session in found] == [ours, None]
    return circuit, ours, found


def requests_that_are_read_ahead():
    """Answers are the CPU's, first and by a graph; what is wrong is refused in its words before a kernel starts."""
    circuit, evaluator, (ours, theirs) = sessions_that_read_ahead()
    ciphertexts, verified = random_request(circuit, np.random.default_rng(6)), []
    request = rehearsed_request(circuit.interface, ciphertexts, nonce=0)
    fields, parts = open_message(Kind.REQUEST, request)
    size = len(request)
    damaged = [request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :] for at in (0, 20, 300, size // 2, size - 1)]
    lying = [
        seal_message(Kind.REQUEST, fields, [parts[0][:-8], *parts[1:]]),
        seal_message(Kind.REQUEST, fields, [parts[0][:-8], bytes(parts[1]) + bytes(8), *parts[2:]]),
        seal_message(Kind.REQUEST, fields, parts[1:]),
        seal_message(Kind.REQUEST, {**fields, "key": "another"}, parts),
    ]
    for number in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluator.board, "_start_on_bytes", lambda *_: pytest.fail("a kernel was started"))
            for wrong in (*damaged, *lying, *(one[:-1] + bytes([one[-1] ^ 1]) for one in lying)):
                said = []
                for session in (ours, theirs):
                    with pytest.raises(MessageError) as caught:
                        session.evaluate(wrong)
                    said.append((type(caught.value), str(caught.value)))
                assert said[0] == said[1]
        right = rehearsed_request(circuit.interface, ciphertexts, nonce=number)
        assert ours.evaluate(right) == theirs.evaluate(right)
    views = [memoryview(one) for one in ciphertexts]
    assert evaluator.evaluate_ahead(views, lambda: verified.append(None)) == evaluator.evaluate(ciphertexts)
    assert len(verified) == 1


def requests_that_come_at_once():
    """Each has the answer to what it is, whether it is read ahead or verified while another is evaluated."""
    circuit, _, (ours, theirs) = sessions_that_read_ahead()
    rng = np.random.default_rng(7)
    requests = [rehearsed_request(circuit.interface, random_request(circuit, rng), nonce) for nonce in range(10, 13)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ours.evaluate, requests)) == [theirs.evaluate(one) for one in requests]


def a_gpu_that_cannot_be_used_is_told_before_others_are_waited_for():
    """In a forked process another thread's evaluation never ends, and the GPU says what is wrong."""
    circuit, _, sessions = small(exact=False)
    board, found = sessions[True].board, []

    def asked():
        with pytest.raises(DeviceError, match="forked") as caught:
            sessions[True].evaluate(random_request(circuit, np.random.default_rng(3)))
        found.append(caught)

    class Forked:
        def __enter__(self):
            raise DeviceError("this process was forked")

        def __exit__(self, *_):
            pytest.fail("it was not entered")

    with pytest.MonkeyPatch.context() as patch, board._lock:  # as another thread of the parent left it
        patch.setattr(board._resident, "gpu", Forked())
        asking = threading.Thread(target=asked, daemon=True)
        asking.start()
        asking.join(60)
    assert found


def kernels_that_are_counted():
    """A session starts as many kernels as its plan says."""
    for exact in (True, False):
        circuit, _, sessions = small(exact)
        plan = CudaEngine().prepare(circuit).plan
        started = plan.started(1024)  # of one pass, as all transforms of the simulator on so small a ring
        assert len(sessions[True].board.launches) == started.total()
        assert all(started[name] == 1 for name in arrival_kernels(seeded=True))


def what_a_gpu_is_checked_by():
    """The check of `make gpu`, on a smaller ring: seeds with moduli that refuse many words, and no seeds."""
    assert arrivals_agree(128, 2)


CHECKS = (
    what_a_gpu_is_checked_by,
    residues_of_fresh_ciphertexts,
    a_clients_request,
    the_memory_that_is_counted,
    answers_after_wrong_requests,
    lengths_before_copies,
    lengths_that_only_add_up,
    slots_in_the_clear,
    requests_of_several_pieces,
    requests_after_an_interrupt,
    requests_that_are_read_ahead,
    requests_that_come_at_once,
    a_gpu_that_cannot_be_used_is_told_before_others_are_waited_for,
    kernels_that_are_counted,
)

if __name__ == "__main__":
    params.RING_DEGREES = (N, *params.RING_DEGREES)
    prepare()
    for check in CHECKS:
        check()
    print(json.dumps({check.__name__: True for check in CHECKS}))
