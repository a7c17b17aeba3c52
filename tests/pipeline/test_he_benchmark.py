"""The submission to the workload of HomomorphicEncryption.org, run as its harness runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plaintext_models.zoo import shipped

EXAMPLE = Path(__file__).parents[2] / "examples/he_benchmark"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="stages are started by a shell")
def test_all_stages_in_the_order_of_the_harness(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    root = EXAMPLE.parents[1]
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(root)}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run("sh", "scripts/build_task.sh", "submission")
    graph, rng = shipped.load("mnist-small-cnn"), np.random.default_rng(0)
    for size, name, count in (("0", "single", 1), ("1", "small", 20)):
        run("submission/build/client_key_generation", size)
        run("submission/build/server_preprocess_model")
        images = rng.random((count, 784)).round(6)
        for _ in range(2):  # the harness repeats the rest, in the same folders
            pixels = tmp_path / f"datasets/{name}/intermediate/test_pixels.txt"
            pixels.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(pixels, images, fmt="%.6f")
            for stage in (
                "client_preprocess_input",
                "client_encode_encrypt_input",
                "server_encrypted_compute",
                "client_decrypt_decode",
                "client_postprocess",
            ):
                run(f"submission/build/{stage}", size)
            found = np.loadtxt(tmp_path / f"io/{name}/encrypted_model_predictions.txt", ndmin=1)
            logits = graph.logits(images.reshape(-1, 1, 28, 28))
            clear = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0] > 0.4  # twice the bound on an error
            assert np.array_equal(found[clear], logits.argmax(axis=1)[clear])
            assert clear.any()
