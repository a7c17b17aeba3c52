"""The authority's books: which instances encrypt the same data, what their keys have told, and how much they may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from he.functional.errors import MismatchError
from he.functional.instance import Instance
from he.functional.ledger import Span, known_share
from he.functional.messages import require_name
from he.functional.scheme import MOST_SAMPLES, Scope
from intnn.values.arrays import instance, integer
from intnn.values.value_object import Unstorable, ValueObject

Role = Literal["forward", "gradient", "projection"]

_MOST_BATCHES = 1 << 16


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
        columns: How many vectors each batch has, if the instance is for the gradients of several batches, at most
            65,536: the n-th ``length`` of ``samples`` are a batch, whose vectors are the n-th ``columns`` of the
            instance. Every batch has an account and a budget of its own. None if there is one batch.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: A value is out of its range, or a gradient's samples do not make whole batches.
    """

    instance: Instance
    budget: int
    data: str
    role: Role
    samples: range | None = None
    columns: int | None = None

    def __post_init__(self) -> None:
        length = instance(self.instance, Instance, "instance").length
        object.__setattr__(self, "budget", integer(self.budget, "budget", 1, length))
        require_name(self.data, "data")
        if self.role not in get_args(Role):
            raise ValueError(f'`role` must be "forward", "gradient" or "projection", got {self.role!r}')
        if self.columns is not None:
            object.__setattr__(self, "columns", integer(self.columns, "columns", 1, MOST_SAMPLES // _MOST_BATCHES))
            if not self.is_gradient or self.samples is None:
                raise ValueError("`columns` must be None but for the gradients of batches, whose `samples` are given")
        if self.samples is None:
            return
        samples = instance(self.samples, range, "samples")
        if samples.step != 1 or not 0 <= samples.start < samples.stop <= MOST_SAMPLES:
            raise ValueError(f"`samples` must be a range of one sample or more, without a step, got {samples}")
        most = 1 if self.columns is None else _MOST_BATCHES
        if self.is_gradient and (len(samples) % length or len(samples) > most * length):
            raise ValueError(
                f"`samples` must be as many as a gradient's vectors have elements, {length}, for each of at most "
                f"{most} batches, got {samples}"
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
        return Opening(instance, fields["budget"], fields["data"], fields["role"], samples, fields.get("columns"))

    def fields(self) -> dict[str, Any]:
        """All but the instance as JSON."""
        samples = None if self.samples is None else [self.samples.start, self.samples.stop]
        return {
            "budget": self.budget,
            "data": self.data,
            "role": self.role,
            "samples": samples,
            "columns": self.columns,
        }

    @property
    def is_gradient(self) -> bool:
        """Whether vectors have an element for each sample, and not for each feature."""
        return self.role == "gradient"

    @property
    def batches(self) -> tuple[Opening, ...]:
        """What would be said of an instance for each of its batches, in their order."""
        if self.columns is None or self.samples is None:
            return (self,)
        size, samples = self.instance.length, self.samples
        starts = range(samples.start, samples.stop, size)
        return tuple(replace(self, samples=range(at, at + size), columns=None) for at in starts)

    def batch(self, scope: Scope | None) -> int:
        """The number of the batch whose vectors a key is for; 0 where there is one batch.

        Raises:
            ValueError: There are several, and the scope is none, or of more than one of them, or of none.
        """
        if self.columns is None or self.samples is None:
            return 0
        if scope is None:
            raise ValueError("`scope` must say which batch's vectors a key is for")
        batch = scope.start // self.columns
        if scope.stop > (batch + 1) * self.columns or batch * self.instance.length >= len(self.samples):
            raise ValueError(
                f"`scope` must lie within the vectors of one batch, {self.columns} for each {self.instance.length} of "
                f"{len(self.samples)} samples, got {scope.start} to {scope.stop}; ask for each batch by itself"
            )
        return batch

    @property
    def is_all_allowed(self) -> bool:
        """Whether the budget allows that vectors become known as a whole."""
        return self.budget == self.instance.length

    @cached_property
    def vectors(self) -> tuple[str, bool, range | None]:
        """What the vectors of one batch are. Batches for which it is equal are the same, and share an account."""
        return self.data, self.is_gradient, self.samples

    def overlaps(self, other: Opening) -> bool:
        """Whether some sample is in both."""
        mine, theirs = self.samples, other.samples
        if self.data != other.data:
            return False
        return mine is None or theirs is None or (mine.start < theirs.stop and theirs.start < mine.stop)


@dataclass(eq=False)
class Account(Unstorable, instead="the authority's journal holds what it was made of"):
    """What the keys of all instances that encrypt the same vectors have told.

    Attributes:
        opening: What was said of the first of these instances, or of the batch if it is for several.
        span: The span of the vectors of their keys.
        foreseen: The span as it was when the journal came to count the vectors as wholly known, whatever it is now;
            None where it does not.
    """

    opening: Opening
    span: Span
    foreseen: Span | None = None

    @property
    def is_foreseen(self) -> bool:
        """Whether the journal counts the vectors as wholly known."""
        return self.foreseen is not None

    def foresee(self) -> None:
        """Note that the journal counts the vectors as wholly known from now on, unless it does already."""
        self.foreseen = self.span if self.foreseen is None else self.foreseen

    def settle(self, span: Span) -> None:
        """Take the span that the journal says instead.

        Raises:
            ValueError: It lacks what was known before the vectors were foreseen to be; or they were not, and it is
                another than is known.
        """
        least = self.span if self.foreseen is None else self.foreseen
        if span.extended(least.basis()).rank > span.rank:
            raise ValueError("a batch is settled without what was known of it")
        if self.foreseen is None and span.rank > least.rank:
            raise ValueError("a batch that was not foreseen is settled, and more of it than was known")
        self.span, self.foreseen = span, None


@dataclass(frozen=True)
class Exposure(ValueObject):
    """What functional keys have told of some data, to all who share what they hold.

    Attributes:
        rank_issued: How many directions of a sample are known: the dimension of the span of forward and projection
            keys, the largest where samples are in different instances.
        rank_budget: How many may become known.
        keys_issued: How many keys were issued, of all roles. After the authority has been ended by force it may be up
            to 65,536 too large, and never too small.
        known_share: The share of the batch that is known best, in [0, 1]: see `he.functional.ledger.known_share`. It
            is too large where `batch_rank_issued` is.
        batch_rank_issued: How many directions of a batch's columns are known, of the batch where it is the most. Where
            one instance is for several batches, it may be too large after the authority has been ended by force, or
            interrupted while it wrote, and is never too small.
        batch_rank_budget: How many may become known.
    """

    rank_issued: int = 0
    rank_budget: int = 0
    keys_issued: int = 0
    known_share: float = 0.0
    batch_rank_issued: int = 0
    batch_rank_budget: int = 0


class Books(Unstorable, instead="the authority's journal holds what they were made of"):
    """All accounts, by instance. Nothing in here asks whether what happened was recorded: that is the authority's.

    Attributes:
        issued: How many keys were issued, by the names of data.
    """

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Opening, tuple[Account, ...]]] = {}  # with the accounts of the batches
        self._accounts: dict[tuple[str, bool, range | None], Account] = {}
        self.issued: Counter[str] = Counter()
        self._owners: set[tuple[str, str]] = set()

    def opened(self, of: Instance) -> tuple[Opening, tuple[Account, ...]]:
        """What was said of an instance when it was opened, and the accounts of its batches, or its only one.

        Raises:
            MismatchError: It was not opened, or as an instance of another shape.
        """
        found = self._opened.get(of.id)
        if found is None or (found[0].instance is not of and found[0].instance != of):
            raise MismatchError(f"instance {of.id} is not open at this authority as it is described; open it first")
        return found

    def require_room(self, openings: Sequence[Opening]) -> None:
        """Check that instances may be opened, one after the other.

        Raises:
            ValueError: There is one of the same id; or others encrypt some of the same data, and are of another length
                or budget, or another choice of samples that overlaps.
        """
        ids, others = set(self._opened), [opening for opening, _ in self._opened.values()]
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
        """Enter an instance for which there is room; the prime is for its spans, unless it shares them."""
        span = Span.empty(opening.instance.length, prime)
        accounts = [self._accounts.setdefault(batch.vectors, Account(batch, span)) for batch in opening.batches]
        self._opened[opening.instance.id] = opening, tuple(accounts)

    def issue(self, account: Account, span: Span, keys: int) -> None:
        """Enter keys, and the span that they make of the account's."""
        account.span = span
        self.issued[account.opening.data] += keys

    def counts(self) -> dict[str, tuple[Instance, int]]:
        """By the names of data one of its instances, and how many keys were issued."""
        return {o.data: (o.instance, self.issued[o.data]) for o, _ in self._opened.values()}

    def unsettled(self) -> Iterator[tuple[Instance, int, Span]]:
        """What the journal foresees to be known as a whole, and is not: instances, batches, and what is known."""
        said = set[Account]()  # instances may share accounts
        for opening, accounts in self._opened.values():
            for batch, account in enumerate(accounts):
                is_known_less = account.is_foreseen and account.span.rank < account.span.length
                if opening.columns is not None and is_known_less and account not in said:
                    said.add(account)
                    yield opening.instance, batch, account.span

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
        return Exposure(rank_issued, rank_budget, self.issued[data], share, batch_rank_issued, batch_rank_budget)


def _require_alike(opening: Opening, other: Opening) -> None:
    """Check that two instances which encrypt some of the same vectors encrypt all of them, within one budget."""
    if not _have_equal_batches(opening, other):
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


def _have_equal_batches(one: Opening, other: Opening) -> bool:
    """Whether no batch of one shares some of its samples with a batch of the other, and not all of them."""
    if not one.is_gradient or one.samples is None or other.samples is None:
        return one.samples == other.samples
    size = one.instance.length
    return size == other.instance.length and (one.samples.start - other.samples.start) % size == 0


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
