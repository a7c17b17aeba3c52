"""CUDA instructions that Numba lacks, and what stands for them in its simulator."""
