"""`python -m he stage`, each stage in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest

from he import Family, compile_approximate, compile_exact
from he.stages.model import save_model
from he.testing import inputs, square_graph, table_network

PRINT_MODULES = """
import sys
from he.__main__ import main
status = main(sys.argv[1:])
print(*sorted(name for name in sys.modules if "." not in name or name.startswith("he.")))
sys.exit(status)
"""


def run_stage(*arguments):
    """Run a stage as users do; return what it says on stderr."""
    done = subprocess.run([sys.executable, "-m", "he", "stage", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def run(*arguments):
    """Run a stage; return the modules that it has loaded."""
    command = [sys.executable, "-c", PRINT_MODULES, "stage", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_five_processes_answer_what_the_network_does(tmp_path):
    graph = square_graph()
    circuits = [compile_approximate(graph, images=images, salt=bytes(32)) for images in (1, 32)]
    save_model(tmp_path / "model", graph, Family(tuple(circuits)))
    images = inputs(graph, 20)
    np.save(tmp_path / "images.npy", images)
    loaded = run("keygen", "--dir", tmp_path, "--images", 20) | run("encrypt", "--dir", tmp_path)
    run("prepare", "--dir", tmp_path)
    run("evaluate", "--dir", tmp_path, "--threads", 1)
    loaded |= run("decrypt", "--dir", tmp_path, "--output", tmp_path / "logits.txt")
    assert np.abs(np.loadtxt(tmp_path / "logits.txt") - graph.logits(images)).max() < 0.2
    assert not loaded & {"numba", "llvmlite", "scipy"}
    assert not {name for name in loaded if name.startswith(("he.compiler", "he.engines.", "he.kernels"))}


def test_images_of_another_scale_are_encrypted_with_a_warning_in_one_line(tmp_path):
    network = table_network()
    save_model(tmp_path / "model", network, Family((compile_exact(network, salt=bytes(32)),)))
    top = network.input_domain.hi / network.input_scale
    np.save(tmp_path / "images.npy", np.full((20, *network.input_shape), top))
    said = run_stage("keygen", "--dir", tmp_path), run_stage("encrypt", "--dir", tmp_path)
    assert said == ("", "")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).uniform(top, 255 * top, (20, *network.input_shape)))
    (line,) = run_stage("encrypt", "--dir", tmp_path, "--again").splitlines()
    assert line.startswith("python -m he stage: warning: most inputs lie far outside the range of 0 to ")


@pytest.mark.parametrize("stage", ["keygen", "evaluate"])
def test_what_goes_wrong_is_said_in_one_line(tmp_path, stage):
    command = [sys.executable, "-m", "he", "stage", stage, "--dir", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("python -m he stage: there must be ")
    assert not list(tmp_path.iterdir())
