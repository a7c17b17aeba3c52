"""The command that attacks beside other libraries, on few images; and what it takes for fooled."""

import io
import sys
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import attacks
from bench.harness.rows import read
from bench.peers import attacks as attack_peers
from bench.peers.missing import UnavailableError

BALL = replace(attacks.PAIRINGS["fgsm"], norm="l2")
NEAREST = attacks.PAIRINGS["deepfool"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One training for all tests."""
    return tmp_path_factory.mktemp("networks")


@pytest.fixture
def no_peers(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(attack_peers, "import_module", missing)


def run(cache, *arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["attacks", "--cache", str(cache), *arguments])


def rows_of(cache, path, *arguments):
    result = run(cache, "--images", "20", "--json", str(path), *arguments)
    assert result.exit_code == 0, result.output
    return [envelope.row for envelope in read(path)], result


def pair(x, y, radius=0.3):
    """A classifier that finds class 1 where the first of two elements is the larger, and its problem."""
    module = nn.Linear(2, 2, bias=False).eval()
    module.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return attacks.Problem("pair", module, torch.tensor(x), torch.tensor(y), radius, 0)


def test_without_peers_ours_is_measured_and_they_are_missed(cache, tmp_path, no_peers):
    rows, result = rows_of(cache, tmp_path / "a.json")
    assert [row["attack"] for row in rows] == ["fgsm", "pgd-40", "deepfool", "ddn"]
    for row in rows:
        assert (row["peer"], row["peer_s"], row["ratio"], row["peer_success"]) == ("foolbox", None, None, None)
        assert row["note"] == "foolbox is not installed"
        assert row["ours_s"] > 0
        assert row["n_images"] == 20
        assert (row["ours_median"] is None) == (row["ours_robust_accuracy"] is not None) == (row["radius"] == 0.3)
    # the clean check with its two probes, 100 steps, the verdict; what is wrong to begin with takes less
    assert 90 < rows[3]["queries"] < 104
    assert "foolbox is not installed" in result.stdout


def test_with_peers_both_are_judged(cache, tmp_path):
    pytest.importorskip("foolbox")
    pytest.importorskip("pyautoattack")
    named = "pgd-40", "deepfool", "apgd"
    tracer = sys.gettrace()
    rows, _ = rows_of(cache, tmp_path / "a.json", *(word for name in named for word in ("--attack", name)))
    assert sys.gettrace() is tracer  # debuggers and coverage have one, which pyautoattack takes away
    assert [row["attack"] for row in rows] == list(named)
    for row in rows:
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])
        assert row["ours_success"] == row["peer_success"] == 1
        assert row["peer_queries"] > 1
    assert rows[1]["ours_median"] == pytest.approx(rows[1]["peer_median"], rel=0.02)
    assert [row["peer"].split()[0] for row in rows] == ["foolbox", "foolbox", "pyautoattack"]


def test_the_widest_table_fits_80_columns(cache, tmp_path, no_peers):
    rows, _ = rows_of(cache, tmp_path / "a.json", "--attack", "fgsm")
    numbers = {"peer_s": 0.123456, "peer_robust_accuracy": 1.0, "peer_success": 1.0, "ratio": 1234.5, "radius": 0.125}
    row = replace(attacks.AttackRow(**rows[0]), ours_s=123.4, ours_robust_accuracy=1.0, **numbers)
    page = io.StringIO()
    attacks.show(Console(file=page, width=80), [replace(row, attack=name) for name in attacks.PAIRINGS])
    lines = page.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert sum("1234.50" in line for line in lines) == len(attacks.PAIRINGS)


def test_only_what_holds_on_a_fresh_forward_counts():
    clean = [[0.4, 0.5]] * 5  # class 0; the boundary is 0.0707 away
    problem = pair(clean, [0, 0, 0, 0, 1])
    found = torch.tensor([[0.5, 0.4], [1.0, 0.4], [0.45, 0.5], [0.5, -0.1], [0.4, 0.5]])  # one too far, right, outside
    inside = attacks.judged(BALL, problem, found)
    assert inside.success == pytest.approx(1 / 4)
    assert inside.robust_accuracy == pytest.approx(3 / 5)
    assert len(inside.complaints) == 2
    anywhere = attacks.judged(NEAREST, problem, found)
    assert anywhere.success == pytest.approx(2 / 4)
    assert anywhere.median is None  # halfway between a length and infinity
    closer = attacks.judged(NEAREST, pair(clean[:3], [0, 0, 0]), found[[0, 1, 2]])
    assert closer.median == pytest.approx((0.6**2 + 0.1**2) ** 0.5)


def test_where_all_is_wrong_to_begin_with_there_is_no_rate():
    problem = pair([[0.4, 0.5]], [1])
    assert attacks.judged(BALL, problem, problem.images) == attacks.Worth(0.0)
    assert attacks.judged(NEAREST, problem, problem.images) == attacks.Worth()


def test_attacks_in_a_row_see_what_is_left():
    seen = []

    def breaks_first(module, images, labels, radius):
        seen.append(len(images))
        return torch.cat([torch.tensor([[1.0, 0.0]]), images[1:]])

    problem = pair([[0.4, 0.5]] * 3, [0, 0, 0])
    found = problem.attack(attacks.one_after_the_other(*[breaks_first] * 5))
    assert seen == [3, 2, 1]
    assert found.tolist() == [[1.0, 0.0]] * 3


def test_slow_attacks_run_when_asked_for():
    quick = attacks.chosen((), slow=False)
    assert "carlini-wagner" not in quick
    assert attacks.chosen((), slow=True) == list(attacks.PAIRINGS)
    assert attacks.chosen(["square", "fgsm"], slow=False) == ["square", "fgsm"]


@pytest.mark.usefixtures("no_peers")
@pytest.mark.parametrize("name", attacks.PAIRINGS)
def test_every_peer_says_that_it_is_missing(name):
    with pytest.raises(UnavailableError, match=f"{attacks.PAIRINGS[name].package} is not installed"):
        pair([[0.4, 0.5]], [0]).attack(attacks.PAIRINGS[name].peer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attack", "fgms"), "`--attack` must be one of fgsm, "),
        (("--images", "0"), "`--images` must be at least 1, got 0"),
        (("--radius", "nan", "--attack", "fgsm"), "radius from 0, got 360 and nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(cache, arguments, message):
    result = run(cache, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
