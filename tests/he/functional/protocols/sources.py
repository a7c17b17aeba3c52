"""What stands for a trainer's `Products` in tests: sums in the clear, or a scheme and its authority. And digits."""

import numpy as np

from he.functional.instance import Instance
from he.functional.scheme import Scope
from he.functional.schemes import scheme
from intnn import IntDomain
from plaintext_models.data import datasets


class Clear:
    """Inner products with vectors that anyone can read, and what was asked of them."""

    def __init__(self, x):
        self.x, self.asked, self.keys_issued = x, [], 0

    def products(self, y, start, stop):
        assert y.dtype == np.int64
        assert y.flags.c_contiguous
        self.asked.append((start, stop))
        self.keys_issued += len(y)
        return self.x[start:stop] @ y.T


class Encrypted:
    """Inner products with vectors encrypted under an instance of their own, by functional keys alone."""

    def __init__(self, name: str, x, inputs: IntDomain, key_limit: int = 127):
        self.scheme = scheme(name)
        self._master, self._public = self.scheme.setup(Instance(name, x.shape[1], inputs, key_limit))
        self._ciphertext = self.scheme.encrypt(self._public, x)
        self.keys_issued = 0

    def products(self, y, start, stop):
        scope = Scope(self._ciphertext.header, start, stop) if self.scheme.keys_are_scoped else None
        key = self.scheme.derive_key(self._master, y, scope)
        self.keys_issued += len(y)
        return self.scheme.decrypt(self._public, self._ciphertext, key, slice(start, stop))


def digits(n: int, part: str = "train"):
    """The first digits of a part of the data, pixels in [0, 16], and their labels."""
    data = datasets.load("digits")
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    return np.rint(images[:n].reshape(n, -1) * 16).astype(np.int64), labels[:n]
