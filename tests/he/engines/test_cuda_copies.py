"""What is copied to a GPU from memory that nobody pins or holds, on one that is made up and reads as late as it may."""

import weakref

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from he.engines.cuda import device, placed
from he.engines.cuda.device import Resident
from he.engines.cuda.placed import Placed, gather
from he.engines.cuda.tape import Kernel, Plan, Step
from tests.he.engines.made_up_gpu import Lazy

N, LEVEL = 8, 2


class Copies:
    """Copies by addresses, which hold nothing: what has gone when they are made cannot be read."""

    def __init__(self, patch):
        self.fails_at = None
        for module in (device, placed):
            patch.setattr(module, "address", lambda array, first=0: (weakref.ref(array), first))
            patch.setattr(module, "start_copy", self.start)

    def start(self, there, here, size, stream, *, on_gpu=False):
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at < 0:
                raise KeyboardInterrupt

        def copied():
            target, source = there[0](), here[0]()
            assert source is not None, "read after it has gone"
            words = size // 8
            target.reshape(-1)[there[1] :][:words] = source.reshape(-1)[here[1] :][:words].view(target.dtype)

        stream.waiting.append(copied)


@pytest.fixture
def copies(monkeypatch):
    return Copies(monkeypatch)


def random_rows(rng, *shape):
    return rng.integers(0, 1 << 50, shape, np.uint64)


@pytest.mark.parametrize("fails", [False, True])
def test_ciphertexts_of_the_host_have_been_read(copies, fails):
    """Those that are no rows in memory are copied before, and nobody else has the copies."""
    rng, stream = np.random.default_rng(0), Lazy()
    there = random_rows(rng, 2 * LEVEL, N)
    apart = [random_rows(rng, LEVEL, 2, N).transpose(1, 0, 2) for _ in range(2)]
    given = [*apart, Placed(there, 0, LEVEL, None), random_rows(rng, 2, LEVEL, N)]
    expected = np.concatenate([*map(np.array, apart), there.reshape(2, LEVEL, N), np.array(given[-1])])
    memory = np.zeros((2 * LEVEL * len(given), N), np.uint64)
    if fails:
        copies.fails_at = 3
        with pytest.raises(KeyboardInterrupt):
            gather(given, memory, stream)
        assert not stream.waiting
        return
    gather(given, memory, stream)
    for one in (*apart, given[-1]):
        one[:] = 0
    stream.synchronize()
    assert np.array_equal(memory.reshape(-1, LEVEL, N), expected)


def plan_of(seed):
    """A plan of two launches, of whose tables the first is always the same."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    nothing = np.empty((0, 3), np.int64), np.empty(0)
    tables = fixed.integers(9, size=(3, 6)), rng.integers(9, size=(2, 6)), rng.integers(9, size=(2, 6))
    return Plan(
        launches=tuple(Step(Kernel.FORWARD, table, *nothing) for table in tables),
        **dict.fromkeys(set(Plan.__dataclass_fields__) - {"launches"}),
    )


def resident(plan):
    """What a prepared circuit has on the GPU, as far as its tables."""
    made = object.__new__(Resident)
    made._plan = plan
    made.steps = [(step.kernel, [np.array(table) for table in device._tables(step)]) for step in plan.launches]
    return made


def lies_there(made, plan):
    return all(
        np.array_equal(table, there)
        for step, (_, places) in zip(plan.launches, made.steps, strict=True)
        for table, there in zip(device._tables(step), places, strict=True)
    )


def test_tables_of_another_plan_have_been_read(copies):
    first, second, stream = plan_of(1), plan_of(2), Lazy()
    made = resident(first)
    for plan in (second, first):
        made.load(plan, stream)
        assert not stream.waiting
        assert lies_there(made, plan)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("again", [1, 2])
def test_tables_that_were_interrupted_are_copied_anew(copies, number, again):
    """Also those of the plan before, of which some have been written over."""
    made, stream = resident(plan_of(1)), Lazy()
    copies.fails_at = number
    with pytest.raises(KeyboardInterrupt):
        made.load(plan_of(2), stream)
    assert not stream.waiting
    copies.fails_at = None
    made.load(plan_of(again), stream)
    assert lies_there(made, plan_of(again))
