"""A machine that executes the PTX of kernels on numpy arrays, for what no GPU has run: instructions, and real sizes.

All threads of a grid go through the code together. A register is an array with a value for each thread, or one value
that all have; threads that take another branch are left out until they meet the others again. Everything is checked
that a GPU would let pass: addresses lie in arrays and are aligned, no thread waits at a barrier that another one of its
block has missed, and nothing depends on the order of threads. For that, no word may be written by one thread and read
or written by another one between two barriers, nor by another block in the same launch; but all may write what is there
already. What is read past the coherent caches (`ld.global.nc`) may not be written at all.

It knows the instructions that our kernels have, and refuses others by name. It models neither time nor warps.
"""

import operator
import re
from functools import cache

import numba
import numpy as np

from tests.ptx import ptx
from tests.ptx_memory import Access, Memory, RefusedError, demand

TYPES = {"pred": np.bool_, "f64": np.float64} | {
    f"{letter}{bits}": np.dtype(f"{'i' if letter == 's' else 'u'}{bits // 8}").type
    for letter in "bsu"
    for bits in (8, 16, 32, 64)
}
REGISTERS = {"%p": np.bool_, "%rs": np.uint16, "%r": np.uint32, "%rd": np.uint64, "%fd": np.float64}
REGISTERS |= {"%lhs": np.uint64, "%rhs": np.uint64}  # of a rotation, as the compiler writes it
HALF = np.uint64(32)
LOW = np.uint64((1 << 32) - 1)
END = "the end"  # the label behind a kernel's last statement


def _high(x, y):
    x0, x1, y0, y1 = x & LOW, x >> HALF, y & LOW, y >> HALF
    middle = x1 * y0 + (x0 * y0 >> HALF)
    return x1 * y1 + (middle >> HALF) + (x0 * y1 + (middle & LOW) >> HALF)


def _shift(way):
    def shifted(x, by):
        demand((by < 8 * x.itemsize).all(), "a shift by all bits of a word")
        return way(x, by.astype(x.dtype))

    return shifted


def _insert(x, into, at, bits):
    mask = (1 << int(bits[0])) - 1 << int(at[0])
    return x << at.astype(np.uint64) & np.uint64(mask) | into & np.uint64(~mask % (1 << 64))


def _permuted(x, y, places):
    """Four bytes of two words, by their places in both."""
    both, result = x.astype(np.uint64) | y.astype(np.uint64) << HALF, np.uint64(0)
    demand((places & np.uint32(0x8888) == 0).all(), "a byte's sign in place of the byte")
    for i in range(4):
        place = (places >> np.uint32(4 * i) & np.uint32(7)).astype(np.uint64)
        result = result | (both >> np.uint64(8) * place & np.uint64(255)) << np.uint64(8 * i)
    return result.astype(np.uint32)


def _divided(way):
    def divided(x, y):
        demand((x >= 0).all() and (y > 0).all(), "a division of or by a negative number, or by zero")
        return way(x, y)

    return divided


def _same(x):
    return x


#: Of operands and results of one type, by what precedes it in the opcode.
ALIKE = {
    "add": operator.add, "sub": operator.sub, "mul.lo": operator.mul, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "not": operator.invert, "neg": operator.neg, "min": np.minimum, "mov": _same,
    "mul.hi": _high, "mul.rn": operator.mul, "div": _divided(operator.floordiv), "rem": _divided(operator.mod),
     "add.rn": operator.add, "cvta.to.global": _same,
}  # fmt: skip
COMPARED = {f"setp.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
#: All others, with the types of results and operands.
OTHERS = {
    **{f"shl.b{n}": (_shift(operator.lshift), f"b{n}", (f"b{n}", "u32")) for n in (32, 64)},
    **{f"shr.{s}{n}": (_shift(operator.rshift), f"{s}{n}", (f"{s}{n}", "u32")) for s in "usb" for n in (32, 64)},
    "prmt.b32": (_permuted, "b32", ("b32", "b32", "u32")),
    "bfi.b64": (_insert, "b64", ("b64", "b64", "u32", "u32")),
    "mul.wide.s32": (lambda x, y: x.astype(np.int64) * y.astype(np.int64), "s64", ("s32", "s32")),
    "mul.hi.u32": (
        lambda x, y: (x.astype(np.uint64) * y.astype(np.uint64) >> HALF).astype(np.uint32),
        "u32",
        ("u32", "u32"),
    ),
    "mul.wide.u32": (lambda x, y: x.astype(np.uint64) * y.astype(np.uint64), "u64", ("u32", "u32")),
    "mad.wide.u32": (lambda x, y, z: x.astype(np.uint64) * y.astype(np.uint64) + z, "u64", ("u32", "u32", "u64")),
}


def _meaning(opcode):
    """What an instruction without memory does, and the types of its result and operands."""
    name, _, kind = opcode.rpartition(".")
    if opcode in OTHERS:
        return OTHERS[opcode]
    if name in ALIKE and kind in TYPES:
        demand(name != "mul.hi" or kind == "u64", f"no instruction of this machine: {opcode}")
        return ALIKE[name], kind, (kind,) * 3
    if name in COMPARED and kind in TYPES:
        return COMPARED[name], "pred", (kind, kind)
    if name == "selp" and kind in TYPES:
        return lambda x, y, chosen: np.where(chosen, x, y), kind, (kind, kind, "pred")
    converted = re.fullmatch(r"cvt(\.rn|\.rzi)?\.(\w+)\.(\w+)", opcode)
    if converted:
        return lambda x: x.astype(TYPES[converted[2]]), converted[2], (converted[3],)
    raise RefusedError(f"no instruction of this machine: {opcode}")


@cache
def parsed(code):
    """A kernel's shared arrays with their bytes; blocks of statements; the labels of blocks; the bytes of a unit."""
    shared = {name: int(size) for name, size in re.findall(r"\.shared .*\s(\w+)\[(\d+)\];", code)}
    body = code[code.index("\n{") + 2 : code.rindex("}")]
    blocks, labels = [[]], {}
    for text in re.split(r";|(?<=:)\s", re.sub(r"//.*", "", body)):
        text = " ".join(text.split()).lstrip("{} ")  # of a scope, whose registers have names of their own
        if text.endswith(":"):
            labels[text[:-1]] = len(blocks)
            blocks.append([])
        elif text and not text.startswith((".reg", ".pragma")):
            guard, opcode, rest = re.fullmatch(r"(?:@(%p\d+) )?(\S+) ?(.*)", text).groups()
            operands = re.findall(r"[^\s,{}\[\]]+", rest)
            demand(guard is None or opcode == "bra", f"an instruction with a guard: {text}")
            blocks[-1].append(_statement(guard, opcode, operands))
            if opcode in ("bra", "bra.uni", "ret"):
                blocks.append([])
    return shared, blocks, labels, 1 if re.search(r"\b(ld|st)\S*\.[us]8\b", code) else 8


def _statement(guard, opcode, operands):
    """What a statement does to the threads of a grid; a branch returns the label that some of them go to."""
    if opcode == "ret":
        return lambda grid: (END, grid.everyone)
    if opcode in ("bra", "bra.uni"):
        return lambda grid: (operands[0], grid.registers[guard] if guard else grid.everyone)
    if opcode == "bar.sync":
        return Grid.barrier
    if opcode == "bar.red.or.pred":
        said = _value(operands[2], "pred")
        return lambda grid: grid.set(operands[0], grid.any_of_block(said(grid)))
    if opcode.startswith("ld.param."):
        number = int(operands[1].rpartition("_")[2])
        kind = _register(operands[0])  # of a parameter of 64 bits, all or the lower half
        return lambda grid: grid.set(operands[0], grid.parameters[number].astype(kind))
    access = re.fullmatch(r"(ld|st)(\.global|\.shared|)(\.nc)?(\.v2)?\.(\w+)", opcode)
    if access:
        return _access(*access.groups(), operands)
    function, result, kinds = _meaning(opcode)
    values = [_value(name, kind) for name, kind in zip(operands[1:], kinds, strict=False)]
    target, kind = operands[0], _register(operands[0])
    demand(np.dtype(TYPES[result]).itemsize == kind.itemsize, f"{target} does not hold {result}")
    if opcode.startswith(("div", "rem")):  # what others would divide by is nothing yet
        return lambda grid: grid.set_here(target, function(*[grid.of_those_here(v(grid)) for v in values]).view(kind))
    return lambda grid: grid.set(target, function(*[value(grid) for value in values]).view(kind))


def _access(way, space, constant, pair, kind, operands):
    kind, place = TYPES[kind], operands[-1] if way == "ld" else operands[0]
    names = operands[:-1] if way == "ld" else operands[1:]
    demand(len(names) == (2 if pair else 1), f"other operands of an access than this machine's: {operands}")
    base, _, further = place.partition("+")
    base, further = _value(base, "u64"), np.array([int(further or 0) % (1 << 64)], np.uint64)

    def load(grid):
        addresses = base(grid) + further
        if space == ".shared" or len(addresses) > 1:
            addresses = grid.of_those_here(addresses)
        found = (grid.near if space == ".shared" else grid.far).read(addresses, kind, len(names), bool(constant))
        for i, name in enumerate(names):
            grid.set_here(name, found[i].astype(_register(name)))  # extended by the sign of the type

    def store(grid):
        addresses, value = grid.of_those_here(base(grid) + further), grid.of_those_here(values[0](grid))
        (grid.near if space == ".shared" else grid.far).write(addresses, value.astype(kind))

    if way == "ld":
        return load
    values = [_value(name, f"u{8 * _register(name).itemsize}") for name in names]
    demand(not pair, "a store of a pair")
    return store


def _register(name):
    return np.dtype(REGISTERS[name.rstrip("0123456789")])


def _value(name, kind):
    """What reads a register, the name of a shared array, or a number, as a type of its width."""
    kind = np.dtype(TYPES[kind])
    if name.startswith(("%", "_")):
        width = 8 if name.startswith("_") else 4 if "." in name else _register(name).itemsize
        demand(width == kind.itemsize, f"{name} is not of the width of {kind}")
        return lambda grid: grid.registers[name].view(kind)
    if name.startswith("0d"):
        number = np.array([int(name[2:], 16)], np.uint64).view(kind)
    else:
        number = np.array([int(name) % (1 << 8 * kind.itemsize)], f"u{kind.itemsize}").view(kind)
    return lambda grid: number


class Grid:
    """The threads of a launch, with their registers and shared memory."""

    def __init__(self, memory, code, grid, threads, parameters):
        arrays, self.statements, self.labels, unit = code
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
        self.far = Access(memory.words[: memory.used], memory.owned, memory.words.ctypes.data, self, 0, unit)
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

    def set_here(self, name, value):
        """Set a register of the threads that have come here: to one value, or to a value for each of them."""
        if len(value) > 1 and not self.all_here:
            whole = np.zeros(len(self.thread), value.dtype)
            whole[self.here] = value
            value = whole
        self.set(name, value)

    def barrier(self):
        there = np.bincount(self.block[self.here])
        fine = (there == 0) | (there == self.threads)
        demand(fine.all(), "a thread waits at a barrier that another one of its block has missed")
        passed = np.isin(self.thread, self.here)
        self.near.threads.forget(passed)
        self.far.threads.forget(passed)

    def any_of_block(self, said):
        """Wait for each other, and find whether any thread of a block has said yes."""
        self.barrier()
        return np.bincount(self.block[self.here], self.of_those_here(said), self.block[-1] + 1)[self.block] > 0


class Machine(Memory):
    """Executes kernels on what is in its memory."""

    def launch(self, kernel, grid, threads, arguments):
        """Execute a kernel, compiled for these arguments, on a grid of blocks of so many threads."""
        plain = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in arguments]
        code = parsed(ptx(kernel, tuple(numba.typeof(x) for x in plain)))
        parameters = []
        for x in plain:
            if isinstance(x, np.ndarray):
                parameters += [0, 0, x.size, x.itemsize, x.ctypes.data, *x.shape, *x.strides]
            else:
                parameters += map(int, x if isinstance(x, tuple) else [x])
        Grid(self, code, grid, threads, parameters).run()


def in_place_of_a_gpu(patches):
    """Have what is launched go to a machine, for as long as patches last."""
    from he.kernels.cuda import tables
    from intnn.machine.cuda import launch

    def made_ready(kernel, grid, threads, arguments, _shared):
        return lambda _stream: memory.launch(kernel.py_func, grid, threads, arguments)

    memory, place = Machine(), (id(patches), 0)  # tables are kept by a GPU's place
    patches.setattr(numba.cuda, "to_device", memory.to_device)
    patches.setattr(tables, "place_in_use", lambda: place)
    patches.setattr(launch, "made_ready", made_ready)
    return memory
