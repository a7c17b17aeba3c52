"""Threads that share a network on a GPU, in the simulator; prints JSON, see `tests.intnn.cuda_simulation`."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

import intnn.device.network as network_module
from intnn import DeviceError
from tests.intnn.cuda_simulation import outcomes_of, prepare
from tests.intnn.device.simulation import CudaDriverError, small


def threads_take_turns():
    network, x = small()
    batches, results = [x, x[::-1].copy(), x[:2]], {}

    def work(i):
        results[i] = network.logits(batches[i], "cuda")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, batch in enumerate(batches):
        assert np.array_equal(results[i], network.logits(batch))


def in_a_thread(work):
    """A thread that does it, and what it returns or how it fails, once it has ended."""
    found = []

    def run_it():
        try:
            found.append(work())
        except DeviceError as error:
            found.append(error)

    thread = threading.Thread(target=run_it, daemon=True)
    thread.start()
    return thread, found


def what_a_call_uses_is_released_after_it():
    network, x = small()
    expected = network.logits(x, "cuda")
    placed, begun, may_end, held = network.on_device, threading.Event(), threading.Event(), []

    def slow(_stream):
        begun.set()
        may_end.wait(60)
        held.append(len(placed._buffers))

    placed._evaluations[len(x)].start._launches.append(slow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "give_back", lambda: held.append(len(placed._buffers)))
        evaluating, found = in_a_thread(lambda: network.logits(x, "cuda"))
        begun.wait(60)
        releasing, _ = in_a_thread(placed.release)
        releasing.join(0.1)
        assert releasing.is_alive()
        may_end.set()
        for thread in (evaluating, releasing):
            thread.join(60)
    assert np.array_equal(found[0], expected)
    assert held == [len(placed.memory.sizes), 0]
    assert np.array_equal(network.logits(x, "cuda"), expected)


def a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have():
    network, x = small()
    placed = network.on_device

    @contextmanager
    def forked():
        raise CudaDriverError("CUDA initialized before forking")
        yield

    placed._gpu = forked()
    with placed._lock:  # as another thread of the parent left it
        asking, found = in_a_thread(lambda: placed.logits(x))
        asking.join(60)
    assert "may have been forked from one that had used the GPU" in str(found)


CHECKS = (
    threads_take_turns,
    what_a_call_uses_is_released_after_it,
    a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have,
)

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
