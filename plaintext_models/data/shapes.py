"""Generated pictures of coloured shapes: of one, to be named, and of four, to be asked about.

A small stand-in for CLEVR (Johnson et al., arXiv:1612.06890) in the manner of Sort-of-CLEVR (Santoro et al.,
arXiv:1706.01427), for whoever has neither. Equal seeds give equal pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 24  # pixels of a picture
CELL = 12  # of the place of one of four shapes
SIZE = 7  # of a shape
NOISE = 0.15  # of the background and of shapes, to both sides
DARK, LIGHT = 0.25, 0.75

#: [shapes, SIZE, SIZE], bool: a frame, a plus and a diagonal cross.
SHAPES = np.zeros((3, SIZE, SIZE), bool)
SHAPES[0] = True
SHAPES[0, 2:-2, 2:-2] = False
SHAPES[1, 2:-2] = SHAPES[1, :, 2:-2] = True
SHAPES[2] = np.eye(SIZE, dtype=bool) | np.eye(SIZE, k=1, dtype=bool) | np.eye(SIZE, k=-1, dtype=bool)
SHAPES[2] |= SHAPES[2][:, ::-1]
#: [colours, 3], red, green, blue and yellow.
COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]) * (LIGHT - DARK) + DARK
#: What is asked of the shape of a colour: its own form, or that of the one beside, above or below, or opposite it.
RELATIONS = ("itself", "beside", "above or below", "opposite")
_PARTNERS = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])  # by relation and cell

Pictures = NDArray[np.float32]
Labels = NDArray[np.int64]


def single(count: int, seed: int) -> tuple[Pictures, Labels]:
    """Pictures of one shape somewhere.

    Args:
        count: How many.
        seed: Determines them.

    Returns:
        Pictures [count, 3, SIDE, SIDE] in [0, 1], and their classes [count], 4 * shape + colour.
    """
    rng = np.random.default_rng(seed)
    pictures = _noise(count, rng)
    labels = rng.integers(len(SHAPES) * len(COLOURS), size=count)
    for picture, label, place in zip(pictures, labels, rng.integers(SIDE - SIZE + 1, size=(count, 2)), strict=True):
        _stamp(picture, *divmod(int(label), len(COLOURS)), *map(int, place))
    return pictures.clip(0, 1), labels.astype(np.int64)


def relational(count: int, seed: int) -> tuple[Pictures, Labels, Labels]:
    """Pictures of four shapes, one of every colour and one in every quarter, with a question to each.

    Args:
        count: How many.
        seed: Determines them.

    Returns:
        Pictures [count, 3, SIDE, SIDE] in [0, 1]; questions [count, 2], a colour and an index of `RELATIONS`; answers
        [count], a shape.
    """
    rng = np.random.default_rng(seed)
    pictures, four = _noise(count, rng), len(COLOURS)
    shapes = rng.integers(len(SHAPES), size=(count, four))  # by cell
    colours = rng.permuted(np.tile(np.arange(four), (count, 1)), axis=1)
    places = rng.integers(CELL - SIZE + 1, size=(count, four, 2)) + CELL * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    for i in range(count):
        for cell in range(four):
            _stamp(pictures[i], int(shapes[i, cell]), int(colours[i, cell]), *map(int, places[i, cell]))
    questions = np.column_stack([rng.integers(four, size=count), rng.integers(len(RELATIONS), size=count)])
    asked = (colours == questions[:, :1]).argmax(1)
    answers = shapes[np.arange(count), _PARTNERS[questions[:, 1], asked]]
    return pictures.clip(0, 1), questions.astype(np.int64), answers.astype(np.int64)


def _noise(count: int, rng: np.random.Generator) -> Pictures:
    return (DARK + rng.uniform(-NOISE, NOISE, (count, 3, SIDE, SIDE))).astype(np.float32)


def _stamp(picture: Pictures, shape: int, colour: int, top: int, left: int) -> None:
    """Colour the pixels of a shape, whose noise stays."""
    place = picture[:, top : top + SIZE, left : left + SIZE]
    place += (SHAPES[shape] * (COLOURS[colour] - DARK)[:, None, None]).astype(np.float32)
