"""What a training step on a GPU does in integers beside its products; `intnn.training.ops.reference` defines it.

Matrices [rows, columns] are flat, with rows of ``width`` elements: the columns filled up to a multiple of 16. The
filling is zero in matrices of bytes, and never read in matrices of int32. Images [n, h, w, c] are matrices of a row for
each pixel, and weights [out, kh, kw, c] of a row for each tap. Scalars are int64; those that change from step to step
lie in memory, so that a step is the same launches every time.
"""

from numba import cuda, int8, int64

from intnn.machine.cuda.intrinsics import SIMULATED

LANES = (32, 1 if SIMULATED else 8)  # a block's threads in `patches_kernel`; a simulated one is a thread of Python
LINES = LANES[1]
SLICE = 256  # the rows that a thread of `column_sums_kernel` adds up
MASK = 0xFFFFFFFF


@cuda.jit(device=True, inline="always")
def _rescaled(v, shift):  # type: ignore[no-untyped-def]
    """Return v / 2**shift, halves up. Values stay below 2**31: 32 bits to the left are enough to saturate."""
    return (v + ((int64(1) << shift) >> 1)) >> shift if shift > 0 else v << min(-shift, 32)


@cuda.jit(device=True, inline="always")
def _draw(first, second, position):  # type: ignore[no-untyped-def]
    """Return the integer in [0, 2**32) at ``position`` of the stream (first, second), as `generator.draw` does."""
    x = position ^ first
    for addend in (second, 0):
        x ^= x >> 16
        x = x * 0x7FEB352D & MASK  # the product may wrap in 64 bits: only its low 32 are kept
        x ^= x >> 15
        x = x * 0x846CA68B & MASK
        x = (x ^ x >> 16) + addend & MASK
    return x


def patches_kernel(x, y, positions, pixel, image, window):  # type: ignore[no-untyped-def]
    """Write what windows see, a row for each tap and channel: bytes [n, h, w, pixel] -> [taps pixel, positions].

    With images of one pixel that is a transposition.

    Args:
        x: int8 images, or others' bytes seen as such.
        y: int8 [taps pixel, positions], whose rows zeros fill up.
        positions: The windows of all images.
        pixel: The bytes of a pixel.
        image: (height, width, windows of an image, windows across).
        window: (taps down, taps across, step, padding).
    """
    near = cuda.shared.array((32, 33), int8)  # one column more than is used: a column then lies in different banks
    height, width, out_area, out_width = image
    down, across, stride, padding = window
    columns, y_width = down * across * pixel, (positions + 15) // 16 * 16
    row0, column0 = cuda.blockIdx.x * 32, cuda.blockIdx.y * 32
    column = column0 + cuda.threadIdx.x
    tap, channel = column // pixel, column % pixel
    for i in range(cuda.threadIdx.y, 32, LINES):
        position = row0 + i
        number, within = position // out_area, position % out_area
        row = within // out_width * stride - padding + tap // across
        side = within % out_width * stride - padding + tap % across
        inside = position < positions and column < columns and 0 <= row < height and 0 <= side < width
        near[i, cuda.threadIdx.x] = x[((number * height + row) * width + side) * pixel + channel] if inside else 0
    cuda.syncthreads()
    position = row0 + cuda.threadIdx.x
    for i in range(cuda.threadIdx.y, 32, LINES):
        if column0 + i < columns and position < y_width:
            y[(column0 + i) * y_width + position] = near[cuda.threadIdx.x, i]


def fold_kernel(patches, d, pixel, size, image, window):  # type: ignore[no-untyped-def]
    """Add patches back onto the images that they were taken from: int32 [positions, taps pixel] -> [n, h, w, pixel].

    A thread adds up what one element was seen as. The arguments are those of `patches_kernel`, but for ``size``, the
    elements of all images, and ``image``, which is (height, width, windows down, windows across).
    """
    height, width, rows, cols = image
    down, across, stride, padding = window
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        place, channel = i // pixel, i % pixel
        number, within = place // (height * width), place % (height * width)
        total = int64(0)
        for u in range(down):
            top = within // width + padding - u
            if top >= 0 and top % stride == 0 and top // stride < rows:
                for v in range(across):
                    left = within % width + padding - v
                    if left >= 0 and left % stride == 0 and left // stride < cols:
                        position = (number * rows + top // stride) * cols + left // stride
                        total += patches[(position * down * across + u * across + v) * pixel + channel]
        d[i] = total


def pool_kernel(x, y, shift, size, width, image):  # type: ignore[no-untyped-def]
    """Average bytes over windows: [n, rows, cols, width] -> [n, rows // pool, cols // pool, width].

    ``image`` is (rows, cols, pool), and ``size`` the elements of y; sums are divided by 2**shift, halves up.
    """
    rows, cols, pool = image
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        place, channel = i // width, i % width
        across, down = cols // pool, rows // pool
        number, row, column = place // (across * down), place // across % down * pool, place % across * pool
        total = int64(0)
        for u in range(pool):
            for v in range(pool):
                total += x[((number * rows + row + u) * cols + column + v) * width + channel]
        y[i] = _rescaled(total, shift)


def column_sums_kernel(x, sums, rows, columns):  # type: ignore[no-untyped-def]
    """Add the rows of int8 [rows, columns] to int32 [columns], zero before; a thread takes a part of a column."""
    width, slices = (columns + 15) // 16 * 16, (rows + SLICE - 1) // SLICE
    for i in range(cuda.grid(1), slices * columns, cuda.gridsize(1)):
        column, first = i % columns, i // columns * SLICE
        total = int64(0)
        for row in range(first, min(first + SLICE, rows)):
            total += x[row * width + column]
        cuda.atomic.add(sums, column, total)  # integers: their order is free


def activate_kernel(sums, values, slopes, shift, lo, y, slope, rows, columns):  # type: ignore[no-untyped-def]
    """Turn int32 sums into bytes y and slopes, by two tables of the pre-activation, which saturates where they end."""
    width = (columns + 15) // 16 * 16
    for i in range(cuda.grid(1), rows * width, cuda.gridsize(1)):
        inside = i % width < columns
        z = min(max(_rescaled(int64(sums[i]), shift) - lo, 0), values.shape[0] - 1) if inside else 0
        y[i] = values[z] if inside else 0
        slope[i] = slopes[z] if inside else 0


def softmax_errors_kernel(logits, labels, table, shift, d, rows, columns):  # type: ignore[no-untyped-def]
    """Turn int32 sums into int32 errors 2**15 (softmax - one-hot); a thread takes a row."""
    width = (columns + 15) // 16 * 16
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        first = row * width
        peak = _rescaled(int64(logits[first]), shift)
        for c in range(1, columns):
            peak = max(peak, _rescaled(int64(logits[first + c]), shift))
        total = int64(0)
        for c in range(columns):
            total += table[min(peak - _rescaled(int64(logits[first + c]), shift), table.shape[0] - 1)]
        for c in range(columns):
            weight = int64(table[min(peak - _rescaled(int64(logits[first + c]), shift), table.shape[0] - 1)])
            d[first + c] = (weight << 15) // total - (32768 if labels[row] == c else 0)


def largest_kernel(x, largest, rows, columns):  # type: ignore[no-untyped-def]
    """Raise ``largest`` int64 [1] to the largest magnitude in x int32."""
    width = (columns + 15) // 16 * 16
    near = cuda.shared.array(1, int64)
    if cuda.threadIdx.x == 0:
        near[0] = 0
    cuda.syncthreads()
    most = int64(0)
    for i in range(cuda.grid(1), rows * width, cuda.gridsize(1)):
        if i % width < columns:
            most = max(most, abs(int64(x[i])))
    cuda.atomic.max(near, 0, most)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        cuda.atomic.max(largest, 0, near[0])


def quantise_errors_kernel(  # type: ignore[no-untyped-def]
    d, largest, key, slopes, above, change, own, y, sums, rows, columns, image
):
    """Round int32 d at random to int8, on the finest scale that holds ``largest``, and multiply by slope / 64.

    Where the layer pools, d has a row for each pool and y one for each pixel: the pixels of a pool get what it has, and
    those of none get zero. ``image`` is (rows, cols, pool) of one image; ``rows`` counts those of y. The exponent
    own[0] of y becomes above[0] + change - shift. ``sums`` int32 [columns], to be added to, become zero. ``key`` int64
    [2] is that of the random numbers.
    """
    width = (columns + 15) // 16 * 16
    first, second = int(key[0]), int(key[1])  # Python's in the simulator, since NumPy's warn where products wrap
    down, across, pool = image
    pooled_rows, pooled_cols = down // pool, across // pool
    shift = int64(0)
    while largest[0] >> shift > 127:
        shift += 1
    if cuda.grid(1) == 0:
        own[0] = above[0] + change - shift
    for i in range(cuda.grid(1), rows * width, cuda.gridsize(1)):
        row, column = i // width, i % width
        number, top, left = row // (down * across), row // across % down // pool, row % across // pool
        value = int64(0)
        if column < columns and top < pooled_rows and left < pooled_cols:
            source = (number * pooled_rows + top) * pooled_cols + left
            noise = _draw(first, second, source * columns + column) >> (32 - shift)
            value = min(max((int64(d[source * width + column]) + noise) >> shift, -127), 127)
            value = min(max(_rescaled(value * int64(slopes[i]), 6), -127), 127)
        y[i] = value
        if i < columns:
            sums[i] = 0


def update_kernel(  # type: ignore[no-untyped-def]
    gradient, velocity, master, working, exponent, largest, rate, scale, descent, rows, columns
):
    """Change velocities and master values, int32, and write ``working`` = master / 2**fraction, which products use.

    ``rate`` int64 [2] is (mantissa, shift), ``scale`` (bits of the gradient to drop, shift beside those of ``rate`` and
    ``exponent``), ``descent`` (momentum shift, decay shift, limit of velocities, limit of variables, fraction).
    ``largest`` is reset for the next step.
    """
    width = (columns + 15) // 16 * 16
    dropped, shift = scale
    momentum, decay, velocity_limit, limit, fraction = descent
    mantissa, shift = rate[0], shift + rate[1] + exponent[0]
    if cuda.grid(1) == 0:
        largest[0] = 0
    for i in range(cuda.grid(1), rows * width, cuda.gridsize(1)):
        if i % width < columns:
            change = _rescaled((int64(gradient[i]) >> dropped) * mantissa, shift) if shift <= 30 else int64(0)
            v, w = int64(velocity[i]), int64(master[i])
            v = (v - (v >> momentum) if momentum > 0 else 0) + min(max(change, -(1 << 27)), 1 << 27)
            v = min(max(v, -velocity_limit), velocity_limit)
            w = min(max(w - (w >> decay if decay > 0 else 0) - v, -limit), limit)
            velocity[i], master[i], working[i] = v, w, _rescaled(w, fraction)


KERNELS = (
    patches_kernel,
    fold_kernel,
    pool_kernel,
    column_sums_kernel,
    activate_kernel,
    softmax_errors_kernel,
    largest_kernel,
    quantise_errors_kernel,
    update_kernel,
)
