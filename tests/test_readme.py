"""The README's code runs as it stands."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def run(example: str) -> None:
    exec(compile(example, "README.md", "exec"), {})


def test_encrypted_inference_runs(capsys) -> None:
    run(EXAMPLES[0])
    assert "128-bit security" in capsys.readouterr().out


def test_training_runs(capsys) -> None:
    run(EXAMPLES[1])
    assert float(capsys.readouterr().out) > 0.85  # of 397 images; the last ones are harder than the average


def test_attacks_run(capsys) -> None:
    run(EXAMPLES[2])
    share = float(capsys.readouterr().out.split()[0])
    assert share < 10  # percent of 50 images: every one was broken when this was written


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 3
