"""What stands for a trainer's `Products` in tests: sums in the clear, or parties. And digits."""

import numpy as np

from he.functional.instance import Instance, SchemeName
from he.functional.parties.authority import Authority
from he.functional.parties.books import Role
from he.functional.parties.owner import Owner, arranged
from he.functional.parties.trainer import Products
from intnn import IntDomain
from plaintext_models.data import datasets


class Clear:
    """Inner products with vectors that anyone can read, and what was asked of them."""

    def __init__(self, x):
        self.x, self.asked, self.keys_issued = x, [], 0

    def products(self, y, start, stop):
        assert y.dtype == np.int64
        assert y.flags.forc
        self.asked.append((start, stop))
        self.keys_issued += len(y)
        return self.x[start:stop] @ y.T


class Parties:
    """An authority, and owners who encrypt for the instances that it opens: where a trainer's products come from."""

    def __init__(self, authority: Authority, name: SchemeName, inputs: IntDomain, owners: tuple[str, ...] = ("owner",)):
        self._authority, self._name, self._inputs, self._owners = authority, name, inputs, owners

    def products(
        self, x, role: Role, budget: int, samples: range | None = None, columns: int | None = None
    ) -> Products:
        """Those of one instance for the vectors x, of which every owner encrypts as many."""
        instance = Instance(self._name, x.shape[1], self._inputs)
        public = self._authority.open(instance, budget, "data", role, samples, columns)
        blocks, at = [], 0
        for owner, part in zip(self._owners, np.array_split(x, len(self._owners)), strict=True):
            blocks += Owner(owner, public, first_sample=at).encrypt(part)
            at += len(part)
        return Products(self._authority, instance, arranged(blocks, self._owners))


def digits(n: int, part: str = "train"):
    """The first digits of a part of the data, pixels in [0, 16], and their labels."""
    data = datasets.load("digits")
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    return np.rint(images[:n].reshape(n, -1) * 16).astype(np.int64), labels[:n]
