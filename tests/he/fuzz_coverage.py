"""Damaged ciphertexts and keys, led by the parser's coverage: python -m tests.he.fuzz_coverage [-runs=COUNT ...].

Arguments are libFuzzer's. Its first finding ends the run, and is written to a file that libFuzzer names.
"""

import inspect
import sys
import tempfile
from pathlib import Path

import atheris

from he.formats import compact, seal_bytes
from tests.he.fuzz_residues import Subject

LONGEST = 60_000  # bytes: no valid object of these parameters is longer
KEYS = b"K"  # the first byte of an input says what the rest is read as


def main(arguments: list[str]) -> None:
    """Hand over to libFuzzer, with the valid objects to begin from."""
    for module in (compact, seal_bytes):
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                atheris.instrument_func(function)  # in place
    subject = Subject()

    def read(data: bytes) -> None:
        subject.read(data[1:], as_keys=data[:1] == KEYS)

    with tempfile.TemporaryDirectory() as corpus:
        for i, data in enumerate([b"C" + ciphertext for ciphertext in subject.ciphertexts] + [KEYS + subject.keys]):
            Path(corpus, str(i)).write_bytes(data)
        atheris.Setup([sys.argv[0], f"-max_len={LONGEST}", "-timeout=5", *arguments, corpus], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
