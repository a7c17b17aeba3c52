"""The memory of the machine that executes PTX, and who of its threads has used which words."""

import numpy as np

GAP, ALIGNMENT = 32, 32  # words between arrays that belong to none, and words that arrays begin at multiples of
NOBODY, SEVERAL = -1, -2  # in place of a thread
GARBAGE = 0x5A
ATOMIC = {"add": np.add, "max": np.maximum, "min": np.minimum}  # the order of several of one kind is free
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

    def copy_to_device(self, values):
        demand((self.shape, self.dtype) == (values.shape, values.dtype), "a copy of another shape or type")
        self[...] = values

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.ctypes.data, False)}


class Watch:
    """Which thread, or which block, has read and which has written each unit of memory, so far."""

    def __init__(self, units):
        self.readers, self.writers = np.full(units, NOBODY), np.full(units, NOBODY)
        self.operations = np.zeros(units, np.int8)  # where one atomic operation has written alone, its number

    def forget(self, passed):
        """What threads have done that have passed a barrier is done before all that follows."""
        gone = np.append(passed, [np.all(passed), False])  # `SEVERAL` may be any, and is the last but one
        for by in (self.readers, self.writers):
            by[gone[by]] = NOBODY

    def read(self, words, threads):
        by = self.writers[words]
        demand(((by == NOBODY) | (by == threads)).all(), "a thread reads what another one has written")
        self._add(self.readers, words, threads)

    def write(self, words, threads, anew):
        """``anew`` says where words are not what they were; threads may write what another one has written there."""
        for before in (self.readers[words], np.where(anew, self.writers[words], NOBODY)):
            fine = (before == NOBODY) | (before == threads)
            demand(fine.all(), "a thread writes what another one has read or written")
        self.writers[words], self.operations[words] = threads, 0

    def change(self, words, threads, operation):
        """Several threads may change a word by the same atomic operation, whose order makes no difference."""
        operation, readers, writers = 1 + list(ATOMIC).index(operation), self.readers[words], self.writers[words]
        fine = (writers == NOBODY) | (writers == threads) | (self.operations[words] == operation)
        fine &= (readers == NOBODY) | (readers == threads)
        demand(fine.all(), "a thread changes what another one has read, or written in another way")
        self.operations[words[writers == NOBODY]] = operation
        self._add(self.writers, words, threads)

    @staticmethod
    def _add(users, words, threads):
        before = users[words]
        users[words] = np.where((before == NOBODY) | (before == threads), threads, SEVERAL)
        users[words[users[words] != threads]] = SEVERAL


class Memory:
    """Global memory: arrays with words between them that belong to none."""

    def __init__(self, words=1 << 22):
        self.words, self.owned, self.used = np.zeros(words, np.uint64), np.zeros(8 * words, bool), GAP
        self.used += -(self.words.ctypes.data // 8 + GAP) % ALIGNMENT

    def to_device(self, array):
        array = np.ascontiguousarray(array)
        first, self.used = self.used, self.used + -(-array.nbytes // 8 // ALIGNMENT) * ALIGNMENT + GAP
        demand(self.used <= len(self.words), "the memory is full")
        self.owned[8 * first : 8 * first + array.nbytes] = True
        placed = self.words[first:].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape).view(Placed)
        placed[...] = array
        return placed

    def device_array(self, shape, dtype):
        """An array that nobody has written: its bytes are no zeros, and beyond what is meant to be there."""
        return self.to_device(np.full(np.empty(shape, dtype).nbytes, GARBAGE, np.uint8).view(dtype).reshape(shape))


class Access:
    """A memory as a grid's threads use it: words, which of them there are, and who has used them.

    Args:
        words: uint64 [words].
        owned: bool [bytes], those of arrays.
        first: The address of the first word.
        grid: Whose threads these are.
        unit: The bytes that are used as a whole: those of the shortest access.
        held: Of shared memory or of threads' own, how many words each holder has; they lie one behind the other.
        holders: Which of the holders, blocks or threads, each thread belongs to.
    """

    def __init__(self, words, owned, first, grid, unit, held=0, holders=None):
        self.words, self.first, self.grid, self.held = words, np.uint64(first), grid, held
        self.unit, self.holders = unit, holders
        self.owned = owned.reshape(-1, unit).all(1)
        self.threads, self.blocks = Watch(len(self.owned)), Watch(len(self.owned))
        self.constant = np.zeros(len(self.owned), bool)

    @classmethod
    def held_by(cls, holders, held, grid, unit):
        """Memory that nobody has written, so many words for each holder."""
        words = held * (int(holders[-1]) + 1)
        return cls(np.zeros(words, np.uint64), np.zeros(8 * words, bool), 0, grid, unit, held, holders)

    def place(self, addresses, size):
        """How many bytes from the first word on."""
        at = addresses - self.first
        demand(not (addresses & np.uint64(size - 1)).any(), "an address is not aligned")
        if self.holders is not None:
            demand((at < 8 * self.held).all(), "an address is outside the memory of a block or a thread")
            at = at + (8 * self.held * self.holders[self.grid.here]).astype(np.uint64)
        demand((at >> THREE < len(self.words)).all(), "an address is outside the memory")
        return at.astype(np.int64)

    def units(self, at, size, alone=False):
        """The units of values, and which thread and which block uses each."""
        units = (at[:, None] + np.arange(0, size, self.unit)).ravel() // self.unit
        if alone:
            return units, SEVERAL, SEVERAL
        users = (np.repeat(by[self.grid.here], size // self.unit) for by in (self.grid.thread, self.grid.block))
        return units, *users

    def read(self, addresses, kind, count=1, constant=False):
        """Read so many values one behind the other for each thread."""
        size, found = np.dtype(kind).itemsize, []
        first = self.place(addresses, size * count)
        for at in (first + i * size for i in range(count)):
            units, threads, blocks = self.units(at, size, len(addresses) == 1 < len(self.grid.here))
            demand(self.owned[units].all(), "what is read belongs to no array, or has not been written")
            if constant:
                self.constant[units] = True
                demand((self.blocks.writers[units] == NOBODY).all(), "what has been written is read as constant")
            else:
                self.threads.read(units, threads)
                self.blocks.read(units, blocks)
            found.append(self.words.view(kind)[at // size])
        return found

    def write(self, addresses, several):
        """Write values one behind the other for each thread: a list of arrays."""
        size = several[0].itemsize
        first, memory = self.place(addresses, size * len(several)), self.words.view(several[0].dtype)
        for at, values in ((first + i * size, values) for i, values in enumerate(several)):
            units, threads, blocks = self._to_write(at, size)
            anew = np.repeat(memory[at // size] != values, size // self.unit)
            self.threads.write(units, threads, anew)
            self.blocks.write(units, blocks, anew)
            memory[at // size] = values
            demand((memory[at // size] == values).all(), "two threads write one word")

    def change(self, addresses, values, operation):
        """Change what is there by an atomic operation."""
        at, memory = self.place(addresses, values.itemsize), self.words.view(values.dtype)
        units, threads, blocks = self._to_write(at, values.itemsize, has_been=True)
        self.threads.change(units, threads, operation)
        self.blocks.change(units, blocks, operation)
        ATOMIC[operation].at(memory, at // values.itemsize, values)

    def give_up(self, addresses, size):
        """What is there will be written: until then nobody may read it."""
        units, threads, blocks = self._to_write(self.place(addresses, size), size)
        self.threads.write(units, threads, True)
        self.blocks.write(units, blocks, True)
        demand(len(np.unique(units)) == len(units), "two threads write one word")
        self.owned[units] = False

    def _to_write(self, at, size, has_been=False):
        units, threads, blocks = self.units(at, size)
        if self.holders is not None and not has_been:
            self.owned[units] = True
        demand(self.owned[units].all(), "what is written belongs to no array")
        demand(not self.constant[units].any(), "what has been read as constant is written")
        return units, threads, blocks
