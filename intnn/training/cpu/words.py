"""What a compiled training step knows of a block: int64 words, in this order. Addresses are of the machine's memory."""

# Geometry; see `intnn.training.plan.Block`. Images lie [batch, height, width, channels].
HEIGHT, WIDTH, CHANNELS, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE, PADDING, POOL, ROWS, COLS, OUTPUTS, FAN_IN = range(12)

DEPTH = 12  # of a row of patches: the fan-in and what copies write behind it, up to a multiple of eight
PADDED = 13  # outputs, up to a multiple of the lanes; everything behind the outputs is zero
BLOCK = 14  # images whose sums are held at once
OFFSET = 15  # signed inputs are stored plus 128
NEXT_OFFSET = 16  # of the block's own outputs

# Exponents and limits.
SHIFT, POOL_SHIFT, FRACTION, WEIGHT_LIMIT, BIAS_SHIFT, INPUT_EXPONENT, WEIGHT_EXPONENT = range(17, 24)
MASTER_EXPONENT, BIAS_EXPONENT, DROPPED, BIAS_DROPPED, IS_RELU = range(24, 29)

# Addresses of what stays.
WEIGHTS = 29  # int32 [PADDED / lanes, DEPTH, lanes]
VELOCITY = 30  # the same
BYTES = 31  # int8 [PADDED / lanes, DEPTH / 4, lanes, 4]: the weights that products use
BIAS = 32  # int32 [PADDED]
BIAS_VELOCITY = 33  # int32 [PADDED]
VALUES = 34  # int32 [512]: activations
SLOPES = 35  # int32 [512]

# Addresses of what a step leaves behind for its backward half.
INPUTS = 36  # uint8 [batch, HEIGHT, WIDTH, CHANNELS]
PATCHES = 37  # uint8 [positions, DEPTH], positions = batch * ROWS * COLS, up to a multiple of four
SLOPES_MET = 38  # int8 [positions, PADDED]
INIT = 39  # int32 [PADDED]: biases, less what signed inputs add
GROUPS = 40  # uint8 [positions / 4, DEPTH, 4]: the patches, four positions side by side
ERRORS = 41  # int8 [batch, ROWS / POOL, COLS / POOL, OUTPUTS]
SPREAD = 42  # uint8 [positions, PADDED]: errors of the sums, plus 128
ERROR_GROUPS = 43  # int8 [PADDED / lanes, positions / 4, lanes, 4]
ERROR_SUMS = 44  # int32 [PADDED]
TRANSPOSED = 45  # int8 [DEPTH up to lanes / lanes, PADDED / 4, lanes, 4]: the weights for the products with errors
BACK = 46  # int32 [batch, HEIGHT, WIDTH, CHANNELS]: the errors of the inputs

WORDS = 47
