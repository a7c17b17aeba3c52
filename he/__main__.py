"""`python -m he warm` compiles all kernels beforehand, so that the first encrypted answer need not wait for them.

`serve`, `token`, `keygen`, `predict` and `status` are for servers and their clients (`he.service.commands`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from he.kernels.warm import warm
from he.service import commands as service


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what it was asked for."""
    parser = argparse.ArgumentParser("python -m he", description="Inference on ciphertexts.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("warm", help="compile all kernels for this processor, once for all later runs")
    command.add_argument("--processes", type=int, default=_processors(), help="how many compile (default: %(default)s)")
    command.set_defaults(run=lambda options: warm(options.processes))
    service.add(commands)
    options = parser.parse_args(arguments)
    if "processes" in options and options.processes < 1:
        parser.error(f"--processes must be at least 1, got {options.processes}")
    try:
        options.run(options)
    except ModuleNotFoundError as error:
        parser.error(f"the command needs `pip install '.[he,serve]'`: {error}")
    except (OSError, ValueError, RuntimeError) as error:
        parser.error(str(error))
    return 0


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
