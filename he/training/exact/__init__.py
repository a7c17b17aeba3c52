"""Networks of squares trained exactly: on BFV ciphertexts, with the bits of integer training in the clear."""
