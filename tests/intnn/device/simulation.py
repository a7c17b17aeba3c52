"""Tries the backend "cuda" in Numba's simulator, and prints the outcomes as JSON; see `tests.intnn.cuda_simulation`."""

import weakref
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numba import cuda

import intnn.device.lower as lower_module
import intnn.device.network as network_module
import intnn.machine.cuda.graph as graph_module
import intnn.machine.cuda.launch as launch_module
from intnn import (
    Conv2d,
    Dense,
    DeviceError,
    Flatten,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    Requantise,
    SumPool2d,
)
from intnn.compiled import CompiledNetwork
from intnn.device.arrays import on_device
from intnn.device.steps import KernelStep, ProductStep
from intnn.machine.cuda.device import DeviceMemoryError
from intnn.machine.cuda.launch import run
from tests.intnn.cuda_simulation import outcomes_of, prepare
from tests.intnn.device.networks import network as random_network
from tests.intnn.several_gpus import Gpus

EXAMPLES = 40
SETTINGS = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
rng = np.random.default_rng(0)
TABLE = LutActivation(Lut(IntDomain(-128, 127), np.clip(np.arange(-128, 128), 0, 15)))


class CudaDriverError(Exception):
    """What numba-cuda calls an error of the driver; its simulator has none."""


def small(batch=5):
    """A network that is fused to two products, and inputs for it."""
    weights = [rng.integers(-9, 10, shape) for shape in ((3, 1, 2, 2), (4, 12))]
    layers = (Conv2d(weights[0], np.arange(3)), Requantise([3], 5, IntDomain(-128, 127)), TABLE, Flatten(),
              Dense(weights[1], np.arange(4)))  # fmt: skip
    return IntNetwork((1, 3, 3), IntDomain(0, 15), layers), rng.integers(0, 16, (batch, 1, 3, 3))


def bits_of_random_networks():
    met = Counter()

    @SETTINGS
    @given(st.integers(0, 2**63))
    def check(seed):
        network = random_network(seed)
        x = rng.integers(network.input_domain.lo, network.input_domain.hi + 1, (2, *network.input_shape))
        placed = network.on_device
        assert np.array_equal(network.logits(x, "cuda"), network.logits(x, "reference")), placed.explain()
        met.update(type(step).__name__ for step in placed._steps)
        met.update(step.bind.__qualname__ for step in placed._steps if isinstance(step, KernelStep))
        met.update(len(step.what.split(", ")) for step in placed._steps if isinstance(step, ProductStep))
        met.update(type(layer).__name__ for layer in network.layers)

    check()
    layers = {"Conv2d", "Dense", "SumPool2d", "Scale", "Requantise", "LutActivation", "IntPolynomial", "Add",
              "Concatenate", "Flatten", "Reshape"}  # fmt: skip
    launches = {
        "ProductStep",
        "lookup_bytes",
        "windows.<locals>.bind",
        "moves.<locals>.bind",
        "window_sums.<locals>.bind",
    }
    kinds = layers | launches | {2}  # as many layers in one product
    assert kinds <= set(met), kinds - set(met)


def layers_are_fused_and_share_buffers():
    network, x = small()
    lines = network.on_device.explain().splitlines()
    assert lines[0].startswith("simulated: ")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "inputs of layers[0]", "layers[0] Conv2d, Requantise, LutActivation", "layers[4] Dense", "outputs"
    ]  # fmt: skip
    assert len(network.on_device.memory.sizes) == 2
    assert lines[0].endswith("; inputs in buffers: 0, evaluations kept: 0")
    network.logits(x, "cuda")
    assert "; inputs in buffers: 5, evaluations kept: 1\n" in network.on_device.explain()


def batches_larger_than_memory_are_cut():
    network, x = small(batch=7)
    network_module.free_bytes = lambda: 1 << 40
    placed = network.on_device
    network_module.free_bytes = lambda: 3 * placed.memory.per_input
    assert np.array_equal(network.logits(x, "cuda"), network.logits(x))
    assert placed._capacity == 3
    there = network.logits(cuda.to_device(x), "cuda")
    assert np.array_equal(there.copy_to_host(), network.logits(x))
    network_module.free_bytes = lambda: 1 << 40
    network.logits(x, "cuda")
    assert placed._capacity == 7  # it grows where there is memory again


def buffers_are_no_larger_than_they_need_be():
    room = 3 * small()[0].on_device.memory.per_input
    enough, network_module.ENOUGH = network_module.ENOUGH, room
    try:
        network, x = small(batch=7)
        assert np.array_equal(network.logits(x, "cuda"), network.logits(x))
        assert sum(buffer.nbytes for buffer in network.on_device._buffers) == room
    finally:
        network_module.ENOUGH = enough


def too_little_memory_is_told_before_anything_is_allocated():
    network, x = small()
    network_module.free_bytes = lambda: 100
    made = []
    to_device, cuda.to_device = cuda.to_device, lambda *a, **k: made.append(a)
    try:
        with pytest.raises(DeviceMemoryError, match=r"bytes free for the weights and one input.*got 100"):
            network.logits(x, "cuda")
    finally:
        cuda.to_device = to_device
    assert not made
    network_module.free_bytes = lambda: 1 << 40
    assert np.array_equal(network.logits(x, "cuda"), network.logits(x))
    placed = network.on_device
    placed.release()
    network_module.free_bytes = lambda: 10  # another process took it meanwhile
    with pytest.raises(DeviceMemoryError, match="bytes free for one input"):
        network.logits(x, "cuda")
    network_module.free_bytes = lambda: 1 << 40


def a_lost_device_leaves_the_host_as_it_was():
    network, x = small()
    before, expected = x.copy(), network.logits(x, "cuda")
    placed = network.on_device

    def lost(*_arguments):
        raise CudaDriverError("Call to cuLaunchKernel results in CUDA_ERROR_LAUNCH_FAILED")

    placed._evaluations[len(x)].start._launches[-1] = lost
    with pytest.raises(DeviceError, match="the GPU was lost, and with it what was there"):
        network.logits(x, "cuda")
    assert np.array_equal(x, before)
    assert np.array_equal(network.logits(x), expected)
    assert np.array_equal(network.logits(x, "cuda"), expected)  # placed again
    assert network.on_device is not placed


def arrays_on_the_device_stay_there():
    network, x = small()
    expected = network.logits(x)
    for dtype in (np.int64, np.uint8, np.int16):
        there = cuda.to_device(x.astype(dtype))
        memory = there._ary
        copied = []
        there.copy_to_host = lambda *a, copied=copied: copied.append(a)
        logits = network.logits(there, "cuda")
        assert logits.__cuda_ndarray__
        assert logits.dtype == np.int64
        assert np.array_equal(logits.copy_to_host(), expected)
        assert not copied
        assert there._ary is memory
    assert np.array_equal(network.predict(cuda.to_device(x), "cuda"), network.predict(x))
    outside = x.copy()
    outside[2, 0, 1, 1] = 16
    with pytest.raises(ValueError, match=r"`x` must .*16"):
        network.logits(cuda.to_device(outside), "cuda")
    with pytest.raises(TypeError, match="`x` must hold integers"):
        network.logits(cuda.to_device(x.astype(np.float32)), "cuda")
    with pytest.raises(TypeError, match="`x` must hold integers in the byte order of this machine, got dtype >i4"):
        network.logits(cuda.to_device(x.astype(">i4")), "cuda")
    with pytest.raises(ValueError, match=r"`x` must have shape \(batch, 1, 3, 3\)"):
        network.logits(cuda.to_device(x[:, 0]), "cuda")
    turned = cuda.to_device(x).transpose((0, 1, 3, 2))
    with pytest.raises(ValueError, match="`x` must be contiguous"):
        network.logits(turned, "cuda")


@contextmanager
def captures():
    """The number of kernels of every graph that is captured, and of every graph that is started, with its name."""
    happened = []

    def captured(launches):
        happened.append(("captured", len(launches)))
        return lambda stream: happened.append(("started", len(launches))) or run(launches, stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_module, "captured", captured)
        yield happened


def a_number_of_inputs_is_a_graph_from_the_second_time_on():
    network, x = small()
    there, other = cuda.to_device(x), rng.integers(0, 16, x.shape)
    with captures() as happened:
        network.logits(x, "cuda")
        network.logits(x[:2], "cuda")
        assert not happened
        assert np.array_equal(network.logits(other, "cuda"), network.logits(other))
        kernels = len(network.on_device._steps)
        assert happened == [("captured", kernels), ("started", kernels)]
        for again in (there, cuda.to_device(x.astype(np.uint8))):  # wherever they are and whatever their type
            assert np.array_equal(network.logits(again, "cuda").copy_to_host(), network.logits(x))
        assert happened[2:] == [("started", kernels)] * 2


def graphs_go_with_the_buffers_that_they_name():
    network, x = small(batch=7)
    with captures() as happened:
        for part in (x[:3], x[:3], x, x[:3], x[:3], x):
            assert np.array_equal(network.logits(part, "cuda"), network.logits(part))
        assert [what for what, _ in happened] == ["captured", "started"] * 3  # of three, of three again, and of seven
        placed = network.on_device
        kept = [weakref.ref(evaluation.start) for evaluation in placed._evaluations.values()]
        placed.release()
        assert not any(one() for one in kept)
        assert np.array_equal(network.logits(x, "cuda"), network.logits(x))


def graphs_of_the_last_few_numbers_are_kept():
    network, x = small(batch=10)
    network.logits(x, "cuda")
    placed = network.on_device
    for count in (1, 2, 3, 4, 5, 6, 10, 7, 8):
        network.logits(x[:count], "cuda")
    assert list(placed._evaluations) == [2, 3, 4, 5, 6, 10, 7, 8]


def arrays_of_other_libraries_are_taken_where_they_lie():
    network, x = small()

    class Foreign:
        @property
        def __cuda_array_interface__(self):
            address = x.ctypes.data, False
            return {"shape": x.shape, "typestr": x.dtype.str, "data": address, "strides": None, "version": 3}

    class Exported:
        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, **_asked):
            return x.__dlpack__()

    seen = []

    def as_cuda_array(owner):
        described = owner.__cuda_array_interface__
        seen.append(described["data"][0])
        assert described["typestr"] == x.dtype.str
        array = cuda.to_device(np.zeros(1))
        array._ary = np.frombuffer((np.ctypeslib.ctypes.c_char * x.nbytes).from_address(described["data"][0]), x.dtype)
        array._ary = array._ary.reshape(described["shape"])
        return array

    cuda.as_cuda_array = as_cuda_array
    for foreign in (Foreign(), Exported()):
        assert np.array_equal(network.logits(foreign, "cuda").copy_to_host(), network.logits(x))
    assert seen == [x.ctypes.data] * 2
    assert on_device(x) is None


def a_stream_that_an_array_names_is_waited_for():
    network, x = small()
    there = cuda.to_device(np.zeros_like(x))
    there.stream, there.__cuda_array_interface__ = 7, {"stream": 7}

    def as_cuda_array(array):
        """What was to be done on a stream is done when somebody waits, as Numba's does."""
        assert array.__cuda_array_interface__["stream"] == 7
        return cuda.to_device(x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "as_cuda_array", as_cuda_array, raising=False)
        assert np.array_equal(network.logits(there, "cuda").copy_to_host(), network.logits(x))


def arrays_of_the_host_may_lie_as_they_like():
    network, x = small()
    expected, back = network.logits(x), np.ascontiguousarray(x[::-1, :, ::-1])
    locked = x.copy()
    locked.setflags(write=False)
    turned = np.ascontiguousarray(x.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
    for lies in (back[::-1, :, ::-1], turned, np.asfortranarray(x), locked, x.astype(">i2"), x.astype(np.uint64)):
        assert np.array_equal(network.logits(lies, "cuda"), expected)
    with pytest.raises(ValueError, match="`x` must"):
        network.logits(x[:0], "cuda")


def a_network_stays_on_its_gpu():
    network, x = small()
    with pytest.MonkeyPatch.context() as patch:
        gpus = Gpus(patch, (launch_module, "compiled"))
        patch.setattr(network_module, "gpu_of", lambda array: array.gpu)
        with cuda.gpus[1]:
            placed = network.on_device
        logits = placed.logits(x)  # here the other GPU is in use
        assert {gpu for gpu, _ in gpus.used} == {1}
        assert network.on_device is not placed
        there = cuda.to_device(x)
        there.gpu = 0
        with pytest.raises(ValueError, match="`x` must lie on GPU 1, as the network does, got GPU 0; ask within"):
            placed.logits(there)
    assert np.array_equal(logits, network.logits(x))


def compiled_networks_are_evaluated_as_well():
    network, x = small()
    compiled = CompiledNetwork(network.input_shape, network.input_domain, network.chain, network.intervals)
    assert np.array_equal(compiled.logits(x, backend="cuda"), network.logits(x))
    assert compiled.logits(x, dtype=np.int32, backend="cuda").dtype == np.int32
    assert compiled.logits(cuda.to_device(x), backend="cuda").__cuda_ndarray__
    with pytest.raises(ValueError, match='`backend` must be "numba" or "cuda"'):
        compiled.logits(x, 1, np.int64, "numpy")
    with pytest.raises(ValueError, match="`dtype` must be an integer type that holds"):
        compiled.logits(x, 1, np.int8, "cuda")


def layers_of_more_outputs_than_a_grid_has_columns_for_are_no_products():
    network, x = small()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lower_module, "MOST_COLUMNS", 3)
        steps = network.on_device._steps
    assert [type(step) for step in steps if "[" in step.what][1:] == [ProductStep, KernelStep]  # of 3 and 4 outputs
    assert np.array_equal(network.logits(x, "cuda"), network.logits(x))


def what_cannot_be_evaluated_is_refused_by_name():
    huge = IntNetwork((2,), IntDomain(0, 1 << 20), (IntPolynomial((0, 0, 1)), IntPolynomial((0, 0, 1))))
    with pytest.raises(ValueError, match=r"`layers\[1\]` can reach \d+, and a GPU calculates below 2\*\*63"):
        huge.logits([[1, 2]], "cuda")
    network = IntNetwork((1, 4, 4), IntDomain(0, 3), (SumPool2d(2), Flatten()))
    assert np.array_equal(network.logits(np.ones((1, 1, 4, 4), int), "cuda"), [[4] * 4])


CHECKS = (
    bits_of_random_networks,
    layers_are_fused_and_share_buffers,
    batches_larger_than_memory_are_cut,
    buffers_are_no_larger_than_they_need_be,
    too_little_memory_is_told_before_anything_is_allocated,
    a_lost_device_leaves_the_host_as_it_was,
    arrays_on_the_device_stay_there,
    a_number_of_inputs_is_a_graph_from_the_second_time_on,
    graphs_go_with_the_buffers_that_they_name,
    graphs_of_the_last_few_numbers_are_kept,
    arrays_of_other_libraries_are_taken_where_they_lie,
    a_stream_that_an_array_names_is_waited_for,
    arrays_of_the_host_may_lie_as_they_like,
    a_network_stays_on_its_gpu,
    compiled_networks_are_evaluated_as_well,
    layers_of_more_outputs_than_a_grid_has_columns_for_are_no_products,
    what_cannot_be_evaluated_is_refused_by_name,
)

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
