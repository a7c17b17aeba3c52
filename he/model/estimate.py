"""What a model would cost, before a key is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from he.circuit.residues import interfaces
from he.engines.engine import thread_count
from he.formats.compact import Form
from he.model.compile import compile as compile_model
from he.model.compiled import Compiled
from he.parties.prepared import PreparedCircuit, prepare
from he.ring.params import ParameterError, Parameters
from intnn.values.value_object import ValueObject

REHEARSALS = 5


@dataclass(frozen=True)
class Estimate(ValueObject):
    """What an encrypted evaluation of a model costs on this machine.

    Attributes:
        fits: whether parameters were found; if not, `reasons` says why, and the other fields are None.
        reasons: one line for every choice.
        exact: whether the path is that of integers.
        parameters: the encryption parameters.
        images: the inputs that one evaluation serves.
        units: the cost of one evaluation, in units of one SEAL rotation.
        seconds: the time of one evaluation on `threads` threads: evaluated with random numbers instead of ciphertexts.
        threads: the number of threads.
        memory_bytes: encoded weights, one client's keys, and the values that wait for others.
        key_bytes: the evaluation keys that a client sends once.
        request_bytes: the ciphertexts of a request.
        answer_bytes: the ciphertexts of an answer.
        agreement: see `Compiled.agreement`.
    """

    fits: bool
    reasons: tuple[str, ...]
    exact: bool | None = None
    parameters: Parameters | None = None
    images: int | None = None
    units: float | None = None
    seconds: float | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    key_bytes: int | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    agreement: float | None = None

    def __str__(self) -> str:
        if not self.fits:
            return "\n".join(["does not fit", *self.reasons])
        assert self.seconds is not None and self.agreement is not None  # noqa: PT018
        sizes = (("memory", self.memory_bytes), ("keys", self.key_bytes), ("request", self.request_bytes))
        rows = [
            ("path", "exact (BFV)" if self.exact else "approximate (CKKS)"),
            ("parameters", str(self.parameters)),
            ("cost", f"{self.units:.1f} units for {self.images} input(s)"),
            ("time", f"{self.seconds:.3f} s on {self.threads} thread(s)"),
            *((name, f"{(size or 0) / 1e6:.1f} MB") for name, size in (*sizes, ("answer", self.answer_bytes))),
            ("agreement", f"{self.agreement:.2%} with the float model, on samples held out"),
        ]
        return "\n".join(f"{name:<11}{text}" for name, text in rows)


def estimate(model: Any, samples: ArrayLike, *, threads: int | None = None, **options: Any) -> Estimate:
    """Say whether a model fits, and what it costs, before any key is made.

    Args:
        model: see `he.compile`.
        samples: see there.
        threads: the number of threads of an evaluation; by default one for each available processor.
        **options: the other options of `he.compile`.

    Raises:
        TypeError, ValueError: as `he.compile`, but that a model which fits no parameters is no error.
    """
    threads = thread_count(threads)
    try:
        compiled = compile_model(model, samples, **options)
    except ParameterError as refusal:
        return Estimate(fits=False, reasons=(str(refusal),))
    return estimate_of(compiled, prepare(compiled.circuit, threads=threads), threads)


def estimate_of(compiled: Compiled, prepared: PreparedCircuit, threads: int) -> Estimate:
    """Return what one evaluation of a compiled model on so many threads costs, by its prepared circuit."""
    interface, cost = compiled.circuit.interface, compiled.circuit.cost()
    count = len(interfaces(interface))
    parameters = interface.parameters
    sent = count * sum(spec.layout.ciphertexts for spec in interface.client_inputs)
    result = Form.result(parameters, interface.output_level, interface.output_scale)
    return Estimate(
        fits=True,
        reasons=compiled.reasons,
        exact=compiled.exact,
        parameters=parameters,
        images=interface.images,
        units=cost.total,
        seconds=prepared.rehearse(threads, REHEARSALS),
        threads=threads,
        memory_bytes=prepared.encoded_bytes + 2 * cost.key_bytes + cost.value_bytes,
        key_bytes=cost.key_bytes,
        request_bytes=sent * Form.fresh(parameters).bytes,
        answer_bytes=count * interface.output.ciphertexts * result.bytes,
        agreement=compiled.agreement,
    )
