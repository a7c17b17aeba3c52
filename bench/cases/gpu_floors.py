"""How many bytes and operations work on a GPU takes, counted from shapes; no GPU is needed.

Bytes are those that have to be read and written once: inputs, outputs and parameters of every kernel, with what fills
rows up. Operations are the multiplications and additions of bytes that tensor cores carry out, with that filling too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.tables.gpus import Gpu
from he.engines.cuda import roofline
from he.engines.cuda.roofline import needed
from he.engines.cuda.tape import Plan, Step
from intnn import IntNetwork
from intnn.device.lower import Lowering
from intnn.device.steps import ProductStep
from intnn.ops.cuda.product import TENSOR, Product


@dataclass(frozen=True)
class Work:
    """What a kernel does at least.

    Attributes:
        what: The kernel, or the layers that it evaluates.
        nbytes: The bytes to and from memory.
        operations: The multiplications and additions on tensor cores.
    """

    what: str
    nbytes: int
    operations: int = 0


def product_work(what: str, product: Product, inputs: int) -> Work:
    """A product's work for so many inputs."""
    height, width = product.image
    rows = inputs * product.out_image[0] * product.out_image[1]
    read = inputs * height * width * product.pixel_bytes
    made = rows * product.row_width * product.out_dtype.itemsize
    return Work(what, read + made + product.nbytes, 2 * rows * product.row_width * product.depth)


def network_work(network: IntNetwork, inputs: int) -> list[Work]:
    """The work of every step of a network for so many inputs."""
    lowered = Lowering(
        network.input_shape, network.input_domain, network.layers, network.sources, network.shapes, network.intervals,
        network.bounds, TENSOR,
    )  # fmt: skip
    works = []
    for step in lowered.steps:
        if isinstance(step, ProductStep):
            works.append(product_work(step.what, step.product, inputs))
        else:
            moved = sum(lowered.values[number].nbytes for number in (*step.reads, step.makes))
            works.append(Work(step.what, inputs * moved + step.nbytes))
    return works


def floor_us(works: list[Work], gpu: Gpu) -> float:
    """The least microseconds of kernels one after the other."""
    return sum(gpu.floor_us(work.nbytes, work.operations) for work in works)


def plan_floor_us(plan: Plan, N: int, gpu: Gpu) -> float:
    """The least microseconds of a plan's kernels, those that unpack its inputs among them; copies are not counted."""
    sheet = roofline.Gpu(gpu.name, 1e9 * gpu.gigabytes, 1e12 * gpu.float_tflops / 2)
    return 1e6 * sum(need.longer[0] for need in roofline.needs(plan, N, [sheet]))


def steps_floor_us(steps: Iterable[Step], N: int, gpu: Gpu) -> float:
    """The least microseconds of an engine's launches on residues, one after the other; copies are not counted."""
    bandwidth, instructions = 1e3 * gpu.gigabytes, 1e6 * gpu.float_tflops / 2  # in a microsecond
    needs = [needed(step, N) for step in steps]
    return sum(max(moved / bandwidth, issued / instructions) for _, moved, issued in needs)
