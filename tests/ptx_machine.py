"""A machine that executes the PTX of kernels on numpy arrays, for what no GPU has run: instructions, and real sizes.

All threads of a grid go through the code together. A register is an array with a value for each thread, or one value
that all have; threads that take another branch are left out until they meet the others again. Everything is checked
that a GPU would let pass: addresses lie in arrays and are aligned, no thread waits at a barrier that another one of its
block has missed, and nothing depends on the order of threads. For that, no word may be written by one thread and read
or written by another one between two barriers, nor by another block in the same launch; but all may write what is there
already, and may change a word by the same atomic operation. What is read past the coherent caches (`ld.global.nc`) may
not be written at all.

A shift by a word's width or more is undefined for the compiler, though a GPU has a result for it; so is what an atomic
operation finds, for the order of threads. Such results may be calculated with, as code does that is executed before its
condition is known, but nothing may come of them: they may not be stored, be an address, or decide on a branch.

It knows the instructions that our kernels have, and refuses others by name. It does not model time, and warps only
where they multiply matrices together. What is copied by the way (`cp.async`) is there when it has been waited for, and
nobody may read in between what it is written over.
"""

import operator
import re
from dataclasses import dataclass
from functools import cache, partial, reduce

import numba
import numpy as np

from tests.ptx import ptx
from tests.ptx_arithmetic import TYPES, UNDEFINED, meaning
from tests.ptx_memory import ATOMIC, Access, Memory, demand

REGISTERS = {"%p": np.bool_, "%rs": np.uint16, "%r": np.uint32, "%rd": np.uint64, "%fd": np.float64}
REGISTERS |= {"%lhs": np.uint64, "%rhs": np.uint64}  # of a rotation, as the compiler writes it
REGISTERS |= {"%SP": np.uint64, "%SPL": np.uint64}  # where a thread's own arrays begin
WARP, WIDEST = 32, 16  # threads; bytes of the widest access to memory
NOWHERE, EVERYWHERE = np.array([False]), np.array([True])
END = "the end"  # the label behind a kernel's last statement


@dataclass(frozen=True)
class Code:
    """A kernel.

    Attributes:
        shared: The bytes of its shared arrays.
        local: The bytes of a thread's own arrays.
        blocks: Blocks of statements.
        labels: The numbers of blocks that have one.
        unit: The bytes of the shortest access to memory.
    """

    shared: dict
    local: dict
    blocks: list
    labels: dict
    unit: int


@cache
def parsed(code):
    """PTX as a machine executes it."""
    arrays = ({name: int(size) for name, size in re.findall(rf"\.{space} .*\s(\w+)\[(\d+)\];", code)}
              for space in ("shared", "local"))  # fmt: skip
    body = code[code.index("\n{") + 2 : code.rindex("}")]
    blocks, labels = [[]], {}
    for text in re.split(r";|(?<=:)\s", re.sub(r"//.*", "", body)):
        text = " ".join(text.split()).lstrip("{} ")  # of a scope, whose registers have names of their own
        if text.endswith(":"):
            labels[text[:-1]] = len(blocks)
            blocks.append([])
        elif text and not text.startswith((".reg", ".pragma", ".local")):
            guard, opcode, rest = re.fullmatch(r"(?:@(%p\d+) )?(\S+) ?(.*)", text).groups()
            operands = re.findall(r"[^\s,{}\[\]]+", rest)
            demand(guard is None or opcode == "bra", f"an instruction with a guard: {text}")
            blocks[-1].append(_statement(guard, opcode, operands))
            if opcode in ("bra", "bra.uni", "ret"):
                blocks.append([])
    accesses = re.findall(r"\b(?:ld|st|atom)\.(?!param)\S*\.[usb](\d+)\s", code)
    return Code(*arrays, blocks, labels, min((int(bits) // 8 for bits in accesses), default=8))


def _statement(guard, opcode, operands):
    """What a statement does to the threads of a grid; a branch returns the label that some of them go to."""
    if opcode == "ret":
        return lambda grid: (END, EVERYWHERE)
    if opcode in ("bra", "bra.uni"):
        taken = _used(guard, "pred") if guard else lambda _grid: EVERYWHERE
        return lambda grid: (operands[0], taken(grid))
    if opcode == "bar.sync":
        return Grid.barrier
    if opcode == "bar.red.or.pred":
        said = _used(operands[2], "pred")
        return lambda grid: grid.set(operands[0], grid.any_of_block(said(grid)))
    if opcode.startswith("ld.param."):
        number = int(operands[1].rpartition("_")[2])
        kind = _register(operands[0])  # of a parameter of 64 bits, all or the lower half
        return lambda grid: grid.set(operands[0], grid.parameters[number].astype(kind))
    access = re.fullmatch(r"(ld|st)(\.global|\.shared|\.local|)(\.nc)?(\.v[24])?\.(\w+)", opcode)
    if access:
        return _access(*access.groups(), operands)
    if opcode.startswith("atom."):
        return _atomic(opcode, operands)
    if opcode.startswith("mma."):
        return _multiplied(opcode, operands)
    if opcode.startswith("cp.async."):
        return _copied(opcode, operands)
    function, result, kinds = meaning(opcode)
    target, names, kind = operands[0], operands[1:], _register(operands[0])
    demand(np.dtype(TYPES[result]).itemsize == kind.itemsize, f"{target} does not hold {result}")
    if opcode.startswith(("div", "rem")):  # what others would divide by is nothing yet
        used = [_used(name, given) for name, given in zip(names, kinds, strict=False)]
        return lambda grid: grid.set_here(target, function(*[x(grid) for x in used]).view(kind))
    is_converted = opcode.startswith("cvt.")
    values = [_value(name, given, is_converted) for name, given in zip(names, kinds, strict=False)]
    own = UNDEFINED.get(opcode.partition(".")[0])

    def calculate(grid):
        given = [value(grid) for value in values]
        undefined = own(*given) if own else NOWHERE
        if grid.undefined:
            theirs = [grid.undefined.get(name, NOWHERE) for name in names]
            if opcode.startswith("selp"):  # only one of two
                theirs = [np.where(given[2], *theirs[:2]), theirs[2]]
            undefined = reduce(operator.or_, theirs, undefined)
        grid.set(target, function(*given).view(kind), undefined)

    return calculate


def _access(way, space, constant, several, kind, operands):
    kind, place = TYPES[kind], operands[-1] if way == "ld" else operands[0]
    names = operands[:-1] if way == "ld" else operands[1:]
    demand(len(names) == int(several[2:] if several else 1), f"other operands than an access has: {operands}")
    address = _address(place)

    def load(grid):
        alike = grid.alike(place.partition("+")[0]) and space == ".global"  # one access for all, which is faster
        found = grid.memory(space).read(address(grid)[: 1 if alike else None], kind, len(names), bool(constant))
        for name, values in zip(names, found, strict=True):
            grid.set_here(name, values.astype(_register(name)))  # extended by the sign of the type

    def store(grid):
        grid.memory(space).write(address(grid), [value(grid).astype(kind) for value in values])

    if way == "ld":
        return load
    values = [_used(name, f"u{8 * _register(name).itemsize}") for name in names]
    return store


def _atomic(opcode, operands):
    known = re.fullmatch(r"atom(\.global|\.shared)\.(\w+)\.([us]\d+)", opcode)
    demand(known and known[2] in ATOMIC, f"no instruction of this machine: {opcode}")
    address, value, kind = _address(operands[1]), _used(operands[2], known[3]), _register(operands[0])

    def change(grid):
        grid.memory(known[1]).change(address(grid), value(grid), known[2])
        grid.set(operands[0], np.zeros(1, kind), EVERYWHERE)  # by the order of threads

    return change


def _copied(opcode, operands):
    """A copy to shared memory by the way, of 16 bytes or of zeros; what ends a group of copies; and what waits."""
    if opcode == "cp.async.commit_group":
        return Grid.end_group
    if opcode == "cp.async.wait_group":
        return lambda grid: grid.await_groups(int(operands[0]))
    demand((opcode, operands[2]) == ("cp.async.cg.shared.global", "16"), f"no instruction of this machine: {opcode}")
    to, source, size = _used(operands[0], "u32"), _address(operands[1]), _used(operands[3], "u32")

    def begin(grid):
        bytes_ = size(grid)
        demand(((bytes_ == 0) | (bytes_ == 16)).all(), "a copy of a part of 16 bytes")
        grid.copy(to(grid).astype(np.uint64), source(grid), bytes_ > 0)

    return begin


def _multiplied(opcode, operands):
    """What a warp multiplies: 16 x 32 integers of 8 bits by 32 x 8, added to 16 x 8 sums.

    Thread 4 g + t of a warp has in its words, of the lines g and g + 8 of the left matrix and of line g of the right
    one, the bytes from 4 t and from 16 + 4 t on; and of lines g and g + 8 of the sums, 2 t and 2 t + 1.
    """
    known = re.fullmatch(r"mma\.sync\.aligned\.m16n8k32\.row\.col\.s32\.([us])8\.([us])8\.s32", opcode)
    demand(known, f"no instruction of this machine: {opcode}")
    words = [_used(name, "b32") for name in operands[4:]]

    def multiply(grid):
        grid.demand_warps()
        here = np.stack([word(grid) for word in words], 1)

        def matrix(first, last, kind):  # [warp, half of the lines, g, half of the bytes, t, byte]
            values = np.ascontiguousarray(here[:, first:last]).view(TYPES[f"{kind}8"]).astype(np.int32)
            lines = values.reshape(-1, 8, 4, 2, (last - first) // 2, 4).transpose(0, 4, 1, 3, 2, 5)
            return lines.reshape(len(lines), -1, 32)

        left, right = matrix(0, 4, known[1]), matrix(4, 6, known[2])
        sums = (left @ right.transpose(0, 2, 1)).reshape(-1, 2, 8, 4, 2).transpose(0, 2, 3, 1, 4).reshape(-1, 4)
        for i, name in enumerate(operands[:4]):
            grid.set_here(name, sums[:, i].astype(np.uint32) + here[:, 6 + i])

    return multiply


def _register(name):
    return np.dtype(REGISTERS[name.rstrip("0123456789")])


def _value(name, kind, may_be_wider=False):
    """What reads a register, the name of an array, or a number, as a type of its width, or from its lowest bits."""
    kind = np.dtype(TYPES[kind])
    if name.startswith(("%", "_")):
        width = 8 if name.startswith("_") else 4 if "." in name else _register(name).itemsize
        fine = width == kind.itemsize or (width > kind.itemsize and may_be_wider)
        demand(fine, f"{name} is not of the width of {kind}")
        return lambda grid: grid.registers[name].view(kind)[:: width // kind.itemsize]
    if name.startswith("0d"):
        number = np.array([int(name[2:], 16)], np.uint64).view(kind)
    else:
        number = np.array([int(name) % (1 << 8 * kind.itemsize)], f"u{kind.itemsize}").view(kind)
    return lambda grid: number


def _used(name, kind):
    """What reads the values of those threads that have come here, where something comes of them."""
    value = _value(name, kind)

    def used(grid):
        if name in grid.undefined:
            demand(not grid.of_those_here(grid.undefined[name]).any(), "something comes of an undefined value")
        return grid.of_those_here(value(grid))

    return used


def _address(place):
    base, _, further = place.partition("+")
    base, further = _used(base, "u64"), np.uint64(int(further or 0) % (1 << 64))
    return lambda grid: base(grid) + further


class Grid:
    """The threads of a launch, with their registers and shared memory."""

    def __init__(self, memory, code, grid, threads, parameters):
        self.code, sizes, sides = code, (*grid, 1, 1)[:3], threads if isinstance(threads, tuple) else (threads, 1)
        self.threads = int(np.prod(sides))
        self.thread = np.arange(np.prod(sizes) * self.threads)
        self.block, within = self.thread // self.threads, self.thread % self.threads
        axes = self.block % sizes[0], self.block // sizes[0] % sizes[1], self.block // sizes[0] // sizes[1]
        places = {
            "tid": (within % sides[0], within // sides[0], np.array([0])), "ctaid": axes,
            "ntid": np.array([*sides, 1])[:, None], "nctaid": np.array(sizes)[:, None],
        }  # fmt: skip
        self.registers = {
            f"%{name}.{axis}": (x if x.any() else x[:1]).astype(np.uint32)
            for name, values in places.items()
            for axis, x in zip("xyz", values, strict=True)
        }
        self.undefined = {}  # for which threads a register has no value that anything may come of
        self.parameters = [np.array([x % (1 << 64)], np.uint64) for x in parameters]
        self.near = Access.held_by(self.block, self._lay_out(code.shared), self, code.unit)
        self.own = Access.held_by(self.thread, self._lay_out(code.local), self, code.unit)
        words, owned = memory.words[: memory.used], memory.owned[: 8 * memory.used]
        self.far = Access(words, owned, memory.words.ctypes.data, self, code.unit)
        self._copies, self._groups = [], []  # that are on their way, and those of each group that has been ended
        self._come(np.ones(len(self.thread), bool))

    def _lay_out(self, arrays):
        """Place arrays one behind the other, and return how many words they take."""
        ends = np.cumsum([0, *(-(-size // WIDEST) * WIDEST for size in arrays.values())])
        self.registers |= {name: np.array([at], np.uint64) for name, at in zip(arrays, ends, strict=False)}
        return int(ends[-1]) // 8

    def run(self):
        at, end = np.zeros(len(self.thread), np.int64), len(self.code.blocks)
        labels = {**self.code.labels, END: end}
        while (number := at.min()) < end:
            following = number + 1
            self._come(at == number)
            for statement in self.code.blocks[number]:
                branch = statement(self)
                if branch:
                    following = np.where(branch[1], labels[branch[0]], following)
            at[self.here] = following
        demand(not self._copies and not any(self._groups), "a copy that nobody has waited for")

    def _come(self, come):
        self.come, self.here, self.all_here = come, np.flatnonzero(come), bool(come.all())

    def memory(self, space):
        return {".shared": self.near, ".local": self.own}.get(space, self.far)

    def alike(self, name):
        """Whether all threads have one value there."""
        return len(self.registers[name]) == 1

    def of_those_here(self, values):
        """The values of the threads that have come here."""
        return np.broadcast_to(values, self.thread.shape)[self.here]

    def set(self, name, value, undefined=NOWHERE):
        if not self.all_here:
            kept = np.zeros(len(self.thread), value.dtype)
            kept[...] = self.registers.get(name, 0)
            kept[self.here] = self.of_those_here(value)
            value = kept
        self.registers[name] = value
        if undefined is not NOWHERE or name in self.undefined:
            undefined = np.where(self.come, undefined, self.undefined.pop(name, NOWHERE))
            if undefined.any():
                self.undefined[name] = undefined

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
        self.near.threads.forget(self.come)
        self.far.threads.forget(self.come)

    def any_of_block(self, said):
        """Wait for each other, and find whether any thread of a block has said yes."""
        self.barrier()
        return np.bincount(self.block[self.here], said, self.block[-1] + 1)[self.block] > 0

    def copy(self, to, source, is_read):
        """Begin to copy 16 bytes for each thread that has come here, or zeros."""
        self.near.give_up(to, WIDEST)
        self._copies.append((self.come, to, source, is_read))

    def end_group(self):
        demand(self.all_here, "groups of copies that are not those of all threads")
        self._groups.append(self._copies)
        self._copies = []

    def await_groups(self, pending):
        """Have all copies arrive but those of the last groups."""
        demand(self.all_here, "groups of copies that are not those of all threads")
        while len(self._groups) > pending:
            for come, to, source, is_read in self._groups.pop(0):
                values = [np.zeros(len(to), np.uint64) for _ in range(2)]
                self.here = np.flatnonzero(come)[is_read]
                for value, found in zip(values, self.far.read(source[is_read], np.uint64, 2), strict=True):
                    value[is_read] = found
                self._come(come)
                self.near.write(to, values)
        self._come(np.ones(len(self.thread), bool))

    def demand_warps(self):
        """Demand that those who have come here are whole warps."""
        _, there = np.unique(self.here // WARP, return_counts=True)
        demand(self.threads % WARP == 0 and (there == WARP).all(), "a part of a warp multiplies without the others")


class Machine(Memory):
    """Executes kernels on what is in its memory, and knows which."""

    def __init__(self, words=1 << 22):
        super().__init__(words)
        self.launched = set()

    def launch(self, kernel, grid, threads, arguments):
        """Execute a kernel, compiled for these arguments, on a grid of blocks of so many threads."""
        self.launched.add(kernel)
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
    from intnn.machine.cuda import graph, launch

    def made_ready(kernel, grid, threads, arguments, _shared):
        return lambda _stream: memory.launch(kernel.py_func, grid, threads, arguments)

    memory, place = Machine(), (id(patches), 0)  # tables are kept by a GPU's place
    patches.setattr(numba.cuda, "to_device", memory.to_device)
    patches.setattr(numba.cuda, "device_array", memory.device_array)
    patches.setattr(numba.cuda, "pinned_array", np.empty)
    patches.setattr(tables, "place_in_use", lambda: place)
    patches.setattr(launch, "made_ready", made_ready)
    patches.setattr(graph, "captured", lambda launches: partial(launch.run, launches))
    return memory
