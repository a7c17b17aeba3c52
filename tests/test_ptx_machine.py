"""The machine that executes PTX computes what kernels say, and refuses what depends on the order of threads."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda, int32, int64, uint64

from he.kernels.cuda.words import pair_at
from intnn.machine.cuda.intrinsics import commit, copy4, dp4a, mma, wait_for
from tests.ptx import needs_compiler
from tests.ptx_arithmetic import ALIKE
from tests.ptx_machine import Machine
from tests.ptx_memory import RefusedError

pytestmark = needs_compiler
dot, product_of_warps, wait_for_all, wait_for_all_but_one = dp4a("u8", "s8"), mma("u8", "s8"), wait_for(0), wait_for(1)


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


def met_kernel(x, way):
    """Threads of several blocks change one word, and perhaps look at it, or at what it was."""
    t = cuda.threadIdx.x
    if way == 1 and t == 1:
        x[0] = 5
    before = cuda.atomic.add(x, 0, t)
    if way == 2:
        cuda.atomic.max(x, 0, t)
    if way == 3:
        x[1 + t] = x[0]
    if way == 4:
        x[1 + t] = before


def far_kernel(x, by, y, guarded):
    i = cuda.grid(1)
    shifted = x[i] << by[i]
    y[i] = shifted if not guarded or by[i] < 64 else 7


def divided_kernel(x, y, quotients, remainders):
    i = cuda.grid(1)
    quotients[i], remainders[i] = x[i] // y[i], x[i] % y[i]


def axes_kernel(y):
    y[cuda.blockIdx.x, cuda.threadIdx.y, cuda.threadIdx.x] = cuda.blockDim.y * cuda.threadIdx.x + cuda.threadIdx.y


def dots_kernel(x, y, totals):
    i = cuda.grid(1)
    totals[i] = dot(x[i], y[i], totals[i])


def copied_kernel(x, y, pending):
    """A word goes by the way, and is taken by another thread."""
    near, t = cuda.shared.array(4 * 32, int32, alignment=16), cuda.threadIdx.x
    copy4(near, 4 * t, x, 4 * t, 16 if t < 30 else 0)
    commit()
    if pending == 0:
        wait_for_all()
    else:
        wait_for_all_but_one()
    cuda.syncthreads()
    y[t] = near[(4 * t + 7) % 128]
    wait_for_all()


def multiplied_kernel(a, b, sums, alone):
    """A warp multiplies; its threads read the words that the PTX ISA gives them."""
    t = cuda.threadIdx.x
    line, place = t // 4, t % 4
    left = a[8 * line + place], a[8 * line + 64 + place], a[8 * line + 4 + place], a[8 * line + 68 + place]
    at = 8 * line + 2 * place
    c = sums[at], sums[at + 1], sums[at + 64], sums[at + 65]
    if not alone or t < 16:
        c = product_of_warps(left, (b[8 * line + place], b[8 * line + 4 + place]), c)
    sums[at], sums[at + 1], sums[at + 64], sums[at + 65] = c


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


def test_atomic_operations_of_one_kind_may_meet(memory):
    x = memory.to_device(np.zeros(33, np.int64))
    memory.launch(met_kernel, (3,), 32, (x, 0))
    assert x[0] == 3 * sum(range(32))


@pytest.mark.parametrize(
    ("way", "refused"),
    [
        (1, "changes what another one has read, or written in another way"),
        (2, "changes what another one has read, or written in another way"),
        (3, "reads what another one has written"),
        (4, "something comes of an undefined value"),  # by the order of threads
    ],
)
def test_what_atomic_operations_change_is_not_used_otherwise(memory, way, refused):
    with pytest.raises(RefusedError, match=refused):
        memory.launch(met_kernel, (1,), 32, (memory.to_device(np.zeros(33, np.int64)), way))


def test_shifts_by_too_much_are_undefined_where_something_comes_of_them(memory):
    by, y = memory.to_device(np.arange(32) * 4), memory.to_device(np.zeros(32, np.int64))
    x = memory.to_device(np.ones(32, np.int64))
    memory.launch(far_kernel, (1,), 32, (x, by, y, 1))
    assert y.tolist() == [1 << 4 * i if i < 16 else 7 for i in range(32)]
    with pytest.raises(RefusedError, match="something comes of an undefined value"):
        memory.launch(far_kernel, (1,), 32, (x, by, y, 0))
    memory.launch(far_kernel, (1,), 16, (x, by, y, 0))


def test_quotients_of_negative_numbers(memory):
    x = np.array([-(1 << 63), -(1 << 63), -7, -7, 7, 7, -8, 0, (1 << 63) - 1])
    y = np.array([1, (1 << 63) - 1, 2, -2, 2, -2, 4, -3, -(1 << 63)])
    quotients, remainders = (memory.to_device(np.zeros(9, np.int64)) for _ in range(2))
    memory.launch(divided_kernel, (1,), 9, (*map(memory.to_device, (x, y)), quotients, remainders))
    assert list(zip(quotients.tolist(), remainders.tolist(), strict=True)) == list(map(divmod, x.tolist(), y.tolist()))


@pytest.mark.parametrize(("x", "y", "refused"), [(1, 0, "by zero"), (-(1 << 63), -1, "overflows")])
@pytest.mark.parametrize("name", ["div", "rem"])
def test_quotients_that_there_are_not(name, x, y, refused):
    with pytest.raises(RefusedError, match=refused):
        ALIKE[name](np.array([x]), np.array([y]))


def test_threads_along_two_axes(memory):
    y = memory.to_device(np.zeros((2, 3, 5), np.int64))
    memory.launch(axes_kernel, (2,), (5, 3), (y,))
    assert np.array_equal(y, [np.arange(15).reshape(5, 3).T] * 2)


def test_arrays_end_within_a_word(memory):
    x = memory.to_device(np.zeros(3, np.int8))
    with pytest.raises(RefusedError, match="belongs to no array"):
        memory.launch(beyond_kernel, (1,), 1, (x,))


def test_dots_of_bytes_wrap(memory):
    rng = np.random.default_rng(0)
    x, y = rng.choice([-128, -1, 0, 1, 127], (2, 64, 4)).astype(np.int8)
    totals = rng.choice([-(1 << 31), -1, (1 << 31) - 1], 64).astype(np.int32)
    there = [memory.to_device(z.view(np.int32).ravel()) for z in (x, y, totals)]
    memory.launch(dots_kernel, (2,), 32, there)
    expected = totals.astype(np.int64) + (x.view(np.uint8).astype(np.int64) * y).sum(1)
    assert np.array_equal(there[2], expected.astype(np.int32))


def test_what_is_copied_by_the_way_is_there_once_it_is_waited_for(memory):
    x, y = np.arange(128, dtype=np.int32), memory.to_device(np.zeros(32, np.int32))
    there = memory.to_device(x)
    memory.launch(copied_kernel, (1,), 32, (there, y, 0))
    assert np.array_equal(y, np.roll(np.where(x < 120, x, 0)[3::4], -1))
    with pytest.raises(RefusedError, match="has not been written"):
        memory.launch(copied_kernel, (1,), 32, (there, y, 1))


def test_warps_multiply(memory):
    rng = np.random.default_rng(1)
    a, b = (rng.choice([-128, -1, 0, 1, 3, 127], (lines, 32)).astype(np.int8) for lines in (16, 8))
    sums = rng.choice([-(1 << 31), -5, 0, (1 << 31) - 1], (16, 8)).astype(np.int32)
    left, right = (memory.to_device(z.view(np.int32).ravel()) for z in (a, b))
    there = memory.to_device(sums.ravel())
    memory.launch(multiplied_kernel, (1,), 32, (left, right, there, 0))
    expected = sums.astype(np.int64) + a.view(np.uint8).astype(np.int64) @ b.astype(np.int64).T
    assert np.array_equal(there.reshape(16, 8), expected.astype(np.int32))
    with pytest.raises(RefusedError, match="a part of a warp"):
        memory.launch(multiplied_kernel, (1,), 32, (left, right, there, 1))
