"""Products of bytes, by the register tiles of `intnn.training.cpu.tile`."""

from intnn.machine.jit import compiled
from intnn.training.cpu.tile import products_tile
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
rows_by_1, rows_by_2, row_by_1, row_by_2 = (products_tile(n, single) for single in (False, True) for n in (1, 2))


@compiled
def products(
    machine: IntArray, a: int, a_row: int, a_group: int, rows: int, b: int, groups: int, panels: int, init: int, c: int
) -> None:
    """Write c[r, n] = init[n] + a[r] b[n], tile by tile.

    Args:
        machine: int64, the lanes of a vector and the rows of a tile.
        a: The address of the left operand, unsigned bytes.
        a_row: The bytes from one of its rows to the next.
        a_group: The bytes from one group of four to the next.
        rows: The rows of a.
        b: The address of the right operand, signed bytes in panels.
        groups: The groups of four along the summed axis.
        panels: The panels of b.
        init: The address of the int32s that sums start from.
        c: The address of the result, int32.
    """
    lanes, height = machine[0], machine[1]
    panel, c_row = 4 * groups * lanes, 4 * panels * lanes
    for p in range(0, panels, 2):
        here, start, total = b + p * panel, init + 4 * p * lanes, c + 4 * p * lanes
        is_pair = p + 1 < panels
        if rows >= height:
            for r in range(0, rows, height):
                r = min(r, rows - height)  # the last tile may overlap the one before: the same sums, twice
                if is_pair:
                    rows_by_2(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
                else:
                    rows_by_1(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
        else:
            for r in range(rows):
                if is_pair:
                    row_by_2(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
                else:
                    row_by_1(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)


@compiled
def row_product(machine: IntArray, a: Array, a_group: int, b: int, groups: int, init: Array, c: Array) -> None:
    """`products` of a single row, whose operands are arrays."""
    products(
        machine, a.ctypes.data, 0, a_group, 1, b, groups, len(c) // machine[0], init.ctypes.data, c.ctypes.data
    )  # fmt: skip
