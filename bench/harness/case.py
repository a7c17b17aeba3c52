"""What a case of the benchmark is: a value with options as data, jobs, and a way to measure and to show them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

from rich.console import Console

#: What an option's path is for: a file of rows, a file that rows are added to, a picture, a folder of pictures, a
#: folder of a report, or one that a case keeps what is finished in while it measures.
Writes = Literal["rows", "lines", "picture", "pictures", "report", "kept"]
FOLDERS: tuple[Writes, ...] = ("pictures", "report", "kept")


@dataclass(frozen=True)
class Option:
    """How a field of a case's options looks on the command line, and what its value must be.

    Attributes:
        help: What the option is for, in one line.
        choices: Gives the names that the value, or each of several values, must be one of, from the registry that
            holds them; `--help` lists them. None where any value is allowed, or only the case's module can tell.
        least: The smallest number allowed.
        most: The largest number allowed.
        flag: The spelling of a switch, if it is not the field's name: `--slow`, or `--card/--quick`.
        writes: What is written to the path that the option names; None for every other option.
        argument: Whether the values are given without the option's name, in any number.
    """

    help: str
    choices: Callable[[], Collection[str]] | None = None
    least: float | None = None
    most: float | None = None
    flag: str | None = None
    writes: Writes | None = None
    argument: bool = False


@dataclass(frozen=True)
class Field:
    """One option of a case with its name and its type, as `Options.declared` finds it.

    Attributes:
        name: The field's name; the option's is the same with hyphens.
        kind: The type of the value, or of each value where there are several.
        several: Whether the option may be given several times; its value is then a tuple.
        optional: Whether None is a value.
        default: The value of an option that is not given.
        option: What else is declared of it.
    """

    name: str
    kind: type
    several: bool
    optional: bool
    default: Any
    option: Option

    @property
    def spelling(self) -> str:
        """The option as it is written on the command line, or as its help calls an argument."""
        return self.name.upper() if self.option.argument else f"--{self.name.replace('_', '-')}"

    def check(self, value: Any) -> None:
        """Refuse a value that is none of the choices, too small, or too large.

        Raises:
            ValueError: The value is refused; the message names the option and what it must be.
        """
        for one in value if self.several else (value,):
            if one is None:
                continue
            if self.option.choices is not None and one not in (names := self.option.choices()):
                raise ValueError(f"`{self.spelling}` must be one of {', '.join(names)}, got {one!r}")
            if self.option.least is not None and not one >= self.option.least:
                raise ValueError(f"`{self.spelling}` must be at least {self.option.least}, got {one}")
            if self.option.most is not None and not one <= self.option.most:
                raise ValueError(f"`{self.spelling}` must be at most {self.option.most}, got {one}")


@dataclass(frozen=True)
class Output:
    """Something that a command was asked to write.

    Attributes:
        option: The option that names the path, as it is written on the command line.
        writes: What is written there.
        path: The file, or the folder.
    """

    option: str
    writes: Writes
    path: Path


@dataclass(frozen=True)
class Options:
    """Base of every case's options: a frozen dataclass whose fields are annotated with an `Option` each.

    A field's type is bool, int, float, str or Path, one of these or None, or a tuple of any number of them. Every field
    has a default.

    Raises:
        ValueError: A value is not what its `Option` asks for.
    """

    def __post_init__(self) -> None:
        for field in self.declared():
            field.check(getattr(self, field.name))

    @classmethod
    def declared(cls) -> tuple[Field, ...]:
        """All options, in their order."""
        hints, found = get_type_hints(cls, include_extras=True), []
        for field in fields(cls):
            annotation, option = get_args(hints[field.name])
            several = get_origin(annotation) is tuple
            alternatives = get_args(annotation)
            optional = not several and type(None) in alternatives
            kind = alternatives[0] if alternatives else annotation
            found.append(Field(field.name, kind, several, optional, field.default, option))
        return tuple(found)

    def outputs(self) -> Iterator[Output]:
        """What is to be written, and where."""
        for field in self.declared():
            path = getattr(self, field.name)
            if field.option.writes is not None and path is not None:
                yield Output(field.spelling, field.option.writes, path)


class Reporter(Protocol):
    """What a measurement tells those who wait for it; nothing of it is a result but the pictures."""

    def __call__(self, what: str, share: float | None = None) -> None:
        """Say what is being done, and which share of the job is done, from 0 to 1, where that is known."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def picture(self, name: str, content: bytes) -> None:
        """Hand over a picture that rows cannot hold. It is written when everything has been measured."""


class Silent:
    """A reporter that nobody listens to."""

    def __call__(self, what: str, share: float | None = None) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Print nothing."""

    def picture(self, name: str, content: bytes) -> None:
        """Keep nothing."""


class Job(Protocol):
    """One piece of a case's work: a frozen dataclass that can be pickled, so that another process can measure it.

    It names data sets and models and holds no arrays.
    """

    @property
    def title(self) -> str:
        """What is measured, for those who wait."""


class Implementation(Protocol):
    """What a case's module defines. Besides these, it may define a few more functions.

    A case with an option that writes a picture defines ``draw(path, rows)``, and one that writes a report
    ``report(rows)``, which gives files by their names. A case that measures on more than the
    processor defines ``machine()``, whose entries are added to the envelope's machine.
    """

    def jobs(self, options: Any) -> tuple[Job, ...]:
        """The jobs that the options ask for. Whatever cannot be measured is refused here, with a ValueError."""

    def measure(self, job: Any, report: Reporter) -> Iterable[Any]:
        """The rows of a job, frozen dataclasses."""

    def show(self, console: Console, rows: Sequence[Any]) -> None:
        """Print rows for people, within 80 columns."""


@dataclass(frozen=True)
class Case:
    """One measurement that the benchmark offers.

    Attributes:
        name: The name of its command.
        help: What it measures, in one line.
        options: The dataclass of its options.
        module: The name of the module that is its `Implementation`. It is imported when the case runs, not before, so
            that a command loads only the libraries that it needs.
        extras: The extras of this package that it needs.
        schema: The version of its rows' fields. It grows when a field changes its meaning or goes.
    """

    name: str
    help: str
    options: type[Options]
    module: str
    extras: tuple[str, ...]
    schema: int = 1

    def implementation(self) -> Any:
        """The module that jobs are made and measured by.

        Raises:
            ImportError: A library that it needs is not installed; the message names the extras to install.
        """
        try:
            return import_module(self.module)
        except ModuleNotFoundError as error:
            extras = ",".join(self.extras)
            raise ImportError(f"`{self.name}` needs `pip install '.[{extras}]'`: {error}") from error
