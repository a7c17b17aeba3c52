"""Heads trained on ciphertexts are their clear twins within the bound, to the same bits whatever happens on the way."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.buffers import Buffers
from he.engines.rns.products import Products
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.formats.messages import MessageError
from he.formats.seal_bytes import SealDataError
from he.parties.evaluation_keys import EvaluationKeys
from he.training.errors import head_error
from he.training.head import fit
from he.training.owner import Owner
from he.training.trainer import Trainer
from he.training.whitening import Moments, Whitening
from intnn.machine.cuda.device import NoDeviceError
from tests.he.forge import written_to
from tests.he.training.made import blocks, keys, owner, plan, samples, whitening


def trainer(of=None, threads=1):
    of = plan() if of is None else of
    return Trainer(of, keys(of)[1].to_bytes(), threads)


def trained(of=None, given=None, threads=1):
    made = trainer(of, threads)
    for block in blocks(of) if given is None else given:
        made.add(block)
    return made.fit().to_bytes()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([2, 3, 4]), st.sampled_from([60, 512, 700]))
def test_a_head_is_its_twin_within_the_bound(seed, steps, classes, count):
    of = plan(count, steps, 3.0, classes)
    x, labels = samples(seed, count, classes)
    white = whitening(seed)
    made, run = owner(of, of_whitening=white), trainer(of)
    for block in made.encrypt(x, labels):
        run.add(block.to_bytes())
    found, twin = made.decrypt(run.fit().to_bytes()), fit(white.apply(x), labels, classes, of.descent)
    error, bound = np.abs(found - twin).max(), head_error(of)
    assert bound / 5000 < error <= bound
    assert bound < 1e-4 * np.abs(twin).max()


def test_products_and_totals_on_a_gpu_change_no_byte(monkeypatch):
    """What computes there is `tests.he.engines.cuda_simulation`'s to compare; here, that it is what is asked."""
    products = pytest.importorskip("he.engines.cuda.products", reason="the extra `cuda` is not installed")
    asked = []

    def made(encoder, *others):
        asked.append(encoder.parameters)
        return Products.of(encoder, *others)

    def made_traces(encoder, given):
        asked.append(encoder.parameters)
        return Traces(encoder, given, Workers(1), Buffers())

    monkeypatch.setattr("he.training.arithmetic.device", lambda: None)
    monkeypatch.setattr(products.CudaProducts, "of", made)
    monkeypatch.setattr("he.engines.cuda.traces.CudaTraces", made_traces)
    of = plan()
    run = Trainer(of, keys(of)[1], 1, engine="cuda")
    assert asked == [of.parameters] * 2
    for block in blocks(of):
        run.add(block)
    assert run.fit().to_bytes() == trained(of)


def test_an_engine_that_does_not_train_is_named():
    with pytest.raises(ValueError, match='`engine` must be "rns" or "cuda", got \'seal\''):
        Trainer(plan(), keys(plan())[1], engine="seal")


def test_who_has_no_gpu_is_told_before_keys_are_read(monkeypatch):
    def missing():
        raise NoDeviceError("there is no NVIDIA driver (libcuda)")

    monkeypatch.setattr("he.training.arithmetic.device", missing)
    with pytest.raises(NoDeviceError, match="no NVIDIA driver"):
        Trainer(plan(), keys(plan())[1], engine="cuda")


@cache
def two_owners():
    """Two owners who published one whitening, what each sends in two calls, and the clear twin of all samples."""
    of, (x, labels) = plan(), samples()
    halves = slice(0, 600), slice(600, 700)
    moments = [Moments.of(x[half][:100]) for half in halves]
    published = Whitening.of(moments[0].plus(moments[1]), 0.05)
    secret, given = keys(of)
    owners = [Owner(name, of, published, secret, EvaluationKeys(given.to_bytes())) for name in ("one", "other")]
    sent = []
    for made, half in zip(owners, halves, strict=True):
        rows, classes = x[half], labels[half]
        for part in (slice(0, 40), slice(40, None)):
            sent += [block.to_bytes() for block in made.encrypt(rows[part], classes[part])]
    return owners, sent, fit(published.apply(x), labels, of.classes, of.descent)


def test_several_owners_train_what_one_would():
    owners, sent, twin = two_owners()
    head = trained(given=sent)
    for made in owners:
        assert np.abs(made.decrypt(head) - twin).max() <= head_error(plan())


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(5)))
def test_blocks_of_several_owners_may_come_in_any_order(order):
    _, sent, _ = two_owners()
    assert len(sent) == 5
    assert trained(given=[sent[i] for i in order]) == trained(given=sent)


def test_an_owner_with_another_whitening_is_refused():
    """Also with one of the same samples and another ridge; the blocks of the first one stay."""
    _, sent, _ = two_owners()
    x, labels = samples()
    run = trainer()
    for block in sent[:3]:
        run.add(block)
    for other in (whitening(0), Whitening.of(Moments.of(x[:100]).plus(Moments.of(x[600:700])), 0.06)):
        (block,) = owner(name="third", of_whitening=other).encrypt(x[600:], labels[600:])
        with pytest.raises(MessageError, match="another whitening; all owners must use the published one"):
            run.add(block.to_bytes())
    for block in sent[3:]:
        run.add(block)
    assert run.fit().to_bytes() == trained(given=sent)


def test_neither_order_nor_threads_change_a_bit():
    assert trained(given=blocks()[::-1], threads=3) == trained()


@pytest.mark.parametrize("stop", [1, 2])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(stop):
    of = plan(steps=3)
    run = trainer(of)
    for block in blocks(of):
        run.add(block)

    def stopping(step, levels):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.fit(stopping)
    assert run.steps == stop
    assert run.fit().to_bytes() == trained(of) == run.fit().to_bytes()


def test_progress_tells_steps_and_levels_left():
    of, seen = plan(steps=3), []
    run = trainer(of)
    for block in blocks(of):
        run.add(block)
    run.fit(lambda *told: seen.append(told))
    assert seen == [(1, 5), (2, 3), (3, 1)]


def damaged(block, place):
    return block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (lambda: blocks()[0], "block 0 of owner 'a' has come before"),
        (lambda: next(owner(name="b").encrypt(*samples(0, 512))).to_bytes(), "the plan is for 700 samples, got 1024"),
        (lambda: next(owner(of_whitening=whitening(1)).encrypt(*samples(1, 60))).to_bytes(), "another whitening"),
        (lambda: blocks(plan(steps=1))[0], "another plan"),
        (lambda: damaged(blocks()[1], 5000), "truncated or damaged"),
        (lambda: blocks()[1][:-1], "truncated or damaged"),
        (lambda: blocks()[1] + bytes(1 << 20), "must have at most"),
    ],
)
def test_a_block_that_does_not_belong_is_refused_and_changes_nothing(block, text):
    run = trainer()
    run.add(blocks()[0])
    with pytest.raises(MessageError, match=text):
        run.add(block())
    run.add(blocks()[1])
    assert run.fit().to_bytes() == trained()


def test_a_block_that_others_write_to_is_read_once(monkeypatch):
    """Its name stands for what was added: under another one a checkpoint would go on with other samples."""
    run, untouched = trainer(), trainer()
    with monkeypatch.context() as patch:
        run.add(written_to(patch, "he.training.origin", blocks()[0], bytes(len(blocks()[0]))))
    run.add(blocks()[1])
    for block in blocks():
        untouched.add(block)
    assert run._run() == untouched._run()
    assert run.fit().to_bytes() == trained()


def test_blocks_under_other_keys_are_refused():
    of = plan()
    secret = keys(of)[0]
    run = Trainer(of, secret.keys_of(of.key_elements, of.digest), 1)
    with pytest.raises(MessageError, match="another pair of keys"):
        run.add(blocks()[0])


def test_nothing_is_added_once_training_has_begun():
    run = trainer()
    for block in blocks():
        run.add(block)
    run.fit()
    with pytest.raises(MessageError, match="training has begun"):
        run.add(blocks()[0])


def test_missing_blocks_are_named():
    run = trainer()
    with pytest.raises(MessageError, match="for 700 samples, got 0"):
        run.fit()
    run.add(blocks()[0])
    with pytest.raises(MessageError, match="for 700 samples, got 512"):
        run.fit()


def test_keys_for_another_plan_are_refused():
    with pytest.raises(MessageError, match="another plan"):
        Trainer(plan(steps=1), keys(plan())[1])


@pytest.mark.parametrize("change", [lambda data: data[:-8], lambda data: data[: len(data) // 2], lambda data: b""])
def test_fewer_keys_than_the_plans_are_refused(change):
    of = plan()
    given = EvaluationKeys.sealed(of.digest, change(bytes(keys(of)[1].data)))
    with pytest.raises(SealDataError, match="must have"):
        Trainer(of, given, 1)


def test_more_keys_than_the_plans_are_not_looked_at():
    of = plan()
    given = EvaluationKeys.sealed(of.digest, bytes(keys(of)[1].data) * 2).to_bytes()
    with pytest.raises(MessageError, match="must have at most"):
        Trainer(of, given, 1)
