"""The columns of the tables that kernels on a GPU take, and sizes; whoever writes tables needs no compiler.

Of the forward transform's: the source, the target, the prime; the prime that residues are taken from, the row that the
result is subtracted from, and what the difference is multiplied with. Of the inverse one's: the first three, and the
scale.
"""

from he.kernels.instructions.blake import BUFFER, NODE

SOURCE, TARGET, PRIME, ORIGIN, MINUEND, FACTOR = range(6)
SCALE = 3
FORWARD_COLUMNS, INVERSE_COLUMNS = 6, 4
NONE = -1  # where a column names no row or prime
FIRST, STOP = range(2)  # of all tables whose lines are sums: a range of terms
MAX_PRODUCTS = 1 << 14  # that a sum has: of residues below 2**50, they are below 2**114, which three words hold
TILES = 1, 8  # how many sums one line of a combination makes of the same rows
LAYOUT_COLUMNS = 4  # of the table of a ciphertext's rows as they come
ROOT_BYTES = 64  # of a root of a seed's stream
BLOCK_BITS = 10  # stages of a transform at most in the pass that does blocks of neighbours; others are another pass
PIECES, PIECE_BYTES = 8, 2 << 20  # of pinned memory, see `he.engines.cuda.pieces`


def transform_passes(N: int) -> int:
    """Return how many kernels a transform is."""
    return 1 if N == 1 << BLOCK_BITS else 2


def root_bytes(N: int, primes: int) -> int:
    """Return the bytes of `he.kernels.cuda.tables.DeviceTables` for so many primes: mostly those of roots."""
    return 8 * primes * (6 + 4 * N + primes)


def stream_parts(level: int, N: int) -> tuple[int, int]:
    """Return of how many nodes and of how many buffers a polynomial is drawn; the last buffer may not be whole."""
    return 8 * level * N // NODE, -(-8 * level * N // BUFFER)


def arrival_kernels(seeded: bool) -> list[str]:
    """Return the names of the kernels that make residues of ciphertexts as they come."""
    return ["unpack", "roots", "expand", "redraw"] if seeded else ["unpack"]


def request_bytes(count: int, size: int, polynomials: int, level: int, N: int) -> int:
    """Return the bytes of `he.engines.cuda.requests.Requests` for so many ciphertexts of a size, with seeds or not."""
    nodes, buffers = stream_parts(level, N) if polynomials == 1 else (0, 0)
    return count * (size + ROOT_BYTES * buffers + nodes) + 8 + 8 * LAYOUT_COLUMNS * polynomials * level


def pinned_shape(size: int) -> tuple[int, int]:
    """Return through how many pieces of pinned memory so many bytes are copied, at least 1, and the words of each."""
    return min(PIECES, -(-size // PIECE_BYTES)), min(size, PIECE_BYTES) // 8
