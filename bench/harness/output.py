"""Files that a command writes: they are prepared before anything is measured, and written whole when it is over.

Lines are added to a record as they are measured.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.harness.case import FOLDERS, Output, Writes
from bench.harness.rows import Envelope, read
from intnn.storage.document import write_atomically

#: The suffixes of the files that each kind of output is written to; a folder has none.
SUFFIXES: dict[Writes, tuple[str, ...]] = {
    "rows": (".json",),
    "lines": (".jsonl",),
    "picture": (".png", ".svg", ".pdf"),
}
REPORT = "report.md"
SHOWN = re.compile(r"^!\[[^]]*\]\(([^()/\\]+\.(?:svg|png))\)$", re.MULTILINE)  # a picture beside that file
_NO_FOLDER = (FileExistsError, NotADirectoryError)


def check(output: Output) -> None:
    """Refuse a path that is not what its option writes to. Nothing is changed on the disk.

    Raises:
        ValueError: The suffix is not one of its kind of output, a file was expected and a folder is there or the other
            way round, or the record that lines are added to is none.
        OSError: It cannot be looked at.
    """
    path = output.path
    with _explained(output):
        if output.writes in FOLDERS:
            if path.exists() and not path.is_dir():
                raise ValueError(f"`{output.option}` must name a folder, got the file {path}")
            return
        *others, last = SUFFIXES[output.writes]
        file = f"{', '.join(others)} or {last}" if others else last
        if path.is_dir():
            raise ValueError(f"`{output.option}` must name a {file} file, got the folder {path}")
        if path.suffix not in SUFFIXES[output.writes]:
            raise ValueError(f"`{output.option}` must name a {file} file, got {path}")
        if output.writes == "lines" and path.exists():
            read(path)


def try_out(output: Output) -> None:
    """Write a file beside the one that is to be written, as that one will be, and remove it.

    Permissions do not tell enough: whether a folder takes a file is known when it has taken one. Folders that are
    missing are made. A file that is there already stays as it is.

    Raises:
        OSError: The folder can neither be found nor made, or takes no file.
    """
    folder, name = (output.path, "file") if output.writes in FOLDERS else (output.path.parent, output.path.name)
    trial = folder / f".{name}.trial"
    with _explained(output):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_atomically(trial, b"")
        finally:
            trial.unlink(missing_ok=True)


def write_rows(path: Path, envelopes: Sequence[Envelope]) -> None:
    """Write a command's rows; an existing file is replaced whole or not at all."""
    content = {"rows": [envelope.as_json() for envelope in envelopes], "command": " ".join(sys.argv[1:])}
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def add_lines(path: Path, envelopes: Sequence[Envelope]) -> None:
    """Add rows to a record, one a line; what the record holds already stays as it is."""
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [json.dumps(envelope.as_json()) + "\n" for envelope in envelopes]
    write_atomically(path, (known + "".join(lines)).encode())


def write_report(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write a report's files, and remove the pictures that only the report before it showed.

    What another hand put into the folder stays: removed is what the folder's own report.md shows, by a name without a
    folder, and the new one does not have.

    Args:
        folder: Of the report.
        files: The files by their names; report.md shows the pictures among them.

    Returns:
        The paths of what was written.
    """
    before = folder / REPORT
    shown = set(SHOWN.findall(before.read_text(encoding="utf-8", errors="replace"))) if before.is_file() else set()
    for name, content in files.items():
        write_atomically(folder / name, content)
    for name in shown - set(files):
        (folder / name).unlink(missing_ok=True)
    return [folder / name for name in files]


@contextmanager
def _explained(output: Output) -> Iterator[None]:
    """What the system refuses becomes one line that names the option and what to do."""
    try:
        yield
    except OSError as error:
        reason = "a file is where a folder should be" if isinstance(error, _NO_FOLDER) else error.strerror or str(error)
        raise OSError(
            f"`{output.option}` cannot be written to {output.path}: {reason}; name a place that can be written to"
        ) from error
