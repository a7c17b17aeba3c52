"""What goes wrong in a command, for its user."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console


@contextmanager
def reported(errors: Console) -> Iterator[None]:
    """What goes wrong becomes a line for the user and an exit code; results are written last, and whole."""
    try:
        yield
    except (ImportError, ValueError, OSError) as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was written")
        raise typer.Exit(130) from None
