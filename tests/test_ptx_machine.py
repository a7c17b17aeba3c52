"""The machine that executes PTX computes what kernels say, and refuses what depends on the order of threads."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda, int64, uint64

from he.kernels.cuda.words import pair_at
from tests.ptx import needs_compiler
from tests.ptx_machine import Machine
from tests.ptx_memory import RefusedError

pytestmark = needs_compiler


def steps_kernel(numbers, steps):
    """Collatz's: threads go round as often as each number takes, and by one of two ways."""
    i = cuda.grid(1)
    n, count = numbers[i], 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    steps[i] = count


def shifted_kernel(x, waits):
    """Every thread takes its neighbour's number."""
    near = cuda.shared.array(32, int64)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    near[t] = x[i]
    if waits > 0:
        cuda.syncthreads()
    x[i] = near[(t + 1) % 32]


def exchanged_kernel(x, further):
    """Threads write where others of their block, or of another one, have read."""
    i = cuda.grid(1)
    value = x[i]
    cuda.syncthreads()
    x[i ^ further] = value


def same_kernel(x):
    x[cuda.grid(1) // 2] = cuda.grid(1)


def beyond_kernel(x):
    x[0] = x[x.shape[0]]


def unwritten_kernel(x):
    near = cuda.shared.array(32, int64)
    if cuda.threadIdx.x == 0:
        near[1] = x[0]
    cuda.syncthreads()
    x[cuda.threadIdx.x] = near[cuda.threadIdx.x]


def missed_kernel(x):
    if cuda.threadIdx.x > 3:
        cuda.syncthreads()
    x[cuda.threadIdx.x] = 1


def constant_kernel(x):
    i = uint64(cuda.grid(1))
    x[i, 0] = pair_at(x, i)[1]


def unknown_kernel(x):
    x[0] = cuda.popc(x[0])


@pytest.fixture
def memory():
    return Machine(1 << 12)


def test_threads_part_and_meet_again(memory):
    numbers = np.arange(1, 65)
    steps = memory.to_device(np.zeros(64, np.int64))
    memory.launch(steps_kernel, (2,), 32, (memory.to_device(numbers), steps))

    def taken(n):
        return 0 if n == 1 else 1 + taken(n // 2 if n % 2 == 0 else 3 * n + 1)

    assert steps.tolist() == [taken(n) for n in numbers.tolist()]


def test_words_change_hands_at_a_barrier(memory):
    given = np.arange(64)
    x = memory.to_device(given)
    memory.launch(shifted_kernel, (2,), 32, (x, 1))
    assert np.array_equal(x, np.roll(given.reshape(2, 32), -1, axis=1).ravel())
    with pytest.raises(RefusedError, match="another"):
        memory.launch(shifted_kernel, (2,), 32, (x, 0))


def test_a_block_may_exchange_words_of_global_memory_and_two_may_not(memory):
    given = np.arange(32)
    x = memory.to_device(given)
    memory.launch(exchanged_kernel, (1,), 32, (x, 1))
    assert np.array_equal(x, given ^ 1)
    with pytest.raises(RefusedError, match="another one has read or written"):
        memory.launch(exchanged_kernel, (2,), 16, (x, 16))


@pytest.mark.parametrize(
    ("kernel", "refused"),
    [
        (same_kernel, "two threads write one word"),
        (beyond_kernel, "belongs to no array"),
        (unwritten_kernel, "has not been written"),
        (missed_kernel, "another one of its block has missed"),
        (unknown_kernel, r"no instruction of this machine: popc\.b64"),
    ],
)
def test_what_a_gpu_would_let_pass_is_refused(memory, kernel, refused):
    with pytest.raises(RefusedError, match=refused):
        memory.launch(kernel, (1,), 32, (memory.to_device(np.arange(32)),))


def test_what_is_read_as_constant_may_not_be_written(memory):
    with pytest.raises(RefusedError, match="constant is written"):
        memory.launch(constant_kernel, (1,), 32, (memory.to_device(np.zeros((32, 2), np.uint64)),))
