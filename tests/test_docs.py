"""The code in the README and in the documents runs as it stands."""

import re
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest

from bench.papers.registry import EXPERIMENTS
from he.functional.instance import Instance
from he.functional.rlwe.parameters import parameters
from intnn.values.domain import IntDomain

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def examples(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)


def run(document: str, number: int) -> None:
    exec(compile(examples(document)[number], document, "exec"), {})


EVERY = [(document, number) for document in DOCUMENTS for number in range(len(examples(document)))]


@pytest.mark.parametrize(("document", "number"), EVERY)
def test_every_example_runs(document, number, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # what an example writes
    run(document, number)


def test_the_first_example_says_why(capsys) -> None:
    run("README.md", 0)
    printed = capsys.readouterr().out
    assert "128-bit classical security" in printed
    assert "N=4096 refused" in printed


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"


def test_every_command_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(
            re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE)
        )
        assert named <= targets, f"{document}: {named - targets}"


def test_the_table_of_lattice_parameters_is_what_is_derived() -> None:
    text = (ROOT / "docs/functional.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*length (\d+) \| (\d+)\.\.(\d+) \| (.*?) \| (\d+) \| (\d+) \|$", text, flags=re.MULTILINE)
    assert len(rows) == text.count("| digits, length") + text.count("| MNIST at") + text.count("| gradients of")
    for length, lo, hi, primes, kept, bits in rows:
        p = parameters(Instance("rlwe", int(length), IntDomain(int(lo), int(hi))))
        derived = " + ".join(str(prime.bit_length()) for prime in p.primes), p.kept, round(p.estimate.bits), p.N
        assert derived == (primes, int(kept), int(bits), 4096), f"length {length}, elements {lo}..{hi}"


def test_every_order_that_documents_state_has_its_verdict() -> None:
    text = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([A-Z][^|]*) \| [^|]+ \| (\d+) \| (holds|contradicted|open) \| [^|]*\d[^|]* \|$", text, re.MULTILINE
    )
    orders: dict[str, int] = {}
    verdicts: dict[str, dict[str, int]] = {}
    for identifiers, count, verdict in rows:
        each = identifiers.split(", ")
        assert int(count) % len(each) == 0, identifiers
        for identifier in each:
            orders[identifier] = orders.get(identifier, 0) + int(count) // len(each)
        of = verdicts.setdefault(identifiers[0], {"holds": 0, "contradicted": 0, "open": 0})
        of[verdict] += int(count)
    assert orders == {name: len(one.orders) for name, one in EXPERIMENTS.items() if one.orders}
    stated = re.findall(r"^\| ([A-Z]), .* \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| \d+ \|$", text, re.MULTILINE)
    assert {letter: tuple(map(int, counts)) for letter, *counts in stated} == {
        letter: (sum(of.values()), *of.values()) for letter, of in verdicts.items()
    }
    every = tuple(sum(column) for column in zip(*(map(int, counts) for _, *counts in stated), strict=True))
    assert f"| all | {' | '.join(map(str, every))} |" in text


def rooms() -> dict[str, set[str]]:
    """What docs/architecture.md names of each folder: patterns of its modules, none where it speaks of all at once."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listing = text[text.index("## The rooms") : text.index("## Words")].split("```")[1]
    found: dict[str, set[str]] = {}
    way: list[list[str]] = []
    for line in listing.splitlines():
        if begun := re.match(r"( {0,4})(?! )((?:[a-z_]+/ ?)*)", line):  # a folder, or files of the one above
            folders = re.findall(r"[a-z_]+", begun[2])
            way = [*way[: len(begun[1]) // 2], *[folders][: len(folders)]]
        for folder in map("/".join, product(*way)):
            found.setdefault(folder, set()).update(re.findall(r"([\w*]+)\.py", line))
    return found


@pytest.mark.parametrize("package", ["intnn", "he", "plaintext_models"])
def test_every_module_stands_in_its_room(package: str) -> None:
    listed = rooms()
    assert len([folder for folder in listed if folder.split("/")[0] == package]) > 5
    for path in sorted((ROOT / package).rglob("*.py")):
        folder, module = path.parent.relative_to(ROOT).as_posix(), path.stem
        if folder != package and module != "__init__" and (named := listed.get(folder)):
            assert any(fnmatch(module, pattern) for pattern in named), f"{folder} lacks {module}.py"
    for folder, named in listed.items():
        for pattern in named if folder.startswith(f"{package}/") else ():
            assert any((ROOT / folder).glob(f"{pattern}.py")), f"{folder} has no {pattern}.py"
