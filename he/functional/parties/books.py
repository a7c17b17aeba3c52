"""The authority's books: which instances encrypt the same data, what their keys have told, and how much they may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from he.functional.instance import Instance
from he.functional.ledger import Span, known_share
from he.functional.messages import require_name
from intnn.values.arrays import Array, instance, integer
from intnn.values.value_object import Unstorable, ValueObject

Role = Literal["forward", "gradient", "projection"]

_MOST_SAMPLES = 1 << 48


@dataclass(frozen=True)
class Opening(ValueObject):
    """An instance, and what it encrypts.

    Attributes:
        instance: The instance.
        budget: The largest dimension of the span of keys, in [1, length].
        data: The name of the data, up to 200 letters. It is the authority's duty that two instances that encrypt the
            same data name it alike.
        role: "forward" or "projection": vectors are samples of the data, and keys hold for all of them. "gradient":
            vectors are columns of a batch, with an element for each of its samples.
        samples: Which samples of the data the vectors are, or have elements for; None stands for all.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: A value is out of its range, or a gradient's samples are not as many as its vectors have elements.
    """

    instance: Instance
    budget: int
    data: str
    role: Role
    samples: range | None = None

    def __post_init__(self) -> None:
        length = instance(self.instance, Instance, "instance").length
        object.__setattr__(self, "budget", integer(self.budget, "budget", 1, length))
        require_name(self.data, "data")
        if self.role not in get_args(Role):
            raise ValueError(f'`role` must be "forward", "gradient" or "projection", got {self.role!r}')
        if self.samples is None:
            return
        samples = instance(self.samples, range, "samples")
        if samples.step != 1 or not 0 <= samples.start < samples.stop <= _MOST_SAMPLES:
            raise ValueError(f"`samples` must be a range of one sample or more, without a step, got {samples}")
        if self.is_gradient and len(samples) != length:
            raise ValueError(
                f"`samples` must be as many as a gradient's vectors have elements, {length}, got {samples}"
            )

    @staticmethod
    def of(instance: Instance, fields: Mapping[str, Any]) -> Opening:
        """An opening from `fields`, in JSON.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is of another type.
            ValueError: A field has a value that cannot be.
        """
        samples = fields["samples"] if fields["samples"] is None else range(*fields["samples"])
        return Opening(instance, fields["budget"], fields["data"], fields["role"], samples)

    def fields(self) -> dict[str, Any]:
        """All but the instance as JSON."""
        samples = None if self.samples is None else [self.samples.start, self.samples.stop]
        return {"budget": self.budget, "data": self.data, "role": self.role, "samples": samples}

    @property
    def is_gradient(self) -> bool:
        """Whether vectors have an element for each sample, and not for each feature."""
        return self.role == "gradient"

    @cached_property
    def vectors(self) -> tuple[str, bool, range | None]:
        """What the vectors are. Instances for which it is equal encrypt the same vectors and share an account."""
        return self.data, self.is_gradient, self.samples

    def overlaps(self, other: Opening) -> bool:
        """Whether some sample is in both."""
        mine, theirs = self.samples, other.samples
        if self.data != other.data:
            return False
        return mine is None or theirs is None or (mine.start < theirs.stop and theirs.start < mine.stop)


@dataclass(frozen=True, eq=False)
class Account(Unstorable, instead="the authority's journal holds what it was made of"):
    """What the keys of all instances that encrypt the same vectors have told.

    Attributes:
        opening: What was said of the first of these instances.
        span: The span of the vectors of their keys.
    """

    opening: Opening
    span: Span


@dataclass(frozen=True)
class Exposure(ValueObject):
    """What functional keys have told of some data, to all who share what they hold.

    Attributes:
        rank_issued: How many directions of a sample are known: the dimension of the span of forward and projection
            keys, the largest where samples are in different instances.
        rank_budget: How many may become known.
        keys_issued: How many keys were issued, of all roles. After the authority has been ended by force it may be up
            to 65,536 too large, and never too small.
        known_share: The share of the batch that is known best, in [0, 1]: see `he.functional.ledger.known_share`.
        batch_rank_issued: How many directions of a batch's columns are known, of the batch where it is the most.
        batch_rank_budget: How many may become known.
    """

    rank_issued: int = 0
    rank_budget: int = 0
    keys_issued: int = 0
    known_share: float = 0.0
    batch_rank_issued: int = 0
    batch_rank_budget: int = 0


class Books(Unstorable, instead="the authority's journal holds what they were made of"):
    """All accounts, by instance. Nothing in here asks whether what happened was recorded: that is the authority's."""

    def __init__(self) -> None:
        self._openings: dict[str, Opening] = {}
        self._accounts: dict[tuple[str, bool, range | None], Account] = {}
        self._issued: dict[str, int] = {}
        self._owners: set[tuple[str, str]] = set()

    def opening(self, of: Instance) -> Opening | None:
        """What was said of an instance when it was opened; None if it was not, or as an instance of another shape."""
        found = self._openings.get(of.id)
        return found if found is not None and (found.instance is of or found.instance == of) else None

    def account(self, opening: Opening) -> Account:
        """The account of an instance that was opened."""
        return self._accounts[opening.vectors]

    def issued(self, data: str) -> int:
        """How many keys were issued for some data."""
        return self._issued.get(data, 0)

    def require_room(self, openings: Sequence[Opening]) -> None:
        """Check that instances may be opened, one after the other.

        Raises:
            ValueError: There is one of the same id; or others encrypt some of the same data, and are of another length
                or budget, or another choice of samples that overlaps.
        """
        ids, others = set(self._openings), [account.opening for account in self._accounts.values()]
        for opening in openings:
            if opening.instance.id in ids:
                raise ValueError(
                    f"`instance` must have a new id, and {opening.instance.id} was opened before; draw another"
                )
            for other in others:
                if other.is_gradient == opening.is_gradient and other.overlaps(opening):
                    _require_alike(opening, other)
            ids.add(opening.instance.id)
            others.append(opening)

    def open(self, opening: Opening, prime: int) -> None:
        """Enter an instance for which there is room; the prime is for its span, unless it shares one."""
        self._openings[opening.instance.id] = opening
        span = Span.empty(opening.instance.length, prime)
        self._accounts.setdefault(opening.vectors, Account(opening, span))

    def issue(self, opening: Opening, span: Span, keys: int) -> None:
        """Enter keys, and the span that they make of the account's."""
        account = self.account(opening)
        if span is not account.span:
            self._accounts[opening.vectors] = replace(account, span=span)
        self._issued[opening.data] = self.issued(opening.data) + keys

    def restore(self, opening: Opening, added: Array, issued: int) -> None:
        """Enter what was added to a span's basis, and how many keys the journal counts for the data."""
        self.issue(opening, self.account(opening).span.extended(added), issued - self.issued(opening.data))

    def counts(self) -> dict[str, tuple[Instance, int]]:
        """By the names of data one of its instances, and how many keys were issued."""
        return {o.data: (o.instance, self.issued(o.data)) for o in self._openings.values()}

    def has_owner(self, of: Instance, owner: str) -> bool:
        """Whether an owner was enrolled."""
        return (of.id, owner) in self._owners

    def enrol(self, of: Instance, owner: str) -> None:
        """Enter an owner."""
        self._owners.add((of.id, owner))

    def exposure(self, data: str) -> Exposure:
        """What is known of some data."""
        accounts = [account for account in self._accounts.values() if account.opening.data == data]
        forward = [account for account in accounts if not account.opening.is_gradient]
        gradient = [account for account in accounts if account.opening.is_gradient]
        rank_issued, rank_budget = _largest(forward)
        batch_rank_issued, batch_rank_budget = _largest(gradient)
        share = max(_shares(forward, gradient), default=0.0)
        return Exposure(rank_issued, rank_budget, self.issued(data), share, batch_rank_issued, batch_rank_budget)


def _require_alike(opening: Opening, other: Opening) -> None:
    """Check that two instances which encrypt some of the same vectors encrypt all of them, within one budget."""
    if other.samples != opening.samples:
        raise ValueError(
            f"`samples` must be those of another instance for {opening.data!r}, or none of them, got "
            f"{opening.samples} beside {other.samples}: what is known of a sample could not be told"
        )
    if (other.budget, other.instance.length) != (opening.budget, opening.instance.length):
        raise ValueError(
            f"instances that encrypt the same vectors of {opening.data!r} share a budget, "
            f"{other.budget} of {other.instance.length} directions, got {opening.budget} of "
            f"{opening.instance.length}; a new budget needs other data"
        )


def _largest(accounts: list[Account]) -> tuple[int, int]:
    """The largest rank, and its budget."""
    return max(((account.span.rank, account.opening.budget) for account in accounts), default=(0, 0))


def _shares(forward: list[Account], gradient: list[Account]) -> Iterator[float]:
    """The known shares of samples, and of batches with what is known of their samples."""
    for rows in forward:
        yield float(known_share(rows.span.rank, rows.span.length))
    for columns in gradient:
        of_batch = columns.span.rank, columns.span.length
        yield float(known_share(0, 1, *of_batch))
        beside = (rows.span for rows in forward if rows.opening.overlaps(columns.opening))
        yield from (float(known_share(rows.rank, rows.length, *of_batch)) for rows in beside)
