"""The check of engines: what `he.engines.engine` promises, tried on one circuit.

Nothing but the answers of the network itself says what is right. What is refused must be refused with a ValueError.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.engine import Engine, Prepared
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.formats.seal_bytes import CiphertextArray
from he.formats.switching import key_bytes
from he.parties.client import Client
from he.parties.connect import connect
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.prepared import PreparedCircuit
from he.parties.session import Session
from he.program.operations import AddPlain, Matrix, Operation, PlainDot, Source, SwitchModulus
from he.ring.params import Parameters
from he.testing.checks import Network, encrypted_equals_plain, require_refused, require_within
from he.testing.strategies import inputs

Asked = list[tuple[Client, Session, np.ndarray, bytes]]


def engine_keeps_its_promises(engine: Engine, circuit: Circuit, network: Network) -> None:
    """Check what every engine promises.

    Two clients of one prepared circuit ask different requests in turns, and the same ones again in another order:
    answers must be right, and the same request must have the same bytes, also from a circuit that was stored and
    restored. The engine must refuse, with a ValueError, inputs that are too few, too many, damaged, foreign or not
    fresh; keys that are missing, damaged, or more than the circuit needs; a program that has not been placed; inputs in
    the clear; and stored arrays that are not the circuit's.

    Args:
        engine: the engine.
        circuit: the compiled network.
        network: the network.

    Raises:
        AssertionError: if a promise is not kept, or the engine raises anything else.
    """
    who = f"engine {engine.name}"
    most = circuit.interface.images
    with _no_error(f"{who}: the circuit must be prepared and evaluated"):
        encrypted_equals_plain(circuit, network, inputs(network, most), engine)
        prepared = engine.prepare(circuit)
        pairs = [connect(PreparedCircuit(prepared)) for _ in range(2)]
        batches = [inputs(network, images, seed) for seed, images in enumerate((1, most, 1, most))]
        asked = [(*pair, batch, pair[0].encrypt(batch)) for batch in batches for pair in pairs]
        _require_right_answers(asked, circuit, network, who)
    client, session, _, request = asked[0]
    _, parts = open_message(Kind.REQUEST, request)
    arrays = _require_storage(engine, prepared, client.evaluation_keys, session, request)
    for what, wrong in _wrong_inputs(parts, circuit.parameters).items():
        require_refused(partial(session.evaluator.evaluate, wrong), f"{who}: {what}")
    for what, keys in _wrong_keys(client.evaluation_keys.data, circuit.parameters).items():
        require_refused(partial(prepared.bind, keys), f"{who}: {what}")
    for what, other in _wrong_circuits(circuit).items():
        require_refused(partial(engine.prepare, other), f"{who}: {what}")
        require_refused(partial(engine.restore, other, arrays), f"{who}: {what}, restored")
    with _no_error(f"{who}: what was refused must change no answer"):
        again = client.encrypt(asked[0][2])
        _require_right_answers([(client, session, asked[0][2], again)], circuit, network, who)


@contextmanager
def _no_error(what: str) -> Iterator[None]:
    """Turn whatever is raised into an AssertionError."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}, got {error!r}") from error


def _require_right_answers(asked: Asked, circuit: Circuit, network: Network, who: str) -> None:
    """Check the answers to requests; then ask again in the opposite order and compare the bytes."""
    answers = [session.evaluate(request) for _, session, _, request in asked]
    for (client, _, batch, request), answer in zip(asked, answers, strict=True):
        require_within(client.decrypt(answer, request), network.logits(batch), circuit, who)
    if len(set(answers)) < len(answers):  # every request has randomness of its own, and so has its answer
        raise AssertionError(f"{who}: different requests must have different answers")
    for (_, session, _, request), answer in reversed(list(zip(asked, answers, strict=True))):
        if _evaluated(session, request) != open_message(Kind.RESPONSE, answer)[1]:
            raise AssertionError(f"{who}: the same request must have the same bytes as its answer")


def _evaluated(session: Session, request: bytes) -> list[bytes]:
    """Return the results of a request, whether or not the session has evaluated it before."""
    return session.evaluator.evaluate(open_message(Kind.REQUEST, request)[1])


def _require_storage(
    engine: Engine, prepared: Prepared, keys: EvaluationKeys, session: Session, request: bytes
) -> dict[str, np.ndarray]:
    """Check that stored arrays, which are returned, give the same answer, and that no others are accepted."""
    what = f"engine {engine.name}: the prepared circuit must be stored and restored"
    circuit = prepared.circuit
    with _no_error(what), tempfile.TemporaryDirectory() as folder:
        path, arrays = Path(folder) / "prepared", dict(prepared.arrays())
        PreparedCircuit(prepared).save(path)
        loaded = PreparedCircuit.load(path, circuit, engine)
        for restored in (loaded, PreparedCircuit(engine.restore(circuit, arrays))):
            if _evaluated(restored.session(keys), request) != _evaluated(session, request):
                raise AssertionError(f"{what}, and give the same answers")
    for wrong, others in _wrong_arrays(arrays).items():
        require_refused(partial(engine.restore, circuit, others), f"engine {engine.name}: {wrong}")
    return arrays


def _wrong_inputs(views: Sequence[memoryview], parameters: Parameters) -> dict[str, list[bytes]]:
    """Return lists of inputs that no engine may accept, by what they are."""
    parts = list(map(bytes, views))
    first, *rest = parts
    wrong = {
        "no inputs": [],
        "too few inputs": parts[:-1],
        "too many inputs": [*parts, first],
        "empty inputs": [b""] * len(parts),
        "foreign bytes": [b"foreign", *rest],
        "a ciphertext that is cut short": [first[:-1], *rest],
        "half a ciphertext": [first[: len(first) // 2], *rest],
        "a ciphertext with a byte too many": [first + b"\0", *rest],
        "a ciphertext with residues beyond their primes": [first[:-256] + b"\xff" * 256, *rest],
        "a damaged last ciphertext": [*parts[:-1], parts[-1][:-1]],
    }
    fresh = Form.fresh(parameters)
    strangers = {
        "a ciphertext of another ring": replace(fresh, degree=fresh.degree // 2),
        "a ciphertext without a seed": replace(fresh, seeded=False),
    }
    if parameters.levels > 1:
        strangers["a ciphertext of a lower level"] = replace(fresh, primes=fresh.primes[:-1])
    for what, form in strangers.items():
        wrong[what] = [_stranger(form), *rest]
    return wrong


def _stranger(form: Form) -> bytes:
    """Return a ciphertext of random residues in some form."""
    rng = np.random.default_rng(0)
    residues = rng.integers(0, min(form.primes), (form.polynomials, len(form.primes), form.degree), np.uint64)
    seed = rng.integers(0, 1 << 63, 8, np.uint64) if form.seeded else None
    return compact.write(CiphertextArray(residues, form.ntt, form.scale, seed), form)


def _wrong_keys(view: memoryview, parameters: Parameters) -> dict[str, bytes]:
    """Return arguments of `Prepared.bind` that are not exactly the keys that the circuit needs."""
    keys, one = bytes(view), key_bytes(parameters, parameters.levels)
    wrong = {"a key that nobody asked for": keys + bytes(one), "a byte too many": keys + b"\0"}
    if keys:
        wrong |= {
            "no keys": b"",
            "a missing key": keys[:-one],
            "half of the keys": keys[: len(keys) // 2],
            "keys with residues beyond their primes": b"\xff" * 256 + keys[256:],
        }
    return wrong


def _wrong_circuits(circuit: Circuit) -> dict[str, Circuit]:
    """Return circuits that no engine may accept at its door, by what they are."""
    program, interface = circuit.program, circuit.interface
    clear = tuple(Source(source.owner, "plaintext") for source in program.inputs)
    specs = tuple(replace(spec, source=Source(spec.source.owner, "plaintext")) for spec in interface.inputs)
    end = program.first_values[-1]
    drops = tuple(
        SwitchModulus((value,)) for value in (program.outputs[0], *range(end, end + circuit.parameters.levels))
    )
    wrong = {
        "inputs in the clear": replace(
            circuit, program=replace(program, inputs=clear), interface=replace(interface, inputs=specs)
        ),
        "a program that drops more primes than there are": replace(
            circuit, program=replace(program, operations=(*program.operations, *drops))
        ),
    }
    unplaced = tuple(map(_unplaced, program.operations))
    if unplaced != program.operations:
        wrong["a program that has not been placed"] = replace(circuit, program=replace(program, operations=unplaced))
    return wrong


def _unplaced(operation: Operation) -> Operation:
    """Return an operation as it was before it was placed: its operands have no level."""
    match operation:
        case PlainDot():
            return replace(operation, plains=tuple(replace(plain, level=0) for plain in operation.plains))
        case AddPlain():
            return replace(operation, plain=replace(operation.plain, level=0))
        case Matrix():
            return replace(operation, level=0)
    return operation


def _wrong_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return arrays that are not the circuit's, by what is wrong with them; none if there are no arrays at all."""
    if not arrays:
        return {}
    name, *others = arrays
    rest, array = {other: arrays[other] for other in others}, arrays[name]
    return {
        "no stored arrays": {},
        "stored arrays without the first": rest,
        "a stored array of another shape": {**rest, name: array.ravel()[:-1]},
        "a stored array of another type": {**rest, name: array.astype(np.float32)},
    }
