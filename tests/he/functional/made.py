"""Schemes with the keys of an instance, as tests use them, and what they compute in plain Python integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from he.functional.instance import Instance, SchemeName
from he.functional.scheme import Ciphertext, FunctionalKey, MasterKey, PublicKey, Scheme, Scope
from he.functional.schemes import scheme
from intnn import IntDomain


@dataclass(frozen=True)
class Made:
    """A scheme with the keys of an instance."""

    scheme: Scheme
    instance: Instance
    master: MasterKey
    public: PublicKey

    def encrypt(self, x: np.ndarray) -> Ciphertext:
        return self.scheme.encrypt(self.public, x)

    def key(self, y: np.ndarray, ciphertext: Ciphertext) -> FunctionalKey:
        """A key for all samples of a ciphertext, whatever keys hold for in this scheme."""
        scope = Scope(ciphertext.header, 0, ciphertext.samples) if self.scheme.keys_are_scoped else None
        return self.scheme.derive_key(self.master, y, scope)

    def decrypt(self, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None) -> np.ndarray:
        return self.scheme.decrypt(ciphertext, key, samples)


def made(name: SchemeName, length: int = 4, lo: int = 0, hi: int = 15, key_limit: int = 127, **others: str) -> Made:
    """A scheme with new keys of an instance."""
    return made_for(Instance(name, length, IntDomain(lo, hi), key_limit, **others))


def made_for(instance: Instance) -> Made:
    found = scheme(instance.scheme)
    return Made(found, instance, *found.setup(instance))


def vectors(rng: np.random.Generator, made: Made, samples: int = 3, keys: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Random vectors x [samples, length] and y [keys, length] of an instance."""
    domain, limit, length = made.instance.inputs, made.instance.key_limit, made.instance.length
    x = rng.integers(domain.lo, domain.hi + 1, (samples, length))
    return x, rng.integers(-limit, limit + 1, (keys, length))


def products(x: np.ndarray, y: np.ndarray) -> list[list[int]]:
    """Inner products in Python integers, [samples, keys]."""
    return [[sum(a * b for a, b in zip(row, key, strict=True)) for key in y.tolist()] for row in x.tolist()]


@st.composite
def instances(draw: st.DrawFn, name: SchemeName) -> Instance:
    """Instances of short vectors, of any domain of inputs."""
    lo = draw(st.integers(-128, 254))
    hi = draw(st.integers(lo + 1, 255))
    return Instance(name, draw(st.integers(1, 8)), IntDomain(lo, hi), draw(st.sampled_from([1, 127, 300])))


@st.composite
def matrices(draw: st.DrawFn, instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Vectors x and y of an instance, of which some are as large as can be, or zero."""
    domain, limit = instance.inputs, instance.key_limit
    x = _matrix(draw, st.sampled_from([domain.lo, domain.hi]) | st.integers(domain.lo, domain.hi), instance.length)
    y = _matrix(draw, st.sampled_from([-limit, 0, limit]) | st.integers(-limit, limit), instance.length)
    return x, y


def _matrix(draw: st.DrawFn, elements: st.SearchStrategy[int], length: int) -> np.ndarray:
    rows = st.lists(elements, min_size=length, max_size=length) | elements.map(lambda value: [value] * length)
    return np.array(draw(st.lists(rows, min_size=1, max_size=3)), np.int64)
