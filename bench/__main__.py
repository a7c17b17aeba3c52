"""What encrypted inference costs, and integer inference beside other libraries, measured here."""

from bench.cases.registry import CASES
from bench.harness.command import application
from bench.harness.interrupts import counted_once

app = application(CASES, help=__doc__)

if __name__ == "__main__":
    with counted_once():
        app(prog_name="python -m bench")
