"""Inner-product functional encryption from ring learning with errors, many samples to a ciphertext."""
