"""A small authority, an owner's ciphertext, and faults, as tests of the parties use them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import numpy as np
import pytest

from he.functional.instance import Instance, SchemeName
from he.functional.parties.authority import Authority
from he.functional.parties.owner import Owner
from he.functional.parties.request import KeyRequest
from he.functional.parties.trainer import KeySource
from he.functional.scheme import Ciphertext, PublicKey, Scope
from he.functional.schemes import scheme
from intnn import IntDomain


class Trainer:
    """Who asks for keys of one instance, and decrypts."""

    def __init__(self, public: PublicKey, x: np.ndarray) -> None:
        self.public, self.instance, self.x = public, public.instance, x
        self.ciphertext: Ciphertext = next(Owner("owner", public).encrypt(x)).ciphertext

    def request(self, y: np.ndarray) -> KeyRequest:
        scope = Scope(self.ciphertext.header, 0, len(self.x)) if self._scheme.keys_are_scoped else None
        return KeyRequest(self.instance, y, scope)

    def asks(self, authority: KeySource, y: np.ndarray) -> None:
        """Ask for a key, and see that it decrypts what it should."""
        key = authority.issue(self.request(y))
        assert (self._scheme.decrypt(self.ciphertext, key) == self.x @ np.transpose(y)).all()

    @property
    def _scheme(self):
        return scheme(self.instance.scheme)


def instance(length: int = 4, name: SchemeName = "pads") -> Instance:
    return Instance(name, length, IntDomain(0, 15))


def trainer(public: PublicKey, samples: int = 2) -> Trainer:
    return Trainer(public, np.random.default_rng(0).integers(0, 16, (samples, public.instance.length)))


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        yield


@contextlib.contextmanager
def interrupted_behind_the_record(authority: Authority) -> Iterator[None]:
    """A Ctrl-C when the journal has it, and before anybody else does."""
    append = authority._journal.append

    def interrupted(message: bytes) -> int:
        append(message)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority._journal, "append", interrupted)
        yield


def killed(authority: Authority) -> None:
    """End an authority as by SIGKILL: nothing more is written."""
    authority._journal.close()
