"""Checkpoints: another trainer goes on to the same bits, and what does not belong is refused and stays as it was."""

import numpy as np
import pytest

from he.formats import stored
from he.formats.stored import StoredError
from he.training import checkpoint
from he.training.trainer import Trainer
from tests.he.training.made import blocks, keys, owner, plan, samples


def trainer(of, given):
    made = Trainer(of, keys(of)[1], 1)
    for block in given:
        made.add(block)
    return made


class StopError(Exception):
    """What a run is stopped by."""


def stop(step, levels):
    raise StopError


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of two steps that was stopped behind the first one: its plan, and its checkpoint."""
    path, of = tmp_path_factory.mktemp("run") / "head.run", plan()
    with pytest.raises(StopError):
        trainer(of, blocks()).fit(stop, path)
    return of, path


def test_another_trainer_goes_on_to_the_same_bits(stopped, tmp_path):
    of, path = stopped
    copy, seen = tmp_path / "copy", []
    copy.write_bytes(path.read_bytes())
    found = trainer(of, blocks()[::-1]).fit(lambda step, _: seen.append(step), copy)
    assert seen == [2]
    assert found.to_bytes() == trainer(of, blocks()).fit().to_bytes()
    assert trainer(of, blocks()).fit(stop, copy).to_bytes() == found.to_bytes()  # no step is left to be stopped at


def test_a_trainer_that_is_further_than_its_checkpoint_stays_there(stopped, tmp_path):
    of, path = stopped
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    run = trainer(of, blocks())
    head = run.fit()
    assert run.fit(stop, copy).to_bytes() == head.to_bytes()


def test_a_run_that_cannot_write_keeps_its_last_checkpoint(stopped, tmp_path, monkeypatch):
    of, path = stopped
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write_atomically", full)
        with pytest.raises(OSError, match="no space left"):
            trainer(of, blocks()).fit(path=copy)
    assert copy.read_bytes() == path.read_bytes()


def others(of):
    """Runs that differ in one thing from the one that was stopped."""
    x, labels = samples()
    return {
        "samples": (of, [block.to_bytes() for block in owner(of).encrypt(x, labels)]),  # encrypted once more
        "plan": (plan(bound=3.0), blocks(plan(bound=3.0))),
    }


@pytest.mark.parametrize("name", ["samples", "plan"])
def test_a_checkpoint_of_another_run_is_refused(stopped, name):
    of, path = stopped
    before = path.read_bytes()
    with pytest.raises(StoredError, match=f"belongs to a run with other {name}; name a new file"):
        trainer(*others(of)[name]).fit(path=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", [0, 100, 5000, -1])
def test_a_damaged_checkpoint_is_refused_and_stays_as_it_was(stopped, tmp_path, place):
    of, path = stopped
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(StoredError):
        trainer(of, blocks()).fit(path=tmp_path / "bad")
    assert (tmp_path / "bad").read_bytes() == data


def changed(arrays):
    """Arrays that no run of the plan has written, each with a part of what is said of them."""
    (first,) = arrays.values()
    beyond = first.copy()
    beyond[0, 0, 0, 0] = 2**63
    return [
        ({}, "must hold 1 to 2 steps, got 0"),
        ({f"{i}": first for i in range(3)}, "must hold 1 to 2 steps, got 3"),
        ({"1": first}, "must hold gradients"),
        ({"0": first[:-1]}, "must hold gradients"),
        ({"0": first.astype(np.int64)}, "must hold gradients"),
        ({"0": beyond}, "residues below their primes"),
    ]


@pytest.mark.parametrize("case", range(6))
def test_files_of_other_contents_are_refused(stopped, tmp_path, case):
    of, path = stopped
    content, arrays = stored.read(path, checkpoint.KIND)
    other, text = changed(arrays)[case]
    stored.write(tmp_path / "other", checkpoint.KIND, content, other)
    with pytest.raises(StoredError, match=text):
        trainer(of, blocks()).fit(path=tmp_path / "other")


def test_a_place_where_no_file_can_stand_is_refused_before_anything_is_computed(tmp_path):
    run = trainer(plan(), blocks())
    with pytest.raises(OSError, match="must be a folder that exists"):
        run.fit(path=tmp_path / "none" / "run")
    assert run.steps == 0
