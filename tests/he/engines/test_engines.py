"""Two engines, the same answers; and as many threads as wanted."""

import signal
import threading
import time
from collections import deque
from functools import partial

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import ParameterError, compile_exact
from he.engines.rns.encode import encode_exact
from he.engines.rns.threads import Workers, _wake, run_on
from he.formats.messages import Kind, open_message
from he.program.algebra import run
from he.program.recorder import Recorder
from he.testing import compiled, inputs, noise_budget, polynomial_graphs, square_graph, table_network, table_networks
from intnn.testing import int_networks
from tests.he.conftest import Party, session
from tests.interrupts import interrupted_at

PYTHONS_WAITS = tuple(
    getattr(threading.Condition, name)
    for name in ("__enter__", "__exit__", "wait", "_release_save", "_acquire_restore")
)
ENGINES = {"rns": ("rns", None), "rns, 1 thread": ("rns", 1), "seal": ("seal", None)}


def answers(party, images):
    for engine, threads in ENGINES.values():
        request = party.client.encrypt(images)
        yield party.client.decrypt(session(party, engine, threads).evaluate(request), request)


def test_engines_agree(party):
    exact = party.circuit.parameters.scheme == "bfv"
    network = table_network() if exact else square_graph()
    images = inputs(network, 3)
    plain = network.logits(images)
    for logits in answers(party, images):
        if exact:
            assert np.array_equal(logits, plain)
        else:
            assert np.abs(logits - plain).max() <= party.circuit.interface.tolerance


@settings(max_examples=12, deadline=None)
@given(int_networks(max_table_size=9, dense_only=True, value_bound=32767, min_tables=1), st.integers(0, 2**32))
def test_random_networks_are_exact_on_both(network, seed):
    try:
        circuit = compile_exact(network, images=2, security="insecure")
    except ParameterError:  # a stage that ignores its input
        reject()
    domain = network.input_domain
    images = np.random.default_rng(seed).integers(domain.lo, domain.hi + 1, (2, *network.input_shape))
    for logits in answers(Party(circuit), images):
        assert np.array_equal(logits, network.logits(images))


def assert_threads_change_no_bit(network, images, evaluations):
    party = Party(compiled(network, images=images, security="insecure"))
    _, parts = open_message(Kind.REQUEST, party.client.encrypt(inputs(network, images)))
    answer = session(party, "rns", 1).evaluator.evaluate(parts)
    for threads in (2, 3, 8):
        shared = session(party, "rns", threads).evaluator
        for _ in range(evaluations):
            assert shared.evaluate(parts) == answer


any_network = st.one_of(
    st.integers(0, 2).flatmap(lambda tables: table_networks(tables, max_points=17)), polynomial_graphs()
)


@settings(max_examples=10)
@given(any_network, st.integers(1, 5))
def test_threads_change_no_bit(network, images):
    assert_threads_change_no_bit(network, images, evaluations=2)


@pytest.mark.slow
@settings(max_examples=300)
@given(any_network, st.integers(1, 5))
def test_threads_change_no_bit_many_times(network, images):
    assert_threads_change_no_bit(network, images, evaluations=10)


def test_the_fast_engine_leaves_no_more_noise_than_seal(exact):
    request = exact.client.encrypt(inputs(table_network(), 2))
    budgets = []
    for engine in ("rns", "seal"):
        answer = session(exact, engine).evaluate(request)
        budgets.append(noise_budget(exact.client, answer))
    # SEAL rounds down to whole bits: one of them may be luck.
    assert budgets[0] >= budgets[1] - 1
    assert min(budgets) >= exact.circuit.output_bound - 1


def test_threads_must_be_positive(exact):
    with pytest.raises(ValueError, match="`threads` must lie in"):
        session(exact, "rns", 0)


def test_engines_state_their_name_and_threads(exact):
    for name, threads in (("seal", 1), ("rns", 3)):
        evaluator = session(exact, name, threads).evaluator
        assert (evaluator.name, evaluator.threads) == (name, threads)


class Numbers:
    """Programs on plain numbers, with an operation that fails where it is told to."""

    def __init__(self, inputs, failing=None):
        self._inputs, self._failing = inputs, failing

    def input(self, index):
        if index == self._failing:
            raise ArithmeticError("as told")
        return self._inputs[index]

    def add(self, values):
        return sum(values)

    def multiply(self, a, b):
        return a * b % 1_000_003


@given(st.data(), st.integers(1, 5))
def test_threads_compute_what_one_does(data, threads):
    recorder = Recorder()
    values = [recorder.input(i) for i in range(4)]
    for _ in range(data.draw(st.integers(1, 30))):
        a, b = (data.draw(st.sampled_from(values)) for _ in range(2))
        values.append(recorder.multiply(a, b) if data.draw(st.booleans()) else recorder.add([a, b]))
    program = recorder.program(1, [values[-1]])
    numbers = [3, 5, 7, 11]
    made = {}
    with Workers(threads) as workers:
        result = run_on(workers, program, Numbers(numbers), made.__setitem__)
    assert result == run(program, Numbers(numbers)) == [made[program.outputs[0]]]
    assert sorted(made) == list(range(len(program.operations)))


@pytest.mark.parametrize("threads", [1, 4])
def test_what_fails_on_a_thread_is_raised_for_the_caller(threads):
    recorder = Recorder()
    total = recorder.add([recorder.input(i) for i in range(8)])
    with pytest.raises(ArithmeticError, match="as told"), Workers(threads) as workers:
        run_on(workers, recorder.program(1, [total]), Numbers(range(8), failing=5))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_parts_of_parts_are_all_done_and_failures_are_raised(threads):
    done = []

    def part(i, workers):
        workers.all([lambda k=k: done.append((i, k)) for k in range(7)])

    with Workers(threads) as workers:
        workers.all([lambda i=i: part(i, workers) for i in range(11)])
        assert sorted(done) == [(i, k) for i in range(11) for k in range(7)]
        with pytest.raises(ZeroDivisionError):
            workers.all([lambda: 1 // 0, lambda: None])


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_caller_does_something_else_while_parts_are_done(threads, count):
    done, begun, caller = [], threading.Event(), threading.current_thread()

    def meanwhile():
        assert threading.current_thread() is caller
        assert threads == 1 or not count or begun.wait(60)
        done.append("else")

    with Workers(threads) as workers:
        workers.all([lambda: (begun.set(), done.append("part"))] * count, meanwhile)
        assert sorted(done) == ["else", *["part"] * count]
        with pytest.raises(ZeroDivisionError):
            workers.all([lambda: 1 // 0] * max(1, count), lambda: None)


def test_all_helpers_work_while_the_caller_does_something_else():
    together = threading.Barrier(3)
    with Workers(3) as workers:
        while len(workers._free) < 2:  # until both wait for tasks
            time.sleep(0.001)
        workers.all([lambda: together.wait(60)] * 2, lambda: together.wait(60))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_else_fails_is_raised_although_parts_are_not_done(threads):
    may_end, done = threading.Event(), []

    def part():
        may_end.wait(60)
        done.append(None)

    with Workers(threads) as workers:
        with pytest.raises(ArithmeticError):
            workers.all([part] * 3, lambda: divmod(1, 0))
        assert not done
        may_end.set()
    assert len(done) <= threads - 1  # one that had begun is waited for, and no other one begins


def test_waiting_for_parts_takes_up_no_other_task():
    """Thousands of operations wait, each in parts: what waits for its parts must not begin another inside."""
    depths, count, done = threading.local(), 3000, []

    def operation():
        depths.now = getattr(depths, "now", 0) + 1
        assert depths.now == 1
        workers.all([lambda: time.sleep(0), lambda: time.sleep(0)])
        depths.now -= 1
        done.append(None)
        if len(done) == count:
            workers.wake()

    with Workers(2) as workers:
        for _ in range(count):
            workers.later(operation)
        workers.until(lambda: len(done) == count)


def test_what_an_interrupt_leaves_behind_is_over_before_anything_else_begins():
    """Also a task that was under way, which may write to what the next one writes to."""
    number, came = 0, True
    while came:
        workers, begun, may_end, done = Workers(2), threading.Event(), threading.Event(), []

        def slow(begun=begun, may_end=may_end, done=done):
            begun.set()
            may_end.wait()
            done.append("late")

        with interrupted_at(number, Workers.__enter__, Workers.__exit__, Workers.end) as interrupt, workers:
            workers.later(slow)
            assert begun.wait(60)
            workers.later(lambda done=done: done.append("perhaps"))
            threading.Timer(0.001, may_end.set).start()
        number, came = number + 1, interrupt.came
        may_end.set()
        with workers:
            was_done = list(done)
            workers.all([lambda: None] * 3)
        assert done == was_done
        assert done[:1] == ["late"] * begun.is_set()
        assert threading.active_count() < 10
    assert number > 20


@pytest.mark.parametrize("meanwhile", [None, partial(time.sleep, 0.001)])
def test_an_interrupt_leaves_no_lock_that_is_never_free_again(meanwhile):
    """Wherever it comes while threads wait for each other, also within Python's own waiting."""
    waits = (Workers.all, Workers._until, Workers.later, Workers.wake, Workers.end, _wake, *PYTHONS_WAITS)
    number, came = 0, True
    while came:
        workers = Workers(3)
        with interrupted_at(number, *waits) as interrupt, workers:
            workers.later(lambda: None)
            workers.all([partial(time.sleep, 0.001) for _ in range(4)], meanwhile)
        number, came = number + 1, interrupt.came

        def again(workers=workers):
            with workers:
                workers.all([lambda: None] * 4)

        after = threading.Thread(target=again, daemon=True)
        after.start()
        after.join(20)
        assert not after.is_alive(), number
    assert number > 50


def test_a_part_that_an_interrupt_lost_is_not_waited_for():
    """The caller is interrupted when it has taken a part of what a helper divides, and before it has begun with it."""
    workers, caller, begun, ended = Workers(2), threading.current_thread(), threading.Event(), []

    class Parts(deque):
        def popleft(self):
            part = super().popleft()
            if threading.current_thread() is caller:
                raise KeyboardInterrupt
            return part

    def divided():
        begun.set()
        try:
            workers.share(2, lambda *_: time.sleep(0.3))
        except InterruptedError as error:
            ended.append(error)

    def interrupted():
        with workers:
            workers.later(divided)
            begun.wait()  # so the helper has it
            workers.until(lambda: False)

    workers._parts = Parts()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(ended) == 1


def test_threads_are_waited_for_after_a_second_interrupt():
    """The second Ctrl-C comes while the first one waits for them."""

    def interrupt(*_):
        raise KeyboardInterrupt

    workers, begun, may_end, ended = Workers(2), threading.Event(), threading.Event(), []
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        workers.__enter__()
        workers.later(lambda: (begun.set(), may_end.wait(), time.sleep(0.1), ended.append(None)))
        assert begun.wait(60)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            workers.end()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not ended
    may_end.set()
    with workers:
        assert ended


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 3, 11])
def test_a_range_is_shared_among_threads(threads, count):
    done = []
    with Workers(threads) as workers:
        workers.share(count, lambda first, stop: done.append(range(first, stop)))
    assert sorted(i for part in done for i in part) == list(range(count))
    assert len(done) == min(threads, count)


@given(st.integers(0, 2**32))
def test_encoding_is_the_inverse_of_evaluation_at_the_slots(seed):
    N, t = 64, 257
    slots = np.random.default_rng(seed).integers(-128, 129, N)
    coefficients = encode_exact(slots, t)
    assert np.abs(coefficients).max() <= t // 2
    psi = min(x for x in range(2, t) if pow(x, N, t) == t - 1)
    powers = [pow(3, j, 2 * N) for j in range(N // 2)]
    for slot, e in zip(slots, [*powers, *(2 * N - p for p in powers)], strict=True):
        value = sum(int(c) * pow(psi, e * j, t) for j, c in enumerate(coefficients))
        assert (value - slot) % t == 0
