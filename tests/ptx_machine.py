"""A machine that executes the PTX of kernels on numpy arrays, for what no GPU has run: instructions, and real sizes.

All threads of a grid go through the code together. A register is an array with a value for each thread, or one value
that all have; threads that take another branch are left out until they meet the others again. Everything is checked
that a GPU would let pass: addresses lie in arrays and are aligned, no thread waits at a barrier that another one of its
block has missed, and nothing depends on the order of threads. For that, no word may be written by one thread and read
or written by another one between two barriers, nor by another block in the same launch; and what is read past the
coherent caches (`ld.global.nc`) may not be written at all.

It knows the instructions that our kernels have, and refuses others by name. It models neither time nor warps.
"""

import operator
import re
from functools import cache

import numba
import numpy as np

from tests.ptx import ptx

TYPES = {"pred": np.bool_, "f64": np.float64} | {
    f"{letter}{bits}": np.dtype(f"{'i' if letter == 's' else 'u'}{bits // 8}").type
    for letter in "bsu"
    for bits in (32, 64)
}
REGISTERS = {"%p": np.bool_, "%r": np.uint32, "%rd": np.uint64, "%fd": np.float64}
GAP, ALIGNMENT = 32, 32  # words between arrays that belong to none, and words that arrays begin at multiples of
HALF, THREE = np.uint64(32), np.uint64(3)
LOW = np.uint64((1 << 32) - 1)
NOBODY, SEVERAL = -1, -2  # in place of a thread
END = "the end"  # the label behind a kernel's last statement


class RefusedError(AssertionError):
    """A kernel does what it must not do, or what this machine does not know."""


def _demand(fine, words):
    if not fine:
        raise RefusedError(words)


def _high(x, y):
    x0, x1, y0, y1 = x & LOW, x >> HALF, y & LOW, y >> HALF
    middle = x1 * y0 + (x0 * y0 >> HALF)
    return x1 * y1 + (middle >> HALF) + (x0 * y1 + (middle & LOW) >> HALF)


def _shift(way):
    def shifted(x, by):
        _demand((by < 8 * x.itemsize).all(), "a shift by all bits of a word")
        return way(x, by.astype(x.dtype))

    return shifted


def _insert(x, into, at, bits):
    mask = (1 << int(bits[0])) - 1 << int(at[0])
    return x << at.astype(np.uint64) & np.uint64(mask) | into & np.uint64(~mask % (1 << 64))


def _same(x):
    return x


#: Of operands and results of one type, by what precedes it in the opcode.
ALIKE = {
    "add": operator.add, "sub": operator.sub, "mul.lo": operator.mul, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "not": operator.invert, "neg": operator.neg, "min": np.minimum, "mov": _same,
    "mul.hi": _high, "mul.rn": operator.mul, "add.rn": operator.add, "cvta.to.global": _same,
}  # fmt: skip
COMPARED = {f"setp.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
#: All others, with the types of results and operands.
OTHERS = {
    **{f"shl.b{n}": (_shift(operator.lshift), f"b{n}", (f"b{n}", "u32")) for n in (32, 64)},
    **{f"shr.{s}{n}": (_shift(operator.rshift), f"{s}{n}", (f"{s}{n}", "u32")) for s in "us" for n in (32, 64)},
    "bfi.b64": (_insert, "b64", ("b64", "b64", "u32", "u32")),
    "mul.wide.s32": (lambda x, y: x.astype(np.int64) * y.astype(np.int64), "s64", ("s32", "s32")),
    "mul.wide.u32": (lambda x, y: x.astype(np.uint64) * y.astype(np.uint64), "u64", ("u32", "u32")),
    "mad.wide.u32": (lambda x, y, z: x.astype(np.uint64) * y.astype(np.uint64) + z, "u64", ("u32", "u32", "u64")),
}


def _meaning(opcode):
    """What an instruction without memory does, and the types of its result and operands."""
    name, _, kind = opcode.rpartition(".")
    if opcode in OTHERS:
        return OTHERS[opcode]
    if name in ALIKE and kind in TYPES:
        _demand(name != "mul.hi" or kind == "u64", f"no instruction of this machine: {opcode}")
        return ALIKE[name], kind, (kind,) * 3
    if name in COMPARED and kind in TYPES:
        return COMPARED[name], "pred", (kind, kind)
    if name == "selp" and kind in TYPES:
        return lambda x, y, chosen: np.where(chosen, x, y), kind, (kind, kind, "pred")
    converted = re.fullmatch(r"cvt(\.rn|\.rzi)?\.(\w+)\.(\w+)", opcode)
    if converted:
        return lambda x: x.astype(TYPES[converted[2]]), converted[2], (converted[3],)
    raise RefusedError(f"no instruction of this machine: {opcode}")


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
        _demand(((by == NOBODY) | (by == threads)).all(), "a thread reads what another one has written")
        before = self.readers[words]
        self.readers[words] = np.where((before == NOBODY) | (before == threads), threads, SEVERAL)
        self.readers[words[self.readers[words] != threads]] = SEVERAL

    def write(self, words, threads):
        for before in (self.readers[words], self.writers[words]):
            _demand(
                ((before == NOBODY) | (before == threads)).all(), "a thread writes what another one has read or written"
            )
        self.writers[words] = threads
        _demand((self.writers[words] == threads).all(), "two threads write one word")


class Memory:
    """Global memory: arrays with words between them that belong to none."""

    def __init__(self, words=1 << 22):
        self.words, self.owned, self.used = np.zeros(words, np.uint64), np.zeros(words, bool), GAP
        self.used += -(self.words.ctypes.data // 8 + GAP) % ALIGNMENT

    def to_device(self, array):
        array = np.ascontiguousarray(array)
        first, self.used = self.used, self.used + -(-array.nbytes // 8 // ALIGNMENT) * ALIGNMENT + GAP
        _demand(self.used <= len(self.words), "the memory is full")
        self.owned[first : first - (-array.nbytes // 8)] = True
        placed = self.words[first:].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape).view(Placed)
        placed[...] = array
        return placed

    def launch(self, kernel, grid, threads, arguments):
        """Execute a kernel, compiled for these arguments, on a grid of blocks of so many threads."""
        plain = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in arguments]
        code = parsed(ptx(kernel, tuple(numba.typeof(x) for x in plain)))
        parameters = []
        for x in plain:
            parameters += [0, 0, x.size, x.itemsize, x.ctypes.data, *x.shape, *x.strides] if np.ndim(x) else [int(x)]
        Grid(self, code, grid, threads, parameters).run()


@cache
def parsed(code):
    """The bytes of shared arrays by name; a kernel's statements, in blocks that have no branch within; their labels."""
    shared = {name: int(size) for name, size in re.findall(r"\.shared .*\s(\w+)\[(\d+)\];", code)}
    body = code[code.index("\n{") + 2 : code.rindex("}")]
    blocks, labels = [[]], {}
    for text in re.split(r";|(?<=:)\s", re.sub(r"//.*", "", body)):
        text = " ".join(text.split())
        if text.endswith(":"):
            labels[text[:-1]] = len(blocks)
            blocks.append([])
        elif text and not text.startswith((".reg", ".pragma")):
            guard, opcode, rest = re.fullmatch(r"(?:@(%p\d+) )?(\S+) ?(.*)", text).groups()
            operands = re.findall(r"[^\s,{}\[\]]+", rest)
            _demand(guard is None or opcode == "bra", f"an instruction with a guard: {text}")
            blocks[-1].append(_statement(guard, opcode, operands))
            if opcode in ("bra", "bra.uni", "ret"):
                blocks.append([])
    return shared, blocks, labels


def _statement(guard, opcode, operands):
    """What a statement does to the threads of a grid; a branch returns the label that some of them go to."""
    if opcode == "ret":
        return lambda grid: (END, grid.everyone)
    if opcode in ("bra", "bra.uni"):
        return lambda grid: (operands[0], grid.registers[guard] if guard else grid.everyone)
    if opcode == "bar.sync":
        return Grid.barrier
    if opcode.startswith("ld.param."):
        number = int(operands[1].rpartition("_")[2])
        return lambda grid: grid.set(operands[0], grid.parameters[number])
    access = re.fullmatch(r"(ld|st)(\.global|\.shared|)(\.nc)?(\.v2)?\.(\w+)", opcode)
    if access:
        return _access(*access.groups(), operands)
    function, result, kinds = _meaning(opcode)
    values = [_value(name, kind) for name, kind in zip(operands[1:], kinds, strict=False)]
    target, kind = operands[0], _register(operands[0])
    _demand(np.dtype(TYPES[result]).itemsize == kind.itemsize, f"{target} does not hold {result}")
    return lambda grid: grid.set(target, function(*[value(grid) for value in values]).view(kind))


def _access(way, space, constant, pair, kind, operands):
    kind, place = TYPES[kind], operands[-1] if way == "ld" else operands[0]
    names = operands[:-1] if way == "ld" else operands[1:]
    _demand(len(names) == (2 if pair else 1), f"other operands of an access than this machine's: {operands}")
    base, _, further = place.partition("+")
    base, further = _value(base, "u64"), np.array([int(further or 0) % (1 << 64)], np.uint64)
    size = np.dtype(kind).itemsize

    def load(grid):
        addresses = base(grid) + further
        if space == ".shared" or len(addresses) > 1:
            addresses = grid.of_those_here(addresses)
        found = (grid.near if space == ".shared" else grid.far).read(addresses, kind, len(names), bool(constant))
        for i, name in enumerate(names):
            value = found[i].astype(_register(name))  # extended by the sign of the type
            if len(value) > 1 and not grid.all_here:
                whole = np.zeros(len(grid.thread), value.dtype)
                whole[grid.here] = value
                value = whole
            grid.set(name, value)

    def store(grid):
        addresses, value = grid.of_those_here(base(grid) + further), grid.of_those_here(values[0](grid))
        (grid.near if space == ".shared" else grid.far).write(addresses, value)

    if way == "ld":
        return load
    values = [_value(name, "u64") for name in names]
    _demand(size == 8 and not pair, "a store of other than a word")
    return store


def _register(name):
    return np.dtype(REGISTERS[name.rstrip("0123456789")])


def _value(name, kind):
    """What reads a register, the name of a shared array, or a number, as a type of its width."""
    kind = np.dtype(TYPES[kind])
    if re.fullmatch(r"%\D+\d+|%\w+\.[xyz]|_cudapy_smem_\d+", name):
        width = 8 if name.startswith("_") else 4 if "." in name else _register(name).itemsize
        _demand(width == kind.itemsize, f"{name} is not of the width of {kind}")
        return lambda grid: grid.registers[name].view(kind)
    if name.startswith("0d"):
        number = np.array([int(name[2:], 16)], np.uint64).view(kind)
    else:
        number = np.array([int(name) % (1 << 8 * kind.itemsize)], f"u{kind.itemsize}").view(kind)
    return lambda grid: number


class Access:
    """A memory as a grid's threads use it: words, which of them there are, and who has used them.

    Args:
        words: uint64 [words].
        owned: bool [words], those of arrays.
        first: The address of the first word.
        grid: Whose threads these are.
        shared: Whether every block has its own, one behind the other, of ``len(words)`` over the number of blocks.
    """

    def __init__(self, words, owned, first, grid, held=0):
        self.words, self.owned, self.first, self.grid, self.held = words, owned, np.uint64(first), grid, held
        self.threads, self.blocks = Watch(len(words)), Watch(len(words))
        self.constant = np.zeros(len(words), bool)

    def place(self, addresses, size):
        """How many bytes from the first word on."""
        at = addresses - self.first
        _demand(not (addresses & np.uint64(size - 1)).any(), "an address is not aligned")
        if self.held:
            _demand((at < 8 * self.held).all(), "an address is outside the shared memory")
            at = at + (8 * self.held * self.grid.block[self.grid.here]).astype(np.uint64)
        _demand((at >> THREE < len(self.words)).all(), "an address is outside the memory")
        return at.astype(np.int64)

    def read(self, addresses, kind, count, constant):
        size, found = np.dtype(kind).itemsize, []
        at = self.place(addresses, size * count)
        alone = len(addresses) == 1 < len(self.grid.here)  # one address for all
        for i in range(count):
            words = at + i * size >> 3
            _demand(self.owned[words].all(), "what is read belongs to no array, or has not been written")
            if constant:
                self.constant[words] = True
                _demand((self.blocks.writers[words] == NOBODY).all(), "what has been written is read as constant")
            else:
                self.threads.read(words, SEVERAL if alone else self.grid.thread[self.grid.here])
                self.blocks.read(words, SEVERAL if alone else self.grid.block[self.grid.here])
            found.append(self.words.view(kind)[at // size + i])
        return found

    def write(self, addresses, values):
        words = self.place(addresses, 8) >> 3
        if self.held:
            self.owned[words] = True
        _demand(self.owned[words].all(), "what is written belongs to no array")
        _demand(not self.constant[words].any(), "what has been read as constant is written")
        self.threads.write(words, self.grid.thread[self.grid.here])
        self.blocks.write(words, self.grid.block[self.grid.here])
        self.words[words] = values


class Grid:
    """The threads of a launch, with their registers and shared memory."""

    def __init__(self, memory, code, grid, threads, parameters):
        arrays, self.statements, self.labels = code
        sizes = (*grid, 1, 1)[:3]
        self.thread, self.everyone = np.arange(np.prod(sizes) * threads), np.array([True])
        self.block, self.threads = self.thread // threads, threads
        axes = self.block % sizes[0], self.block // sizes[0] % sizes[1], self.block // sizes[0] // sizes[1]
        places = {
            "tid": (self.thread % threads, np.array([0]), np.array([0])), "ctaid": axes,
            "ntid": np.array([[threads], [1], [1]]), "nctaid": np.array(sizes)[:, None],
        }  # fmt: skip
        self.registers = {
            f"%{name}.{axis}": (x if x.any() else x[:1]).astype(np.uint32)
            for name, values in places.items()
            for axis, x in zip("xyz", values, strict=True)
        }
        ends = np.cumsum([0, *arrays.values()])
        self.registers |= {name: np.array([at], np.uint64) for name, at in zip(arrays, ends, strict=False)}
        self.parameters = [np.array([x % (1 << 64)], np.uint64) for x in parameters]
        held, blocks = int(ends[-1]) // 8, int(self.block[-1]) + 1
        self.near = Access(np.zeros(held * blocks, np.uint64), np.zeros(held * blocks, bool), 0, self, held)
        self.far = Access(memory.words[: memory.used], memory.owned, memory.words.ctypes.data, self)
        self.here, self.all_here = self.thread, True

    def run(self):
        at, end = np.zeros(len(self.thread), np.int64), len(self.statements)
        labels = {**self.labels, END: end}
        while (number := at.min()) < end:
            taken = at == number
            self.here, self.all_here, following = np.flatnonzero(taken), bool(taken.all()), number + 1
            for statement in self.statements[number]:
                branch = statement(self)
                if branch:
                    following = np.where(self.of_those_here(branch[1]), labels[branch[0]], following)
            at[self.here] = following

    def of_those_here(self, values):
        """The values of the threads that have come here."""
        return np.broadcast_to(values, self.thread.shape)[self.here]

    def set(self, name, value):
        if not self.all_here:
            kept = np.zeros(len(self.thread), value.dtype)
            kept[...] = self.registers.get(name, 0)
            kept[self.here] = self.of_those_here(value)
            value = kept
        self.registers[name] = value

    def barrier(self):
        there = np.bincount(self.block[self.here])
        fine = (there == 0) | (there == self.threads)
        _demand(fine.all(), "a thread waits at a barrier that another one of its block has missed")
        passed = np.isin(self.thread, self.here)
        self.near.threads.forget(passed)
        self.far.threads.forget(passed)


def in_place_of_a_gpu(patches):
    """Have what is launched go to a machine, for as long as patches last."""
    from he.kernels.cuda import tables
    from intnn.machine.cuda import launch

    def made_ready(kernel, grid, threads, arguments, _shared):
        return lambda _stream: memory.launch(kernel.py_func, grid, threads, arguments)

    memory, place = Memory(), (id(patches), 0)  # tables are kept by a GPU's place
    patches.setattr(numba.cuda, "to_device", memory.to_device)
    patches.setattr(tables, "place_in_use", lambda: place)
    patches.setattr(launch, "made_ready", made_ready)
    return memory
