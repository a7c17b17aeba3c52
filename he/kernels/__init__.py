"""Arithmetic on residues: plain Python integers as the definition, Numba for speed."""
