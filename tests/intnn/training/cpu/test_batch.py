"""Batches are gathered, moved and mirrored as plain Python would."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intnn.training.cpu.batch import gather

sides = st.integers(1, 4)


@given(st.data(), sides, sides, sides, sides)
def test_gather_moves_and_mirrors_images(data, n, height, width, channels):
    x = data.draw(hnp.arrays(np.uint8, (n, height, width, channels)))
    chosen = data.draw(hnp.arrays(np.int64, 3, elements=st.integers(0, n - 1)))
    moves = data.draw(hnp.arrays(np.int64, (3, 2), elements=st.integers(-5, 5)))
    mirrored = data.draw(hnp.arrays(np.int64, (3, 1), elements=st.integers(0, 1)))
    out = np.full((3, height, width, channels), 99, np.uint8)
    gather(x, chosen, np.hstack([moves, mirrored]), 7, out)
    for b, (down, right) in enumerate(moves.tolist()):
        for i in range(height):
            for j in range(width):
                row, column = i - down, j - right
                inside = 0 <= row < height and 0 <= column < width
                column = width - 1 - column if mirrored[b] else column
                assert out[b, i, j].tolist() == (x[chosen[b], row, column].tolist() if inside else [7] * channels)
