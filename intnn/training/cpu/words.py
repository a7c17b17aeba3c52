"""What a compiled training step knows of a block: an array of int64 words.

The names below are indices into it. `intnn.training.cpu.compiled` writes the words, and the kernels read them.
Addresses are those of this process's memory.
"""

# The geometry, as in `intnn.training.plan.Block`. Images are [batch, height, width, channels].
HEIGHT, WIDTH, CHANNELS, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE, PADDING, POOL, ROWS, COLS, OUTPUTS, FAN_IN = range(12)

DEPTH = 12  # bytes of a row of patches: the fan-in and what copies write behind it, up to a multiple of eight
PADDED = 13  # the outputs, up to a multiple of the lanes; everything behind the outputs is zero
BLOCK = 14  # how many images have their sums held at once
OFFSET = 15  # what the inputs are stored plus: 128 for signed ones, else 0
NEXT_OFFSET = 16  # what the outputs are stored plus

# Exponents and limits, as in `intnn.training.plan.Block`.
SHIFT, POOL_SHIFT, FRACTION, WEIGHT_LIMIT, BIAS_SHIFT, INPUT_EXPONENT, WEIGHT_EXPONENT = range(17, 24)
MASTER_EXPONENT, BIAS_EXPONENT, DROPPED, BIAS_DROPPED, IS_RELU = range(24, 29)

# Addresses of what stays from step to step.
WEIGHTS = 29  # int32 [PADDED / lanes, DEPTH, lanes]
VELOCITY = 30  # in the form of the weights
BYTES = 31  # int8 [PADDED / lanes, DEPTH / 4, lanes, 4]: the weights that products use
BIAS = 32  # int32 [PADDED]
BIAS_VELOCITY = 33  # int32 [PADDED]
VALUES = 34  # int32 [512]: the activation's table
SLOPES = 35  # int32 [512]: the table of its slopes

# Addresses of what the forward half of a step leaves for the backward half.
INPUTS = 36  # uint8 [batch, HEIGHT, WIDTH, CHANNELS]
PATCHES = 37  # uint8 [positions, DEPTH], positions = batch * ROWS * COLS, up to a multiple of four
SLOPES_MET = 38  # int8 [positions, PADDED]: the slopes at the pre-activations
INIT = 39  # int32 [PADDED]: biases, less what signed inputs add
GROUPS = 40  # uint8 [positions / 4, DEPTH, 4]: the patches, four positions side by side
ERRORS = 41  # int8 [batch, ROWS / POOL, COLS / POOL, OUTPUTS]: errors of the outputs
SPREAD = 42  # uint8 [positions, PADDED]: errors of the sums, plus 128
ERROR_GROUPS = 43  # int8 [PADDED / lanes, positions / 4, lanes, 4]: the errors of the sums, without the 128
ERROR_SUMS = 44  # int32 [PADDED]: the errors of the sums, added up over positions
TRANSPOSED = 45  # int8 [DEPTH up to lanes / lanes, PADDED / 4, lanes, 4]: the weights for the products with errors
BACK = 46  # int32 [batch, HEIGHT, WIDTH, CHANNELS]: the errors of the inputs

WORDS = 47
