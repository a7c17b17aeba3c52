"""Generated pictures: what is drawn is what labels and answers say."""

import numpy as np
import pytest

from plaintext_models.data.shapes import CELL, COLOURS, NOISE, RELATIONS, SHAPES, SIDE, SIZE, relational, single


def seen(picture, shape, colour):
    """Where a shape of a colour is, if it is there: by the pixels of its colour, which nothing else has."""
    bright = COLOURS[colour] > 0.5
    own = ((picture > 0.5) == bright[:, None, None]).all(0)
    for top in range(SIDE - SIZE + 1):
        for left in range(SIDE - SIZE + 1):
            if np.array_equal(own[top : top + SIZE, left : left + SIZE], SHAPES[shape]):
                return top, left
    return None


def test_one_shape_is_what_its_class_says():
    pictures, labels = single(24, 0)
    assert pictures.shape == (24, 3, SIDE, SIDE)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    for picture, label in zip(pictures, labels, strict=True):
        assert seen(picture, *divmod(int(label), len(COLOURS))) is not None
        assert (np.abs(picture - 0.25) <= NOISE + 1e-6).all(0).sum() == SIDE**2 - SHAPES[label // len(COLOURS)].sum()


def test_answers_are_the_shapes_that_are_asked_for():
    pictures, questions, answers = relational(60, 1)
    assert set(questions[:, 1]) == set(range(len(RELATIONS)))
    moves = {"itself": (0, 0), "beside": (0, 1), "above or below": (1, 0), "opposite": (1, 1)}
    for picture, (colour, relation), answer in zip(pictures, questions, answers, strict=True):
        found = {}
        for other in range(len(COLOURS)):
            (shape,) = (shape for shape in range(len(SHAPES)) if seen(picture, shape, other))
            found[tuple(np.array(seen(picture, shape, other)) // CELL)] = shape, other
        (place,) = (place for place, (_, other) in found.items() if other == colour)
        down, right = moves[RELATIONS[relation]]
        assert found[place[0] ^ down, place[1] ^ right][0] == answer


@pytest.mark.parametrize("make", [single, relational])
def test_seeds_determine_everything(make):
    some, same, other = make(5, 0), make(5, 0), make(5, 1)
    assert all(np.array_equal(a, b) for a, b in zip(some, same, strict=True))
    assert not np.array_equal(some[0], other[0])
