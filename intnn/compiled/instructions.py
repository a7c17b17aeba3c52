"""From an integer network to the words that the compiled kernels read: layers are fused and weights packed, once.

Values between fused layers are unsigned bytes: a value less its layout's offset, which the next layer's biases add
again. A fused layer is a linear layer, sum pooling behind it, requantisation and a table. Pooling is folded into the
weights, which is exact: a sum of windows of a convolution is a convolution with a larger window. A weight that does not
fit a signed byte, before or after that, is packed as several signed bytes that add up to it.
"""

from dataclasses import dataclass, field

import numpy as np

from intnn.compiled import words
from intnn.compiled.epilogue import epilogue
from intnn.compiled.fuse import FusedLayer, fuse
from intnn.compiled.layout import Layout, byte_offset
from intnn.compiled.window import window
from intnn.layers.nodes import Conv2d, Node, Shape
from intnn.machine.simd import InstructionSet
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain, Interval
from intnn.values.value_object import Unstorable

BLOCK_BYTES = 1 << 17  # bytes of activations that are alive at a time: they stay in the second-level cache
MAX_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Instructions(Unstorable, instead="store the IntNetwork, which is compiled again where it runs"):
    """What `intnn.compiled.run.run` evaluates.

    Attributes:
        words: int64, at a multiple of a cache line; `intnn.compiled.words` describes them. They are never written
            again, but not marked read-only: Numba takes 0.2 µs longer to recognise such an array.
        products: How many products of bytes one input takes, counting padded ones.
        output: The smallest interval that contains every output.
    """

    words: IntArray = field(repr=False)
    products: int
    output: IntDomain


def pack(
    input_shape: Shape,
    input_domain: IntDomain,
    layers: tuple[Node, ...],
    intervals: tuple[Interval, ...],
    isa: InstructionSet,
) -> Instructions:
    """Fuse and pack a network's layers for an instruction set.

    Raises:
        UnsupportedError: A range does not fit, or the layers come in an order that cannot be fused.
    """
    is_flat, fused = fuse(layers, intervals)
    offset, elements = byte_offset(input_domain), int(np.prod(input_shape))
    if is_flat or len(input_shape) == 1:
        x = Layout.vector(elements, offset, elements)
    else:
        x = Layout.image(input_shape, offset, input_shape[0], fused[0].padding)
    tables = Tables(words.HEADER_WORDS + words.LAYER_WORDS * len(fused))
    header = _input_words(x, tables)
    packed, buffer, products = [], x.size, 0
    for layer, following in zip(fused, (*fused[1:], None), strict=True):
        content, x, count = _pack(layer, following, x, isa, tables)
        packed.append(content)
        buffer = max(buffer, content[words.OUT_BYTES])
        products += count
    buffer = -(-buffer // 64) * 64
    last = fused[-1]
    kind = words.SUMS if last.gives_sums else words.SIGNED_BYTES if last.gives_signed_bytes else words.BYTES
    header |= {
        words.LAYERS: len(fused),
        words.LANES: isa.lanes,
        words.BLOCK: min(max(BLOCK_BYTES // buffer // 8 * 8, 8), MAX_BLOCK),
        words.BUFFER_BYTES: buffer,
        words.OUTPUT_SIZE: len(x.places),
        words.OUTPUT_PLACES: tables.add(x.places),
        words.OUTPUT_OFFSET: x.offset,
        words.OUTPUT_KIND: kind,
        words.OUTPUT_AS_IT_IS: int(kind != words.SUMS and x.offset == 0 and x.is_identity),
    }
    return Instructions(tables.assemble(header, packed), products, last.output.hull)


class Tables:
    """The arrays that lie behind the ``count`` first words."""

    def __init__(self, count: int):
        self.size = _aligned(8 * count)
        self.parts: list[tuple[int, Array]] = []

    def add(self, array: Array) -> int:
        """Keep an array, and return the byte offset at which it will lie, a multiple of 64."""
        start = self.size
        self.parts.append((start, array))
        self.size += _aligned(array.nbytes)
        return start

    def assemble(self, header: dict[int, int], layers: list[dict[int, int]]) -> IntArray:
        """The header's words, every layer's words and the arrays in one int64 array."""
        memory = np.zeros(self.size // 8 + 8, np.int64)
        skip = -memory.ctypes.data % 64 // 8
        result = memory[skip : skip + self.size // 8]
        starts = (words.HEADER_WORDS + i * words.LAYER_WORDS for i in range(len(layers)))
        for start, values in ((0, header), *zip(starts, layers, strict=True)):
            result[[start + i for i in values]] = list(values.values())
        content = result.view(np.uint8)
        for start, array in self.parts:
            content[start : start + array.nbytes] = np.ascontiguousarray(array).ravel().view(np.uint8)
        return result


def _input_words(x: Layout, tables: Tables) -> dict[int, int]:
    # Rows of images and of ragged vectors are read a little beyond their end: never in the caller's memory.
    as_it_is = x.is_identity and x.offset == 0 and len(x.shape) == 1 and x.size % 4 == 0
    return {
        words.INPUT_SIZE: len(x.places),
        words.INPUT_BYTES: x.size,
        words.INPUT_PLACES: words.NONE if x.is_identity else tables.add(x.places),
        words.INPUT_OFFSET: x.offset,
        words.INPUT_AS_IT_IS: int(as_it_is),
        words.INPUT_FILL: words.NONE if x.fill is None else x.fill,
    }


def _pack(
    layer: FusedLayer, following: FusedLayer | None, x: Layout, isa: InstructionSet, tables: Tables
) -> tuple[dict[int, int], Layout, int]:
    """The words of one layer, its output's layout, and the number of products that it forms for one input."""
    sums = window(layer, following, x, isa.lanes)
    offsets, panels = sums.groups()
    width, lanes = sums.columns * isa.lanes, len(sums.channel)
    strips = lanes // width
    end = epilogue(layer, sums.layout.offset, isa.lookup is not None)
    biases = sums.bias + x.offset * sums.weights.sum(axis=(1, 2)) - end.origin
    factors = np.ones(1, np.int64) if layer.requantise is None else layer.requantise.multiplier
    rescaling = (part[sums.channel % len(part)] for part in (factors, *end.saturation))
    channels = np.stack([biases, *rescaling]).astype(np.uint32).astype(np.int32)  # modulo 2**32, as the sums are
    is_image, size = isinstance(layer.linear, Conv2d), 4 if layer.gives_sums else 1
    out_bytes = sums.layout.size * size
    places = sums.places * [1, size] if is_image else np.arange(MAX_BLOCK)[:, None] * [x.size, out_bytes]
    content = {
        words.UNITS: int(is_image),
        words.LENGTH: len(places),
        words.PLACES: tables.add(places.astype(np.int32)),
        words.COLUMNS: sums.columns,
        words.ROWS: isa.rows[sums.columns],
        words.STRIPS: strips,
        words.GROUPS: len(offsets),
        words.OFFSETS: tables.add(offsets.astype(np.int32)),
        # [groups, 4, lanes] -> [strips, groups, lanes of a strip, 4]
        words.WEIGHTS: tables.add(panels.reshape(-1, 4, strips, width).transpose(2, 0, 3, 1).astype(np.int8)),
        words.CHANNELS: tables.add(channels.reshape(4, strips, width).swapaxes(0, 1)),
        words.VALID: sums.valid - (strips - 1) * width,
        words.IN_BYTES: x.size,
        words.OUT_BYTES: out_bytes,
        words.FILL: words.NONE if sums.layout.fill is None else sums.layout.fill,
        words.RESCALE: end.rescale,
        words.SHIFT: end.shift,
        words.HALF: end.half,
        words.LOW: end.limits.lo,
        words.HIGH: end.limits.hi,
        words.TABLE: words.NONE if end.table is None else tables.add(end.table),
        words.TABLE_IS_BYTES: int(end.table is not None and end.table.dtype == np.uint8),
    }
    products = 4 * len(offsets) * lanes * (len(places) if is_image else 1)
    return content, sums.layout.flat() if layer.flattens else sums.layout, products


def _aligned(size: int) -> int:
    return -(-size // 64) * 64
