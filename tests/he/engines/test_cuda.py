"""The engine on a GPU: the fast engine's bytes in Numba's simulator, and what is known before anything runs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import MessageError, compile_approximate, connect, prepare
from he.compiler.place_bfv import place_bfv
from he.compiler.place_ckks import place
from he.engines.cuda.engine import CudaEngine, CudaPrepared, planned
from he.engines.cuda.places import places
from he.engines.cuda.tape import Kernel, Plan, Tape, launches
from he.engines.residues import ResiduePrepared
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import encoder_of
from he.engines.rns.weights import Weights
from he.formats.compact import Form
from he.kernels.cuda.columns import MAX_PRODUCTS, NONE, root_bytes
from he.parties.prepared import PreparedCircuit
from he.readers.cost import cost
from he.testing import inputs, square_graph
from intnn.machine.cuda.device import DeviceError, DeviceMemoryError, NoDeviceError
from tests.cuda import simulated
from tests.he.compiler.test_place import EVEN, random_program
from tests.he.engines.test_gadget_programs import BFV, CKKS, HOW, gadgets_for

CHECKS = [
    "transforms",
    "ckks, throughput",
    "bfv, one image",
    "ckks, two passes",
    "bfv, two passes",
    "bfv, encrypted weights",
    "ckks, encrypted weights",
    "several special primes",
    "two sessions",
    "sessions that end in another thread",
    "one evaluation at a time",
    "no graph",
    "memory",
    "a lost device",
    "several devices",
    "keys of a session on another device",
]


@pytest.fixture(scope="module")
def outcomes():
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    return simulated("tests.he.engines.cuda_simulation")


@pytest.mark.parametrize("name", CHECKS)
def test_answers_have_the_bytes_of_the_fast_engine(outcomes, name):
    assert outcomes[name]


def test_every_check_is_named(outcomes):
    assert list(outcomes) == CHECKS


def no_weights(program, gadgets):
    """Weights of which only the shapes are right."""
    return Weights(
        {plain: Shaped(gadgets.at(plain.level).rows) for plain in program.factors},
        {plain: np.empty((plain.level, 0)) for plain in program.addends},
        {},
    )


class Shaped:
    """Packed factors, of which only the number of rows is asked."""

    def __init__(self, rows):
        self.addresses = range(rows)


def written_down(seed, length, parameters, how):
    """The tape of a random program, with the plan that is made of it."""
    rng, kept = np.random.default_rng(seed), []
    program = random_program(rng, parameters, length)
    program = place_bfv(program, parameters)[0] if parameters.scheme.exact else place(program, EVEN, parameters)
    gadgets = gadgets_for(program, parameters, how)
    keys, of = gadgets.keys(cost(program, parameters).uses), Plan.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "of", staticmethod(lambda tape: kept.append(tape) or of(tape)))
        plan = planned(program, Encoder.of(parameters, gadgets), places(no_weights(program, gadgets), keys), False)
    return kept[0], plan


def run(steps, memory):
    """Run steps symbolically: a row becomes a digest of the kernel, its line, and the rows that were read."""
    for step in steps:
        made = {}
        names = {*step.kernel.read, *step.kernel.written}
        for line in step.table.tolist():
            constants = [x for c, x in enumerate(line) if c not in names and (c > 1 or not step.kernel.wide)]
            read = [memory[line[c]] for c in step.kernel.read if line[c] != NONE]
            terms = step.terms[line[0] : line[1]].tolist() if step.kernel.wide else []
            for term in terms:
                read += [memory[x] if c in step.kernel.terms and x >= 0 else x for c, x in enumerate(term)]
            for place_of, column in enumerate(step.kernel.written):
                if line[column] != NONE:
                    made[line[column]] = hash((step.kernel.name, *constants, *read, place_of))
        assert not made.keys() & {*step.read.tolist()}  # threads of one launch do not wait for each other
        memory |= made


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 10), st.sampled_from([CKKS, BFV]), HOW)
def test_merged_and_placed_launches_compute_what_single_steps_do(seed, length, parameters, how):
    tape, plan = written_down(seed, length, parameters, how)
    alone, together = {}, {}
    for number, (block, first) in enumerate(zip(tape.inputs, plan.inputs, strict=True)):
        for i, row in enumerate(block.ravel().tolist()):
            alone[row] = together[first + i] = hash((number, i))
    run(tape.steps, alone)
    run(plan.launches, together)
    for block, first in zip(tape.outputs, plan.outputs, strict=True):
        assert [alone[row] for row in block.ravel().tolist()] == [together[first + i] for i in range(block.size)]
    assert max(together) < plan.rows <= tape.rows
    assert len(plan.launches) <= len(tape.steps)
    assert plan.written == sum(len(step.written) for step in tape.steps)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.sampled_from([CKKS, BFV]), HOW)
def test_copies_of_a_plan_compute_what_it_does_alone(seed, length, copies, parameters, how):
    _, plan = written_down(seed, length, parameters, how)
    many, size = plan.times(copies), plan.input_rows * len(plan.inputs)
    memory = {place: hash(("input", place)) for place in range(copies * size)}
    expected = []
    for first in range(0, copies * size, size):
        one = {place: memory[first + place] for place in range(size)}
        run(plan.launches, one)
        expected += [[one[place + i] for i in range(plan.output_rows)] for place in plan.outputs]
    run(many.launches, memory)
    assert [[memory[place + i] for i in range(many.output_rows)] for place in many.outputs] == expected
    assert max(memory) < many.rows == copies * plan.rows
    assert len(many.launches) == len(plan.launches)
    assert many.written == copies * plan.written


def test_independent_steps_of_one_kernel_are_one_launch():
    tape = Tape()
    x, y, z = tape.new(3)
    for source, target in ((x, y), (x, z)):
        tape.write_sums(Kernel.COMBINE, [([(source, 1)], (0, target, 0, 0))])
    tape.write_sums(Kernel.COMBINE, [([(y, 1), (z, 1)], (0, tape.new(1)[0], 0, 0))])
    found = launches(tape)
    assert [len(step.table) for step in found] == [2, 1]
    assert found[0].table[:, :2].tolist() == [[0, 1], [1, 2]]


@pytest.fixture(scope="module")
def circuit():
    return compile_approximate(square_graph(), images=1, security="insecure")


def planned_only(circuit):
    """The prepared circuit, of which nothing is on a device."""
    encoder = encoder_of(circuit)
    return CudaPrepared(circuit, encoder, Weights.encoded(circuit, encoder, 1))


def test_the_bytes_on_the_device_are_explained_beforehand(circuit):
    prepared, row = planned_only(circuit), 8 * circuit.parameters.poly_modulus_degree
    text, memory = PreparedCircuit(prepared).explain(), prepared.memory()
    assert circuit.explain() in text
    for what, count in memory.items():
        assert f"  {what}: {count} bytes" in text
    assert memory["values on the GPU, for each session"] == row * prepared.plan.rows
    request = Form.fresh(circuit.parameters).bytes * len(circuit.program.inputs)
    assert memory["pinned memory of the host, for each session"] == request + 8 < 8 << 20
    levels = circuit.parameters.levels
    assert memory["keys on the GPU, for each session"] == row * 2 * levels * (levels + 1) * len(circuit.interface.keys)


def test_circuits_that_share_keys_and_primes_count_them_once(circuit):
    one, other = planned_only(circuit), planned_only(circuit)
    alone, together = one.memory(), ResiduePrepared(None, [one, other]).memory()
    primes = root_bytes(circuit.parameters.poly_modulus_degree, len(encoder_of(circuit).chain.primes))
    assert {what: 2 * count - together[what] for what, count in alone.items()} == {
        "weights on the GPU, once": 0,
        "tables on the GPU, once": primes,
        "keys on the GPU, for each session": alone["keys on the GPU, for each session"],
        "values on the GPU, for each session": 0,
        "requests on the GPU, for each session": 0,
        "pinned memory of the host, for each session": 0,
    }


@pytest.mark.parametrize(("N", "passes"), [(1024, 1), (2048, 2), (65536, 2)])
def test_the_kernels_that_are_started_are_counted(circuit, monkeypatch, N, passes):
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    from he.engines.cuda.device import Board
    from he.kernels.cuda import rows, transform
    from he.kernels.cuda.tables import DeviceTables

    for module in (rows, transform):
        monkeypatch.setattr(module, "bound", lambda kernel, *_: kernel)
    tables = DeviceTables(N, (), None, None, None, None)
    plan = replace(planned_only(circuit).plan, form=None)  # what inputs take is counted in the simulator
    resident = SimpleNamespace(tables=tables, weights=None, orders=None, scales=None)
    board, started = SimpleNamespace(_resident=resident, _memory=None, keys=None), []
    for step in plan.launches:
        started += Board._bound(board, step.kernel, step.table, step.terms, step.shares)
    assert plan.started(N).total() == len(started)
    transforms = sum(step.kernel in (Kernel.FORWARD, Kernel.INVERSE) for step in plan.launches)
    assert len(started) == len(plan.launches) + (passes - 1) * transforms


def test_the_kernels_that_are_started_are_explained(circuit):
    prepared = planned_only(circuit)
    kernels = prepared.plan.started(circuit.parameters.poly_modulus_degree)
    text = PreparedCircuit(prepared).explain()
    how = "by one graph after a session's first evaluation"
    assert f"  kernels of an evaluation, started {how}: {kernels.total()} (" in text
    assert f"{kernels['forward']} forward" in text
    alone = CudaPrepared(circuit, encoder_of(circuit), prepared._weights, graph=False)
    assert "started one by one: " in alone.remarks()[0]
    each = [SimpleNamespace(name="cuda", remarks=prepared.remarks) for _ in range(2)]
    assert ResiduePrepared(None, each).remarks() == [*prepared.remarks()] * 2


def test_a_long_table_is_launched_in_parts_with_their_own_terms(monkeypatch):
    tape, whole = written_down(3, 8, CKKS, "most")
    monkeypatch.setattr("he.engines.cuda.tape.MOST_LINES", 3)
    parts = Plan.of(tape)
    assert max(len(step.table) for step in parts.launches) == 3 < max(len(step.table) for step in whole.launches)
    assert sum(len(step.terms) for step in parts.launches) == sum(len(step.terms) for step in whole.launches)
    results = []
    for plan in (whole, parts):
        memory = {first + i: hash((n, i)) for n, first in enumerate(plan.inputs) for i in range(plan.input_rows)}
        run(plan.launches, memory)
        results.append([memory[first + i] for first in plan.outputs for i in range(plan.output_rows)])
    assert results[0] == results[1]


def test_plans_of_one_circuit_are_equal(circuit):
    first, second = (planned_only(circuit).plan for _ in range(2))
    for one, other in zip(first.launches, second.launches, strict=True):
        assert one.kernel is other.kernel
        assert np.array_equal(one.table, other.table)
        assert np.array_equal(one.terms, other.terms)


def test_who_has_no_gpu_is_told_what_is_missing(circuit, monkeypatch):
    def missing():
        raise NoDeviceError("there is no NVIDIA driver (libcuda)")

    def encoded(*_):
        raise AssertionError("weights were encoded for nothing")

    monkeypatch.setattr("he.engines.cuda.engine.device", missing)
    monkeypatch.setattr(Weights, "encoded", encoded)
    with pytest.raises(NoDeviceError, match="there is no NVIDIA driver"):
        prepare(circuit, "cuda")


def test_too_little_memory_is_told_in_bytes(monkeypatch):
    device = pytest.importorskip("he.engines.cuda.device", reason="the extra `cuda` is not installed")
    monkeypatch.setattr(device, "free_bytes", lambda: 2_000_000)
    device.require_memory(2_000_000)
    with pytest.raises(DeviceMemoryError, match=r"needs 3\.0 MB of the GPU's memory, and 2\.0 MB are free"):
        device.require_memory(3_000_000)


def test_a_request_on_which_the_device_fails_may_come_again(monkeypatch):
    network = square_graph()
    client, session = connect(compile_approximate(network, images=1, security="insecure"))
    request = client.encrypt(inputs(network, 1))

    def fails(_):
        raise DeviceError("the GPU was lost")

    with monkeypatch.context() as patch:
        patch.setattr(session.evaluator, "evaluate", fails)
        with pytest.raises(DeviceError, match="lost"):
            session.evaluate(request)
    answer = session.evaluate(request)
    client.decrypt(answer, request)
    with pytest.raises(MessageError):
        session.evaluate(request)


@pytest.mark.parametrize(
    ("kernel", "term", "line", "most"),
    [
        (Kernel.COMBINE, (0, 1), (0, 3, 0, 0), MAX_PRODUCTS),
        (Kernel.TENSOR_SUMS, (0, 0, 0, 0), (1, 2, 3, 0), MAX_PRODUCTS // 2),
    ],
)
def test_a_sum_of_more_terms_than_fit_is_refused(kernel, term, line, most):
    tape = Tape()
    tape.new(4)
    tape.write_sums(kernel, [([term] * most, line)])
    with pytest.raises(ValueError, match=f"a sum of {kernel.name} must have at most {most} terms, got {most + 1}"):
        tape.write_sums(kernel, [([term] * (most + 1), line)])


def test_the_engine_is_chosen_by_its_name():
    from he.parties.prepared import ENGINES

    assert isinstance(ENGINES["cuda"], CudaEngine)
