"""What a butterfly takes in words of 64 and of 32 bits: instructions of the PTX, and multiplications of 32 bits.

Not a test by itself. Run as a program it prints the table of docs/gpu.md.
"""

import re
from collections import Counter

from numba import cuda, uint32, uint64

from he.kernels.cuda.words import lazy_times
from tests.ptx import HOPPER, ptx

#: How many multiplications of 32 by 32 bits an instruction takes, which GPUs have in hardware.
MULTIPLICATIONS = {"mul.hi.u64": 4, "mul.lo.s64": 3, "mul.lo.u64": 3, "mad.lo.s64": 3, "mad.lo.u64": 3}
MULTIPLICATIONS |= dict.fromkeys(["mul.wide.u32", "mul.hi.u32", "mul.lo.s32", "mul.lo.u32", "mad.wide.u32"], 1)
MULTIPLICATIONS |= dict.fromkeys(["mad.lo.s32", "mad.lo.u32", "mad.hi.u32"], 1)


@cuda.jit(device=True, inline="always")
def shoup(x, y, w, quotient, p):
    """Words of 64 bits, a quotient for every constant, nothing reduced: what the transforms do; p has up to 50 bits."""
    y, four = lazy_times(y, w, quotient, p), p << uint64(2)
    return x + y, x + (four - y)


@cuda.jit(device=True, inline="always")
def montgomery(x, y, w, inverse, p):
    """Words of 32 bits, constants times 2**32; p has up to 30 bits."""
    x = uint32(min(x, uint32(x - (p + p))))
    product = uint64(y) * uint64(w)
    m = uint32(uint32(product) * inverse)
    y = uint32(uint32(product >> uint64(32)) + p - uint32((uint64(m) * uint64(p)) >> uint64(32)))
    return uint32(x + y), uint32(x + uint32(p + p - y))


def kernel(butterfly, count):
    """A kernel of so many butterflies on the same two words."""

    def chain(x, y, w, quotient, p):
        a, b, constant, its_quotient, prime = x[0], y[0], w[0], quotient[0], p[0]
        for _ in range(count):
            a, b = butterfly(a, b, constant, its_quotient, prime)
        x[0], y[0] = a, b

    return chain


def instructions(butterfly, word):
    """The instructions of one butterfly by their names: what two chains differ by, divided."""
    counts = [Counter(opcodes(ptx(kernel(butterfly, n), (word[::1],) * 5, HOPPER))) for n in (4, 8)]
    return {name: (counts[1][name] - counts[0][name]) / 4 for name in counts[1] if counts[1][name] != counts[0][name]}


def opcodes(code):
    body = code[code.index("{") :]
    return [name for name in re.findall(r"^\s+(?:\{\s*)?([a-z][\w.]+)\s", body, re.MULTILINE) if name[:3] != "mov"]


def counted():
    """Of both words: the bits of a prime, instructions, and multiplications of 32 bits."""
    found = {}
    for bits, butterfly, word in ((50, shoup, uint64), (30, montgomery, uint32)):
        names = instructions(butterfly, word)
        muls = sum(count * MULTIPLICATIONS.get(name, 0) for name, count in names.items())
        found[word.bitwidth] = bits, sum(names.values()), muls, names
    return found


if __name__ == "__main__":
    for width, (bits, total, muls, names) in counted().items():
        print(width, bits, total, muls, names)
