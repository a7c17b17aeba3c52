"""What a client does in the clear: pixels from text, before it encrypts; labels from logits, after it has decrypted.

python pixels.py read test_pixels.txt images.npy
python pixels.py label logits.npy predictions.txt
"""

import sys
from pathlib import Path

import numpy as np


def main(what: str, source: Path, target: Path) -> None:
    """Read 784 pixels from each line of a text, or write the label of each image on a line of its own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if what == "read":
        np.save(target, np.loadtxt(source, np.float32, ndmin=2).reshape(-1, 1, 28, 28))
    else:
        labels = np.load(source).argmax(axis=1)
        target.write_text("".join(f"{label}\n" for label in labels))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
