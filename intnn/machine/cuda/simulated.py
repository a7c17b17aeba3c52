"""The instructions of `intnn.machine.cuda.assembly` in plain Python, for Numba's simulator of a GPU.

Sums are Python ints: an accumulator that would wrap on a GPU cannot be stored here, and raises.

What a GPU does while a thread goes on is done as late as it may be, when the thread waits for it; copies of every other
thread are made as early as they may be. So where a wait is missing, words are not there yet, or are written over.
"""

import struct
import threading
from collections.abc import Callable
from operator import mul
from typing import Any

from numba.cuda.simulator import kernelapi

Four = tuple[int, int, int, int]
PATIENCE = 10_000  # how often a thread lets others go on that it waits for
_LOCK = threading.Lock()


def this_thread() -> Any:
    """The thread at work, as the simulator knows it."""
    return kernelapi.threading.current_thread()


def _bytes_of(kind: str) -> Callable[[int], Four]:
    """A function from a word to its four integers of this kind."""
    code = {"s8": "<4b", "u8": "<4B"}[kind]
    return lambda word: struct.unpack(code, struct.pack("<i", word))


def dp4a(a_type: str, b_type: str) -> Callable[[int, int, int], int]:
    """A function (a, b, c) -> c + the dot product of four by four integers, each of type "s8" or "u8"."""
    a_bytes, b_bytes = _bytes_of(a_type), _bytes_of(b_type)
    return lambda a, b, c: int(c) + sum(map(mul, a_bytes(a), b_bytes(b)))


def mma(a_type: str, b_type: str) -> Callable[[Four, tuple[int, int], Four], Four]:
    """A warp's function (a, b, c) -> c + a b: a is 16 x 32, b is 32 x 8 integers "s8" or "u8", c is 16 x 8 int32."""
    a_bytes, b_bytes = _bytes_of(a_type), _bytes_of(b_type)

    def product(a: Four, b: tuple[int, int], c: Four) -> Four:
        thread = this_thread()
        warp, lane = divmod(thread.thread_id, 32)
        fragments = vars(thread._manager).setdefault("fragments", {})
        fragments[warp, lane] = [a_bytes(word) for word in a], [b_bytes(word) for word in b]
        thread.syncthreads()  # the simulator can only wait for the whole block; all its warps come by here
        group, place = divmod(lane, 4)

        def cell(half: int, column: int) -> int:
            total = 0
            for q in range(4):  # the four lanes that share a row of a, and a column of b
                row, col = fragments[warp, 4 * group + q][0], fragments[warp, 4 * column + q][1]
                total += sum(map(mul, row[half] + row[half + 2], col[0] + col[1]))
            return total

        sums = [cell(half, 2 * place + side) for half in (0, 1) for side in (0, 1)]
        thread.syncthreads()  # before the next fragments replace these
        return tuple(int(old) + new for old, new in zip(c, sums, strict=True))  # type: ignore[return-value]

    return product


def load4(words: Any, index: int) -> Four:
    """Read four words from ``index`` on, a multiple of four."""
    _require_aligned(index)
    return tuple(int(words[index + i]) for i in range(4))  # type: ignore[return-value]


def store2(words: Any, index: int, values: tuple[int, int]) -> None:
    """Write two words from ``index`` on, a multiple of two."""
    if index % 2:
        raise ValueError(f"`index` of an access to two words must be a multiple of two, got {index}")
    words[index], words[index + 1] = values


def store4(words: Any, index: int, values: Four) -> None:
    """Write four words from ``index`` on, a multiple of four."""
    _require_aligned(index)
    for i in range(4):
        words[index + i] = values[i]


class _Work:
    """What a thread has started and not waited for: groups of actions, the last of which is still open."""

    def __init__(self) -> None:
        self._groups: list[list[Callable[[], None]]] = [[]]

    def start(self, action: Callable[[], None]) -> None:
        self._groups[-1].append(action)

    def close(self) -> None:
        self._groups.append([])

    def settle(self, pending: int) -> None:
        """Do all but the last groups that are closed, which are so many."""
        while len(self._groups) > pending + 1:
            for action in self._groups.pop(0):
                action()


def _work(kind: str) -> _Work:
    """This thread's of a kind."""
    thread = this_thread()
    works: dict[int, _Work] = vars(thread._manager).setdefault(kind, {})
    return works.setdefault(thread.thread_id, _Work())


def copy4(shared: Any, to: int, source: Any, start: int, size: int) -> None:
    """Copy ``size`` bytes, 16 or 0, of four words to shared memory; the other bytes become zero."""
    thread = this_thread()

    def copy() -> None:
        store4(shared, to, load4(source, start) if size else (0, 0, 0, 0))

    if thread.thread_id % 2:
        _work("copies").start(copy)
    else:
        copy()


def commit() -> None:
    """Close the group of the copies that this thread has started."""
    _work("copies").close()


def wait_for(pending: int) -> Callable[[], None]:
    """A function that waits until at most ``pending`` groups of this thread's copies are still under way."""
    return lambda: _work("copies").settle(pending)


def init_barrier(shared: Any, index: int, count: int) -> None:
    """Make a barrier of two words: arrivals that end a phase, and all that have been; bytes are never missed."""
    shared[index], shared[index + 1] = count, 0


def _bytes_missed() -> dict[int, int]:
    """The bytes that barriers of this block wait for, by their indices."""
    thread = this_thread()
    missed: dict[int, int] = vars(thread._manager).setdefault("bytes", {})
    return missed


def expect_bytes(shared: Any, index: int, count: int) -> None:  # noqa: ARG001
    """Have a barrier wait for so many bytes; this thread arrives with the last of them."""
    _bytes_missed()[index] = count


def arrive(shared: Any, index: int) -> None:
    """Arrive at a barrier."""
    with _LOCK:
        shared[index + 1] += 1


def await_phase(shared: Any, index: int, parity: int) -> None:
    """Wait until the phase of this parity is over."""
    wait_until(lambda: int(shared[index + 1]) // int(shared[index]) % 2 != parity)


def wait_until(is_over: Callable[[], bool]) -> None:
    """Let other threads of the block go on until they wait too, as often as it takes."""
    thread = this_thread()
    for _ in range(PATIENCE):
        if is_over():
            return
        thread.syncthreads()
    raise TimeoutError("nobody ends what is waited for")


def _acquired() -> set[tuple[int, int]]:
    """The threads of this block with the maps, by their identities, that each has acquired."""
    found: set[tuple[int, int]] = vars(this_thread()._manager).setdefault("acquired", set())
    return found


def acquire_map(map_: Any) -> None:
    """Have copies that this thread starts from now on read a map as it lies in memory."""
    _acquired().add((this_thread().thread_id, id(map_)))


def copy_tile(rows: int) -> Callable[..., None]:
    """A function (shared, to, map, byte, row, barrier) that copies ``rows`` lines of 128 bytes, in swizzled order."""

    def copy(shared: Any, to: int, map_: Any, byte: int, row: int, barrier: int) -> None:
        if (this_thread().thread_id, id(map_)) not in _acquired():
            raise RuntimeError("a map is used by a thread that has not acquired it: a GPU may read an older one")
        for line in range(rows):
            for piece in range(8):
                for i in range(4):
                    at, word = row + line, byte // 4 + 4 * piece + i
                    inside = at < map_.shape[0] and word < map_.shape[1]
                    shared[to + 32 * line + 4 * (piece ^ line % 8) + i] = map_[at, word] if inside else 0
        missed = _bytes_missed()
        missed[barrier] -= 128 * rows
        if not missed[barrier]:
            arrive(shared, barrier)

    return copy


def tensor_map(array: Any, rows: int, row_bytes: int, box: int) -> Any:  # noqa: ARG001
    """The matrix itself, int32 words [rows, row_bytes / 4]."""
    words = row_bytes // 4
    return array[: rows * words].reshape(rows, words)


def warpgroup_mma(columns: int, a_type: str, b_type: str) -> Callable[[Any, Any, int, int, int], None]:
    """A function (sums, shared, a, b, goes_on) that puts sums or 0, + a bT into ``sums``; see the module `assembly`."""
    a_bytes, b_bytes = _bytes_of(a_type), _bytes_of(b_type)

    def line(words: Any, start: int, number: int, kind: Callable[[int], Four]) -> list[int]:
        first = start + 32 * number
        at = (first + 4 * (piece ^ number % 8) + word for piece in range(8) for word in range(4))
        return [value for place in at for value in kind(int(words[place]))]

    def multiply(sums: Any, shared: Any, a: int, b: int, goes_on: int) -> None:
        thread = this_thread()
        warp, lane = divmod(thread.thread_id % 128, 32)
        rows = [line(shared, a, 16 * warp + lane // 4 + 8 * half, a_bytes) for half in (0, 1)]
        for pair in range(columns // 8):
            for side in (0, 1):
                column = line(shared, b, 8 * pair + 2 * (lane % 4) + side, b_bytes)
                for half in (0, 1):
                    at = 4 * pair + 2 * half + side
                    sums[at] = int(sums[at]) * goes_on + sum(map(mul, rows[half], column))

    def start(sums: Any, shared: Any, a: int, b: int, goes_on: int) -> None:
        if a % 256 or b % 256:
            raise ValueError(f"`a` and `b` must be on borders of 1024 bytes, got words {a} and {b}")
        work = _work("products")
        work.start(lambda: multiply(sums, shared, a, b, goes_on))
        work.close()

    return start


def in_flight(pending: int) -> Callable[[], None]:
    """A function that waits until at most ``pending`` products of each of the warp's threads are still to be made."""

    def wait() -> None:
        thread = this_thread()
        _work("products").settle(pending)
        warp, come = thread.thread_id // 32, vars(thread._manager).setdefault("come", {})
        with _LOCK:
            number = come[warp] = come.get(warp, 0) + 1
        wait_until(lambda: come[warp] >= -(-number // 32) * 32)

    return wait


def settled(columns: int) -> Callable[[Any], None]:  # noqa: ARG001
    """A function (sums) that waits for all products of the warp's threads."""
    wait = in_flight(0)
    return lambda _sums: wait()


def _require_aligned(index: int) -> None:
    if index % 4:
        raise ValueError(f"`index` of an access to four words must be a multiple of four, got {index}")
