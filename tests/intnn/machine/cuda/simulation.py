"""Tries what `tests.intnn.turns` makes of Numba's simulator, and prints the outcomes as JSON; not a test by itself."""

import numpy as np
import pytest
from numba import cuda, int32, uint64

from tests.intnn import turns
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


def an_error_names_its_thread_and_leaves_nothing_behind():
    @cuda.jit
    def kernel(target):
        cuda.syncthreads()
        target[cuda.threadIdx.x] = 1

    with pytest.raises(IndexError) as caught:
        kernel[1, THREADS](np.zeros(THREADS - 1))
    assert f"in thread ({THREADS - 1}, 0, 0) of block (0, 0, 0)" in caught.value.__notes__
    workers = len(turns.IDLE)
    target = np.zeros(THREADS)
    kernel[1, THREADS](target)
    assert target.all()
    assert len(turns.IDLE) == workers


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
    an_error_names_its_thread_and_leaves_nothing_behind,
    functions_find_what_a_thread_has,
    arrays_have_borders,
    words_that_wrap_around_are_told,
)

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
