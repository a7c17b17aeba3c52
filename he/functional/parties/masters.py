"""The master keys that an authority used last, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from he.functional.scheme import MasterKey
from intnn.values.value_object import Unstorable

#: The most bytes of all of them as messages. Lattice keys that are in use take about four times as much.
MOST_BYTES = 1 << 25


class Masters(Unstorable, instead="the authority's journal holds what they were read from"):
    """Master keys by the ids of their instances: read where they are not at hand, and kept while there is room.

    Args:
        read: What reads a master key: it returns the key, and the bytes of its message.
        most_bytes: The most bytes of all that are kept; the one that was used last always is.
    """

    def __init__(self, read: Callable[[str], tuple[MasterKey, int]], most_bytes: int = MOST_BYTES) -> None:
        self._read, self._most, self._bytes = read, most_bytes, 0
        self._kept: OrderedDict[str, tuple[MasterKey, int]] = OrderedDict()

    def __getitem__(self, name: str) -> MasterKey:
        """The master key of an instance."""
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
            return found[0]
        key, size = self._read(name)
        self.keep(name, key, size)
        return key

    def keep(self, name: str, key: MasterKey, size: int) -> None:
        """Keep a master key that is not kept yet, and whose message has so many bytes."""
        self._kept[name] = key, size
        self._bytes += size
        while self._bytes > self._most and len(self._kept) > 1:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= oldest

    def __len__(self) -> int:
        return len(self._kept)
