"""Owners: what they encrypt is what samples are, whatever cannot be trained on is refused before, and so are heads."""

from dataclasses import replace

import numpy as np
import pytest

from he.formats.messages import MessageError
from he.formats.seal_bytes import SealDataError
from he.parties.cipher import PairCipher
from he.parties.keys import SecretKey
from he.training.arithmetic import read, written
from he.training.encrypted_head import EncryptedHead
from he.training.head import targets
from he.training.origin import Origin
from he.training.owner import Owner
from he.training.whitening import BoundError, Moments, Whitening
from tests.he.training.made import FEATURES, blocks, keys, owner, plan, samples, whitening


def test_blocks_hold_whitened_samples_and_targets_in_slots():
    of, (x, labels) = plan(), samples()
    made = list(owner(of).encrypt(x, labels))
    assert [(block.owner, block.number, block.samples) for block in made] == [("a", 0, 512), ("a", 1, 188)]
    white, y, cipher = whitening().apply(x), targets(labels, of.classes), PairCipher(keys(of)[0])
    for block in made:
        rows = slice(512 * block.number, 512 * block.number + block.samples)
        found = np.array(
            [cipher.decrypt(part, form) for part, form in zip(block.ciphertexts, of.block_forms, strict=True)]
        )
        assert np.abs(found[:, :, block.samples :]).max(initial=0) < 1e-6
        features, pairs = found[: of.features], found[of.features :].reshape(2 * of.pairs, -1)
        assert np.abs(features[:, 0, : block.samples].T - white[rows]).max() < 1e-6
        assert np.abs(features[:, 1]).max() < 1e-6
        assert np.abs(pairs[: of.classes, : block.samples].T - y[rows]).max() < 1e-6
        assert np.abs(pairs[of.classes :]).max() < 1e-6


def test_blocks_are_numbered_through_all_calls():
    made, (x, labels) = owner(), samples()
    numbers = [block.number for at in (0, 100) for block in made.encrypt(x[at : at + 100], labels[at : at + 100])]
    assert numbers == [0, 1]


def test_a_bound_that_is_too_small_is_refused_before_anything_is_encrypted():
    of, (x, labels) = plan(bound=0.9), samples()
    made = owner(of)
    with pytest.raises(BoundError, match="plan for a bound of"):
        made.encrypt(x, labels)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda x, labels: (x * 1000, labels), ValueError, "whitened features must lie in"),
        (lambda x, labels: (x[:, :2], labels), ValueError, "`features` must have shape"),
        (lambda x, labels: (np.where(x > 2, np.nan, x), labels), ValueError, "`features` must be finite"),
        (lambda x, labels: (x, labels + 1), ValueError, "`labels` must lie in"),
        (lambda x, labels: (x, labels[:-1]), ValueError, "`labels` must be as many as samples"),
        (lambda x, labels: (np.tile(x, (2, 1)), np.tile(labels, 2)), ValueError, "for 700 samples, got 1400"),
        (lambda x, labels: (x, labels * 1.0), TypeError, "`labels` must hold integers"),
        (lambda x, labels: (x.astype(int), labels), TypeError, "`features` must hold floats"),
    ],
)
def test_bad_samples_are_refused_before_anything_is_encrypted(change, error, text):
    made = owner()
    with pytest.raises(error, match=text):
        made.encrypt(*change(*samples()))
    assert next(made.encrypt(*samples())).number == 0


def test_owners_refuse_what_does_not_fit_their_plan():
    of, other = plan(), plan(steps=1)
    with pytest.raises(ValueError, match="`whitening` must give 3 features, one less than the plan's, got 2"):
        Owner("a", of, Whitening.of(Moments.of(samples()[0]), 0.1, keep=2), *keys(of))
    with pytest.raises(ValueError, match="`secret_key` must be for the plan's parameters"):
        Owner("a", of, whitening(), keys(other)[0])
    with pytest.raises(MessageError, match="must be for this plan"):
        Owner("a", of, whitening(), keys(of)[0], keys(of)[0].keys_of(of.key_elements, other.digest))
    with pytest.raises(MessageError, match="made from another secret key"):
        Owner("a", of, whitening(), SecretKey.generate(of.parameters), keys(of)[1])
    with pytest.raises(MessageError, match="`owner` must be 1 to 200 printable letters"):
        Owner("", of, whitening(), *keys(of))


def head_of(values, origin):
    """A head of these pairs, [features, pairs, 2]."""
    form = EncryptedHead.form(plan())
    seeded = replace(form, seeded=True)
    made = PairCipher(keys(plan())[0]).encrypt_packed(values.reshape(-1, 2), seeded)
    return EncryptedHead(origin, (written(read(made, seeded), form),))


def origin_of(made):
    return Origin(made.plan.digest, whitening().digest, made.evaluation_keys.id)


def test_heads_are_decrypted_feature_by_feature_and_class_by_class():
    of, made = plan(), owner()
    values = np.arange(of.features * of.pairs * 2).reshape(of.features, of.pairs, 2) / 100
    found = made.decrypt(head_of(values, origin_of(made)).to_bytes())
    assert found.shape == (FEATURES + 1, of.classes)
    assert np.abs(found - values.reshape(of.features, -1)[:, : of.classes]).max() < 1e-6


def test_heads_of_other_runs_are_refused():
    of, made = plan(), owner()
    values = np.zeros((of.features, of.pairs, 2))
    for name, text in (("plan", "another plan"), ("whitening", "another whitening"), ("keys", "another pair of keys")):
        foreign = Origin(**{**vars(origin_of(made)), name: "0" * 64})
        with pytest.raises(MessageError, match=text):
            made.decrypt(head_of(values, foreign).to_bytes())


def test_a_head_that_is_legible_without_a_key_is_refused():
    of, made = plan(), owner()
    size = EncryptedHead.form(of).bytes
    with pytest.raises(SealDataError, match="legible without a key"):
        made.decrypt(EncryptedHead(origin_of(made), (bytes(size),)).to_bytes())


def test_a_block_is_no_head():
    with pytest.raises(MessageError, match="another kind"):
        owner().decrypt(blocks()[0])
