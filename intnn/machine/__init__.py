"""Code generation for processors and GPUs: what Numba compiles, from instructions that are written here."""
