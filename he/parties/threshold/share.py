"""What an owner computes with its share of a secret key: shares of keys, and parts of decryptions.

The secret s = s_1 + s_2 is known to nobody. All keys are encryptions under s of something, (-a s + e + m, a), and with
a polynomial a that both owners know each makes its share of the first polynomial, -a s_i + e_i + m_i (Asharov, Jain,
Lopez-Alt, Tromer, Vaikuntanathan and Wichs, *Multiparty computation with low communication, computation and interaction
via threshold FHE*, Eurocrypt 2012; Mouchet, Troncoso-Pastoriza, Bossuat and Hubaux, *Multiparty homomorphic encryption
from ring-learning-with-errors*, PoPETs 2021):

- the *public key* encrypts 0, and the key for an automorphism encrypts G s(X^g) = G s_1(X^g) + G s_2(X^g), where G is
  the product of the special primes, modulo the primes of a digit;
- the *relinearisation key* encrypts G s^2 = G s_1^2 + G s_2^2 + 2 G s_1 s_2. The last term takes a round before: with a
  common polynomial c, one owner publishes x = -c s_1 + f_1 + G s_1, and the other one y = -c s_2 + f_2. Then s_2 x -
  s_1 y is G s_1 s_2 + f_1 s_2 - f_2 s_1, of which each owner has a term: so they make -a s_1 + e_1 + G s_1^2 - 2 s_1 y
  and -a s_2 + e_2 + G s_2^2 + 2 s_2 x. For two owners this does what protocol 2 of Mouchet et al. does for many, and
  the second polynomials stay those that seeds name, so that keys have the format of other keys.

*What the shares tell.* With a + 2 y for a, the first owner's share of that key is -(a + 2 y) s_1 + e_1 + G s_1^2: an
encryption of G s_1^2 under s_1 as any relinearisation key is, if a + 2 y is uniform. It is, for any y, where a is drawn
after y is known; so a is drawn from what both have published (`he.parties.threshold.strings`). In the same way x is a
sample -(c - G) s_1 + f_1 of ring learning with errors. What an owner publishes is thus what the owner of a key of one,
s_i, publishes anyway, and rests on the same assumptions: ring learning with errors, and circular security.

No branch and no address depends on a secret or an error here; errors have SEAL's law, from the operating system's
generator (`he.parties.batch`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from he.formats.switching import RELINEARISATION
from he.kernels.passes.encrypt import encrypted, noisy
from he.kernels.passes.evaluate import add_rows, multiply, scale_row
from he.kernels.tables.chain import chain
from he.kernels.tables.gadgets import gadget_tables
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from he.ring.slots import automorphism
from he.ring.words import Words
from intnn.values.value_object import Unstorable


class KeyShare(Unstorable, instead="it holds a share of a secret key: store that with `SecretKey.save`"):
    """An owner's share of a secret key; callers use `SecretKey.share`.

    All polynomials are transformed, and residues modulo all primes of the parameters unless a gadget leaves some out.

    Args:
        parameters: the parameters, none of whose primes has more than 50 bits.
        secret: the share, uint64 [primes, N].
    """

    def __init__(self, parameters: Parameters, secret: np.ndarray) -> None:
        self._primes, self._N = parameters.primes, parameters.poly_modulus_degree
        self._tables = chain(self._N, self._primes).tables
        self._secret, self._raised = secret, np.empty_like(secret)
        for j, row in enumerate(secret):
            factor = self._tables.constants[j]
            scale_row(self._tables, row, j, int(factor["radix"]), int(factor["radix_quotient"]), self._raised[j])

    def masked(self, mask: np.ndarray, term: np.ndarray | None = None) -> np.ndarray:
        """Return -mask s_i + e_i, and a term to it, with new errors e_i: uint64 [primes, N].

        Args:
            mask: uint64 [primes, N].
            term: the same; None for 0.
        """
        errors, out = np.empty((1, self._N), np.int64), np.empty((1, *mask.shape), np.uint64)
        noisy(Words().words(self._N), np.zeros(self._N), errors[0])
        encrypted(self._tables, errors, self._raised, mask, out)
        return out[0] if term is None else self.added(out[0], term)

    def term(self, gadget: Gadget, group: Sequence[int], element: int | None) -> np.ndarray:
        """Return the gadget's factor G times what a digit of a key encrypts of this share: uint64 [primes, N].

        Args:
            gadget: the gadget.
            group: the primes of the digit, outside of which it is 0.
            element: g for s_i(X^g), 1 for s_i^2, and None for s_i itself.
        """
        if element is None:
            source = self._secret
        elif element == RELINEARISATION:
            source = self._squared
        else:
            source = np.take(self._secret, automorphism(self._N, element), axis=1)
        special, result = gadget_tables(gadget).special, np.zeros_like(self._secret)
        for i in group:
            scale_row(self._tables, source[i], i, special[i]["value"], special[i]["quotient"], result[i])
        return result

    def added(self, *polynomials: np.ndarray) -> np.ndarray:
        """Return the sum of polynomials uint64 [primes, N]."""
        first, *others = polynomials
        total = first[None].copy()
        for other in others:
            add_rows(self._tables, total, np.ascontiguousarray(other[None]), len(first) - 1, total)
        return total[0]

    def negated(self, polynomial: np.ndarray) -> np.ndarray:
        """Return a public polynomial, uint64 [primes, N], with the opposite sign."""
        primes = np.array(self._primes, np.uint64)[:, None]
        return (primes - polynomial) % primes

    def times(self, polynomial: np.ndarray) -> np.ndarray:
        """Return the share times a polynomial, uint64 [level, N] modulo the first primes: nobody else may see this."""
        level = len(polynomial)
        pairs = np.zeros((2, 2, level, self._N), np.uint64)
        pairs[0, 0], pairs[1, 0] = polynomial, self._secret[:level]
        result = np.empty((3, level, self._N), np.uint64)
        multiply(self._tables, pairs[0], pairs[1], 0, result)
        return result[0]

    @property
    def _squared(self) -> np.ndarray:
        return self.times(self._secret)
