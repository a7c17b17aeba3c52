"""Tries training on a GPU in Numba's simulator, and prints the outcomes as JSON; see `tests.intnn.cuda_simulation`."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numba import cuda

import intnn.machine.cuda.graph as graph_module
import intnn.machine.cuda.launch as launch_module
import intnn.training.cuda.step as step_module
from intnn import Convolution, DeviceError, IntClassifier, IntDomain
from intnn.machine.cuda.device import DeviceMemoryError
from intnn.machine.cuda.launch import run
from intnn.ops.cuda.product import SIMULATED_TILE
from intnn.training.ops import numpy_
from intnn.training.plan import plan
from intnn.training.run import step_on
from intnn.training.schedule import Schedule
from intnn.training.step import Descent, Rate, initialise, step
from tests.intnn.cuda_simulation import outcomes_of, prepare
from tests.intnn.several_gpus import Gpus
from tests.intnn.training.plans import assert_equal, batch_of, descents, plans, rates

SETTINGS = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class CudaDriverError(Exception):
    """What numba-cuda calls an error of the driver; its simulator has none."""


def random_plans_are_trained_to_the_same_bits():
    kinds = set()

    @SETTINGS
    @given(plans(), rates, descents, st.data())
    def check(layout, rate, descent, data):
        x, labels = batch_of(layout, data.draw)
        state = initialise(layout, 3)
        schedule = Schedule(1, len(x), 1, descent, 0)
        ours = step_on("cuda", layout, state, schedule)
        ours.inputs[...] = x + (128 if layout.inputs.lo < 0 else 0)
        logits = ours.step(labels, rate, (1, 2))
        assert np.array_equal(logits, step(layout, state, x, labels, rate, descent, (1, 2), numpy_))
        assert_equal(ours.state(), state)
        kinds.update((block.is_dense, block.pool > 1) for block in layout.blocks)

    check()
    assert kinds == {(True, False), (False, False), (False, True)}


def data():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (12, 1, 5, 4)), rng.integers(0, 3, 12)


def classifiers_learn_and_predict_alike():
    x, y = data()
    layers = Convolution(2, 3, padding=1, pool=2), Convolution(3, 2, stride=2, padding=1)
    one, other = (
        IntClassifier(layers, epochs=1, batch_size=6, backend=backend).fit(x, y) for backend in ("cuda", "numpy")
    )
    assert one.network_.fingerprint == other.network_.fingerprint
    assert np.array_equal(one.decision_function(x[:3]), other.decision_function(x[:3]))


def a_lost_device_leaves_the_classifier_as_it_was():
    x, y = data()
    model = IntClassifier((4,), epochs=1, batch_size=6, backend="numpy")
    x = x.reshape(len(x), -1)
    model.fit(x, y)
    before = model.network_.fingerprint
    model.set_params(backend="cuda")

    def lost(_stream):
        raise CudaDriverError("Call to cuLaunchKernel results in CUDA_ERROR_LAUNCH_FAILED")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_module, "shared_out", lambda *_: lost)
        for learn in (model.fit, model.partial_fit):
            with pytest.raises(DeviceError, match="training on the GPU: the GPU was lost"):
                learn(x, y)
    assert model.network_.fingerprint == before


def too_little_memory_is_told_before_anything_is_allocated():
    x, y = data()
    real, step_module.free_bytes = step_module.free_bytes, lambda: 1000
    with pytest.raises(DeviceMemoryError, match=r"must have \d+ bytes free for a step of 6 examples, got 1000"):
        IntClassifier((Convolution(2, 3),), epochs=1, batch_size=6, backend="cuda").fit(x, y)
    step_module.free_bytes = real


def steps_are_a_graph_from_the_second_one_on():
    """Whatever changes from step to step, the graph does it; and it has no launch of its own."""
    layout, captures, started = plan((3,), (4,), IntDomain(-128, 127), 2), [], []

    def captured(launches):
        captures.append(len(launches))
        return lambda stream: started.append(len(captures)) or run(launches, stream)

    rng, state = np.random.default_rng(0), initialise(layout, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_module, "captured", captured)
        ours = step_module.DeviceStep(layout, state, 5, Descent(3, 9), SIMULATED_TILE)
        kernels = len(ours._start._launches)
        for number, rate in enumerate((Rate(100, 2), Rate(64, 7), Rate(0, 0), Rate(127, -3))):
            x, labels = rng.integers(-128, 128, ours.inputs.shape), rng.integers(0, 2, 5)
            ours.inputs[...] = x + 128
            logits = ours.step(labels, rate, (1 << 40, number))
            assert np.array_equal(
                logits, step(layout, state, x, labels, rate, Descent(3, 9), (1 << 40, number), numpy_)
            )
            assert_equal(ours.state(), state)
    assert captures == [kernels]
    assert len(started) == 3


def training_stays_on_its_gpu():
    layout = plan((2,), (3,), IntDomain(0, 255), 2)
    with pytest.MonkeyPatch.context() as patch:
        gpus = Gpus(patch, (launch_module, "compiled"))
        with cuda.gpus[1]:
            stepper = step_module.DeviceStep(layout, initialise(layout, 0), 2, Descent(), SIMULATED_TILE)
        stepper.step(np.zeros(2, np.int64), Rate(100, 9), (1, 2))  # here the other GPU is in use
        assert len(stepper.state()) == 2
    assert {gpu for gpu, _ in gpus.used} == {1}


def memory_that_cannot_be_pinned_is_a_warning_and_changes_no_bit():
    """It is the host's: the GPU may have enough."""
    layout, rate = plan((2,), (3,), IntDomain(0, 255), 2), Rate(100, 9)
    x, labels = np.array([[3, 200, 7], [90, 7, 0]]).reshape(2, 1, 1, 3), np.array([0, 1])

    def refused(*_):
        raise CudaDriverError("cuMemHostAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "pinned_array", refused)
        with pytest.warns(RuntimeWarning, match="memory that is not pinned, which takes longer: cuMemHostAlloc"):
            ours = step_module.DeviceStep(layout, initialise(layout, 0), 2, Descent(), SIMULATED_TILE)
    ours.inputs[...] = x
    state = initialise(layout, 0)
    expected = step(layout, state, x, labels, rate, Descent(), (1, 2), numpy_)
    assert np.array_equal(ours.step(labels, rate, (1, 2)), expected)
    assert_equal(ours.state(), state)


CHECKS = (
    random_plans_are_trained_to_the_same_bits,
    classifiers_learn_and_predict_alike,
    a_lost_device_leaves_the_classifier_as_it_was,
    too_little_memory_is_told_before_anything_is_allocated,
    steps_are_a_graph_from_the_second_one_on,
    training_stays_on_its_gpu,
    memory_that_cannot_be_pinned_is_a_warning_and_changes_no_bit,
)

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
