"""The dot-product peak of one core: what no kernel can exceed."""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from bench.harness.timing import timed
from intnn.machine.host import instruction_set
from intnn.machine.simd import I32, I64, constant, splat

CHAINS = 12  # independent sums: more than any core's latency times its throughput, and they fit the registers


@intrinsic
def _dots(_context: Any, rounds: Any) -> Any:  # noqa: ARG001 - its type
    """``rounds`` times one dot product into each of CHAINS sums, all from registers; the exclusive or of the sums."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        isa, before = instruction_set(), builder.block
        seed = builder.trunc(args[0], I32)
        x, w = isa.activations(builder, seed), isa.weights(builder, splat(builder, seed, isa.lanes))
        body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        left = builder.phi(I64)
        left.add_incoming(args[0], before)
        sums = [builder.phi(constant(I32, [0] * isa.lanes).type) for _ in range(CHAINS)]
        for i, value in enumerate(sums):
            value.add_incoming(constant(I32, [i] * isa.lanes), before)
            value.add_incoming(isa.dot(builder, value, x, w), body)
        rest = builder.sub(left, I64(1))
        left.add_incoming(rest, body)
        builder.cbranch(builder.icmp_signed(">", rest, I64(0)), body, after)
        builder.position_at_end(after)
        total = sums[0]
        for value in sums[1:]:
            total = builder.xor(total, value)
        return builder.sext(builder.extract_element(total, I32(0)), I64)

    return types.int64(types.int64), codegen


@numba.njit(nogil=True)
def _run(rounds: int) -> int:
    return _dots(rounds)


def dot_product_gops(rounds: int = 200_000, repeats: int = 9) -> float:
    """10**9 multiplications and additions a second of bytes in registers, on this core: the best of some repeats."""
    _run(1)
    seconds = min(timed(lambda: _run(rounds))[0] for _ in range(repeats))
    return 2 * 4 * instruction_set().lanes * CHAINS * rounds / seconds / 1e9
