"""Integer products on a GPU, by tensor cores (`mma.sync`) or `dp4a`, with requantisation and a table in the epilogue.

One kernel multiplies matrices and convolves images. A row of the left operand is a window of an image whose pixels hold
their channels side by side; it is never written out (implicit GEMM). The window's 16- or 4-byte pieces lie at offsets
that are the same for every window, read from a table. A matrix is a batch of images of one pixel.

    x  int32 words [images, height, width, channels / 4] of four 8-bit integers, signed or unsigned
    w  int32 words [columns, kernel height, kernel width, channels / 4], likewise
    y  int32 [rows, width of y] sums, or words [rows, width of y / 4]; rows are (image, top, left)

Arrays are passed flat. `intnn.ops.cuda.product` prepares all other arguments. `intnn.ops.reference` defines the result:
`dense` or `conv2d`, then `requantise` and `lookup`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from numba import cuda, int32, int64, uint32, uint64

from intnn.machine.cuda.intrinsics import ALIGNMENT, commit, copy4, dp4a, load4, mma, store4, wait_for

Kernel = Callable[..., None]
SHARED_WORDS = 48 * 1024 // 4  # what every GPU gives a block without being asked


@dataclass(frozen=True)
class Tile:
    """How a block of the tensor-core kernel divides its part of the result.

    Attributes:
        warp_rows: The number of warps along the rows.
        warp_columns: The number of warps along the columns.
        fragments: The number of blocks of 16 rows per warp.
        stages: The slices of 64 bytes of the operands' common axis that are in shared memory or on their way; at least
            2. It is the depth of the pipeline of copies.
        width: The columns that a warp calculates: 64 or 32.

    Raises:
        ValueError: The stages do not fit in 48 KiB, the threads cannot share the copying equally, or a size is another.
    """

    warp_rows: int = 2
    warp_columns: int = 2
    fragments: int = 4
    stages: int = 3
    width: int = 64

    def __post_init__(self) -> None:
        if min(self.warp_rows, self.warp_columns, self.fragments) < 1 or self.stages < 2:
            raise ValueError(f"`tile` must have positive sizes and at least 2 stages, got {self}")
        if self.width not in (32, 64):
            raise ValueError(f"`tile` must have warps of 32 or 64 columns, got {self}")
        if self.stages * (self.rows + self.columns) * 16 > SHARED_WORDS:
            raise ValueError(f"`tile` must fit in {4 * SHARED_WORDS} bytes of shared memory, got {self}")
        if self.rows * 4 % self.threads or self.columns * 4 % self.threads:
            raise ValueError(f"`tile` must give every thread as many 16-byte pieces of each operand, got {self}")

    @property
    def unit(self) -> str:
        """The instruction that multiplies."""
        return "mma.sync"

    @property
    def rows(self) -> int:
        """The rows of the result per block."""
        return self.warp_rows * self.fragments * 16

    @property
    def columns(self) -> int:
        """The columns of the result per block."""
        return self.warp_columns * self.width

    @property
    def threads(self) -> int:
        """The threads per block."""
        return self.warp_rows * self.warp_columns * 32

    def fitted(self, columns: int) -> "Tile":
        """The tile for a result of so many columns: with fewer, if that is enough, as many rows and as many threads.

        It stays as it is where so many threads could not share the copying of fewer columns.
        """
        tile = self
        while (
            tile.warp_columns % 2 == tile.fragments % 2 == 0
            and 2 * columns <= tile.columns
            and 2 * tile.columns % tile.threads == 0
        ):
            rows, across, fragments = 2 * tile.warp_rows, tile.warp_columns // 2, tile.fragments // 2
            tile = replace(tile, warp_rows=rows, warp_columns=across, fragments=fragments)
        is_narrow = tile.warp_columns == 1 and columns <= 32 and 32 * 4 % tile.threads == 0
        return replace(tile, width=32) if is_narrow else tile


@cuda.jit(device=True, inline="always")
def word_of(sums, multiplier, table, column, requantise):  # type: ignore[no-untyped-def]
    """The bytes of a word that the sums of four columns become, from this one on: requantised, saturated, looked up."""
    shift, lo, hi = requantise
    half, last = (int64(1) << shift) >> 1, uint32(hi - lo)
    first, word = uint64(column), int32(0)
    for k in range(4):
        place = ((int64(sums[k]) * multiplier[first + uint64(k)] + half) >> shift) - lo
        # In words of 32 bits, and without a sign: a place that may be negative would be looked at again.
        high, low = int32(place >> 32), uint32(place)
        byte = table[min(low, last) if high == 0 else uint32(0) if high < 0 else last]
        word |= (int32(byte) & 255) << (8 * k)
    return word


def tensor_kernel(tile: Tile, x_type: str, w_type: str, fused: bool) -> Kernel:
    """The kernel of the product on tensor cores, which reads pieces of 16 bytes.

    The order of summation is free, and so is the order of columns within a warp. Both are chosen so that a thread's
    operands are 16 contiguous bytes of shared memory, free of bank conflicts, and its results contiguous columns, a
    quarter of the warp's.

    Args:
        tile: How a block divides its part of the result.
        x_type: The type of the integers in ``x``, "s8" or "u8".
        w_type: The type of the integers in ``w``, "s8" or "u8".
        fused: Whether ``y`` holds bytes after requantisation and table, or int32 sums.
    """
    product = mma(x_type, w_type)
    fragments, stages, pending = tile.fragments, tile.stages, tile.stages - 2
    wait = wait_for(pending)
    block_rows, block_columns, threads, warp_columns = tile.rows, tile.columns, tile.threads, tile.warp_columns
    slice_words, width_of_warp, eights = (block_rows + block_columns) * 16, tile.width, tile.width // 8
    own = 2 * eights  # neighbouring columns of a thread
    words, sums = stages * slice_words, (fragments, eights, 4)
    x_pieces, w_pieces, step = block_rows * 4 // threads, block_columns * 4 // threads, threads // 4

    def kernel(x, w, y, offsets, bias, multiplier, table, sizes, image, requantise):  # type: ignore[no-untyped-def]
        rows, columns, chunks = sizes
        height, width, pixel, out_area, out_width, down_step, side_step, above, before = image
        shared = cuda.shared.array(words, int32, alignment=ALIGNMENT)
        total = cuda.local.array(sums, int32)
        right = cuda.local.array((eights, 4), int32)
        top = cuda.local.array(x_pieces, int32)
        side = cuda.local.array(x_pieces, int32)
        origin = cuda.local.array(x_pieces, int64)
        line = cuda.local.array(own, int32)

        thread = int32(cuda.threadIdx.x)
        lane, warp = thread & 31, thread >> 5
        group, place = lane >> 2, lane & 3
        warp_row, warp_column = warp // warp_columns, warp % warp_columns
        row0, column0 = int32(cuda.blockIdx.x * block_rows), int32(cuda.blockIdx.y * block_columns)
        piece, copied = thread & 3, thread >> 2  # where in the 64-byte lines this thread copies

        for i in range(x_pieces):
            row = row0 + copied + i * step
            number, within = row // out_area, row % out_area
            upper_edge, side[i] = within // out_width * down_step - above, within % out_width * side_step - before
            top[i] = upper_edge if row < rows else -(1 << 30)  # nothing of it is inside the image
            origin[i] = ((number * height + upper_edge) * width + side[i]) * pixel

        y_width = (columns + 15) // 16 * 16
        column = column0 + warp_column * width_of_warp + place * own
        for j in range(eights):
            for side_by_side in range(2):
                at = column + 2 * j + side_by_side
                start = bias[at] if at < y_width else 0
                for i in range(fragments):
                    total[i, j, side_by_side] = start
                    total[i, j, 2 + side_by_side] = start

        slices = (chunks + 3) // 4
        for ahead in range(-pending - 1, slices):
            # Slice `ahead` is multiplied while slice `ahead + stages - 1` is on its way.
            if ahead >= 0:
                wait()
                cuda.syncthreads()  # the slice is there, and nobody reads the one before any longer
            coming = ahead + stages - 1
            if coming < slices:
                to = coming % stages * slice_words + copied * 16 + piece * 4
                chunk = coming * 4 + piece
                inside = chunk < chunks
                down = offsets[3 * chunk] if inside else -(1 << 30)
                across = offsets[3 * chunk + 1] if inside else 0
                skip = offsets[3 * chunk + 2] if inside else 0
                for i in range(x_pieces):
                    valid = 0 <= top[i] + down < height and 0 <= side[i] + across < width
                    copy4(shared, to + i * step * 16, x, origin[i] + skip if valid else 0, 16 if valid else 0)
                to += block_rows * 16
                for i in range(w_pieces):
                    line_of_w = column0 + copied + i * step
                    valid = inside and line_of_w < columns
                    start = (line_of_w * chunks + chunk) * 4 if valid else 0
                    copy4(shared, to + i * step * 16, w, start, 16 if valid else 0)
            commit()
            if ahead >= 0:
                at = ahead % stages * slice_words + place * 4
                line_at = at + (block_rows + warp_column * width_of_warp + (group >> 1) * own + (group & 1)) * 16
                for j in range(eights):
                    four = load4(shared, line_at + 2 * j * 16)
                    for k in range(4):
                        right[j, k] = four[k]
                for i in range(fragments):
                    line_at = at + ((warp_row * fragments + i) * 16 + group) * 16
                    upper, lower = load4(shared, line_at), load4(shared, line_at + 8 * 16)
                    for j in range(eights):
                        c = (total[i, j, 0], total[i, j, 1], total[i, j, 2], total[i, j, 3])
                        c = product((upper[0], lower[0], upper[1], lower[1]), (right[j, 0], right[j, 1]), c)
                        c = product((upper[2], lower[2], upper[3], lower[3]), (right[j, 2], right[j, 3]), c)
                        for k in range(4):
                            total[i, j, k] = c[k]

        for i in range(fragments):
            for half in range(2):
                for j in range(eights):
                    line[2 * j] = total[i, j, 2 * half]
                    line[2 * j + 1] = total[i, j, 2 * half + 1]
                row = row0 + (warp_row * fragments + i) * 16 + half * 8 + group
                # The length of this loop is unknown to the compiler. So it unrolls only the loops around it, and must:
                # sums that are indexed by constants stay in registers.
                for at in range(column, min(column + own, y_width) if row < rows else column, 4):
                    four = (line[at - column], line[at - column + 1], line[at - column + 2], line[at - column + 3])
                    if fused:
                        y[(row * y_width + at) // 4] = word_of(four, multiplier, table, at, requantise)
                    else:
                        store4(y, row * y_width + at, four)

    return kernel


def dot_kernel(x_type: str, w_type: str, fused: bool) -> Kernel:
    """The kernel of the product with `dp4a`, for GPUs without integer tensor cores; it reads pieces of 4 bytes.

    A block of 16 x 16 threads calculates 64 x 64 sums, 4 x 4 per thread, eight words of the common axis at a time.
    The arguments are those of `tensor_kernel`.
    """
    product = dp4a(x_type, w_type)

    def kernel(x, w, y, offsets, bias, multiplier, table, sizes, image, requantise):  # type: ignore[no-untyped-def]
        rows, columns, chunks = sizes
        height, width, pixel, out_area, out_width, down_step, side_step, above, before = image
        # Lines of nine words: odd, so that threads which read the same word of their lines meet different banks.
        near_x = cuda.shared.array(64 * 9, int32)
        near_w = cuda.shared.array(64 * 9, int32)
        total = cuda.local.array((4, 4), int32)
        left = cuda.local.array(4, int32)
        top = cuda.local.array(2, int32)
        side = cuda.local.array(2, int32)
        origin = cuda.local.array(2, int64)

        thread = int32(cuda.threadIdx.x)
        tx, ty = thread & 15, thread >> 4
        word, line = thread & 7, thread >> 3
        row0, column0 = int32(cuda.blockIdx.x * 64), int32(cuda.blockIdx.y * 64)
        for i in range(2):
            row = row0 + line + 32 * i
            number, within = row // out_area, row % out_area
            upper_edge, side[i] = within // out_width * down_step - above, within % out_width * side_step - before
            top[i] = upper_edge if row < rows else -(1 << 30)  # nothing of it is inside the image
            origin[i] = ((number * height + upper_edge) * width + side[i]) * pixel
        y_width = (columns + 15) // 16 * 16
        column = column0 + 4 * tx
        for j in range(4):
            start = bias[column + j] if column < y_width else 0
            for i in range(4):
                total[i, j] = start

        for first in range(0, chunks, 8):
            chunk = first + word
            inside = chunk < chunks
            down = offsets[3 * chunk] if inside else -(1 << 30)
            right = offsets[3 * chunk + 1] if inside else 0
            skip = offsets[3 * chunk + 2] if inside else 0
            for i in range(2):
                slot = line + 32 * i
                valid = 0 <= top[i] + down < height and 0 <= side[i] + right < width
                near_x[slot * 9 + word] = x[origin[i] + skip] if valid else 0
                # Four neighbouring columns go to one thread: sixteen lines apart.
                place = (slot & 3) * 16 + (slot >> 2)
                valid = inside and column0 + slot < columns
                near_w[place * 9 + word] = w[(column0 + slot) * chunks + chunk] if valid else 0
            cuda.syncthreads()
            for k in range(8):
                for i in range(4):
                    left[i] = near_x[(ty + 16 * i) * 9 + k]
                for j in range(4):
                    right_word = near_w[(tx + 16 * j) * 9 + k]
                    for i in range(4):
                        total[i, j] = product(left[i], right_word, total[i, j])
            cuda.syncthreads()

        for i in range(4):
            row = row0 + ty + 16 * i
            if row < rows and column < y_width:
                if fused:
                    four = total[i, 0], total[i, 1], total[i, 2], total[i, 3]
                    y[(row * y_width + column) // 4] = word_of(four, multiplier, table, column, requantise)
                else:
                    for j in range(4):
                        y[row * y_width + column + j] = total[i, j]

    return kernel
