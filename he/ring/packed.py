"""How many bytes residues and seeds take where they are packed."""

MAX_BITS = 56  # of a word: it lies within the eight bytes from the one where it begins
SEED_BYTES = 64  # of SEAL's generator, which names a uniform polynomial


def word_bits(prime: int) -> int:
    """Count the bits of a packed residue: as many as its prime has, or 64 where these are too many."""
    bits = prime.bit_length()
    return bits if bits <= MAX_BITS else 64
