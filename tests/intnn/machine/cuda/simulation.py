"""Tries what `tests.intnn.turns` makes of Numba's simulator, and prints the outcomes as JSON; not a test by itself."""

import numpy as np
import pytest
from numba import cuda, int32, uint64

from intnn.machine.cuda.intrinsics import (
    acquire_map,
    commit,
    copy4,
    copy_tile,
    expect_bytes,
    in_flight,
    init_barrier,
    settled,
    tensor_map,
    wait_for,
    warpgroup_mma,
)
from tests.intnn.cuda_simulation import outcomes_of, prepare

THREADS = 8


def turned(distance, *, waits):
    """Shared memory in which every thread reads what another has written; all must have written before."""

    @cuda.jit
    def kernel(source, target):
        shared = cuda.shared.array(THREADS, int32)
        i = cuda.threadIdx.x
        shared[i] = 0
        cuda.syncthreads()
        shared[i] = source[i]
        if waits:
            cuda.syncthreads()
        target[i] = shared[(i + distance) % THREADS]

    source, target = np.arange(1, 1 + THREADS, dtype=np.int32), np.zeros(THREADS, np.int32)
    kernel[1, THREADS](source, target)
    return np.array_equal(target, np.roll(source, -distance))


def threads_see_what_others_wrote_before_a_barrier():
    assert all(turned(distance, waits=True) for distance in range(THREADS))


def a_barrier_that_is_missing_is_found_in_every_run():
    assert not any(turned(distance, waits=False) for distance in range(1, THREADS) for _ in range(2))


def a_thread_that_ends_is_waited_for_by_none():
    @cuda.jit
    def kernel(target):
        i = cuda.threadIdx.x
        if i % 2:
            cuda.syncthreads()
            target[i] = target[i - 1] + cuda.blockIdx.y
        else:
            target[i] = i

    target = np.zeros(THREADS, np.int64)
    kernel[(1, 2), THREADS](target)
    assert target.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def threads_that_wait_at_different_places_are_told():
    """A GPU lets some of them go on together, and does not say so."""

    @cuda.jit
    def parted(target):
        i = cuda.threadIdx.x
        if i % 2:
            cuda.syncthreads()
        else:
            cuda.syncthreads()
        target[i] = 1

    @cuda.jit
    def ahead(target):
        i = cuda.threadIdx.x
        for j in range(i % 2, 2):
            target[i] = j
            cuda.syncthreads()
        if cuda.syncthreads_or(i):
            target[i] = 2

    for kernel in (parted, ahead):
        with pytest.raises(RuntimeError, match=r"threads of block \(0, 0, 0\) wait at different barriers"):
            kernel[1, THREADS](np.zeros(THREADS))


def an_error_names_its_thread_and_the_next_launch_runs():
    @cuda.jit
    def kernel(target):
        cuda.syncthreads()
        target[cuda.threadIdx.x] = 1

    with pytest.raises(IndexError) as caught:
        kernel[1, THREADS](np.zeros(THREADS - 1))
    assert f"in thread ({THREADS - 1}, 0, 0) of block (0, 0, 0)" in caught.value.__notes__
    target = np.zeros(THREADS)
    kernel[1, THREADS](target)
    assert target.all()


def copied(pending, closes=True):
    """What threads see of two groups of copies, of which they let so many be under way."""
    wait = wait_for(pending)

    @cuda.jit
    def kernel(source, target):
        shared = cuda.shared.array(8 * THREADS, int32)
        i = cuda.threadIdx.x
        for k in range(8):
            shared[8 * i + k] = -1
        for number in range(2):
            copy4(shared, 8 * i + 4 * number, source, 4 * i, 16 * number)
            if closes:
                commit()
        wait()
        for k in range(8):
            target[i, k] = shared[8 * i + k]

    source, target = np.arange(4 * THREADS, dtype=np.int32), np.zeros((THREADS, 8), np.int32)
    kernel[1, THREADS](source, target)
    return target


def copies_are_there_when_they_have_been_waited_for():
    """Those of every other thread are not, before that; and groups are waited for that have been closed."""
    all_of_them = np.hstack([np.zeros((THREADS, 4)), np.arange(4 * THREADS).reshape(THREADS, 4)])
    assert np.array_equal(copied(0), all_of_them)
    for pending, closes, columns in ((1, True, 4), (0, False, 0), (2, True, 0)):
        found = copied(pending, closes)
        assert np.array_equal(found[::2], all_of_them[::2])
        assert np.array_equal(found[1::2, :columns], all_of_them[1::2, :columns])
        assert (found[1::2, columns:] == -1).all()


def multiplied(waits):
    """Sums of two products of ones, after which one thread writes twos over the factors, and what has been waited for.

    Tensor cores read factors, and write sums, as late as the instruction that waits for them.
    """
    start, finished, ready = warpgroup_mma(64, "s8", "s8"), settled(64), in_flight(0)
    wait = in_flight(waits - 1) if waits in (1, 2) else None

    @cuda.jit
    def kernel(ones, twos, target):
        shared = cuda.shared.array(2 * 64 * 32, int32)
        i = cuda.threadIdx.x
        for k in range(i, 2 * 64 * 32, 128):
            shared[k] = ones
        cuda.syncthreads()
        sums = cuda.local.array(32, int32)
        for k in range(32):
            sums[k] = 5
        for number in range(2):
            start(sums, shared, 0, 64 * 32, number)
        if waits == "sums":
            finished(sums)
        elif waits:
            wait()
        cuda.syncthreads()
        for k in range(i, 2 * 64 * 32, 128):
            shared[k] = twos
        cuda.syncthreads()
        if waits != "sums":
            ready()
        for k in range(32):
            target[i, k] = sums[k]

    target = np.zeros((128, 32), np.int32)
    kernel[1, 128](np.int32(0x01010101), np.int32(0x02020202), target)
    (value,) = set(target.ravel().tolist())
    return value


def products_are_made_when_they_have_been_waited_for():
    one = 128  # products of bytes in a sum
    assert multiplied("sums") == multiplied(1) == 2 * one
    assert multiplied(2) == one + 4 * one
    assert multiplied(0) == 2 * 4 * one


def maps_are_acquired_by_the_thread_that_uses_them():
    """Each of them, in every block: a GPU may have read another one there before."""
    copy = copy_tile(8)

    @cuda.jit
    def kernel(map_, other, by, blocks, copied):
        shared = cuda.shared.array(2 * 8 * 32 + 2, int32)
        if cuda.threadIdx.x == by and cuda.blockIdx.x < blocks:
            acquire_map(map_)
        if cuda.threadIdx.x == 0:
            init_barrier(shared, 512, 1)
            expect_bytes(shared, 512, 8 * 128)
            copy(shared, 0, map_ if copied == 0 else other, 0, 0, 512)

    first, second = (tensor_map(cuda.to_device(np.arange(32 * 8, dtype=np.int32)), 8, 128, 8) for _ in range(2))
    kernel[2, THREADS](first, second, 0, 2, 0)
    for given in ((0, 2, 1), (1, 2, 0), (0, 1, 0)):
        with pytest.raises(RuntimeError, match="a map is used by a thread that has not acquired it"):
            kernel[2, THREADS](first, second, *given)


@cuda.jit(device=True)
def shared_with_others(value):
    shared = cuda.shared.array(THREADS, int32)
    shared[cuda.threadIdx.x] = value
    cuda.syncthreads()
    return shared


def functions_find_what_a_thread_has():
    """Under names of their module and of what they were made in; the module's own names stay for other threads."""
    seen = []

    @cuda.jit(device=True)
    def of_next(i):
        return shared_with_others(i)[(i + 1) % THREADS]

    @cuda.jit
    def kernel(target):
        i = uint64(cuda.threadIdx.x)
        target[i] = of_next(i)
        if i == 0:
            seen.append((type(i), globals_of_this_module()["cuda"]))

    target = np.zeros(THREADS, np.int64)
    kernel[1, THREADS](target)
    assert target.tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    assert seen == [(np.uint64, cuda)]


def globals_of_this_module():
    return globals()


def arrays_have_borders():
    """There is nothing behind an array's end, and its shape has no index below zero."""

    @cuda.jit
    def behind(array):
        array[array.shape[0]] = 1

    @cuda.jit
    def before(array):
        array[0] = array.shape[-1]

    for kernel, message in ((behind, "out of bounds"), (before, "tuple index out of range")):
        with pytest.raises(IndexError, match=message):
            kernel[1, 1](np.zeros(THREADS))


def memory_that_nobody_has_written_is_not_zero():
    @cuda.jit
    def kernel(target):
        target[0] = cuda.local.array(1, int32)[0]
        target[1] = cuda.shared.array(1, int32)[0]
        target[2] = cuda.shared.array(0, int32)[0]

    target = np.zeros(3, np.int32)
    kernel[1, 1, 0, 4](target)
    assert target.tolist() == [0x5A5A5A5A] * 3


def words_that_wrap_around_are_told():
    @cuda.jit
    def kernel(array):
        array[0] = array[0] + array[1]

    with pytest.warns(RuntimeWarning, match="overflow"):
        kernel[1, 1](np.array([2**64 - 1, 1], np.uint64))


CHECKS = (
    threads_see_what_others_wrote_before_a_barrier,
    a_barrier_that_is_missing_is_found_in_every_run,
    a_thread_that_ends_is_waited_for_by_none,
    threads_that_wait_at_different_places_are_told,
    an_error_names_its_thread_and_the_next_launch_runs,
    copies_are_there_when_they_have_been_waited_for,
    maps_are_acquired_by_the_thread_that_uses_them,
    products_are_made_when_they_have_been_waited_for,
    functions_find_what_a_thread_has,
    arrays_have_borders,
    memory_that_nobody_has_written_is_not_zero,
    words_that_wrap_around_are_told,
)

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
