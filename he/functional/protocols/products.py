"""What a training protocol asks of whoever decrypts for it."""

from typing import Protocol

from intnn.values.arrays import IntArray


class Products(Protocol):
    """The encrypted vectors of one instance, for a trainer who may ask the authority for keys."""

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        """The exact inner products of some samples with vectors of keys.

        Args:
            y: The vectors, int64 [keys, length], in any order in memory.
            start: The first sample.
            stop: One behind the last sample.

        Returns:
            int64 [stop - start, keys].

        Raises:
            BudgetError: The authority refuses the keys.
            MismatchError: A product could be wrong.
        """
