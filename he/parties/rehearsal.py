"""Evaluations without a key: how long one takes is the same whatever the numbers are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np

from he.circuit.interface import Interface
from he.circuit.residues import interfaces
from he.engines.engine import Evaluator
from he.formats import compact, hybrid
from he.formats.compact import Form
from he.formats.messages import Kind, seal_message
from he.formats.seal_bytes import CiphertextArray
from he.parties.ledger import MemoryLedger
from he.parties.session import Session
from he.ring.packed import SEED_BYTES

_NO_KEY = "rehearsal"


class _Bound(Protocol):
    def bind(
        self, keys: bytes | memoryview, threads: int | None = None, *, network: Sequence[bytes | memoryview] = ()
    ) -> Evaluator: ...


def rehearsed(
    prepared: _Bound, interface: Interface, threads: int | None, repeats: int, operands: Sequence[Form] = ()
) -> float:
    """Return the seconds of a session's answer with random numbers in the places of keys and inputs: the median.

    Args:
        prepared: a prepared circuit, or several.
        interface: its interface.
        threads: the number of threads; by default one for each available processor.
        repeats: the number of answers, after a first one that is not timed; 0 for the first.
        operands: the forms of the circuit's encrypted operands.
    """
    rng, parameters = np.random.default_rng(0), interface.parameters
    forms = (hybrid.digit_form(gadget, parameters.scheme) for _, gadget in interface.keys for _ in gadget.groups)
    digit = cache(lambda form: random_ciphertext(form, rng))  # the same for all that have a form
    given = {"network": [digit(form) for form in operands]} if operands else {}  # which not every engine takes
    evaluator = prepared.bind(b"".join(map(digit, forms)), threads, **given)
    fresh = random_ciphertext(Form.fresh(parameters), rng)
    count = len(interfaces(interface)) * sum(spec.layout.ciphertexts for spec in interface.inputs)
    seconds = answer_seconds(evaluator, interface, [fresh] * count, 1 + repeats)
    return statistics.median(seconds[1:] or seconds)


def answer_seconds(
    evaluator: Evaluator, interface: Interface, ciphertexts: Sequence[bytes], answers: int
) -> list[float]:
    """Return the seconds of a session's answers, each to the same ciphertexts in a request of its own."""
    session, seconds = Session(interface, _NO_KEY, evaluator, MemoryLedger(answers), None), []
    for nonce in range(answers):
        request = rehearsed_request(interface, ciphertexts, nonce)
        before = time.perf_counter()
        session.evaluate(request)
        seconds.append(time.perf_counter() - before)
    return seconds


def rehearsed_request(interface: Interface, ciphertexts: Sequence[bytes], nonce: int) -> bytes:
    """Return a request with ciphertexts that no client has encrypted."""
    names = {"circuit": interface.digest, "key": _NO_KEY, "nonce": f"{nonce:032x}"}
    return seal_message(Kind.REQUEST, names, ciphertexts)


def random_ciphertext(form: Form, rng: np.random.Generator) -> bytes:
    """Return a ciphertext of a form with uniform residues, which decrypts under no key."""
    residues = np.stack([rng.integers(0, p, (form.polynomials, form.degree), np.uint64) for p in form.primes], axis=1)
    seed = rng.integers(0, 1 << 63, SEED_BYTES // 8, np.uint64) if form.seeded else None
    return compact.write(CiphertextArray(residues, form.ntt, form.scale, seed), form)
