"""What a client insists on before it makes a key, and how long it uses one.

An interface is the server's proposal. Whoever wrote it may want a client that makes gigabytes of keys, encrypts what
overflows, or takes any answer for a result. A client holds every proposal against a policy of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from he.circuit.interface import USUAL_ERROR, Interface
from he.circuit.residues import interfaces
from he.formats.compact import Form
from he.readers.cost import ciphertext_bytes
from he.ring.params import SECURITIES, Security, require_security
from he.ring.scheme import Scheme
from intnn.values.arrays import integer, real
from intnn.values.value_object import ValueObject

_ANY = (1 << 63) - 1


class PolicyError(ValueError):
    """An interface proposes something that the client's policy does not accept; the message names the field."""


@dataclass(frozen=True)
class Policy(ValueObject):
    """The limits of one client. All sizes are computed from the interface, before anything is made.

    *How much of the key refusals tell.* A dishonest server may answer with ciphertexts that decrypt to a result for
    some secrets and not for others, and see which ones the client refuses. Over a key's life of `most_answers` that
    tells it at most `leaked_bits`, because the key is destroyed at the refusal number `most_refusals`. What is refused
    without the key tells nothing and is not counted.

    *What no limit helps against.* Logits of a dishonest server are any function of the images and of the secret key
    that the server likes. Keep them from whoever answered.

    Attributes:
        schemes: the schemes that are accepted, `Scheme`s or their names.
        security: the least security that is accepted: `"128"`; `"128-2018"`, which accepts both; or `"insecure"` for
            tests, which accepts all.
        max_error: the largest error of a CKKS logit that is accepted; half of the interface's `tolerance` may not
            exceed it. The default, 1.0, lets through whatever the compiler chooses when it is not told otherwise (0.2
            at most), and is less than what tells classes apart in most networks; set your own. BFV has no error.
        largest_input: the largest magnitude of a number that is encrypted.
        most_key_bytes: of the evaluation keys.
        most_request_bytes: of a request, and of its images and its slots as 64-bit numbers.
        most_answer_bytes: of an answer.
        least_copies, least_guards: every logit must have so many copies in an answer, or so many lanes of a row must
            repeat others while no evaluation key moves images from lane to lane.
        most_answers: the number of answers that one key decrypts.
        most_refusals: the number of answers that are refused after they were decrypted; at this one the key is
            destroyed.
        most_open: the number of requests without an answer that are remembered; the oldest is forgotten first.
        most_published: the number of CKKS answers that may be published under one key (`Client.decrypt`); noise grows
            with its square root.
        publishing_bits: s, the statistical security of what is published, from 1 to 128. All of it together lets no
            statistical test tell errors of the decryption from none with an advantage above 2^-(s/2 + 2.7), whatever
            it computes: by default 2^-17.7. As bit security counts tests that decide, by the inverse square of their
            advantage (Micciancio and Walter 2018), these are s bits. Noise grows by half a bit with each.

    Raises:
        ParameterError: if `security` has another name.
        TypeError: if a number is none.
        ValueError: if a number is out of range, or a scheme unknown.
    """

    schemes: tuple[Scheme, ...] = tuple(Scheme)
    security: Security = "128"
    max_error: float = USUAL_ERROR
    largest_input: float = 2.0**20
    most_key_bytes: int = 1 << 30
    most_request_bytes: int = 1 << 30
    most_answer_bytes: int = 1 << 28
    least_copies: int = 2
    least_guards: int = 8
    most_answers: int = 1 << 16
    most_refusals: int = 8
    most_open: int = 256
    most_published: int = 1
    publishing_bits: int = 30

    def __post_init__(self) -> None:
        names, known = self.schemes, ", ".join(f'"{scheme}"' for scheme in Scheme)
        if isinstance(names, str) or not names or not all(name in tuple(Scheme) for name in names):
            raise ValueError(f"`schemes` must be a tuple of one or more of {known}, got {names!r}")
        object.__setattr__(self, "schemes", tuple(map(Scheme, names)))
        require_security(self.security)
        for name in ("max_error", "largest_input"):
            number = real(getattr(self, name), name)
            if not number >= 0:
                raise ValueError(f"`{name}` must be at least 0, got {number}")
            object.__setattr__(self, name, number)
        for name in ("most_key_bytes", "most_request_bytes", "most_answer_bytes", "least_copies", "least_guards"):
            object.__setattr__(self, name, integer(getattr(self, name), name, 0))
        for name in ("most_answers", "most_refusals", "most_open", "most_published"):
            object.__setattr__(self, name, integer(getattr(self, name), name, 1))
        object.__setattr__(self, "publishing_bits", integer(self.publishing_bits, "publishing_bits", 1, 128))

    @staticmethod
    def trusting(security: Security = "128") -> Policy:
        """Return a policy that accepts any interface of this security and sets a key no limits but on publishing.

        It is for whoever is both parties, as in tests and measurements.
        """
        return Policy(
            security=security,
            max_error=math.inf,
            largest_input=math.inf,
            most_key_bytes=_ANY,
            most_request_bytes=_ANY,
            most_answer_bytes=_ANY,
            least_copies=0,
            least_guards=0,
            most_answers=_ANY,
            most_refusals=_ANY,
        )

    @property
    def leaked_bits(self) -> float:
        """What accepting and refusing tells of a key over its whole life, in bits, at most.

        The answers of a life are accepted but for at most r = `most_refusals` of n = `most_answers`, so that it goes in
        one of at most C(n, 0) + ... + C(n, r) ways. By default this is 113 bits, of a secret with more than 6,000.
        """
        if self.most_refusals >= self.most_answers:
            return float(self.most_answers)
        ways, term = 0, 1
        for refused in range(self.most_refusals + 1):
            ways, term = ways + term, term * (self.most_answers - refused) // (refused + 1)
        return math.log2(ways)

    def require(self, interface: Interface) -> None:
        """Check an interface whose client inputs are one.

        Raises:
            PolicyError: if it proposes something that is not accepted.
        """
        for field, got, accepted, due in self._checks(interface):
            if not accepted:
                raise PolicyError(
                    f"the interface's `{field}` must be {due} by the client's policy, got {got}; refuse this server, "
                    "or give the client another `Policy`"
                )

    def among(self, interfaces: Sequence[Interface]) -> list[int]:
        """Return the numbers of the interfaces that are accepted.

        Raises:
            PolicyError: if none is; it says why of the last one.
        """
        numbers = []
        for number, interface in enumerate(interfaces):
            try:
                self.require(interface)
            except PolicyError as error:
                refusal = error
            else:
                numbers.append(number)
        if not numbers:
            raise refusal
        return numbers

    def _checks(self, interface: Interface) -> Iterator[tuple[str, Any, bool, str]]:
        """Yield the name of a field, what the interface has there, whether it is accepted, and what is due."""
        parameters, packing, output = interface.parameters, interface.packing, interface.output
        (spec,) = interface.client_inputs
        scheme, layout, circuits = parameters.scheme, spec.layout, len(interfaces(interface))
        yield "scheme", scheme.value, scheme in self.schemes, f"one of {', '.join(self.schemes)}"
        secure = SECURITIES.index(parameters.security) <= SECURITIES.index(self.security)
        yield "security", parameters.security, secure, f'"{self.security}"'
        error = interface.tolerance / 2
        yield (
            "tolerance",
            interface.tolerance,
            error <= self.max_error,
            f"at most twice {self.max_error} (`Policy(max_error={error:g})` accepts this one)",
        )
        largest = max(abs(spec.low), abs(spec.high))
        if not scheme.exact:  # what is larger than the modulus is encrypted as another number
            room = parameters.log2_modulus(parameters.levels) - parameters.scale_bits - 2  # type: ignore[operator]
            inside = largest <= self.largest_input and (largest == 0 or math.log2(largest) <= room)
        else:
            inside = largest <= self.largest_input
        yield "range", [spec.low, spec.high], inside, f"within +-{self.largest_input:g}, and fit the modulus"
        zero = interface.rerandomises * ciphertext_bytes(parameters, interface.output_level, polynomials=1)
        for field, what, size, most in (
            ("rotation_steps", "keys", interface.key_bytes + zero, self.most_key_bytes),
            (
                "gather",
                "a request",
                circuits * layout.ciphertexts * max(Form.fresh(parameters).bytes, 8 * packing.slots),
                self.most_request_bytes,
            ),
            ("features", "a batch of images", 8 * interface.images * layout.features, self.most_request_bytes),
            (
                "output",
                "an answer",
                circuits * interface.ciphertexts * ciphertext_bytes(parameters, interface.output_level),
                self.most_answer_bytes,
            ),
        ):
            yield field, f"{size:,} bytes of {what}", size <= most, f"at most {most:,} bytes of {what}"
        copies = packing.copies(output.width) * (1 if packing.split_rows else packing.rows)
        guarded = packing.guards >= self.least_guards and not moves_lanes(interface)
        checked = copies >= self.least_copies or guarded
        guards = f"a row {self.least_guards} guards and no key moves an image to another lane"
        due = f"such that every logit has {self.least_copies} copies, or {guards}"
        yield "packing", f"{copies} and {packing.guards}", checked, due


def moves_lanes(interface: Interface) -> bool:
    """Return whether a circuit's keys move images from lane to lane: whoever has such keys can make all lanes alike.

    The complex conjugation of CKKS moves none.
    """
    return bool(interface.rotation_steps) or (interface.swaps_rows and interface.parameters.scheme.exact)
