"""Both engines side by side: operations on ciphertexts, then whole networks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tenseal.sealapi as sealapi

from bench.cases.key_switching import SwitchingJob, switches
from bench.cases.options import HeOptions
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.harness.yardstick import seal_rotate_ms
from bench.report.he import HeRow, show
from he import Circuit, Client, PreparedCircuit, Session, compile_approximate, compile_exact, interface_bytes, prepare
from he.circuit.commitment import SALT_BYTES
from he.circuit.inputs import InputSpec
from he.circuit.interface import Interface
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.formats import switching
from he.formats.messages import Kind, open_message
from he.formats.seal_bridge import create_context, from_bytes, to_bytes
from he.program.operations import Source
from he.program.recorder import Recorder
from he.ring.params import PLAIN_MODULUS, Parameters
from he.ring.scheme import Scheme
from intnn import IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped

__all__ = ["NetworkJob", "OperationsJob", "SwitchingJob", "jobs", "measure", "show"]

RINGS = {8192: (50, 40, 40, 50), 16384: (50, 45, 45, 45, 45, 45, 50)}
SWITCHES = (
    SwitchingJob(8192, (35,) * 6, 4, (1, 2)),
    SwitchingJob(16384, (35,) * 12, 9, (1, 3)),
    SwitchingJob(32768, (42,) * 20, 16, (1, 4)),
    SwitchingJob(32768, (34,) * 25, 20, (1, 5)),
)
SCHEMES: tuple[Literal["bfv", "ckks"], ...] = ("ckks", "bfv")
SCALE_BITS = 40
ROTATIONS = 10  # of one value, for hoisting
REPEATS = 9


@dataclass(frozen=True)
class OperationsJob:
    """Operations of both engines on the same ciphertexts and keys, one thread each, taking turns.

    Attributes:
        scheme: "bfv" or "ckks".
        poly_modulus_degree: N, a key of RINGS.
        coeff_modulus_bits: The bits of the primes, the special one last.
    """

    scheme: Literal["bfv", "ckks"]
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]

    @property
    def title(self) -> str:
        """The scheme and the ring."""
        return f"operations, {self.scheme}, N = {self.poly_modulus_degree}"


@dataclass(frozen=True)
class NetworkJob:
    """A shipped network: one image at a time beside SEAL, then all slots full.

    Attributes:
        network: The name of the network.
        dataset: The name of the data set that the images come from.
        data: The folder of that data set; None for where it is found by itself.
        images: The number of images that are evaluated one by one.
        threads: The numbers of threads of the fast engine.
        max_error: The bound on the error of a logit of a CKKS network.
    """

    network: str
    dataset: str
    data: Path | None
    images: int
    threads: tuple[int, ...]
    max_error: float

    @property
    def title(self) -> str:
        """The network."""
        return self.network


def jobs(options: HeOptions) -> tuple[OperationsJob | SwitchingJob | NetworkJob, ...]:
    """The rings and schemes of single operations and key switches, where they are asked for, and the networks.

    Raises:
        ValueError: A network is not shipped or not of the data set, its data is missing, or a bound is not positive.
    """
    if not options.max_error > 0:
        raise ValueError(f"`--max-error` must be positive, got {options.max_error}")
    datasets.load(options.dataset, options.data)
    names = options.network or tuple(n for n in shipped.names() if shipped.record(n).dataset == options.dataset)
    for name in names:
        if shipped.record(name).dataset != options.dataset:
            raise ValueError(f"`--network` must be one of {options.dataset}, got {name}; or give its `--dataset`")
        shipped.load(name)
    operations = tuple(
        OperationsJob(scheme, N, bits) for N, bits in RINGS.items() for scheme in SCHEMES if options.operations
    )
    threads = options.threads or tuple(sorted({1, min(2, available_threads()), available_threads()}))
    about = options.dataset, options.data, options.images, threads, options.max_error
    return *operations, *(SWITCHES if options.operations else ()), *(NetworkJob(name, *about) for name in names)


def measure(job: OperationsJob | SwitchingJob | NetworkJob, report: Reporter) -> Iterator[HeRow]:
    """The rows of a job, one by one."""
    if isinstance(job, OperationsJob):
        report("taking turns")
        yield from _operations(job.scheme, job.poly_modulus_degree, job.coeff_modulus_bits)
    elif isinstance(job, SwitchingJob):
        report("taking turns")
        yield from switches(job)
    else:
        yield from _networks(job, report)


def _operations(scheme: Literal["bfv", "ckks"], N: int, bits: tuple[int, ...]) -> Iterator[HeRow]:
    """Time single operations on one thread; both engines take turns, and SEAL is the yardstick of the fast one."""
    t, scale = (PLAIN_MODULUS, None) if scheme == "bfv" else (None, SCALE_BITS)
    circuit = _bare(Parameters(Scheme(scheme), N, bits, t, scale))
    client = Client(interface_bytes(circuit.interface))
    request = client.encrypt(np.ones((1, 1), np.int64 if scheme == "bfv" else np.float64))
    engines = {
        name: prepare(circuit, name).session(client.evaluation_keys, threads=1).evaluator for name in ("rns", "seal")
    }
    (data,) = open_message(Kind.REQUEST, request)[1]
    works: dict[str, dict[str, Callable[[], object]]] = {"read evaluation keys": _key_readers(client)}
    for name, engine in engines.items():
        algebra, x = engine.algebra(), engine.read(data)  # type: ignore[attr-defined]

        def product(algebra: Any = algebra, x: Any = x) -> object:
            return algebra.relinearise(algebra.multiply(x, x))

        def rotate(algebra: Any = algebra, x: Any = x) -> object:
            return algebra.mod_down(algebra.rotate(x.fresh(1), 1))

        def rotations(algebra: Any = algebra, x: Any = x) -> object:
            value = x.fresh(ROTATIONS)
            return [algebra.mod_down(algebra.rotate(value, 1 << k)) for k in range(ROTATIONS)]

        def rotated_sum(algebra: Any = algebra, x: Any = x) -> object:
            value = x.fresh(ROTATIONS)
            return algebra.mod_down(algebra.add([algebra.rotate(value, 1 << k) for k in range(ROTATIONS)]))

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
            yield HeRow(
                work=work,
                scheme=scheme,
                poly_modulus_degree=N,
                coeff_modulus_bits=bits,
                engine=name,
                threads=1,
                batch=0,
                ms=ms,
                units=ms / unit,
                ratio_to_seal=medians["seal"] / ms,
            )


def _key_readers(client: Client) -> dict[str, Callable[[], object]]:
    """Reading evaluation keys to residues that are checked: as they travel, and by SEAL what SEAL wrote of them."""
    interface, data = client.interface, client.evaluation_keys.data
    context = create_context(interface.parameters)
    generator = sealapi.KeyGenerator(context)
    relin = to_bytes(generator.create_relin_keys())
    galois = to_bytes(generator.create_galois_keys(interface.galois_elements))

    def ours() -> None:
        for _ in switching.read(data, interface.parameters, interface.key_elements):
            pass

    def seals() -> object:
        return from_bytes(sealapi.RelinKeys(), context, relin), from_bytes(sealapi.GaloisKeys(), context, galois)

    return {"rns": ours, "seal": seals}


def _bare(parameters: Parameters) -> Circuit:
    """A circuit of one input that needs the keys of all operations."""
    packing = Packing(parameters.rows, parameters.row_length)
    recorder = Recorder()
    x = recorder.input(0)
    rotated = [recorder.rotate(x, 1 << k) for k in range(ROTATIONS)]
    total = recorder.add([recorder.relinearise(recorder.multiply(x, x)), *rotated])
    program = recorder.program(parameters.slots, [total])
    layout = InputLayout.of(packing, 1, np.zeros((1, 1), np.int64))
    steps = tuple(sorted(program.rotation_steps))
    images = InputSpec("images", Source(), (1,), 0, 1, 1.0, layout)
    output = OutputLayout(packing, 1, 1)
    tolerance = 0.0 if parameters.scheme.exact else 1.0
    interface = Interface(
        parameters=parameters,
        inputs=(images,),
        output=output,
        rotation_steps=steps,
        swaps_rows=False,
        multiplies=True,
        rerandomises=False,
        tolerance=tolerance,
        output_scale=1.0,
        output_level=parameters.levels,
        commitment="0" * 64,
    )
    return Circuit(interface, program, 0.0, (), bytes(SALT_BYTES))


def _networks(job: NetworkJob, report: Reporter) -> Iterator[HeRow]:
    """Time a network image by image on both engines, and on the fast one with an image in every slot."""
    dataset, name = datasets.load(job.dataset, job.data), job.network
    model = shipped.load(name)
    exact = isinstance(model, IntNetwork)
    test = dataset.test_images[: job.images]
    inputs = model.quantise_input(test) if exact else test.astype(np.float64)  # type: ignore[union-attr]
    compile_it: Any = compile_exact if exact else partial(compile_approximate, max_error=job.max_error)
    report("one image")
    single = compile_it(model)
    seal_ms = None
    sides = {"seal": single.with_usual_keys(), "rns": single}
    clients = {engine: Client(interface_bytes(circuit.interface)) for engine, circuit in sides.items()}
    prepared = {engine: timed(partial(prepare, circuit, engine)) for engine, circuit in sides.items()}
    for engine, count in (("seal", 1), *(("rns", count) for count in job.threads)):
        client, (prepare_s, shared) = clients[engine], prepared[engine]
        session_s, session = _bound(shared, client, count)
        row = _network_row(
            name, sides[engine], client, session, model, inputs, dataset.test_labels[: job.images], seal_ms
        )
        seal_ms = row.ms if seal_ms is None else seal_ms
        yield replace(row, prepare_ms=1000 * prepare_s, session_ms=1000 * session_s)
    report("as many images as there are slots")
    full = compile_it(model, packing="throughput")
    size = full.interface.images
    repeated = np.resize(dataset.test_images, (size, *dataset.test_images.shape[1:]))
    batch = model.quantise_input(repeated) if exact else repeated.astype(np.float64)  # type: ignore[union-attr]
    client = Client(interface_bytes(full.interface))
    prepare_s, shared = timed(partial(prepare, full))
    for count in sorted({1, max(job.threads)}):
        session_s, session = _bound(shared, client, count)
        row = _network_row(name, full, client, session, model, batch, dataset.test_labels, None)
        yield replace(row, prepare_ms=1000 * prepare_s, session_ms=1000 * session_s)


def _bound(shared: PreparedCircuit, client: Client, threads: int) -> tuple[float, Session]:
    """Seconds that one more client costs, and its session; the first client in a process also loads kernels."""
    make = partial(shared.session, client.evaluation_keys, threads)
    make()
    return timed(make)


def _network_row(
    name: str,
    circuit: Circuit,
    client: Client,
    session: Session,
    model: Any,
    inputs: np.ndarray,
    labels: np.ndarray,
    seal_ms: float | None,
) -> HeRow:
    """Time one session on inputs [n, *shape], batch by batch, and compare its logits with the plain network's.

    SEAL's time for the same, in milliseconds, is None where it is not known, and not needed for SEAL's own row.
    """
    step, unit = circuit.interface.images, seal_rotate_ms()
    seconds, logits = [], []
    session.evaluate(client.encrypt(inputs[:step]))  # compiles
    for start in range(0, len(inputs), step):
        request = client.encrypt(inputs[start : start + step])
        elapsed, answer = timed(lambda request=request: session.evaluate(request))  # type: ignore[misc]
        seconds.append(elapsed)
        logits.append(client.decrypt(answer, request))
    found, plain = np.concatenate(logits), model.logits(inputs)
    mismatches = int((found != plain).any(axis=1).sum()) if circuit.parameters.scheme.exact else None
    distinct = min(len(inputs), len(labels))  # those behind repeat them
    ms, parameters = 1000 * statistics.median(seconds), circuit.parameters
    unit = statistics.mean([unit, seal_rotate_ms()])
    is_seal = session.evaluator.name == "seal"
    return HeRow(
        work=name,
        scheme=parameters.scheme,
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        engine=session.evaluator.name,
        threads=session.evaluator.threads,
        batch=step,
        ms=ms,
        units=ms / unit,
        ratio_to_seal=1.0 if is_seal else None if seal_ms is None else seal_ms / ms,
        amortised_units=ms / unit / step,
        accuracy=float((found[:distinct].argmax(axis=1) == labels[:distinct]).mean()),
        n_images=distinct,
        exact_mismatches=mismatches,
        evaluation_key_bytes=len(client.evaluation_keys.to_bytes()),
        ciphertext_bytes=len(request),
        peak_rss_bytes=peak_rss_bytes(),
    )
