"""The digest in which messages and stored arrays end: BLAKE3 over all bytes before it, of 32 bytes.

It finds accidents, and names what it ends. It authenticates nobody: who alters bytes can make their digest too, so use
a transport that authenticates, and files that others cannot write.

Source: O'Connor, Aumasson, Neves and Wilcox-O'Hearn, "BLAKE3: one function, fast everywhere" (2020), section 2; the
package `blake3` is the first author's.
"""

from __future__ import annotations

from blake3 import blake3

from intnn.values.arrays import integer

DIGEST_BYTES = 32
MOST_THREADS = 16  # each takes 2 MiB of addresses at once, and where a process has no more, BLAKE3 fails
_SHARE = 1 << 20  # bytes for a thread, at least: on fewer it gains less than it takes to start


def hasher(size: int = 0, threads: int = 1) -> blake3:
    """Return an object that takes bytes by `update`, piece by piece, and returns the digest of all by `digest`.

    The digest depends neither on where pieces end nor on threads. `update` lets other threads of Python run meanwhile.

    Args:
        size: how many bytes the largest piece has; 0 if that is not known, which leaves one thread.
        threads: the number of threads that may hash one piece, at least 1; a short piece gets fewer, and none more than
            `MOST_THREADS`.

    Raises:
        TypeError: if `threads` is no integer.
        ValueError: if it is less than 1.
    """
    # Threads of its own: those that BLAKE3 keeps for the whole process are not there after a fork, and the forked
    # process would wait for them without end.
    return blake3(max_threads=max(1, min(integer(threads, "threads", 1), MOST_THREADS, size // _SHARE)))
