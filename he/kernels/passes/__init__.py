"""Kernels: passes over polynomials of residues."""
