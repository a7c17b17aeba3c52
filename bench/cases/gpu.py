"""The CUDA kernels on this machine's GPU: first equal in every bit, then fast.

Times of kernels are medians of repetitions between two events on the GPU, after one that does not count. Operands are
random and already there. The yardstick is cuBLAS's int8 product, called through torch where it is installed; it has no
epilogue. For residues it is the CPU's kernels, in one thread.

Sessions and trainings are timed on the host, from bytes to bytes, beside the CPU's engine in as many threads as the row
says.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numba import config, cuda

from bench.cases import gpu_checks, gpu_circuits, gpu_heads, gpu_operations, gpu_residues, gpu_startup
from bench.cases.gpu_floors import Work, floor_us, network_work, product_work, steps_floor_us
from bench.cases.options import GpuOptions
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.timing import median_seconds, timed
from bench.peers.cublas import int8_product
from bench.report.gpu import GpuRow, show, summary
from bench.tables.gpus import Gpu, gpu
from intnn import Conv2d, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation, Requantise
from intnn.machine.cuda.device import Device, device
from intnn.machine.cuda.launch import shared_out
from intnn.ops.cuda.lookup import lookup_kernel
from intnn.ops.cuda.product import TENSOR, AnyTile, Epilogue, Product, Window, channels_last, fitting_tile
from intnn.training.cuda.step import DeviceStep
from intnn.training.plan import plan
from intnn.training.step import Descent, Rate, initialise

__all__ = ["GpuJob", "jobs", "machine", "measure", "show"]

BATCHES = 9  # the median is over these
BATCH_MS = 20.0  # about as long each
PEER_REPEATS = 3  # the median of the CPU's kernels is over these, or one call where that takes longer than
PEER_SECONDS = 0.2
RINGS = 8192, 16384  # degrees of the rings that residues belong to


@dataclass(frozen=True)
class GpuJob:
    """All checks and all figures, on the GPU in use."""

    @property
    def title(self) -> str:
        """What is measured."""
        return "CUDA kernels"


def jobs(options: GpuOptions) -> tuple[GpuJob, ...]:  # noqa: ARG001 - it has nothing but the record
    """One job.

    Raises:
        NoDeviceError: There is no GPU.
        ValueError: It is simulated.
    """
    machine()
    return (GpuJob(),)


def machine() -> dict[str, Any]:
    """The GPU in use, for the envelope of a row.

    Raises:
        NoDeviceError: There is none.
        ValueError: It is simulated.
    """
    if config.ENABLE_CUDASIM:
        raise ValueError("NUMBA_ENABLE_CUDASIM must not be set: figures of a simulated GPU say nothing")
    found = device()
    return {
        "device": found.name,
        "compute_capability": ".".join(map(str, found.capability)),
        "multiprocessors": found.multiprocessors,
        "driver": _driver(found),
        "numba_cuda": version("numba-cuda"),
    }


def tiles() -> tuple[AnyTile, ...]:
    """What the GPU can run: None for dp4a, and a tile for the tensor cores where there are any."""
    fitting = fitting_tile(device().capability)
    return (None,) if fitting is None else (None, TENSOR) if fitting == TENSOR else (None, TENSOR, fitting)


def equality() -> Iterator[tuple[str, bool]]:
    """The name and the outcome of every check that the simulator makes as well, on larger shapes."""
    for name, check in gpu_checks.checks(gpu_checks.LARGE, tiles(), "numpy"):
        yield name, check()
    for name, check in gpu_residues.checks(RINGS[0]):
        yield name, check()
    for N in RINGS:
        for name, check in gpu_operations.checks(N, count=3):
            yield name, check()


def measure(job: GpuJob, report: Reporter) -> Iterator[GpuRow]:  # noqa: ARG001 - there is one job
    """Check every kernel, then all figures, one by one.

    Raises:
        ValueError: A kernel differs from its reference; nothing is timed then.
    """
    where = machine()
    report.say(f"{where['device']}, driver {where['driver']}")
    report("checking")
    outcomes = []
    for name, equal in equality():
        outcomes.append(equal)
        report.say(f"{'equal  ' if equal else 'DIFFERS'}  {name}")
    if not all(outcomes):
        raise ValueError("kernels differ from the reference; nothing was timed or recorded")
    for row in figures():
        found = replace(row, checks=len(outcomes), checks_equal=sum(outcomes))
        report.say(summary(found))
        yield found


def figures() -> Iterator[GpuRow]:
    """All figures, one by one."""
    for size in (1024, 4096, 8192):
        yield from _gemm(size)
    yield from _convolution()
    yield _table(1 << 26)
    for images in (1, 16384):
        yield _network(images)
    yield _training((128, 64), batch=64)
    yield _training((4096, 4096), batch=4096)
    for N in RINGS:
        for count in (1, 64):
            yield from _residues(N, count)
    yield from gpu_circuits.rows(available_threads(), _sheet())
    yield from gpu_heads.rows(available_threads())
    yield gpu_startup.row()


def _gemm(size: int) -> Iterator[GpuRow]:
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-128, 128, (size, size, 1, 1)).astype(np.int8) for _ in range(2))
    cublas = int8_product(size)
    peer_us = None if cublas is None else _median_us(cublas)
    operands = cuda.to_device(channels_last(x))
    for tile in tiles():
        for fused in (False, True):
            product = Product(w, np.zeros(size), epilogue=_epilogue(size) if fused else None, tile=tile)
            y = product.output(size)
            us = _median_us(partial(product.bound(operands, y, size), 0))
            result = "requantised, table" if fused else "int32"
            work = f"product {size} x {size} x {size}, {_unit(tile)}, {result}"
            row = _row(work, us, 2 * size**3, "cuBLAS int8, int32" if peer_us else None, peer_us)
            yield replace(row, floor_us=_floor([product_work(work, product, size)]))


def _convolution() -> Iterator[GpuRow]:
    rng, images, channels, side, kernel = np.random.default_rng(0), 64, 128, 28, 3
    x = rng.integers(0, 256, (images, channels, side, side)).astype(np.uint8)
    w = rng.integers(-128, 128, (channels, channels, kernel, kernel)).astype(np.int8)
    operands = cuda.to_device(channels_last(x))
    window = Window((kernel, kernel), borders=(kernel // 2,) * 4)
    for tile in tiles()[:2]:  # groups of warps multiply matrices alone
        product = Product(w, np.zeros(channels), (side, side), window, _epilogue(channels), x_type="u8", tile=tile)
        y = product.output(images)
        us = _median_us(partial(product.bound(operands, y, images), 0))
        work = f"conv2d {images} x {channels} x {side} x {side}, {kernel} x {kernel}, {_unit(tile)}, table"
        row = _row(work, us, 2 * images * side**2 * channels**2 * kernel**2)
        yield replace(row, floor_us=_floor([product_work(work, product, images)]))


def _table(count: int) -> GpuRow:
    rng = np.random.default_rng(0)
    x = cuda.to_device(rng.integers(0, 256, count).astype(np.uint8).view(np.int32))
    table, y = cuda.to_device(rng.integers(0, 256, 256).astype(np.uint8)), cuda.device_array(count // 4, np.int32)
    us = _median_us(partial(shared_out(lookup_kernel, len(x), x, table, y), 0))
    work = f"table lookup, {count} bytes, {2e-3 * count / us:.0f} GB/s"
    return GpuRow(work, us, floor_us=_floor([Work(work, 2 * count)]))


def example_network() -> IntNetwork:
    """A convolutional network on images of 28 x 28 bytes, whose tables are a ReLU."""
    rng, byte = np.random.default_rng(0), IntDomain(0, 255)
    relu = LutActivation(Lut(IntDomain(-128, 127), np.maximum(np.arange(-128, 128), 0)))
    rescaled = Requantise(np.ones(1, int), 10, IntDomain(-128, 127))
    layers, channels = list[Any](), 1
    for outputs in (32, 64):
        weights = rng.integers(-128, 128, (outputs, channels, 3, 3))
        layers += [Conv2d(weights, np.zeros(outputs, int), 2, 1), rescaled, relu]
        channels = outputs
    head = Dense(rng.integers(-128, 128, (10, 64 * 7 * 7)), np.zeros(10, int))
    return IntNetwork((1, 28, 28), byte, (*layers, Flatten(), head))


def _network(images: int) -> GpuRow:
    """The same on images that are on the GPU already."""
    rng, network = np.random.default_rng(0), example_network()
    x = cuda.to_device(rng.integers(0, 256, (images, 1, 28, 28)).astype(np.uint8))
    us = _median_us(lambda: network.logits(x, "cuda"))
    operations = 2 * images * (32 * 14**2 * 9 + 64 * 7**2 * 32 * 9 + 10 * 64 * 7**2)
    row = _row(f"network 1 x 28 x 28, convolutions 32 and 64, dense 10, {images} images", us, operations)
    return replace(row, floor_us=_floor(network_work(network, images)))


def _training(hidden: tuple[int, ...], batch: int) -> GpuRow:
    rng = np.random.default_rng(0)
    network = plan(hidden, (784,), IntDomain(0, 255), 10)
    stepper = DeviceStep(network, initialise(network, seed=0), batch, Descent(), tiles()[-1])
    stepper.inputs[...] = rng.integers(0, 256, stepper.inputs.shape)
    stepper.write(rng.integers(0, 10, batch), Rate(100, 16), (0, 0))
    us = _median_us(stepper.start)
    name = "-".join(map(str, (784, *hidden, 10)))
    weights = sum(block.fan_in * block.outputs for block in network.blocks)
    operations = 2 * batch * (3 * weights - network.blocks[0].fan_in * network.blocks[0].outputs)
    return _row(f"training step {name}, batch {batch}, {_unit(tiles()[-1])}", us, operations)


def _residues(N: int, count: int) -> Iterator[GpuRow]:
    for work in gpu_operations.workloads(N, count):
        us, peer_us, sheet = _median_us(work.ours), 1e6 * _peer_seconds(work.peer), _sheet()
        floor = None if sheet is None else steps_floor_us(work.steps, N, sheet)
        yield GpuRow(work.work, us, None, "CPU, 1 thread", peer_us, peer_us / us, floor_us=floor, count=count)


def _peer_seconds(action: Callable[[], object]) -> float:
    """The seconds of one call on the CPU, whose kernels have been compiled by the checks."""
    once, _ = timed(action)
    return once if once > PEER_SECONDS else median_seconds(action, PEER_REPEATS)


def _epilogue(columns: int) -> Epilogue:
    table = np.random.default_rng(1).integers(0, 256, 256).astype(np.uint8)
    return Epilogue(np.full(columns, 1 << 12), 24, -128, 127, table)


def _floor(works: list[Work]) -> float | None:
    """The least microseconds on the GPU in use, where its data sheet is known."""
    known = _sheet()
    return None if known is None else floor_us(works, known)


def _sheet() -> Gpu | None:
    """The data sheet of the GPU in use, where it is known."""
    return gpu(device().name)


def _unit(tile: AnyTile) -> str:
    return "dp4a" if tile is None else tile.unit


def _row(work: str, us: float, operations: int, peer: str | None = None, peer_us: float | None = None) -> GpuRow:
    ratio = None if peer_us is None else peer_us / us
    return GpuRow(work, us, operations / us / 1e3, peer, peer_us, ratio)


def _median_us(action: Callable[[], Any]) -> float:
    """The median microseconds of one call."""
    start, stop = cuda.event(), cuda.event()

    def batch_ms(repeats: int) -> float:
        start.record()
        for _ in range(repeats):
            action()
        stop.record()
        stop.synchronize()
        return cuda.event_elapsed_time(start, stop)

    batch_ms(1)
    repeats = max(1, min(1000, int(BATCH_MS / batch_ms(3) * 3)))
    return 1000 * statistics.median(batch_ms(repeats) / repeats for _ in range(BATCHES))


def _driver(used: Device) -> str:
    """The driver's version as NVIDIA counts it, where the system tells, else the version of CUDA that it supports."""
    loaded = Path("/proc/driver/nvidia/version")
    found = re.search(r"\b\d{3,}\.[\d.]+\b", loaded.read_text()) if loaded.exists() else None
    return found[0] if found else "CUDA " + ".".join(map(str, used.driver))
