"""What the case `times` runs, as data: short programs for fresh processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from plaintext_models.zoo import shipped

Group = Literal["import", "load", "answer", "compile"]


@dataclass(frozen=True)
class Script:
    """A program of which a part is timed, in a process of its own.

    Attributes:
        group: What kind of thing is timed.
        what: What is timed, in words.
        timed: The statements that are timed.
        setup: The statements before them, which are not.
        before: A program that runs once, in a process of its own, before all others. Like them it finds the name of a
            folder in `sys.argv[1]`, where it leaves what they need; empty where they need nothing.
        limit: The seconds that `timed` should take at most; None where no limit is set.
        cold: Whether the files that the process reads are dropped from the system's file cache before.
        fresh: Whether the process finds no compiled kernels, as on a machine that runs this package for the first time.
        once: Whether it is run in one process only, because it takes long and varies little.
    """

    group: Group
    what: str
    timed: str
    setup: str = ""
    before: str = ""
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
import numpy as np
from he import Client, compile_approximate, compile_exact, interface_bytes, prepare
from intnn import IntNetwork
from plaintext_models.zoo import shipped
network = shipped.load({name!r})
"""
COMPILE = """
compile_it = compile_exact if isinstance(network, IntNetwork) else compile_approximate
circuit = compile_it(network, packing={packing!r})
"""
PREPARE = """
prepared = prepare(circuit)
"""
ANSWER = """
images = np.full((1, 1, 8, 8), 0.5, np.float32)
client = Client(interface_bytes(circuit.interface))
session = prepared.session(client.evaluation_keys)
logits = client.decrypt(session.evaluate(client.encrypt(client.prepare(images))))
"""
STORE = """
import sys
from he import prepare
prepare(circuit).save(sys.argv[1] + "/prepared")
"""
IMPORT = """
import sys
import numpy as np
from he import Client, PreparedCircuit, interface_bytes
"""
READ = """
prepared = PreparedCircuit.load(sys.argv[1] + "/prepared")
circuit = prepared.circuit
"""


#: Networks that are large for their kind, by what they are: the statements that make them.
LARGE = {
    "a table of 8,000 points": """
lut = Lut.from_callable(lambda x: max(x, 0) // 64, IntDomain(-4000, 3999))
first = Dense(np.full((2, 4), 7), np.zeros(2, np.int64))
last = Dense(np.ones((2, 2), np.int64), np.zeros(2, np.int64))
network = IntNetwork((4,), IntDomain(0, 15), (first, LutActivation(lut), last))
""",
    "seven dense layers of 64 units": """
rng, nodes = np.random.default_rng(0), []
for _ in range(7):
    weight = np.eye(64) / 2 + rng.dirichlet(np.ones(64), 64) / 2
    nodes += [Dense(weight, np.zeros(64)), Activation("square")]
network = Graph((64,), tuple(nodes[:-1]))
""",
    "images of 3 x 96 x 96": """
rng = np.random.default_rng(0)
conv = Conv2d(rng.normal(size=(4, 3, 5, 5)) / 10, np.zeros(4), stride=2)
last = Dense(rng.normal(size=(10, 4 * 46 * 46)) / 20, np.zeros(10))
network = Graph((3, 96, 96), (conv, Activation("square"), Flatten(), last))
""",
    "images of 3 x 224 x 224": """
rng = np.random.default_rng(0)
conv = Conv2d(rng.normal(size=(4, 3, 8, 8)) / 10, np.zeros(4), stride=8)
last = Dense(rng.normal(size=(10, 4 * 28 * 28)) / 20, np.zeros(10))
network = Graph((3, 224, 224), (conv, Activation("square"), Flatten(), last))
""",
}
LARGE_SETUP = """
import numpy as np
from he import compile_approximate, compile_exact
from intnn import Activation, Conv2d, Dense, Flatten, Graph, IntDomain, IntNetwork, Lut, LutActivation
"""
COMPILE_LIMIT = 5.0  # seconds that compiling any of these should take at most


def groups() -> tuple[str, ...]:
    """The kinds of things that are timed."""
    return get_args(Group)


def scripts() -> tuple[Script, ...]:
    """All programs, in the order in which they run."""
    imports = [
        Script("import", "all of intnn, warm files", "from intnn import *"),
        Script("import", "all of intnn, cold files", "from intnn import *", cold=True),
        Script("import", "a client, warm files", "from he import Client", limit=0.25),
        Script("import", "all of he, warm files", "from he import *", limit=0.5),
        Script("import", "all of he, cold files", "from he import *", cold=True),
    ]
    loads = [_load(name) for name in shipped.names()]
    answers = [
        _answer("digits-table-mlp"),
        _answer("digits-square-cnn"),
        _answer("digits-table-mlp", stored=True),
        _answer("digits-table-mlp", fresh=True),
    ]
    compilations = [_compile(name, packing) for name in shipped.names() for packing in ("latency", "throughput")]
    large = [_compile_large(what, made) for what, made in LARGE.items()]
    return *imports, *loads, *answers, *compilations, *large


def _load(name: str) -> Script:
    """A stored circuit with its encoded weights."""
    limit = 0.3 if shipped.record(name).dataset == "mnist" else None
    return Script("load", f"load {name}, prepared", READ, IMPORT, _stored(name), limit)


def _answer(name: str, stored: bool = False, fresh: bool = False) -> Script:
    """From the first import to the decrypted logits of a digits image; the circuit is compiled, or read from a file."""
    made = LOAD.format(name=name) + COMPILE.format(packing="latency") + PREPARE
    return Script(
        "answer",
        f"first answer, {name}" + (", stored" if stored else "") + (", no kernels" if fresh else ""),
        (IMPORT + READ if stored else made) + ANSWER,
        before=_stored(name) if stored else "",
        limit=15.0 if fresh else None,
        fresh=fresh,
        once=fresh,
    )


def _compile(name: str, packing: str) -> Script:
    timed, setup = COMPILE.format(packing=packing), LOAD.format(name=name)
    return Script("compile", f"compile {name}, {packing}", timed, setup, limit=COMPILE_LIMIT, once=True)


def _compile_large(what: str, made: str) -> Script:
    timed = COMPILE.format(packing="latency")
    return Script("compile", f"compile {what}", timed, LARGE_SETUP + made, limit=COMPILE_LIMIT, once=True)


def _stored(name: str) -> str:
    """A program that leaves the prepared circuit in a file."""
    return LOAD.format(name=name) + COMPILE.format(packing="latency") + STORE
