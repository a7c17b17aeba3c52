"""Rings and parameters: what a ciphertext's polynomials are made of, and what keeps them secure."""
