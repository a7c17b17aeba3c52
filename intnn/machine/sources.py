"""The files on which a Python file depends: itself, and what it imports, directly or not."""

import hashlib
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

STATEMENT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]*(\([^)]*\)|[^\n#]*)", re.MULTILINE)
NAME = re.compile(r"(?<!\bas )(?<![\w.])(?!as\b)[\w.*]+")  # every word but "as" and what follows it

_BEGAN = time.time()


class ChangedError(Exception):
    """A file was written after this process began, and may say something else than the code that runs."""


@cache
def digest_of_running(path: Path) -> str:
    """`digest`, for who asks long after the files were imported.

    Raises:
        ChangedError: One of them was written since.
    """
    for source in sources(path):
        if source.stat().st_mtime > _BEGAN:
            raise ChangedError(f"{source} was written after this process began")
    return digest(path)


@cache
def digest(path: Path) -> str:
    """SHA-256 over a Python file and all files that it depends on, with their names."""
    result = hashlib.sha256()
    for source in sorted(sources(path)):
        content = source.read_bytes()
        result.update(f"{module(source)} {len(content)}\n".encode() + content)
    return result.hexdigest()


def sources(path: Path) -> set[Path]:
    """A Python file and all that it imports, directly or not, as far as the files lie beside its package or ours.

    Installed libraries do not count, nor does a package's ``__init__`` that only leads to one of its modules.
    """
    found, new = set[Path](), {path}
    while new:
        found |= new
        new = {imported for source in new for imported in imports(source)} - found
    return found


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files that one Python file imports, in whatever line."""
    folders = dict.fromkeys((root(path), root(Path(__file__))))
    places = (find(name, folder) for name in names(path) for folder in folders)
    return frozenset(place for place in places if place is not None)


def names(path: Path) -> Iterator[str]:
    """The dotted names of everything that a file imports: of modules, and of what may be one.

    A pattern finds the statements, since to parse all kernels would take a tenth of the time in which they are
    imported; a test holds that it finds what the parser finds. A name too many, from a comment, does no harm. Relative
    imports, which these packages do not use, are not followed.
    """
    for package, what in STATEMENT.findall(path.read_text("utf-8")):
        for name in NAME.findall(what):
            yield f"{package}.{name}" if package else name


@cache
def find(name: str, folder: Path) -> Path | None:
    """The file below ``folder`` of the module ``name``, or of the module that defines ``name``, if there is one."""
    for end in (name, name.rpartition(".")[0]):
        place = folder.joinpath(*end.split("."))
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if end and candidate.is_file():
                return candidate
    return None


def module(path: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(root(path)).with_suffix("").parts)


@cache
def root(path: Path) -> Path:
    """The folder that a file's module is imported from: the one above its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder
