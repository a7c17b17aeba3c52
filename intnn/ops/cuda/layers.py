"""What layers do on a GPU beside products of bytes: on integers of 8 to 64 bits, summed in 64.

A value lies in rows of ``width`` elements, one row for each pixel and one element for each channel, filled up to a
multiple of 16; a vector is a row. What fills a row up is arbitrary, and read by nothing that matters. Arrays are flat,
and of any integer type: a kernel is compiled for the types that it meets. Neighbouring threads take neighbouring
channels, so that a warp reads and writes neighbouring elements. `intnn.layers` defines the results.
"""

from numba import cuda, int32, int64, uint32


@cuda.jit(device=True, inline="always")
def quotient(a, b):  # type: ignore[no-untyped-def]
    """The quotient and the remainder of numbers below 2**32."""
    whole = uint32(a) // uint32(b)
    return int64(whole), int64(uint32(a) - uint32(whole) * uint32(b))


def window_sums_kernel(  # type: ignore[no-untyped-def]
    x, w, bias, multiplier, table, y, sizes, image, window, groups, requantise
):
    """Write bias[o] + the sum of w times x over a window, or of x alone where ``w`` is empty; perhaps looked up.

    Args:
        x: The inputs.
        w: The weights [kh, kw, channels of a group, columns], or [0] for pooling, where output o sees channel o.
        bias: int64 [columns].
        multiplier: int64 [columns], where there is a table.
        table: What becomes of the sums, requantised; [0] for nothing.
        y: The sums, or what they become.
        sizes: (rows, columns, width of y, width of x).
        image: (height, width, area of y, columns of pixels of y).
        window: (taps down, taps across, step down, step across, gap down, gap across, top, left).
        groups: (channels of a group, outputs of a group).
        requantise: (shift, the least value that is looked up, the largest).
    """
    shift, lo, hi = requantise
    rows, columns, y_width, x_width = sizes
    height, width, out_area, out_width = image
    down, across, down_step, side_step, down_gap, side_gap, top, left = window
    inputs, outputs = groups
    for i in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        row, column = i // columns, i % columns
        number, within = row // out_area, row % out_area
        first_row, first_column = within // out_width * down_step - top, within % out_width * side_step - left
        first = column // outputs * inputs
        total = int64(bias[column])
        for u in range(down):
            at_row = first_row + u * down_gap
            for v in range(across):
                at_column = first_column + v * side_gap
                if 0 <= at_row < height and 0 <= at_column < width:
                    pixel = ((number * height + at_row) * width + at_column) * x_width + first
                    for c in range(inputs):
                        value = int64(x[pixel + c])
                        if w.shape[0] > 0:
                            value *= int64(w[((u * across + v) * inputs + c) * columns + column])
                        total += value
        if table.shape[0] > 0:
            value = (total * multiplier[column] + ((int64(1) << shift) >> 1)) >> shift
            total = int64(table[min(max(value, lo), hi) - lo])
        y[row * y_width + column] = total


def windows_kernel(x, taps, y, words, width, image, window):  # type: ignore[no-untyped-def]
    """Write what windows see of bytes as rows: images [n, c, h, w] -> words [positions, width], with zeros outside.

    Images of few channels are read where they are, and a product then needs no more of each pixel than there is.

    Args:
        x: The images, one byte behind the other.
        taps: int32 [columns, 3], where a window's bytes are: rows and columns from its first, bytes from the image's.
        y: The rows, in words of four bytes.
        words: Their number.
        width: The words of a row, with what fills it up.
        image: (bytes of an image, height, width, windows of an image, windows across).
        window: (step down, step across, top, left).
    """
    size, height, side, out_area, out_width = image
    down_step, side_step, top, left = window
    columns = taps.shape[0]
    for i in range(cuda.grid(1), words, cuda.gridsize(1)):
        # Divisions are what takes the time here: those of 32 bits without a sign take a tenth of it.
        row, first = quotient(i, width)
        number, within = quotient(row, out_area)
        down_by, side_by = quotient(within, out_width)
        row0, column0 = down_by * down_step - top, side_by * side_step - left
        start, word = number * size + row0 * side + column0, int32(0)
        for k in range(4):
            column = 4 * first + k
            if column < columns:
                at_row, at_column = row0 + taps[column, 0], column0 + taps[column, 1]
                if 0 <= at_row < height and 0 <= at_column < side:
                    word |= (int32(x[start + taps[column, 2]]) & 255) << (8 * k)
        y[i] = word


def rescale_kernel(x, multiplier, y, requantise, width, columns):  # type: ignore[no-untyped-def]
    """Requantise: floor((x multiplier + 2**(shift - 1)) / 2**shift), saturated; multiplier int64 [columns] or [1]."""
    shift, lo, hi = requantise
    half = (int64(1) << shift) >> 1
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        column = i % width
        if column < columns:
            factor = multiplier[column if multiplier.shape[0] > 1 else 0]
            y[i] = min(max((int64(x[i]) * factor + half) >> shift, lo), hi)


def table_kernel(x, table, y, lo, width, columns):  # type: ignore[no-untyped-def]
    """Look up: table[x - lo]."""
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        if i % width < columns:
            y[i] = table[int64(x[i]) - lo]


def scale_kernel(x, weight, bias, y, width, columns):  # type: ignore[no-untyped-def]
    """Scale: x weight + bias, of int64 [columns] or [1] each."""
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        column = i % width
        if column < columns:
            channel = column if weight.shape[0] > 1 else 0
            y[i] = int64(x[i]) * weight[channel] + bias[channel]


def polynomial_kernel(x, coefficients, y, width, columns):  # type: ignore[no-untyped-def]
    """Evaluate a polynomial by Horner's rule; coefficients int64, ascending."""
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        if i % width < columns:
            value, total = int64(x[i]), int64(0)
            for k in range(coefficients.shape[0] - 1, -1, -1):
                total = total * value + coefficients[k]
            y[i] = total


def move_kernel(x, y, source, target, shift, size, adds):  # type: ignore[no-untyped-def]
    """Bring values to another layout, and behind or onto others.

    An element's number is its place in the value as an array [channels, ...] in C order. Element e of x becomes element
    e + shift of y, or is added to it.

    Args:
        x: The values.
        y: Where they go.
        source: (pixels, width, elements) of one image of x.
        target: (pixels, width, elements) of one image of y.
        shift: What is added to an element's number; it is a multiple of the pixels of y.
        size: The elements of all images of y, with what fills rows up.
        adds: 1 to add, 0 to write.
    """
    x_pixels, x_width, x_count = source
    y_pixels, y_width, y_count = target
    per_image, x_image = y_pixels * y_width, x_pixels * x_width
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        number, within = i // per_image, i % per_image
        pixel, channel = within // y_width, within % y_width
        element = channel * y_pixels + pixel - shift
        if channel * y_pixels < y_count and 0 <= element < x_count:
            value = x[number * x_image + element % x_pixels * x_width + element // x_pixels]
            y[i] = y[i] + value if adds else value


def copy_kernel(x, y):  # type: ignore[no-untyped-def]
    """Write x, as integers of the type that y has."""
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        y[i] = x[i]


def outside_kernel(x, lo, hi, found):  # type: ignore[no-untyped-def]
    """Set ``found`` int32 [1] to 1 if a value lies outside [lo, hi]."""
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        if x[i] < lo or x[i] > hi:
            found[0] = 1  # whoever writes it writes the same


KERNELS = (
    window_sums_kernel,
    windows_kernel,
    rescale_kernel,
    table_kernel,
    scale_kernel,
    polynomial_kernel,
    move_kernel,
    copy_kernel,
    outside_kernel,
)
