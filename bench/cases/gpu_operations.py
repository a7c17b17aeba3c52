"""Transforms, rotations and products of ciphertexts on a GPU, beside the CPU's kernels in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.cases.gpu_residues import BITS, LEVELS, random_rows, transform_memory, transforms_agree, uniform
from he.engines.cuda.device import Board, Resident
from he.engines.cuda.places import places, rotations, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Kernel, Plan, Step, Tape
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.lazy import Lazy
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats.switching import RELINEARISATION
from he.kernels.cuda import transform
from he.kernels.cuda.tables import device_tables
from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from he.ring.primes import ntt_primes
from he.ring.scheme import Scheme
from he.ring.slots import automorphism
from intnn.machine.cuda.graph import Repeated

NO_WEIGHTS = Weights({}, {}, {})


@dataclass(frozen=True, eq=False)
class Timed:
    """What is timed.

    Attributes:
        work: What it is.
        ours: It, on the GPU.
        peer: It, on the CPU in one thread.
        steps: The launches of it, for their floor.
        N: The ring's degree.
        count: Of how many ciphertexts it is.
    """

    work: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    steps: Sequence[Step]
    N: int
    count: int


def rotation(algebra: Lazy, x: Value) -> np.ndarray:
    """Rotate the slots of a ciphertext by one."""
    x.rotations = 1  # nobody else needs its digits
    return algebra.mod_down(algebra.rotate(x, 1))


def product(algebra: Lazy, x: Value, y: Value) -> np.ndarray:
    """Multiply two ciphertexts, and relinearise the result."""
    return algebra.mod_down(algebra.relinearise(algebra.multiply(x, y)))


@dataclass(frozen=True)
class Operation:
    """An operation on ciphertexts that needs a key.

    Attributes:
        name: What it is called.
        made: What makes it of an algebra and values.
        takes: The number of values.
    """

    name: str
    made: Callable[..., np.ndarray]
    takes: int

    def element(self, parameters: Parameters) -> int:
        """The Galois element of its key."""
        return parameters.galois_element(1) if self.takes == 1 else RELINEARISATION


ROTATION, PRODUCT = Operation("rotation", rotation, 1), Operation("product, relinearised", product, 2)
#: In which schemes they are made: rotations are the same kernels in both.
OPERATIONS = (Scheme.CKKS, ROTATION), (Scheme.CKKS, PRODUCT), (Scheme.BFV, PRODUCT)


class Both:
    """An operation on so many random ciphertexts, with one random key, on the GPU and on the CPU.

    Args:
        operation: The operation.
        parameters: The parameters of its ciphertexts, which are at the highest level.
        count: How many ciphertexts it makes.

    Attributes:
        plan: The launches of all of them.
    """

    def __init__(self, operation: Operation, parameters: Parameters, count: int) -> None:
        rng, self._operation, self._N = np.random.default_rng(0), operation, parameters.poly_modulus_degree
        top, element = Gadget.of(parameters, parameters.levels), operation.element(parameters)
        self._encoder, self._named = Encoder.of(parameters), [(element, top)]
        key = uniform(rng, top.primes, self._N, len(top.groups), 2)
        self._keys = SwitchingKeys.of(self._encoder, [(element, top, key)])
        self._given = [
            [uniform(rng, parameters.data_primes, self._N, 2) for _ in range(operation.takes)] for _ in range(count)
        ]
        tape = Tape()
        algebra = recorded(parameters.scheme)(self._encoder, places(NO_WEIGHTS, self._named), False, tape)
        rows = [[tape.new(2, parameters.levels) for _ in values] for values in self._given]
        tape.inputs = [x for values in rows for x in values]
        tape.outputs = [operation.made(algebra, *map(Value, values)) for values in rows]
        self.plan = Plan.of(tape)

    def on_device(self, *, stays: bool) -> Callable[[], list[np.ndarray]]:
        """Copy everything to the GPU, and return what does it there with one graph, again and again.

        Args:
            stays: Whether results stay on the GPU, and inputs are what its memory holds; or the ciphertexts are
                copied there, and results back.
        """
        elements, nothing = rotations(self._named), np.empty((0, self._N), np.uint64)
        orders = stacked([automorphism(self._N, element) for element in elements], np.int32, self._N)
        rows = [self._keys.key(*named).factors.rows() for named in self._named]
        plan = replace(self.plan, outputs=()) if stays else self.plan
        resident = Resident(plan, self._encoder.chain, nothing, orders)
        board = Board(resident, plan, stacked(rows, np.uint64, self._N), graph=True)
        given = [x.reshape(-1, self._N) for values in self._given for x in values]
        board.evaluate(given)
        return partial(board.evaluate, left_as_it_is if stays else given)

    def on_host(self) -> list[np.ndarray]:
        """Do it on the CPU."""
        workers, buffers, scheme = Workers(1), Buffers(), self._encoder.parameters.scheme
        algebra = Residues.of(scheme)(self._encoder, NO_WEIGHTS, self._keys, False, (), workers, buffers)
        return [self._operation.made(algebra, *map(Value, values)) for values in self._given]

    def agree(self) -> bool:
        """Whether the results are the same in every bit."""
        expected = [x.reshape(-1, self._N) for x in self.on_host()]
        found = self.on_device(stays=False)()
        return len(found) == len(expected) and all(map(np.array_equal, found, expected))


def left_as_it_is(*_: object) -> None:
    """Write no inputs to a memory: those of the evaluation before are what is there."""


def parameters_of(scheme: Scheme, N: int) -> Parameters:
    """Secure parameters of three data primes for N = 8192, and of six for twice as much."""
    bits = 50, *[40] * (2 if N == 8192 else 5), 50
    if scheme.exact:
        return Parameters(scheme, N, bits, plain_modulus=65537)
    return Parameters(scheme, N, bits, scale_bits=40)


def checks(N: int, count: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The checks with their names; each says whether the device and the CPU agree in every bit."""
    yield f"residues: transforms, N = {N}", partial(transforms_agree, N, count)
    for scheme, operation in OPERATIONS:
        both = partial(Both, operation, parameters_of(scheme, N), count)
        yield f"residues: {operation.name}, {scheme.name}, N = {N}", lambda both=both: both().agree()  # type: ignore[misc]


def workloads(N: int, count: int) -> Iterator[Timed]:
    """What is timed in a ring, for so many ciphertexts at once."""
    yield transforms(N, count)
    for scheme, operation in OPERATIONS:
        yield timed(operation, parameters_of(scheme, N), count)


def transforms(N: int, count: int) -> Timed:
    """Forward transforms of all rows, as a graph."""
    tables = chain(N, ntt_primes(BITS, N))
    x, device = random_rows(tables, 2 * count), device_tables(tables)
    held, there, _, scales = transform_memory(tables, x)

    def peer() -> None:
        for i, row in enumerate(x):
            evaluate.forward(tables.tables, row, i % LEVELS)

    name = f"NTT, N = {N}, {LEVELS} primes{_number(count)}"
    step = Step(Kernel.FORWARD, there.copy_to_host().view(np.int64), np.empty((0, 1), np.int64), np.empty(0))
    return Timed(name, Repeated(transform.forward(device, held, there, scales)), peer, (step,), N, count)


def timed(operation: Operation, parameters: Parameters, count: int) -> Timed:
    """An operation on so many ciphertexts, as a graph."""
    both, N = Both(operation, parameters, count), parameters.poly_modulus_degree
    name = f"{operation.name}, {parameters.scheme.name}, N = {N}, {parameters.levels} primes{_number(count)}"
    return Timed(name, both.on_device(stays=True), both.on_host, both.plan.launches, N, count)


def _number(count: int) -> str:
    return "" if count == 1 else f", {count} ciphertexts"
