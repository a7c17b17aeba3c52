"""Code generation for processors and GPUs: Numba compiles functions whose innermost instructions are emitted here."""
