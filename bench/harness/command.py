"""The one command that runs any case: options, outputs, progress, rows, files and errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bench.harness.case import Case, Field
from bench.harness.machine import available_threads, installed_version, machine
from bench.harness.output import add_lines, check, try_out, write_report, write_rows
from bench.harness.rows import Envelope
from intnn.machine.cuda.device import DeviceError, NoDeviceError
from intnn.storage.document import write_atomically

PACKAGE = "encrypted-inference-toolkit"


def application(cases: Mapping[str, Case], help: str) -> typer.Typer:  # noqa: A002 - typer's own word
    """The command line: one command for each case, with the case's options."""
    app = typer.Typer(help=help, no_args_is_help=True, pretty_exceptions_show_locals=False)
    app.callback()(lambda: None)  # commands have names, even where there is one only
    for case in cases.values():
        app.command(case.name, help=case.help)(_command(case))
    return app


def run(case: Case, values: Mapping[str, Any]) -> None:
    """Validate, measure, print, and write.

    Args:
        case: What to measure.
        values: The options by their fields' names.

    Raises:
        typer.Exit: With code 2 when something cannot be measured, 0 where that is for want of a GPU, and 130 when the
            user interrupts.
    """
    console, errors = Console(), Console(stderr=True)
    written: list[Path] = []
    with _reported(errors, written, values.get("keep")):
        date = datetime.now(UTC).isoformat(timespec="seconds")
        options = case.options(**values)
        outputs = list(options.outputs())
        for output in outputs:
            check(output)
        for output in outputs:
            try_out(output)
        implementation = case.implementation()
        jobs = implementation.jobs(options)
        about: dict[str, Any] = {
            "case": case.name,
            "schema": case.schema,
            "version": installed_version(PACKAGE) or "not installed",
            "seed": getattr(options, "seed", None),
            "date": date,
            "machine": machine() | getattr(implementation, "machine", dict)(),
            "threads": available_threads(),
        }
        records = [output.path for output in outputs if output.writes == "lines"]
        rows: list[Any] = []
        pictures: dict[str, bytes] = {}
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True) as progress:
            for job in jobs:
                reporter = _Shown(progress, job.title, progress.add_task(job.title, total=None))
                for row in implementation.measure(job, reporter):
                    rows.append(row)
                    for path in records:  # what has been measured is kept, whatever comes later
                        add_lines(path, [Envelope(**about, row=asdict(row))])
                        written += [path] * (path not in written)
                progress.update(reporter.task, total=1.0, completed=1.0, description=job.title)
                pictures |= reporter.pictures
        implementation.show(console, rows)
        envelopes = [Envelope(**about, row=asdict(row)) for row in rows]
        for output in outputs:
            path = output.path
            match output.writes:
                case "rows":
                    write_rows(path, envelopes)
                    written.append(path)
                    console.print(f"Rows written to {path}")
                case "lines":
                    console.print(f"Rows added to {path}")
                case "picture":
                    implementation.draw(path, rows)
                    written.append(path)
                    console.print(f"Picture written to {path}")
                case "pictures":
                    for name, content in pictures.items():
                        write_atomically(path / name, content)
                        written.append(path / name)
                        console.print(f"Picture written to {path / name}")
                case "report":
                    written += write_report(path, implementation.report(rows))
                    console.print(f"Report written to {path}")


@dataclass
class _Shown:
    """A reporter that moves the bar of one job."""

    progress: Progress
    title: str
    task: TaskID
    pictures: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, what: str, share: float | None = None) -> None:
        update = partial(self.progress.update, self.task, description=f"{self.title}: {what}")
        if share is None:
            update()
        else:
            update(total=1.0, completed=share)

    def say(self, line: str) -> None:
        self.progress.console.print(line, highlight=False)

    def picture(self, name: str, content: bytes) -> None:
        self.pictures[name] = content


@contextmanager
def _reported(errors: Console, written: Sequence[Path], kept: Path | None) -> Iterator[None]:
    """What goes wrong becomes one line for the user, with what had been written or kept before, and an exit code."""
    try:
        yield
    except NoDeviceError as error:  # no fault of anybody's: a machine without a GPU has nothing to measure
        errors.print(f"nothing was measured: {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(0) from error
    except (ImportError, ValueError, OSError, DeviceError, FloatingPointError) as error:
        after = _kept(kept) if isinstance(error, FloatingPointError) else ""  # which alone comes amid a measurement
        errors.print(f"[red]error:[/red] {escape(f'{error}{after}')}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        before = "only " + ", ".join(map(str, written)) if written else "nothing"
        said = f"interrupted; {before} was written{_kept(kept)}"
        errors.print(escape(said), highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None


def _kept(folder: Path | None) -> str:
    """Where what was finished is kept, if there is any."""
    is_kept = folder is not None and folder.is_dir() and any(folder.iterdir())
    return f"; what was finished is kept in {folder}" if is_kept else ""


def _command(case: Case) -> Callable[..., None]:
    """A function with the signature that typer reads the case's options from."""

    def command(**values: Any) -> None:
        declared = case.options.declared()
        run(case, {f.name: tuple(values[f.name] or ()) if f.several else values[f.name] for f in declared})

    parameters = [_parameter(declared) for declared in case.options.declared()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameter(declared: Field) -> inspect.Parameter:
    option, kind = declared.option, declared.kind
    names = option.choices() if option.choices else ()
    described: Any = (
        typer.Argument(help=f"{option.help} Of {', '.join(names)}.", metavar=f"{declared.spelling}...")
        if option.argument
        else typer.Option(
            *([option.flag] if option.flag else []),
            help=option.help,
            metavar=f"[{'|'.join(names)}]" if names else "<float>" if kind is float else None,
            parser=_number if kind is float else None,
        )
    )
    annotation: Any = list[kind] if declared.several else kind  # type: ignore[valid-type]
    if declared.optional or (declared.several and not declared.default):
        annotation = annotation | None
    default = list(declared.default) or None if declared.several else declared.default
    return inspect.Parameter(
        declared.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, described]
    )


def _number(given: str | float) -> float:
    """A number, or a quotient of two: radii on images of bytes are multiples of 1/255."""
    numerator, divided, denominator = str(given).partition("/")
    try:
        return float(numerator) / (float(denominator) if divided else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"must be a number or a quotient as 8/255, got {given}") from None
