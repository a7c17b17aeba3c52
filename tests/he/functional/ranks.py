"""The dimension of spans by exact arithmetic, and requests for keys that are made to depend on each other."""

import numpy as np
from hypothesis import strategies as st


def rank(rows):
    """The dimension over the rationals, without divisions that leave a remainder (Bareiss, 1968)."""
    rows, found, previous = [list(map(int, row)) for row in rows], 0, 1
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            first, factor = rows[found][column], rows[i][column]
            rows[i] = [(first * a - factor * b) // previous for a, b in zip(rows[i], rows[found], strict=True)]
        previous, found = rows[found][column], found + 1
    return found


@st.composite
def requests(draw, limits=(1, 2, 127, 32767), most=6):
    """Vectors of one length, in requests of several, many of which depend on others."""
    n, limit = draw(st.integers(1, 7)), draw(st.sampled_from(limits))
    elements = st.integers(-limit, limit) | st.sampled_from([0, limit, -limit])
    vectors = st.lists(elements, min_size=n, max_size=n)
    pool = draw(st.lists(vectors, min_size=1, max_size=4))
    multiples = st.builds(
        lambda v, k: [max(-limit, min(limit, k * a)) for a in v], st.sampled_from(pool), st.sampled_from(limits)
    )
    sums = st.builds(
        lambda v, w: [a - b if abs(a - b) <= limit else a for a, b in zip(v, w, strict=True)],
        *[st.sampled_from(pool)] * 2,
    )
    request = st.lists(st.sampled_from(pool) | multiples | sums | vectors, min_size=1, max_size=5)
    return n, [np.array(y, np.int64) for y in draw(st.lists(request, min_size=1, max_size=most))]
