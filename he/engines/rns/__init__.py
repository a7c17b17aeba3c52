"""The fast engine: residue arithmetic on SEAL's ciphertexts and keys."""
