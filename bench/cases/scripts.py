"""What the case `times` runs, as data: short programs for fresh processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from plaintext_models.zoo import shipped

Group = Literal["import", "answer", "compile"]


@dataclass(frozen=True)
class Script:
    """A program of which a part is timed, in a process of its own.

    Attributes:
        group: What kind of thing is timed.
        what: What is timed, in words.
        timed: The statements that are timed.
        setup: The statements before them, which are not.
        limit: The seconds that `timed` should take at most; None where no limit is set.
        cold: Whether the files that the process reads are dropped from the system's file cache before.
        fresh: Whether the process finds no compiled kernels, as on a machine that runs this package for the first time.
        once: Whether it is run in one process only, because it takes long and varies little.
    """

    group: Group
    what: str
    timed: str
    setup: str = ""
    limit: float | None = None
    cold: bool = False
    fresh: bool = False
    once: bool = False

    @property
    def program(self) -> str:
        """The whole program; it prints the seconds that `timed` took, and nothing else."""
        lines = (
            self.setup,
            "from time import perf_counter as now",
            "start = now()",
            self.timed,
            "print(now() - start)",
        )
        return "\n".join(lines)


LOAD = """
from he import Client, Server, compile_approximate, compile_exact, interface_bytes
from intnn import IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped
network = shipped.load({name!r})
"""
COMPILE = """
compile_it = compile_exact if isinstance(network, IntNetwork) else compile_approximate
circuit = compile_it(network, packing={packing!r})
"""
ANSWER = """
images = datasets.load("digits").test_images[:1]
inputs = network.quantise_input(images) if isinstance(network, IntNetwork) else images.astype(float)
client = Client(interface_bytes(circuit.interface))
server = Server(circuit, client.evaluation_keys)
logits = client.decrypt(server.evaluate(client.encrypt(inputs)))
"""


def groups() -> tuple[str, ...]:
    """The kinds of things that are timed."""
    return get_args(Group)


def scripts() -> tuple[Script, ...]:
    """All programs, in the order in which they run."""
    imports = [
        Script("import", "import intnn, warm files", "import intnn"),
        Script("import", "import intnn, cold files", "import intnn", cold=True),
        Script("import", "import he, warm files", "import he", limit=0.5),
        Script("import", "import he, cold files", "import he", cold=True),
    ]
    answers = [_answer("digits-table-mlp"), _answer("digits-square-cnn"), _answer("digits-table-mlp", fresh=True)]
    compilations = [_compile(name, packing) for name in shipped.names() for packing in ("latency", "throughput")]
    return *imports, *answers, *compilations


def _answer(name: str, fresh: bool = False) -> Script:
    """From the first import to the decrypted logits of one image."""
    timed = LOAD.format(name=name) + COMPILE.format(packing="latency") + ANSWER
    what = f"first answer, {name}" + (", no kernels yet" if fresh else "")
    return Script("answer", what, timed, limit=15.0 if fresh else None, fresh=fresh, once=fresh)


def _compile(name: str, packing: str) -> Script:
    return Script(
        "compile", f"compile {name}, {packing}", COMPILE.format(packing=packing), LOAD.format(name=name), once=True
    )
