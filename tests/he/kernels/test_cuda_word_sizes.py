"""The instructions of butterflies that docs/gpu.md compares are those of the PTX."""

import re
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from tests.he.kernels.word_sizes import counted
from tests.ptx import needs_compiler

TEXT = (Path(__file__).parents[3] / "docs/gpu.md").read_text(encoding="utf-8")


@needs_compiler
def test_the_document_counts_the_instructions_of_the_ptx():
    stated = {
        int(word): tuple(map(int, numbers))
        for word, *numbers in re.findall(
            r"^\| (\d+) bits \| .* \| (\d+) \| (\d+) \| (\d+) \| \d+ \|", TEXT, re.MULTILINE
        )
    }
    assert stated == {width: (bits, total, muls) for width, (bits, total, muls, _) in counted().items()}
