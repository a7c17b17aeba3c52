"""What circuits and kernels need of two GPUs at least, as tables for docs/gpu.md: predictions, not measurements.

`python -m bench.cases.gpu_predictions` prints them. No GPU is needed, for nothing runs.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.tables.gpus import gpu
from he import compile_approximate, compile_exact
from he.compiler.search import PackingName
from he.engines.cuda.engine import CudaPrepared
from he.engines.cuda.roofline import WORD, Gpu, needed, needed_on_arrival, needs
from he.engines.cuda.tape import Kernel, Step
from he.engines.rns.engine import encoder_of
from he.engines.rns.weights import Weights
from he.formats.compact import Form
from he.kernels.cuda.columns import MINUEND, NONE, ORIGIN
from he.ring.primes import ntt_primes
from intnn.network.graph import Graph
from plaintext_models.zoo import shipped

NAMES = "H100", "RTX 4090"
GPUS = [Gpu(sheet.name, 1e9 * sheet.gigabytes, 1e12 * sheet.float_tflops / 2) for sheet in map(gpu, NAMES) if sheet]
RING = 16384  # degree, for kernels
BITS = 50  # of the prime of rows that come
ROWS = 1000  # of a launch: enough to fill every GPU
CIRCUITS: Sequence[tuple[str, PackingName]] = (
    ("digits-square-cnn", "latency"),
    ("mnist-square-cnn", "latency"),
    ("digits-square-cnn", "throughput"),
    ("mnist-square-cnn", "throughput"),
)


def circuit_row(name: str, packing: PackingName) -> tuple[str, ...]:
    """What one evaluation of a shipped network's circuit needs, and an image's part of it on each GPU."""
    model = shipped.load(name)
    images = 1 if packing == "latency" else None  # as many as there are slots
    if isinstance(model, Graph):
        circuit = compile_approximate(model, packing=packing, images=images)
    else:
        circuit = compile_exact(model, packing=packing, images=images)
    encoder = encoder_of(circuit)
    plan = CudaPrepared(circuit, encoder, Weights.encoded(circuit, encoder, 1)).plan
    N, batch = circuit.parameters.poly_modulus_degree, circuit.interface.packing.images
    found = needs(plan, N, GPUS)
    floors = [1e6 * sum(need.longer[i] for need in found) for i in range(len(GPUS))]
    fresh = Form.fresh(circuit.parameters)
    copied = fresh.bytes * len(plan.inputs) + WORD * N * plan.output_rows * len(plan.outputs)
    return (
        f"{name}, {packing}",
        str(batch),
        str(N),
        str(sum(need.launches for need in found)),
        f"{sum(need.bytes for need in found) / 1e6:.0f}",
        f"{sum(need.instructions for need in found) / 1e9:.2f}",
        f"{copied / 1e6:.1f}",
        *(f"{floor:.0f}" for floor in floors),
        *(f"{floor / batch:.2f}" for floor in floors),
    )


def kernel_row(name: str, step: Step) -> tuple[str, ...]:
    """What a launch needs for each line of its table, and the microseconds of the whole on each GPU."""
    _, moved, instructions = needed(step, RING)
    return _kernel_row(name, moved, instructions, len(step.table))


def arrival_rows() -> Iterator[tuple[str, ...]]:
    """What unpacking rows needs, and drawing them from seeds, of each of which there is one row."""
    prime = ntt_primes((BITS,), RING)
    for name, _, moved, instructions in needed_on_arrival(Form(prime, RING, True, 1.0, True), ROWS):
        yield _kernel_row(f"a row of {BITS} bits that comes: {name}", moved, instructions, ROWS)


def _kernel_row(name: str, moved: int, instructions: int, lines: int) -> tuple[str, ...]:
    times = [(moved / one.bandwidth, instructions / one.instructions) for one in GPUS]
    floors = [f"{1e6 * max(pair):.0f} ({'memory' if pair[0] > pair[1] else 'instructions'})" for pair in times]
    return name, f"{moved / lines / 1e3:.0f}", f"{instructions / lines / 1e6:.2f}", *floors


def kernel_steps() -> Iterator[tuple[str, Step]]:
    """Launches of every kernel on `ROWS` lines, with as many terms as circuits of a few levels have."""
    fresh = iter(range(1 << 40))

    def new() -> int:
        return next(fresh)

    def step(kernel: Kernel, terms: int = 0, without: Sequence[int] = ()) -> Step:
        table = np.zeros((ROWS, kernel.columns), np.int64)
        for place in (*kernel.read, *kernel.written):
            table[:, place] = [new() for _ in range(ROWS)]
        if kernel.wide:
            table[:, :2] = np.arange(ROWS)[:, None] * terms + [0, terms]
        rows = np.array([[new() for _ in range(kernel.wide)] for _ in range(ROWS * terms)], np.int64)
        table[:, list(without)] = NONE
        return Step(kernel, table, rows.reshape(-1, max(1, kernel.wide)), np.zeros(ROWS * terms))

    yield "forward transform", step(Kernel.FORWARD, without=(ORIGIN, MINUEND))
    yield "forward, of another prime, ends a division", step(Kernel.FORWARD)
    yield "inverse transform", step(Kernel.INVERSE)
    yield "combination of 4 rows", step(Kernel.COMBINE, 4)
    yield "eight combinations of the same 64 rows", step(Kernel.COMBINE_TILE, 64)
    yield "sum of 8 plain products, two rows", step(Kernel.PRODUCTS, 8)
    yield "rotation or key switch, 3 digits, two rows", step(Kernel.SWITCH, 3)
    yield "extension from 2 primes", step(Kernel.EXTEND, 2)
    yield "ciphertext product, three rows", step(Kernel.TENSOR)
    yield "sum of 8 ciphertext products, three rows", step(Kernel.TENSOR_SUMS, 8)
    yield "squares of both parts, three rows", step(Kernel.SQUARE_PARTS)


def tables() -> list[str]:
    """The lines of both tables, in Markdown."""
    heads = (
        ("kernel", "kB a line", "M instructions a line", *(f"{name}, µs for {ROWS} lines" for name in NAMES)),
        ("circuit", "images", "N", "kernels", "MB moved", "G instructions", "MB copied",
         *(f"{name}, µs" for name in NAMES), *(f"{name}, µs an image" for name in NAMES)),
    )  # fmt: skip
    kernels = [*(kernel_row(*pair) for pair in kernel_steps()), *arrival_rows()]
    bodies = kernels, [circuit_row(*pair) for pair in CIRCUITS]
    lines: list[str] = []
    for head, body in zip(heads, bodies, strict=True):
        lines += [_line(head), _line(["---"] * len(head)), *map(_line, body), ""]
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(tables()))
