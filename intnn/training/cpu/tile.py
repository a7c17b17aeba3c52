"""The register tiles of a training step: products of bytes, and gradients that change the weights where they arise.

Matrices of bytes lie in groups of four along the summed axis. The right operand is cut into panels of ``lanes``
columns: bytes [panel, group, lane, 4]. All arguments are addresses or numbers; nothing is checked.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from intnn.machine.host import instruction_set
from intnn.machine.simd import I32, I64, Builder, InstructionSet, Value, clip, load, splat, store, vector

# The numbers that `update_tile` reads, as int32 in this order; `intnn.training.step.update` gives their meaning.
RULE = (
    "dropped", "mantissa", "half", "right", "limit", "left", "velocity_limit", "momentum_shift",
    "decay_shift", "decay_mask", "weight_limit", "byte_half", "byte_shift",
)  # fmt: skip


def tile_rows(isa: InstructionSet) -> int:
    """The rows of a full tile: a multiple of four, so few that the sums of two panels fit the registers."""
    return 8 if isa.lanes == 16 else 4


def products_tile(columns: int, single: bool) -> Any:
    """A Numba function for one tile of ``columns`` panels; the tile has one row if ``single``, else `tile_rows`.

    It writes c[r, n] = init[n] + sum over k of a[r, k] b[n, k], with unsigned a and signed b, modulo 2**32.

    Its arguments are int64: the address of a, the bytes from row to row and from group to group; the address of b's
    first panel, a panel's bytes; the number of groups; the addresses of init (int32) and of c (int32), and c's row's
    bytes.
    """

    def typing(_context: Any, a: Any, a_row: Any, a_group: Any, b: Any, panel: Any, groups: Any, init: Any, c: Any,
               c_row: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Builder, _signature: Any, args: Any) -> Value:
            isa = instruction_set()
            a, a_row, a_group, b, panel, groups, init, c, c_row = args
            rows = 1 if single else tile_rows(isa)
            starts = [_at(builder, a, a_row, r) for r in range(rows)]
            sums = _sums(builder, isa, starts, a_group, b, panel, columns, groups, init)
            for r in range(rows):
                for n in range(columns):
                    store(builder, sums[r * columns + n], _at(builder, c, c_row, r), 4 * isa.lanes * n)
            return context.get_dummy_value()

        return types.void(a, a_row, a_group, b, panel, groups, init, c, c_row), codegen

    return intrinsic(typing)


def update_tile(columns: int) -> Any:
    """A Numba function that finds the gradients of `tile_rows` inputs by ``columns`` panels of outputs, and descends.

    The gradient is g[r, n] = init[n] + sum over m of a[m, r] b[m, n], and `intnn.training.step.update` defines the
    descent. The new weights are also rounded to bytes, in the order of the forward products' right operand.

    Its arguments are int64: the address of a, bytes [group, row, 4], and a group's bytes; the address of b's first
    panel, a panel's bytes; the number of groups; the addresses of init (int32), of weights and velocities (int32
    [panel, row, lane]) and of the bytes; the bytes of a panel of weights; the address of the rule (int32, `RULE`).
    """

    def typing(_context: Any, a: Any, a_group: Any, b: Any, panel: Any, groups: Any, init: Any, weights: Any,
               velocities: Any, narrow: Any, weights_panel: Any, rule: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Builder, _signature: Any, args: Any) -> Value:
            isa = instruction_set()
            a, a_group, b, panel, groups, init, weights, velocities, narrow, weights_panel, rule = args
            rows = tile_rows(isa)
            starts = [builder.add(a, I64(4 * r)) for r in range(rows)]
            sums = _sums(builder, isa, starts, a_group, b, panel, columns, groups, init)
            words = _rule(builder, isa, rule)
            quarter = builder.sdiv(weights_panel, I64(4))
            for n in range(columns):
                w_panel, v_panel = (_at(builder, start, weights_panel, n) for start in (weights, velocities))
                _descend_rows(builder, isa, sums[n::columns], w_panel, v_panel, _at(builder, narrow, quarter, n), words)
            return context.get_dummy_value()

        return types.void(a, a_group, b, panel, groups, init, weights, velocities, narrow, weights_panel, rule), codegen

    return intrinsic(typing)


@intrinsic
def given_tile(
    _context: Any, gradients: Any, gradients_row: Any, weights: Any, velocities: Any, narrow: Any, rule: Any
) -> Any:
    """Descend as `update_tile` does on `tile_rows` inputs by one panel of outputs, with gradients from outside.

    The arguments are int64: the address of the gradients, int64 that fit int32, and the bytes from one row of lanes to
    the next; the addresses of weights and velocities (int32 [row, lane]), of the bytes and of the rule.
    """

    def codegen(context: Any, builder: Builder, _signature: Any, args: Any) -> Value:
        isa = instruction_set()
        gradients, gradients_row, weights, velocities, narrow, rule = args
        kind, rows = vector(I32, isa.lanes), [_at(builder, gradients, gradients_row, r) for r in range(tile_rows(isa))]
        sums = [builder.trunc(load(builder, vector(I64, isa.lanes), row), kind) for row in rows]
        _descend_rows(builder, isa, sums, weights, velocities, narrow, _rule(builder, isa, rule))
        return context.get_dummy_value()

    return types.void(gradients, gradients_row, weights, velocities, narrow, rule), codegen


def _rule(builder: Builder, isa: InstructionSet, rule: Value) -> dict[str, Value]:
    """The numbers of `RULE` at an address, each in all lanes."""
    return {name: splat(builder, load(builder, I32, rule, 4 * i), isa.lanes) for i, name in enumerate(RULE)}


def _descend_rows(builder: Builder, isa: InstructionSet, sums: list[Value], weights: Value, velocities: Value,
                  narrow: Value, words: dict[str, Value]) -> None:  # fmt: skip
    """Change the weights and velocities of one panel by the gradients of some rows, and write the new bytes."""
    kind, size = vector(I32, isa.lanes), 4 * isa.lanes
    for first in range(0, len(sums), 4):
        group = None
        for r in range(first, first + 4):
            w, v = (load(builder, kind, address, size * r) for address in (weights, velocities))
            w, v = _descend(builder, sums[r], w, v, words)
            store(builder, w, weights, size * r)
            store(builder, v, velocities, size * r)
            byte = builder.ashr(builder.add(w, words["byte_half"]), words["byte_shift"])
            byte = builder.and_(byte, splat(builder, I32(255), isa.lanes))
            byte = builder.shl(byte, splat(builder, I32(8 * (r - first)), isa.lanes))
            group = byte if group is None else builder.or_(group, byte)
        store(builder, group, narrow, size * (first // 4))


def _descend(b: Builder, g: Value, w: Value, v: Value, rule: dict[str, Value]) -> tuple[Value, Value]:
    """The new weight and velocity; every intermediate fits int32, as `intnn.training.plan` proves."""
    product = b.mul(b.ashr(g, rule["dropped"]), rule["mantissa"])
    step = b.ashr(b.add(product, rule["half"]), rule["right"])
    step = b.shl(clip(b, step, b.neg(rule["limit"]), rule["limit"]), rule["left"])
    v = b.add(b.sub(v, b.ashr(v, rule["momentum_shift"])), step)
    v = clip(b, v, b.neg(rule["velocity_limit"]), rule["velocity_limit"])
    w = b.sub(b.sub(w, b.and_(b.ashr(w, rule["decay_shift"]), rule["decay_mask"])), v)
    return clip(b, w, b.neg(rule["weight_limit"]), rule["weight_limit"]), v


def _sums(builder: Builder, isa: InstructionSet, starts: list[Value], a_group: Value, b: Value, panel: Value,
          columns: int, groups: Value, init: Value) -> list[Value]:  # fmt: skip
    """Emit the sums over all groups; the list has [row * columns + column]."""
    size, kind = 4 * isa.lanes, vector(I32, isa.lanes)
    panels = [_at(builder, b, panel, n) for n in range(columns)]
    inits = [load(builder, kind, init, size * n) for n in range(columns)]

    before = builder.block
    head, body, after = (builder.append_basic_block(f"groups.{part}") for part in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    group = builder.phi(I64)
    sums = [builder.phi(kind) for _ in range(len(starts) * columns)]
    group.add_incoming(I64(0), before)
    for i, value in enumerate(sums):
        value.add_incoming(inits[i % columns], before)
    builder.cbranch(builder.icmp_signed("<", group, groups), body, after)

    builder.position_at_end(body)
    place, offset = builder.mul(group, I64(size)), builder.mul(group, a_group)
    weights = [isa.weights(builder, load(builder, kind, builder.add(start, place))) for start in panels]
    following: list[Value] = []
    for r, start in enumerate(starts):
        x = isa.activations(builder, load(builder, I32, builder.add(start, offset)))
        row = sums[r * columns : (r + 1) * columns]
        following += [isa.dot(builder, value, x, w) for value, w in zip(row, weights, strict=True)]
    end = builder.block
    group.add_incoming(builder.add(group, I64(1)), end)
    for value, next_value in zip(sums, following, strict=True):
        value.add_incoming(next_value, end)
    builder.branch(head)
    builder.position_at_end(after)
    return sums


def _at(builder: Builder, start: Value, stride: Value, index: int) -> Value:
    return builder.add(start, builder.mul(stride, I64(index))) if index else start
