"""The key authority: it opens instances, issues functional keys within a budget, and remembers what they tell."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Self

import numpy as np

from he.formats.messages import VersionError
from he.functional.errors import FunctionalError
from he.functional.instance import Instance, SchemeName
from he.functional.ledger import secret_prime
from he.functional.messages import require_name
from he.functional.parties import records
from he.functional.parties.books import Account, Books, Exposure, Opening, Role
from he.functional.parties.journal import Journal, JournalError
from he.functional.parties.masters import Masters
from he.functional.parties.request import KeyRequest
from he.functional.scheme import FunctionalKey, MasterKey, PublicKey, Scheme
from he.functional.schemes import scheme
from intnn.storage.document import file_path
from intnn.values.arrays import Array
from intnn.values.arrays import instance as of_type
from intnn.values.value_object import Unstorable

#: How many keys are counted in the journal before they are issued, so that most requests write nothing.
STRIDE = 1 << 16
#: How many batches of an instance are counted as wholly known with one write, before the first key for one of them.
BATCHES_AHEAD = 32


class Authority(Unstorable, instead="open its journal, when nobody else has it open"):
    """Who holds the master keys of instances, and decides what trainers may know.

    The authority is trusted: with its master keys it can read all that is encrypted, and so can whoever reads its
    journal or colludes with it. Against trainers it promises that the keys which it has issued for some data, to
    whomever and through whatever instances, tell no more directions of it than the budget: trainers who share what they
    hold gain nothing, since there is one account for all of them. What a direction tells of a
    particular image is another matter (`docs/functional.md`).

    Everything is in one file, the journal. What a request adds to the span of an account's keys is in it, durably,
    before the key leaves the authority, and most requests add nothing: then nothing is written. An authority that is
    killed after it has recorded, and before it has answered, issues the key when it is asked again, and the span does
    not grow. Nothing else that the authority promises depends on what is in memory, but the number of keys:
    the journal counts them beforehand, 65,536 at a time; and the ranks of an instance for several batches whose budget
    allows all of each, which it counts as wholly known beforehand, 32 batches at a time, until the authority is closed
    and writes what is known. An older copy of the journal, or one whose end was cut off,
    has forgotten what was issued since: whoever can put it in the journal's place gets the budget again.

    It may be used by several threads. It does not promise to answer: whoever may ask can keep it busy.

    Args:
        path: The journal's file, which is made if there is none; its folder exists.
        schemes: What implements a scheme, by its name.

    Raises:
        JournalError: The file is damaged, of another version or no journal, others may use it, or another authority has
            it open.
        OSError: The file cannot be read or made.
    """

    def __init__(self, path: str | os.PathLike[str], schemes: Callable[[SchemeName], Scheme] = scheme) -> None:
        self._schemes, self._books, self._lock = cache(schemes), Books(), threading.Lock()
        self._counted: Counter[str] = Counter()  # by data: the keys that the journal counts as issued
        self._places: dict[str, int] = {}  # of openings in the journal, which hold the master keys
        self._entered = 0  # how much of the journal is in the books
        self._journal = Journal(file_path(path))
        try:
            # By no method of this object, which would keep it: after an interrupt it goes, and the journal with it.
            self._masters = Masters(partial(_master_key, self._journal, self._places, self._schemes))
            self._catch_up()
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(
        self,
        of: Instance,
        budget: int,
        data: str,
        role: Role = "forward",
        samples: range | None = None,
        columns: int | None = None,
    ) -> PublicKey:
        """Draw the keys of an instance, and return the public one, of which the authority keeps no copy.

        Args:
            of: The instance; its id is new.
            budget: The largest dimension that the span of its keys may have, from 1 to its length. Instances that
                encrypt the same vectors have one budget together.
            data: The name of the data. That instances for the same data name it alike is up to who opens them.
            role: "forward" or "projection" if vectors are samples of the data, "gradient" if they are columns of a
                batch, with an element for each sample.
            samples: Which samples of the data they are, or have elements for; by default all.
            columns: The vectors of each batch, if the instance is for the gradients of several: see `Opening`.

        Raises:
            TypeError: An argument is of another type.
            ValueError: An argument is out of its range, the instance was opened before, it does not fit the others for
                the data, or it is for several batches, and its scheme's keys hold for all of its vectors.
            OSError: The journal cannot be written; the instance is not open.
        """
        return self.open_all([Opening(of, budget, data, role, samples, columns)])[0]

    def open_all(self, openings: Sequence[Opening]) -> list[PublicKey]:
        """Open several instances with one write to the disk, all or none; see `open`.

        An authority that is killed meanwhile may have opened some of them, whose public keys nobody has.

        Args:
            openings: What is said of each.

        Returns:
            The public keys, in their order.
        """
        with self._lock:
            self._require_ready()
            self._books.require_room(openings)
            for opening in openings:
                if opening.columns is not None and not self._schemes(opening.instance.scheme).keys_are_scoped:
                    raise ValueError(
                        f"`columns` must be None for {opening.instance.scheme}, whose keys hold for all vectors of an "
                        "instance, and so for all batches; open an instance for each"
                    )
            keys = [self._schemes(opening.instance.scheme).setup(opening.instance) for opening in openings]
            masters, primes = [master.to_bytes() for master, _ in keys], [secret_prime() for _ in keys]
            places = self._journal.append(*map(records.opened, openings, primes, masters))
            for opening, prime, place, (master, _), data in zip(openings, primes, places, keys, masters, strict=True):
                self._places[opening.instance.id] = place
                self._books.open(opening, prime)
                self._masters.keep(opening.instance.id, master, len(data))
            self._entered = self._journal.end
        return [public for _, public in keys]

    def enrol(self, of: Instance, owner: str) -> None:
        """Register an owner who will encrypt for an instance, by a name of 1 to 200 printable letters.

        Raises:
            TypeError: An argument is of another type.
            ValueError: It is no name.
            MismatchError: The instance is not open here.
            FunctionalError: An owner of this name is registered already.
            OSError: The journal cannot be written; the owner is not registered.
        """
        require_name(owner, "owner")
        with self._lock:
            self._require_ready()
            self._books.opened(of_type(of, Instance, "instance"))
            if self._books.has_owner(of, owner):
                raise FunctionalError(f"an owner {owner!r} is registered for instance {of.id}; choose another name")
            self._journal.append(records.enrolled(of, owner))
            self._books.enrol(of, owner)
            self._entered = self._journal.end

    def issue(self, request: KeyRequest) -> FunctionalKey:
        """Issue a key, if the budget allows it.

        Raises:
            TypeError: It is no request.
            MismatchError: The instance is not open here.
            ValueError: The scheme refuses the request: see its `derive_key`.
            BudgetError: The budget does not allow it. Nothing is issued or recorded then, of the whole request.
            OSError: The journal cannot be written. Nothing is issued then.
        """
        of, y = of_type(request, KeyRequest, "request").instance, request.y
        with self._lock:
            if self._entered != self._journal.end or not self._journal.is_open:
                self._require_ready()
            opening, accounts = self._books.opened(of)
            account = accounts[batch := 0 if opening.columns is None else opening.batch(request.scope)]
            span, added = account.span.grown(y, opening.budget)
            key = self._schemes(of.scheme).derive_key(self._masters[of.id], y, request.scope)
            total = self._books.issued[opening.data] + len(y)
            if (len(added) and not account.is_foreseen) or total > self._counted[opening.data]:
                self._record(opening, accounts, batch, -(-total // STRIDE) * STRIDE, added)
            self._books.issue(account, span, len(y))
            self._entered = self._journal.end
        return key

    def derive(self, request: bytes) -> bytes:
        """Issue a key for a `KeyRequest` as a message; see `issue`.

        Raises:
            MessageError: The message is damaged, or no request.
        """
        return self.issue(KeyRequest.from_bytes(request)).to_bytes()

    def exposure(self, data: str) -> Exposure:
        """What the keys that were issued tell of some data; nothing, if there are none."""
        with self._lock:
            return self._books.exposure(data)

    def close(self) -> None:
        """Write how many keys were issued and what they tell, and close the journal. A second call does nothing.

        Raises:
            OSError: The journal cannot be written. It is closed, and counts too many keys, or ranks that are too large.
        """
        with self._lock:
            if not self._journal.is_open:
                return
            try:
                said = [records.settled(*unsettled) for unsettled in self._books.unsettled()]
                for data, (of, issued) in self._books.counts().items():
                    if data in self._counted and self._counted[data] != issued:
                        said.append(records.issued(of, issued, np.empty((0, of.length), np.uint64)))
                if said:
                    self._journal.append(*said)
            finally:
                self._journal.close()

    def _require_ready(self) -> None:
        self._journal.require_open()
        if self._entered != self._journal.end:  # an interrupt came between the journal and the books
            self._catch_up()

    def _catch_up(self) -> None:
        """Enter in the books what is in the journal beyond them."""
        for place, message, end in self._journal.messages(self._entered):
            self._restore(place, message)
            self._entered = end

    def _record(self, opening: Opening, accounts: tuple[Account, ...], batch: int, keys: int, added: Array) -> None:
        """Record how many keys were issued for some data in all, and what the span of a batch has more.

        Where a batch may become known as a whole, and has neighbours, it is recorded as if it were, and they with it:
        the budget is none the smaller for it, and the first update of each of them has nothing to write.
        """
        is_foreseeable = opening.columns is not None and opening.is_all_allowed
        if is_foreseeable and len(added) and not accounts[batch].is_foreseen:
            first = batch - batch % BATCHES_AHEAD
            ahead = range(first, min(first + BATCHES_AHEAD, len(accounts)))
            self._journal.append(records.foreseen(opening.instance, keys, ahead))
            for account in accounts[ahead.start : ahead.stop]:
                account.foresee()
        else:
            self._journal.append(records.issued(opening.instance, keys, added, batch))
        self._counted[opening.data] = keys

    def _restore(self, place: int, message: bytes) -> None:
        try:
            opening = records.enter(self._books, message)
        except VersionError as error:
            if place:  # behind messages of this version
                raise self._journal.damaged(place, error) from error
            raise JournalError(f"{self._journal.path} cannot be read: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._journal.damaged(place, error) from error
        self._places.setdefault(opening.instance.id, place)


def _master_key(
    journal: Journal, places: Mapping[str, int], schemes: Callable[[SchemeName], Scheme], name: str
) -> tuple[MasterKey, int]:
    """The master key of an instance, by its name, and how many bytes it has in the journal."""
    of, data = records.master_key(journal.read(places[name]))
    return schemes(of.scheme).types.master_key.from_bytes(data), len(data)
