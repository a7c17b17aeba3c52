"""Whatever a network or a training step launches compiles for a GPU, with arguments of the types that they have there.

Nothing is launched: arrays of the host stand for those on a GPU. This needs NVIDIA's compiler, but no GPU.
"""

from collections import Counter
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda, typeof, types

from bench.cases.gpu_checks import SMALL, network_of_every_kernel
from intnn import Convolution, IntDomain
from intnn.device import network, placements
from intnn.machine.cuda import graph, launch
from intnn.machine.cuda.device import Device
from intnn.ops.cuda import layers, product
from intnn.training.cuda import kernels
from intnn.training.cuda import step as training
from intnn.training.plan import plan
from intnn.training.step import Descent, Rate, initialise
from tests.intnn.device.networks import network as random_network
from tests.ptx import needs_compiler, ptx

GPU = Device("a GPU", (9, 0), 132, (13, 0), (13, 4))


class There(np.ndarray):
    """An array of the host that stands for one on a GPU."""

    __cuda_ndarray__, stream = True, 0

    def copy_to_host(self):
        return np.asarray(self)

    def copy_to_device(self, values):
        assert (self.shape, self.dtype) == (values.shape, values.dtype)

    def is_c_contiguous(self):
        return True


def type_of(value):
    kind = typeof(value)
    if isinstance(kind, types.Array):  # on a GPU none is read-only
        return types.Array(kind.dtype, kind.ndim, "C")
    return types.int64 if isinstance(value, int) else kind


@pytest.fixture
def compiled(monkeypatch):
    """How often each kernel was compiled, each time for other types."""
    counts, done = Counter(), set()

    def made_ready(kernel, _grid, _threads, arguments, _shared):
        signature = tuple(map(type_of, arguments))
        if (kernel, signature) not in done:
            done.add((kernel, signature))
            ptx(kernel, signature)
            counts[kernel.__qualname__] += 1
        return lambda _stream: None

    monkeypatch.setattr(launch, "compiled", lambda kernel, _threads: kernel)
    monkeypatch.setattr(launch, "made_ready", made_ready)
    monkeypatch.setattr(product, "tensor_map", lambda *_: np.zeros(16, np.uint64))
    monkeypatch.setattr(graph, "captured", lambda launches: partial(launch.run, launches))
    for module in (network, training):
        monkeypatch.setattr(module, "free_bytes", lambda: 1 << 40)
    for module in (network, placements, product):
        monkeypatch.setattr(module, "device", lambda: GPU)
    for module in (network, training):
        monkeypatch.setattr(module, "gpu_in_use", nullcontext)
    for name in ("gpu_of", "number"):
        monkeypatch.setattr(network, name, lambda *_: 0)
    monkeypatch.setattr(placements, "place_in_use", lambda: (0, 0))
    monkeypatch.setattr(cuda, "to_device", lambda values: np.array(values).view(There))
    monkeypatch.setattr(cuda, "device_array", lambda shape, dtype: np.zeros(shape, dtype).view(There))
    monkeypatch.setattr(cuda, "pinned_array", np.zeros)
    return counts


@pytest.fixture
def allocated(compiled, monkeypatch):
    """The bytes of every array."""
    sizes = []

    def counted(make):
        def made(*arguments):
            array = make(*arguments)
            sizes.append(array.nbytes)
            return array

        return made

    for name in ("to_device", "device_array"):
        monkeypatch.setattr(cuda, name, counted(getattr(cuda, name)))
    return sizes


@needs_compiler
def test_networks(compiled):
    for one in (network_of_every_kernel(SMALL), *map(random_network, range(3))):
        x = np.full((2, *one.input_shape), one.input_domain.lo)
        one.logits(x, "cuda")
        one.logits(x.view(There), "cuda")
    products = {"tensor_kernel.<locals>.kernel", "warpgroup_kernel.<locals>.kernel", "lookup_kernel"}
    assert set(compiled) - products == {kernel.__qualname__ for kernel in layers.KERNELS}


@needs_compiler
@pytest.mark.parametrize("tile", [product.TENSOR, product.GROUPS])
def test_training_takes_the_memory_that_was_foreseen(compiled, allocated, tile):
    layers = (Convolution(16, 3, 1, 1, pool=2, activation="tanh"), Convolution(32, 2, 2, 1), 64)
    layout = plan(layers, (3, 16, 16), IntDomain(-128, 127), 10)
    stepper = training.DeviceStep(layout, initialise(layout, 0), 64, Descent(), tile)
    for number in range(2):
        stepper.step(np.zeros(64, np.int64), Rate(100, 9), (1, number))
    assert sum(allocated) <= stepper.nbytes <= 1.1 * sum(allocated)
    assert len(stepper.state()) == len(layout.blocks)
    products = {"tensor_kernel.<locals>.kernel"}
    products |= {"warpgroup_kernel.<locals>.kernel"} if tile == product.GROUPS else set()
    assert set(compiled) == products | {kernel.__qualname__ for kernel in kernels.KERNELS}
