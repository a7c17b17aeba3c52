"""`python -m he warm` compiles all kernels beforehand; the other commands are those of `he.stages` and `he.service`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from he.service import commands as service
from he.stages.command import add_stages


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what it was asked for."""
    parser = argparse.ArgumentParser("python -m he", description="Inference on ciphertexts.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("warm", help="compile all kernels for this processor, once for all later runs")
    command.add_argument("--processes", type=int, default=_processors(), help="how many compile (default: %(default)s)")
    command.set_defaults(run=_warm)
    add_stages(commands)
    service.add(commands)
    options = parser.parse_args(arguments)
    if "processes" in options and options.processes < 1:
        parser.error(f"--processes must be at least 1, got {options.processes}")
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        parser.error(f"the command needs `pip install '.[he,serve]'`: {error}")
    except (OSError, ValueError, RuntimeError) as error:
        parser.error(str(error))


def _warm(options: argparse.Namespace) -> int:
    from he.kernels.warm import warm  # loads a compiler, which clients have no use for

    warm(options.processes)
    return 0


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no command multiplies floats, and idle threads of BLAS spin
    gc.set_threshold(100_000)  # modules make many objects, and none of them is garbage
    status = main()
    gc.freeze()  # nor is what goes with the process: at its end, Python would search all of it for garbage, thrice
    sys.exit(status)
