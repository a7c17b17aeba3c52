"""Pictures are written, whole, and show what they should."""

import pytest
import torch

from plaintext_models.evaluation import pictures
from plaintext_models.evaluation.card import Point
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.pictures import draw_confidences, draw_curve, draw_examples

pytest.importorskip("matplotlib")

CURVE = (Point(0.1, Share(9, 10)), Point(0.2, Share(4, 10)), Point(1.0, Share(0, 10)))
KINDS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_examples(tmp_path, suffix, channels):
    images = torch.rand((4, channels, 6, 6), generator=torch.Generator().manual_seed(0))
    draw_examples(tmp_path / f"e{suffix}", images, images.roll(1, 0), ["3 as 5"] * 4)
    assert (tmp_path / f"e{suffix}").read_bytes().startswith(KINDS[suffix])
    draw_examples(tmp_path / f"e{suffix}", images[:1], images[:1])
    assert [path.name for path in tmp_path.iterdir()] == [f"e{suffix}"]


def test_the_curve_is_drawn_with_its_words(tmp_path):
    draw_curve(tmp_path / "c.svg", CURVE, norm="linf", title="digits")
    assert (tmp_path / "c.svg").stat().st_size > 1000


@pytest.mark.parametrize(("last", "end"), [(1.0, 0.23), (0.3, 0.3)])
def test_a_last_radius_far_beyond_the_others_does_not_squeeze_them(monkeypatch, tmp_path, last, end):
    drawn = []
    monkeypatch.setattr(pictures, "_save", lambda figure, _: drawn.append(figure))
    draw_curve(tmp_path / "c.svg", (*CURVE[:2], Point(last, Share(0, 10))), norm="linf")
    ((axes,),) = (figure.axes for figure in drawn)
    assert axes.get_xlim()[1] == pytest.approx(end, rel=0.1)


@pytest.mark.parametrize("found", [0, 5])
def test_confidences(tmp_path, found):
    draw_confidences(tmp_path / "h.png", torch.linspace(0, 1, 20), torch.rand(found))
    assert (tmp_path / "h.png").read_bytes().startswith(KINDS[".png"])


def test_what_cannot_be_drawn_leaves_nothing(tmp_path):
    images = torch.zeros(2, 1, 4, 4)
    for wrong in (images[0], images[:0], torch.zeros(2, 2, 4, 4)):
        with pytest.raises(ValueError, match="images"):
            draw_examples(tmp_path / "e.png", wrong, wrong)
    with pytest.raises(ValueError, match="point"):
        draw_curve(tmp_path / "c.png", (), norm="l2")
    with pytest.raises(ValueError, match="path"):
        draw_curve(tmp_path / "c.txt", CURVE, norm="l2")
    assert not list(tmp_path.iterdir())
