"""The model owner's part, done once: a network as the circuits that are the cheapest for the sizes of the workload."""

import sys
from pathlib import Path

from he import compile_family
from he.stages.model import save_model
from plaintext_models.zoo import shipped

NETWORK = "mnist-small-cnn"
SIZES = (1, 15, 100, 1000, 10_000)


def main(folder: Path, name: str) -> None:
    """Write the folder of a shipped network of MNIST, unless it is there."""
    if not folder.exists():
        network = shipped.load(name)
        save_model(folder, network, compile_family(network, SIZES))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else NETWORK)
