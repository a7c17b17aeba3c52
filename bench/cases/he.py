"""Both engines side by side: operations on ciphertexts, then whole networks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.cases.kernels import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.harness.yardstick import seal_rotate_ms
from he import Circuit, Client, Server, compile_approximate, compile_exact, interface_bytes
from he.circuit.interface import Interface
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.engines.rns.engine import RnsEngine
from he.engines.seal.engine import SealEngine
from he.formats.messages import Kind, open_message
from he.program.recorder import Recorder
from he.ring.params import PLAIN_MODULUS, Parameters
from intnn import IntNetwork
from plaintext_models import shipped
from plaintext_models.datasets import Dataset

RINGS = {8192: (50, 40, 40, 50), 16384: (50, 45, 45, 45, 45, 45, 50)}
SCALE_BITS = 40
ROTATIONS = 10  # of one value, for hoisting
REPEATS = 9


@dataclass(frozen=True)
class HeRow:
    """One measurement.

    Attributes:
        work: An operation, or a network.
        scheme: "bfv" or "ckks".
        poly_modulus_degree: N.
        coeff_modulus_bits: Bits of the primes, the special one last.
        engine: "rns" or "seal".
        threads: Of the evaluation.
        batch: Images of a request; 0 for an operation.
        ms: Median milliseconds of one operation, or of one evaluation, input and output bytes included.
        units: ``ms`` in units of one CKKS rotation by SEAL at N = 8192, primes of 60, 40, 40, 60 bits, same run.
        ratio_to_seal: SEAL's time over this one's, for the same work; None where SEAL was not timed.
        amortised_units: Units for each image of the batch.
        accuracy: Of the decrypted answers; None for an operation.
        n_images: That the accuracy is of.
        exact_mismatches: Images with a logit unlike the plain network's; None for CKKS and operations.
        evaluation_key_bytes: What a client sends once.
        ciphertext_bytes: Of one request.
        peak_rss_bytes: Of the process so far.
    """

    work: str
    scheme: str
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    engine: str
    threads: int
    batch: int
    ms: float
    units: float
    ratio_to_seal: float | None
    amortised_units: float | None = None
    accuracy: float | None = None
    n_images: int | None = None
    exact_mismatches: int | None = None
    evaluation_key_bytes: int | None = None
    ciphertext_bytes: int | None = None
    peak_rss_bytes: int | None = None


def operations(report: Callable[[str], None]) -> Iterator[HeRow]:
    """Operations of both engines on the same ciphertexts and keys, one thread each, taking turns."""
    for N, bits in RINGS.items():
        for scheme in ("ckks", "bfv"):
            report(f"operations, {scheme}, N = {N}")
            yield from _operations(scheme, N, bits)


def _operations(scheme: str, N: int, bits: tuple[int, ...]) -> Iterator[HeRow]:
    t, scale = (PLAIN_MODULUS, None) if scheme == "bfv" else (None, SCALE_BITS)
    circuit = _bare(Parameters(scheme, N, bits, t, scale))  # type: ignore[arg-type]
    client = Client(interface_bytes(circuit.interface))
    request = client.encrypt(np.ones((1, 1), np.int64 if scheme == "bfv" else np.float64))
    engines = {
        "rns": Server(circuit, client.evaluation_keys, partial(RnsEngine, threads=1)).engine,
        "seal": Server(circuit, client.evaluation_keys, SealEngine).engine,
    }
    (data,) = open_message(Kind.REQUEST, request)[1]
    works: dict[str, dict[str, Callable[[], object]]] = {}
    for name, engine in engines.items():
        algebra, x = engine.algebra, engine.read(data)  # type: ignore[attr-defined]

        def product(algebra: Any = algebra, x: Any = x) -> object:
            return algebra.relinearise(algebra.multiply(x, x))

        def rotate(algebra: Any = algebra, x: Any = x) -> object:
            return algebra.settled(algebra.rotate(x.fresh(1), 1))

        def rotations(algebra: Any = algebra, x: Any = x) -> object:
            value = x.fresh(ROTATIONS)
            return [algebra.settled(algebra.rotate(value, 1 << k)) for k in range(ROTATIONS)]

        def rotated_sum(algebra: Any = algebra, x: Any = x) -> object:
            value = x.fresh(ROTATIONS)
            return algebra.settled(algebra.add([algebra.rotate(value, 1 << k) for k in range(ROTATIONS)]))

        for work, run in (
            ("multiply, relinearise", product),
            ("rotate", rotate),
            (f"{ROTATIONS} rotations", rotations),
            (f"sum of {ROTATIONS} rotations", rotated_sum),
        ):
            works.setdefault(work, {})[name] = run
    for work, runs in works.items():
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        unit = seal_rotate_ms()
        for i in range(REPEATS + 1):
            for name, action in runs.items():
                action()  # brings its own data back into the caches
                elapsed = timed(action)[0]
                if i:  # the first one compiles
                    seconds[name].append(elapsed)
        medians = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
        for name, ms in medians.items():
            yield HeRow(work, scheme, N, bits, name, 1, 0, ms, ms / unit, medians["seal"] / ms)


def _bare(parameters: Parameters) -> Circuit:
    """A circuit of one input that needs the keys of the operations."""
    packing = Packing(parameters.rows, parameters.row_length)
    recorder = Recorder()
    x = recorder.input(0)
    rotated = [recorder.rotate(x, 1 << k) for k in range(ROTATIONS)]
    program = recorder.program(
        parameters.slots, recorder.add([recorder.relinearise(recorder.multiply(x, x)), *rotated])
    )
    layout = InputLayout(packing, 1, np.zeros((1, 1), np.int64))
    interface = Interface(
        parameters, (1,), 0, 1, layout, OutputLayout(packing, 1, 1), tuple(sorted(program.rotation_steps)), False, True,
        0.0, 1.0,
    )  # fmt: skip
    return Circuit(interface, program, 0.0, ())


def check(names: Sequence[str], images: int, threads: Sequence[int], max_error: float) -> None:
    """Make sure that what is asked for can be measured.

    Raises:
        ValueError: a network is not shipped, or a number is too small.
    """
    for name in names:
        shipped.load(name)
    if min(images, *threads) < 1:
        raise ValueError("`--images` and `--threads` must be at least 1")
    if not max_error > 0:
        raise ValueError(f"`--max-error` must be positive, got {max_error}")


def networks(
    names: Sequence[str],
    dataset: Dataset,
    images: int,
    threads: Sequence[int],
    max_error: float,
    report: Callable[[str], None],
) -> Iterator[HeRow]:
    """Shipped networks: one image at a time on several numbers of threads, beside SEAL; then all slots full."""
    for name in names:
        model = shipped.load(name)
        exact = isinstance(model, IntNetwork)
        test = dataset.test_images[:images]
        inputs = model.quantise_input(test) if exact else test.astype(np.float64)  # type: ignore[union-attr]
        compile_it: Any = compile_exact if exact else partial(compile_approximate, max_error=max_error)
        report(f"{name}: one image")
        single = compile_it(model)
        client = Client(interface_bytes(single.interface))
        makes: list[Any] = [SealEngine, *(partial(RnsEngine, threads=count) for count in threads)]
        seal_ms = None
        for make in makes:
            row = _network(name, single, client, make, model, inputs, dataset.test_labels[:images], seal_ms)
            seal_ms = row.ms if seal_ms is None else seal_ms
            yield row
        report(f"{name}: as many images as there are slots")
        full = compile_it(model, packing="throughput")
        size = full.interface.images
        repeated = np.resize(dataset.test_images, (size, *dataset.test_images.shape[1:]))
        batch = model.quantise_input(repeated) if exact else repeated.astype(np.float64)  # type: ignore[union-attr]
        client = Client(interface_bytes(full.interface))
        makes = [partial(RnsEngine, threads=count) for count in sorted({1, max(threads)})]
        for make in makes:
            yield _network(name, full, client, make, model, batch, dataset.test_labels, None)


def _network(
    name: str,
    circuit: Circuit,
    client: Client,
    make: Any,
    model: Any,
    inputs: np.ndarray,
    labels: np.ndarray,
    seal_ms: float | None,
) -> HeRow:
    server = Server(circuit, client.evaluation_keys, make)
    step, unit = circuit.interface.images, seal_rotate_ms()
    seconds, logits = [], []
    request = client.encrypt(inputs[:step])
    server.evaluate(request)  # compiles
    for start in range(0, len(inputs), step):
        request = client.encrypt(inputs[start : start + step]) if start else request
        elapsed, answer = timed(lambda request=request: server.evaluate(request))  # type: ignore[misc]
        seconds.append(elapsed)
        logits.append(client.decrypt(answer))
    found, plain = np.concatenate(logits), model.logits(inputs)
    mismatches = int((found != plain).any(axis=1).sum()) if circuit.parameters.scheme == "bfv" else None
    distinct = min(len(inputs), len(labels))  # those behind repeat them
    ms, parameters = 1000 * statistics.median(seconds), circuit.parameters
    unit = statistics.mean([unit, seal_rotate_ms()])
    is_seal = server.engine.name == "seal"
    return HeRow(
        name,
        parameters.scheme,
        parameters.poly_modulus_degree,
        parameters.coeff_modulus_bits,
        server.engine.name,
        server.engine.threads,
        step,
        ms,
        ms / unit,
        1.0 if is_seal else None if seal_ms is None else seal_ms / ms,
        ms / unit / step,
        float((found[:distinct].argmax(axis=1) == labels[:distinct]).mean()),
        distinct,
        mismatches,
        len(client.evaluation_keys),
        len(request),
        peak_rss_bytes(),
    )


def print_rows(console: Console, rows: Sequence[HeRow]) -> None:
    """Operations, one image alone, and full batches. Fits 80 columns."""
    parts = (
        ("Operations, one thread", [r for r in rows if not r.batch], ("ms", "units", "vs SEAL")),
        ("One image", [r for r in rows if r.batch == 1], ("ms", "units", "vs SEAL", "right")),
        ("An image in every slot", [r for r in rows if r.batch > 1], ("images", "s", "µs each", "units each", "right")),
    )
    for title, chosen, headings in parts:
        if not chosen:
            continue
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        for heading in ("", "N", "engine", "threads", *headings):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in chosen:
            cells = {
                "ms": f"{row.ms:.3g}",
                "units": f"{row.units:.3g}",
                "vs SEAL": "-" if row.ratio_to_seal is None else f"{row.ratio_to_seal:.1f}x",
                "right": "" if row.accuracy is None else f"{100 * row.accuracy:.1f}%",
                "images": f"{row.batch:,}",
                "s": f"{row.ms / 1000:.2f}",
                "µs each": f"{1000 * row.ms / max(row.batch, 1):.0f}",
                "units each": "" if row.amortised_units is None else f"{row.amortised_units:.3f}",
            }
            identity = (row.work, row.scheme, str(row.poly_modulus_degree), row.engine, str(row.threads))
            table.add_row(*identity, *(cells[heading] for heading in headings))
        console.print(table)


def default_threads() -> list[int]:
    """One, two and all."""
    return sorted({1, min(2, available_threads()), available_threads()})
