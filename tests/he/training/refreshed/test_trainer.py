"""Networks trained on ciphertexts are their clear twins, to the same bits whatever happens on the way."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats import stored
from he.formats.messages import Kind, MessageError
from he.formats.stored import StoredError
from he.training.refreshed import checkpoint
from he.training.refreshed.messages import PackedWeights
from he.training.refreshed.network import NetworkDescent, ReachError, Windows, fit_network, with_ones
from he.training.refreshed.network_parties import NetworkOwner, NetworkTrainer
from he.training.refreshed.network_plan import NetworkPlan
from he.training.whitening import Whitening
from tests.he.training.made import CLASSES, samples
from tests.he.training.made import plan as head_plan
from tests.he.training.refreshed.made import blocks, keys, owner, plan, trainer, white


class Recorded:
    """An owner whose answers are remembered: another trainer that asks the same gets the same."""

    def __init__(self, of=None):
        self._owner = owner(of)
        self.start, self.answers = self._owner.begin(), {}

    def __call__(self, message):
        if message not in self.answers:
            self.answers[message] = self._owner.refresh(message)
        return self.answers[message]

    @property
    def network(self):
        return self._owner.network


def started(of=None, refresh=None):
    made = trainer(of)
    made.receive(refresh.start)
    return made


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([60, 512, 700]))
def test_a_network_is_its_twin_step_by_step(seed, count):
    of = plan(count, seed=seed)
    run, refresh, twins = trainer(of), owner(of), []
    run.receive(refresh.begin())
    fit_network(*white(of), CLASSES, of.descent, lambda step, network, reach: twins.append(network))
    for twin in twins:
        run.receive(refresh.refresh(run.step()))
        found = refresh.network
        assert np.abs(found.first - twin.first).max() < 1e-4
        assert np.abs(found.second - twin.second).max() < 1e-4
    assert np.abs(twins[-1].first - twins[0].first).max() > 0.01


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_its_twin_step_by_step(stride):
    """In two blocks, with places that overlap and with one place alone."""
    generator, twins = np.random.default_rng(stride), []
    x, labels = generator.normal(size=(600, 9)).clip(-3, 3), generator.integers(0, CLASSES, 600)
    descent = NetworkDescent(2, 3, 0.5, 0.1, 0.5, windows=Windows(3, 2, stride))
    of = NetworkPlan(600, 10, CLASSES, descent, "insecure", 1024)
    refresh = NetworkOwner("a", of, Whitening(np.zeros(9), np.eye(9)))
    run = NetworkTrainer(of, refresh.evaluation_keys, 1)
    for block in refresh.encrypt(x, labels):
        run.add(block.to_bytes())
    run.receive(refresh.begin())
    fit_network(with_ones(x), labels, CLASSES, descent, lambda step, network, reach: twins.append(network))
    for twin in twins:
        run.receive(refresh.refresh(run.step()))
        assert np.abs(refresh.network.first - twin.first).max() < 1e-5
        assert np.abs(refresh.network.second - twin.second).max() < 1e-5
    assert np.abs(twins[-1].first - twins[0].first).max() > 0.01


def test_several_owners_train_what_one_would():
    of, (x, labels) = plan(), samples()
    one, other = owner(of, "one"), owner(of, "other")
    given = [*one.encrypt(x[:100], labels[:100]), *other.encrypt(x[100:], labels[100:])]
    run = trainer(of, [block.to_bytes() for block in given])
    run.receive(other.begin())
    run.fit(other.refresh)
    twin = fit_network(*white(of), CLASSES, of.descent)
    assert np.abs(other.network.first - twin.first).max() < 1e-4


def test_neither_threads_nor_the_order_of_blocks_change_a_bit():
    refresh, other = Recorded(), trainer(given=blocks()[::-1], threads=3)
    other.receive(refresh.start)
    assert len(blocks()) == 2
    assert started(refresh=refresh).step() == other.step()


def test_progress_tells_steps_levels_and_seconds():
    refresh, seen = Recorded(), []
    started(refresh=refresh).fit(refresh, lambda *told: seen.append(told))
    assert [told[:2] for told in seen] == [(1, 6), (2, 6), (3, 6)]
    assert all(told[2] > 0 for told in seen)


class StopError(Exception):
    """What a run is stopped by."""


@pytest.mark.parametrize("where", ["refresh", "progress"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(where, tmp_path):
    """In the same trainer, and in another with the checkpoint; the owner knows what comes again."""
    refresh, path, calls = Recorded(), tmp_path / "run", []

    def stopping(*told):
        calls.append(told)
        if len(calls) == 2:
            raise StopError
        return refresh(*told) if where == "refresh" else None

    run = started(refresh=refresh)
    with pytest.raises(StopError):
        run.fit(stopping, path=path) if where == "refresh" else run.fit(refresh, stopping, path)
    another = trainer()
    found = another.fit(refresh, path=path)
    assert found == run.fit(refresh) == started(refresh=refresh).fit(refresh)
    assert len(refresh.answers) == another.steps == 3


def test_an_owner_answers_again_what_a_stopped_trainer_never_got(tmp_path):
    run, refresh, path, lost = trainer(), owner(), tmp_path / "run", []
    run.receive(refresh.begin())

    def losing(message):
        lost.append(refresh.refresh(message))
        if refresh.steps == 2:
            raise StopError  # answered, and the trainer is gone
        return lost[-1]

    with pytest.raises(StopError):
        run.fit(losing, path=path)
    found = []
    trainer().fit(lambda message: found.append(refresh.refresh(message)) or found[-1], path=path)
    assert found[0] == lost[1]
    assert refresh.steps == 3


def test_a_trainer_that_was_stopped_in_the_first_step_begins_again(tmp_path):
    """The owner has answered; there is no checkpoint yet."""
    run, refresh = trainer(), owner()
    run.receive(refresh.begin())
    lost = refresh.refresh(run.step())
    another = trainer()
    another.receive(refresh.begin())
    assert refresh.refresh(another.step()) == lost
    another.fit(refresh.refresh, path=tmp_path / "run")
    assert refresh.steps == another.steps == 3


def test_weights_are_taken_as_the_answer_to_a_step_only():
    refresh = Recorded()
    run, given = started(refresh=refresh), PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, refresh.start, plan())
    for step in (0, 1):
        with pytest.raises(MessageError, match="no step has been made since the last weights"):
            run.receive(replace(given, step=step).to_bytes())
    assert run.steps == 0
    run.receive(refresh(run.step()))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of three steps that was stopped behind the first one: its owner, and its checkpoint."""
    path, refresh = tmp_path_factory.mktemp("run") / "network.run", Recorded()

    def stop(*told):
        raise StopError

    with pytest.raises(StopError):
        started(refresh=refresh).fit(refresh, stop, path)
    return refresh, path


def test_a_trainer_that_is_further_than_its_checkpoint_stays_there(stopped):
    refresh, path = stopped
    run = started(refresh=refresh)
    last = run.fit(refresh)
    before = path.read_bytes()
    assert run.fit(refresh, path=path) == last
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", [0, 100, 5000, -1])
def test_a_damaged_checkpoint_is_refused_and_stays_as_it_was(stopped, tmp_path, place):
    refresh, path = stopped
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(StoredError):
        trainer().fit(refresh, path=tmp_path / "bad")
    assert (tmp_path / "bad").read_bytes() == data


def test_a_checkpoint_of_another_run_is_refused(stopped):
    refresh, path = stopped
    x, labels = samples()
    others = {
        "samples": trainer(given=[block.to_bytes() for block in owner().encrypt(x, labels)]),  # encrypted once more
        "plan": trainer(plan(rate=0.2)),
    }
    before = path.read_bytes()
    for name, other in others.items():
        with pytest.raises(StoredError, match=f"belongs to a run with other {name}; name a new file"):
            other.fit(refresh, path=path)
    assert path.read_bytes() == before


def changed(arrays, case):
    one, two = arrays["0"], arrays["1"]
    return [
        ({"0": one}, "must hold two messages"),
        ({"0": one, "1": two.astype(np.int64)}, "must hold two messages"),
        ({"0": one, "1": two[:-1]}, "truncated or damaged"),
        ({"0": two, "1": one}, "one behind the other"),
        ({"0": two, "1": two}, "one behind the other"),
    ][case]


@pytest.mark.parametrize("case", range(5))
def test_files_of_other_contents_are_refused(stopped, tmp_path, case):
    refresh, path = stopped
    content, arrays = stored.read(path, checkpoint.KIND)
    other, text = changed(arrays, case)
    stored.write(tmp_path / "other", checkpoint.KIND, content, other)
    with pytest.raises(StoredError, match=text):
        trainer().fit(refresh, path=tmp_path / "other")


def test_a_place_where_no_file_can_stand_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(OSError, match="must be a folder that exists"):
        started(refresh=Recorded()).fit(None, path=tmp_path / "none" / "run")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda run, refresh: refresh.start, "must be those after 2 steps, got those after 0"),
        (lambda run, refresh: _other(run), "another message than the last"),
        (lambda run, refresh: Recorded(plan(seed=1)).start, "another plan"),
        (lambda run, refresh: run.step(), "of another kind"),
        (lambda run, refresh: refresh(run.step())[:-1], "truncated or damaged"),
    ],
)
def test_answers_that_are_none_are_refused_and_nothing_changes(answer, text):
    """Replayed, to another run's step, of another plan, the trainer's own, damaged."""
    refresh = Recorded()
    run = started(refresh=refresh)
    run.receive(refresh(run.step()))
    other = answer(run, refresh)
    asked = run.step()
    with pytest.raises(MessageError, match=text):
        run.receive(other)
    assert run.steps == 1
    assert run.step() == asked
    run.receive(refresh(asked))
    assert run.steps == 2


def _other(run):
    """The second answer of an owner with the same keys to a trainer whose samples were encrypted again."""
    x, labels = samples()
    refresh = Recorded()
    other = trainer(given=[block.to_bytes() for block in owner().encrypt(x, labels)])
    other.receive(refresh.start)
    other.receive(refresh(other.step()))
    return refresh(other.step())


def test_weights_that_diverge_end_the_run_at_the_owner():
    of = plan(rate=60.0)
    run, refresh = trainer(of), owner(of)
    run.receive(refresh.begin())
    with pytest.raises(ReachError):
        fit_network(*white(of), CLASSES, of.descent)
    with pytest.raises(ReachError, match="the run is over"):
        run.fit(refresh.refresh)
    with pytest.raises(MessageError, match="the run is over"):
        run.fit(refresh.refresh)


def test_what_is_missing_is_named():
    run = NetworkTrainer(plan(), keys(plan())[1], 1)
    with pytest.raises(MessageError, match="for 700 samples, got 0; add the missing blocks"):
        run.receive(Recorded().start)
    with pytest.raises(MessageError, match="needs an answer of the owner: its first weights"):
        trainer().step()
    of = plan(steps=1)
    refresh = Recorded(of)
    done = started(of, refresh)
    done.fit(refresh)
    with pytest.raises(MessageError, match="all steps are made"):
        done.step()
    with pytest.raises(MessageError, match="training has begun"):
        done.add(blocks(of)[0])


def test_plans_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="`plan` must be a NetworkPlan"):
        NetworkTrainer(head_plan(), keys(plan())[1])
