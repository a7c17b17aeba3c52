import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Activation, Conv2d, Dense, Flatten, Graph, IntDomain, IntNetwork, Lut, LutActivation
from intnn.export.picture import FORMATS, LARGEST_PICTURE, Box, draw_boxes, places, short
from intnn.layers.nodes import Add, Concatenate, IntPolynomial, MaxPool2d, Requantise, Reshape, Scale, SumPool2d
from intnn.testing import float_graphs, int_networks


def residual():
    one, many = np.ones((2, 2, 1, 1)), np.ones(2)
    nodes = (
        Conv2d(one, many),
        Activation("gelu"),
        Conv2d(one, many, padding=(0, 1, 0, 1)),
        MaxPool2d(1),
        Scale(many, many),
        Add(),
        Concatenate(),
        Reshape((4, 8)),
        Flatten(),
        Dense(np.ones((3, 32)), np.ones(3)),
        Activation("polynomial", (0.0, 1.0, 0.5)),
    )
    inputs = ((-1,), (0,), (1,), (1,), (3,), (1, 4), (5, 4), (6,), (7,), (8,), (9,))
    return Graph((2, 2, 4), tuple(n for i, n in enumerate(nodes) if i != 2), "a & b", {}, renumbered(inputs, 2))


def renumbered(inputs, gone):
    kept = [read for i, read in enumerate(inputs) if i != gone]
    return tuple(tuple(r - (r > gone) for r in read) for read in kept)


def integers():
    table = Lut.from_callable(lambda x: max(x, 0) // 2, IntDomain(-13, 13), name="relu")
    layers = (
        Dense([[1, -1], [2, 2]], [0, 1]),
        LutActivation(table),
        Dense([[3, -1], [2, 2]], [0, 1]),
        IntPolynomial((1, 0, 2)),
        Requantise([1], 2, IntDomain(-9, 9)),
    )
    return IntNetwork((2,), IntDomain(0, 3), layers, name="small")


def texts(path):
    """Everything that an SVG names; matplotlib writes what it draws as comments."""
    return path.read_text()


@pytest.mark.parametrize("network", [residual(), integers()])
@pytest.mark.parametrize("suffix", FORMATS)
def test_pictures_are_whole_and_the_same_each_time(tmp_path, network, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    network.draw(first)
    network.draw(second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:4] in (b"<?xm", b"\x89PNG", b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_boxes_say_what_layers_are(tmp_path):
    integers().draw(tmp_path / "m.svg")
    ET.parse(tmp_path / "m.svg")
    said = texts(tmp_path / "m.svg")
    for text in ("small", "integers from 0 to 3", "table relu", "27 points", "values from -3 to 13", "shift 2"):
        assert f"<!-- {text} -->" in said or text in said
    assert "coefficients 1, 0, 2" in said
    residual().draw(tmp_path / "g.svg")
    said = texts(tmp_path / "g.svg")
    for text in ("gelu", "Concatenate", "shape 2 x 2 x 4", "0, 1, 0.5"):
        assert text in said


def test_a_graph_says_what_samples_reach(tmp_path):
    graph = Graph((2,), (Dense(np.array([[1.0, -2.0]]), np.zeros(1)), Activation("tanh")))
    graph.draw(tmp_path / "m.svg", np.array([[1.0, 0.5], [1.0, -1.5], [1.0, 1.0]]))
    said = texts(tmp_path / "m.svg")
    for text in ("seen from -1.5 to 1", "seen from -1 to 4", f"seen from {np.tanh(-1.0):.3g} to 0.999"):
        assert text in said
    Graph((2,), (Activation("relu"),)).draw(tmp_path / "m.svg", np.zeros((1, 2)))  # one value: a curve of one point
    with pytest.raises(ValueError, match="must have shape"):
        graph.draw(tmp_path / "m.svg", np.zeros((1, 3)))


def test_values_beyond_int64_are_drawn(tmp_path):
    square = IntPolynomial((0, 0, 1))
    network = IntNetwork((1,), IntDomain(-(2**20), 2**20), (square, square, square))
    network.draw(tmp_path / "m.svg")
    assert "2^160.0" in texts(tmp_path / "m.svg")


@settings(max_examples=5, deadline=None)
@given(st.data())
def test_every_network_can_be_drawn(tmp_path_factory, data):
    network = data.draw(float_graphs() | int_networks())
    network.draw(tmp_path_factory.getbasetemp() / "any.png")


@given(st.data())
def test_no_two_boxes_stand_in_one_place(data):
    boxes = [Box("input", (), ())]
    for i in range(1, data.draw(st.integers(1, 30))):
        sources = data.draw(st.lists(st.integers(0, i - 1), min_size=1, max_size=3, unique=True))
        boxes.append(Box("", (), tuple(sources)))
    rows, columns = places(boxes)
    assert len(set(zip(rows, columns, strict=True))) == len(boxes)
    for i, box in enumerate(boxes):
        assert all(rows[source] < rows[i] for source in box.sources)


def test_chains_are_one_column():
    boxes = [Box("", (), (i - 1,) if i else ()) for i in range(9)]
    assert places(boxes) == (list(range(9)), [0] * 9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-3, "-3"), (0.25, "0.25"), (99999, "99999"), (2**30, "2^30.0"), (-(2**70), "-2^70.0")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize("name", ["$x_{$", "a$b", "\x1f\n", "\u6570\u5b57", "<&>", "\ud800"])
def test_names_are_drawn_as_they_are(tmp_path, name):
    table = Lut(IntDomain(0, 1), [0, 1], name)
    IntNetwork((1,), IntDomain(0, 1), (LutActivation(table),), name=name).draw(tmp_path / "m.svg")
    ET.parse(tmp_path / "m.svg")


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in \.svg, \.png, \.pdf, got 'm\.jpg'"):
        integers().draw(tmp_path / "m.jpg")
    with pytest.raises(FileNotFoundError, match="must be a folder that exists"):
        integers().draw(tmp_path / "none" / "m.svg")
    with pytest.raises(TypeError, match="`path` must be a string or a Path"):
        integers().draw(3)
    with pytest.raises(ValueError, match="`boxes` must be at most 400, got 401"):
        draw_boxes([Box("", (), ())] * (LARGEST_PICTURE + 1), "", tmp_path / "m.svg")
    pools = Graph((1, 2, 2), (SumPool2d(2),))
    pools.draw(tmp_path / "m.svg")
    assert "size=2" in texts(tmp_path / "m.svg")
