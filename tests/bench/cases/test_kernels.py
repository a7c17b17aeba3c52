"""The kernels' command, on few rounds; and the peers, which must evaluate the same networks."""

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import kernels
from bench.cases.options import KernelOptions
from bench.harness.case import Silent
from bench.harness.peak import dot_product_gops
from bench.harness.rows import read
from bench.harness.workloads import WORKLOADS, workload
from bench.peers import inference as peers

FIELDS = {
    "work",
    "batch",
    "threads",
    "ours_us",
    "peer",
    "peer_us",
    "ratio",
    "gops",
    "fraction_of_peak",
}


@pytest.fixture(scope="module")
def workloads():
    return {name: workload(name, np.random.default_rng(0)) for name in WORKLOADS}


def test_rows_are_complete_and_consistent(tmp_path):
    arguments = ["kernels", "--work", "mlp", "--batch", "1", "--batch", "8", "--threads", "1", "--rounds", "1"]
    result = CliRunner(env={"COLUMNS": "140"}).invoke(app, [*arguments, "--json", str(tmp_path / "k.json")])
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "k.json")]
    installed = all(row["peer_us"] is not None for row in rows if row["peer"].startswith("onnxruntime"))
    names = [*peers.PEERS, *(peers.BOUND_PEERS if installed else ())]
    assert [(row["batch"], row["peer"]) for row in rows] == [(b, p) for b in (1, 8) for p in names]
    for row in rows:
        assert set(row) >= FIELDS
        assert row["work"] == WORKLOADS["mlp"].title
        products = 784 * 128 + 128 * 64 + 64 * 10
        assert row["gops"] == pytest.approx(2 * products / row["ours_us"] / 1e3)
        assert row["fraction_of_peak"] == pytest.approx(row["gops"] / row["peak_gops"])
        if row["peer_us"] is None:
            assert row["ratio"] is None
            assert "not installed" in row["note"]
        else:
            assert row["ratio"] == pytest.approx(row["peer_us"] / row["ours_us"])
    assert "numpy float32" in result.output
    assert next(row for row in rows if row["peer"] == "numpy float32")["ratio"] > 0


def test_a_peer_that_is_not_installed_is_a_row_without_a_time(monkeypatch):
    def missing(work, threads):
        raise peers.UnavailableError("xyz is not installed")

    monkeypatch.setattr(kernels, "PEERS", {"xyz": missing})
    monkeypatch.setattr(kernels, "BOUND_PEERS", {"xyz, bound": missing})
    (job,) = kernels.jobs(KernelOptions(work=("mlp",), batch=(2,), threads=(1,), rounds=1))
    row, *rest = kernels.measure(job, Silent())
    assert rest == []
    assert (row.peer, row.peer_us, row.ratio, row.note) == ("xyz", None, None, "xyz is not installed")
    assert row.ours_us > 0


@pytest.mark.parametrize("option", ["--batch", "--threads", "--rounds"])
def test_counts_below_one_are_refused(option):
    result = CliRunner().invoke(app, ["kernels", option, "0"])
    assert result.exit_code == 2
    assert f"`{option}` must be at least 1, got 0" in result.output


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_integer_network_is_the_float_one(workloads, name):
    """Ours against the float arithmetic that its peers run: 8 bits cannot differ by much."""
    work = workloads[name]
    x = work.inputs(50, np.random.default_rng(1))
    ours = work.network.logits(x, "numba")
    assert np.array_equal(ours, work.network.logits(x))
    expected = peers.numpy_float32(work, 1)(x.astype(np.float32) / np.float32(255))
    # Per-channel scales differ in the last layer: compare every output with itself across inputs.
    for a, b in zip(ours.T.astype(float), expected.T, strict=True):
        if b.std() > 0.05:  # a rectified unit that is nearly always zero has nothing to compare
            # 8-bit inputs, weights and activations: about 1 % of noise a layer.
            assert np.corrcoef(a, b)[0, 1] > 0.97


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("peer", [p for p in peers.PEERS if p != "numpy float32"])
def test_peers_evaluate_the_same_network(workloads, name, peer):
    work = workloads[name]
    try:
        run = peers.PEERS[peer](work, 1)
    except peers.UnavailableError as error:
        pytest.skip(str(error))
    x = work.inputs(20, np.random.default_rng(2)).astype(np.float32) / np.float32(255)
    expected = peers.numpy_float32(work, 1)(x)
    difference = np.abs(np.asarray(run(x)) - expected).max() / np.abs(expected).max()
    # float32 sums of a thousand terms in another order; 8 bits lose about 1 % a layer, of four layers at most.
    assert difference < (1e-4 if "float32" in peer else 0.15)


def test_the_peak_is_a_rate():
    peak = dot_product_gops(rounds=1000, repeats=2)
    assert math.isfinite(peak)
    assert peak > 0.1  # any processor of the last decades


@pytest.mark.parametrize("peer", peers.BOUND_PEERS)
def test_bound_peers_evaluate_what_their_buffer_holds(workloads, peer):
    work = workloads["mlp"]
    try:
        bind = peers.BOUND_PEERS[peer](work, 1)
    except peers.UnavailableError as error:
        pytest.skip(str(error))
    x = np.zeros((3, 784), np.float32)
    call = bind(x)
    results = []
    for seed in range(2):
        x[:] = np.random.default_rng(seed).random(x.shape, np.float32)
        results.append(call().numpy().copy())
        expected = peers.PEERS[peer.removesuffix(", bound")](work, 1)(x)
        assert np.array_equal(results[-1], expected)
    assert not np.array_equal(*results)
