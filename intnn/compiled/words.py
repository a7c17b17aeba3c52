"""The words of a compiled network: `intnn.compiled.instructions` writes them, and the kernels read them.

The instructions of a network are one int64 array: a header, LAYER_WORDS words for every fused layer, then tables, whose
places are byte offsets from the array's start. The names below are indices: those of the header count from the array's
start, those of a layer from the layer's first word. Sums are int32 modulo 2**32: the caller has proved that every
complete sum fits.
"""

# The header.
LAYERS, BLOCK, INPUT_SIZE, INPUT_BYTES, INPUT_PLACES, INPUT_OFFSET, INPUT_AS_IT_IS, INPUT_FILL = range(8)
BUFFER_BYTES, OUTPUT_SIZE, OUTPUT_PLACES, OUTPUT_OFFSET, OUTPUT_KIND, OUTPUT_AS_IT_IS, LANES = range(8, 15)
HEADER_WORDS = 16
BYTES, SIGNED_BYTES, SUMS = range(3)  # kinds of output: unsigned less the offset; signed; int32
NONE = -1  # no table, no fill byte

# A fused layer: rows of sums over groups of four input bytes, and what becomes of them.
(
    UNITS,  # 1: places are of one image, and there are as many units as images; 0: places are of a block of vectors
    LENGTH,  # places of a unit, with UNITS
    PLACES,  # int32 [length, 2]: byte offsets of a row's input and output
    COLUMNS,  # vectors of a register tile: 1, 2 or 4
    ROWS,  # rows of a register tile
    STRIPS,  # tiles across the output channels
    GROUPS,  # groups of four input bytes that are summed
    OFFSETS,  # int32 [groups]: byte offsets from a row's input
    WEIGHTS,  # int8 [strips, groups, columns, lanes, 4]
    CHANNELS,  # int32 [strips, 4, columns, lanes]: biases, multipliers, least and largest sums before saturation
    VALID,  # lanes of the last strip that are stored
    IN_BYTES,  # from one image to the next
    OUT_BYTES,
    FILL,  # byte that surrounds the output's images, or NONE
    RESCALE,  # one of the following
    SHIFT,
    HALF,  # added before the shift: the rounding term, less the output's offset
    LOW,  # limits after the shift, less the output's offset; WIDE only
    HIGH,
    TABLE,  # byte offset, or NONE
    TABLE_IS_BYTES,  # 256 bytes; else int32
) = range(21)
LAYER_WORDS = 24

RAW, KEEP, NARROW, WIDE = range(4)  # int32 sums; sums as indices; products in 32 bits; in 64 bits
