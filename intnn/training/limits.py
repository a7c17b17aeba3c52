"""The limits that every step of training keeps to, on every backend. Kernels read them when they are compiled."""

ERROR_LIMIT = 127  # the largest magnitude of an error: errors are signed bytes
BIAS_BITS = 18  # bits of a bias in units of its layer's sums
RATE_BITS = 7  # bits of a learning rate's mantissa
VELOCITY_LIMIT = 1 << 29  # the largest magnitude of a velocity
BIAS_LIMIT = 1 << 30  # the largest magnitude of a master bias
