"""The memory of the machine that executes PTX, and who of its threads has used which words."""

import numpy as np

GAP, ALIGNMENT = 32, 32  # words between arrays that belong to none, and words that arrays begin at multiples of
NOBODY, SEVERAL = -1, -2  # in place of a thread
THREE = np.uint64(3)


class RefusedError(AssertionError):
    """A kernel does what it must not do, or what this machine does not know."""


def demand(fine, words):
    if not fine:
        raise RefusedError(words)


class Placed(np.ndarray):
    """An array in a machine's memory, with what is used of Numba's arrays of a GPU."""

    def copy_to_host(self):
        return np.array(self)

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.ctypes.data, False)}


class Watch:
    """Which thread, or which block, has read and which has written each word, so far."""

    def __init__(self, words):
        self.readers, self.writers = np.full(words, NOBODY), np.full(words, NOBODY)

    def forget(self, passed):
        """What threads have done that have passed a barrier is done before all that follows."""
        gone = np.append(passed, [np.all(passed), False])  # `SEVERAL` may be any, and is the last but one
        for by in (self.readers, self.writers):
            by[gone[by]] = NOBODY

    def read(self, words, threads):
        by = self.writers[words]
        demand(((by == NOBODY) | (by == threads)).all(), "a thread reads what another one has written")
        before = self.readers[words]
        self.readers[words] = np.where((before == NOBODY) | (before == threads), threads, SEVERAL)
        self.readers[words[self.readers[words] != threads]] = SEVERAL

    def write(self, words, threads, anew):
        """``anew`` says where words are not what they were; threads may write what another one has written there."""
        for before in (self.readers[words], np.where(anew, self.writers[words], NOBODY)):
            fine = (before == NOBODY) | (before == threads)
            demand(fine.all(), "a thread writes what another one has read or written")
        self.writers[words] = threads


class Memory:
    """Global memory: arrays with words between them that belong to none."""

    def __init__(self, words=1 << 22):
        self.words, self.owned, self.used = np.zeros(words, np.uint64), np.zeros(words, bool), GAP
        self.used += -(self.words.ctypes.data // 8 + GAP) % ALIGNMENT

    def to_device(self, array):
        array = np.ascontiguousarray(array)
        first, self.used = self.used, self.used + -(-array.nbytes // 8 // ALIGNMENT) * ALIGNMENT + GAP
        demand(self.used <= len(self.words), "the memory is full")
        self.owned[first : first - (-array.nbytes // 8)] = True
        placed = self.words[first:].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape).view(Placed)
        placed[...] = array
        return placed


class Access:
    """A memory as a grid's threads use it: words, which of them there are, and who has used them.

    Args:
        words: uint64 [words].
        owned: bool [words], those of arrays.
        first: The address of the first word.
        grid: Whose threads these are.
        held: Of shared memory, how many words each block has; they lie one behind the other.
        unit: The bytes that are used as a whole: those of a word, or one.
    """

    def __init__(self, words, owned, first, grid, held=0, unit=8):
        self.words, self.owned, self.first, self.grid, self.held = words, owned, np.uint64(first), grid, held
        self.unit, units = unit, 8 * len(words) // unit
        self.threads, self.blocks = Watch(units), Watch(units)
        self.constant = np.zeros(units, bool)

    def place(self, addresses, size):
        """How many bytes from the first word on."""
        at = addresses - self.first
        demand(not (addresses & np.uint64(size - 1)).any(), "an address is not aligned")
        if self.held:
            demand((at < 8 * self.held).all(), "an address is outside the shared memory")
            at = at + (8 * self.held * self.grid.block[self.grid.here]).astype(np.uint64)
        demand((at >> THREE < len(self.words)).all(), "an address is outside the memory")
        return at.astype(np.int64)

    def units(self, at, size, alone=False):
        """The units of values, and which thread and which block uses each."""
        units = (at[:, None] + np.arange(0, size, self.unit)).ravel() // self.unit
        if alone:
            return units, SEVERAL, SEVERAL
        users = (np.repeat(by[self.grid.here], len(units) // len(at)) for by in (self.grid.thread, self.grid.block))
        return units, *users

    def read(self, addresses, kind, count, constant):
        size, found = np.dtype(kind).itemsize, []
        first = self.place(addresses, size * count)
        for at in (first + i * size for i in range(count)):
            demand(self.owned[at >> 3].all(), "what is read belongs to no array, or has not been written")
            units, threads, blocks = self.units(at, size, len(addresses) == 1 < len(self.grid.here))
            if constant:
                self.constant[units] = True
                demand((self.blocks.writers[units] == NOBODY).all(), "what has been written is read as constant")
            else:
                self.threads.read(units, threads)
                self.blocks.read(units, blocks)
            found.append(self.words.view(kind)[at // size])
        return found

    def write(self, addresses, values):
        size, memory = values.itemsize, self.words.view(values.dtype)
        at = self.place(addresses, size)
        units, threads, blocks = self.units(at, size)
        if self.held:
            self.owned[at >> 3] = True
        demand(self.owned[at >> 3].all(), "what is written belongs to no array")
        demand(not self.constant[units].any(), "what has been read as constant is written")
        anew = np.repeat(memory[at // size] != values, len(units) // len(at))
        self.threads.write(units, threads, anew)
        self.blocks.write(units, blocks, anew)
        memory[at // size] = values
        demand((memory[at // size] == values).all(), "two threads write one word")
