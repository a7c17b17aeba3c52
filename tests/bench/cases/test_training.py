"""The training command, on few rounds; and the peers, which must descend."""

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import training
from bench.harness.rows import read
from bench.peers.missing import UnavailableError
from bench.peers.training import PEERS
from intnn import IntDomain
from intnn.training.plan import Convolution, plan


def test_rows_are_complete_and_consistent(tmp_path):
    arguments = ["training", "--work", "mlp", "--batch", "4", "--batch", "8", "--threads", "1", "--rounds", "1"]
    result = CliRunner(env={"COLUMNS": "140"}).invoke(app, [*arguments, "--json", str(tmp_path / "t.json")])
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "t.json")]
    assert [(row["batch"], row["peer"]) for row in rows] == [(b, p) for b in (4, 8) for p in PEERS]
    weights = 784 * 128, 128 * 64, 64 * 10
    products = 3 * sum(weights) - weights[0]
    for row in rows:
        assert row["gops"] == pytest.approx(2 * products * row["batch"] / row["ours_us"] / 1e3)
        assert row["fraction_of_peak"] == pytest.approx(row["gops"] / row["peak_gops"])
        if row["peer_us"] is not None:
            assert row["ratio"] == pytest.approx(row["peer_us"] / row["ours_us"])
    assert "numpy float32 SGD" in result.output


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_learns_its_batch(name):
    layout = plan((Convolution(3, 3, pool=2, padding=1), 8), (2, 8, 8), IntDomain(0, 255), 3)
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 0, 1, 2])
    x = (rng.random((6, 8, 8, 2)) + 2 * labels[:, None, None, None]).astype(np.float32) / np.float32(5)
    torch = pytest.importorskip("torch") if "torch" in name else None
    if torch is not None:
        torch.manual_seed(0)
    try:
        step = PEERS[name](layout, x, labels, 1)
    except UnavailableError as error:
        pytest.skip(str(error))
    losses = [float(step()) for _ in range(300)]
    # ln 3 = 1.1 is the loss of a guess.
    assert losses[0] > 0.8
    assert losses[-1] < 0.8


def test_products_are_counted_for_all_three_passes():
    layout = plan((Convolution(4, 3), 5), (2, 6, 6), IntDomain(0, 255), 3)
    forward = 4 * 4 * 4 * 2 * 9, 5 * 4 * 4 * 4, 3 * 5
    assert training.products(layout) == 3 * sum(forward) - forward[0]


@pytest.mark.parametrize("option", ["--batch", "--threads", "--rounds"])
def test_counts_must_be_positive(option):
    result = CliRunner().invoke(app, ["training", "--work", "mlp", option, "0"])
    assert result.exit_code == 2
    assert f"`{option}` must be at least 1" in result.output
