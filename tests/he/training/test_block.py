"""Blocks and encrypted heads as messages: they come back as they were, and nothing else is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.training.block import Block
from he.training.encrypted_head import EncryptedHead
from he.training.origin import Origin
from tests.he.training.made import blocks, plan

ORIGIN = Origin(plan().digest, "1" * 64, "2" * 64)


def parts(forms, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(generator.bytes(form.bytes) for form in forms)


def block(**change):
    fields = {"origin": ORIGIN, "owner": "a", "number": 3, "samples": 7, "ciphertexts": parts(plan().block_forms)}
    return Block(**{**fields, **change})


def head():
    of = plan()
    return EncryptedHead(ORIGIN, parts([EncryptedHead.form(of)] * of.packed))


@given(st.text(min_size=1, max_size=200).filter(str.isprintable), st.integers(0, 1 << 32), st.integers(1, 512))
def test_blocks_come_back(owner, number, samples):
    sent = block(owner=owner, number=number, samples=samples)
    read = Block.from_bytes(sent.to_bytes(), plan())
    assert (read.origin, read.owner, read.number, read.samples) == (ORIGIN, owner, number, samples)
    assert tuple(map(bytes, read.ciphertexts)) == sent.ciphertexts


def test_heads_come_back():
    sent = head()
    read = EncryptedHead.from_bytes(sent.to_bytes(), plan())
    assert (read.origin, tuple(map(bytes, read.ciphertexts))) == (ORIGIN, sent.ciphertexts)


def test_every_length_follows_from_the_plan():
    """What an owner really sends has it, and nothing in the message states scales, levels or sizes of ciphertexts."""
    of = plan()
    fields, found = open_message(Kind.TRAINING_BLOCK, blocks()[0])
    assert [len(part) for part in found] == [form.bytes for form in of.block_forms]
    assert sorted(fields) == ["keys", "number", "owner", "plan", "samples", "whitening"]


def test_targets_have_a_scale_of_their_own():
    of = plan(steps=3)
    forms = of.block_forms
    assert [form.scale for form in forms] == [2.0 ** of.scale_bits[i] for i in [0] * of.features + [1] * of.pairs]
    assert all(isinstance(form, Form) and form.seeded for form in forms)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([Block, EncryptedHead]), st.data())
def test_bytes_that_were_changed_are_refused(kind, data):
    message = bytearray((block() if kind is Block else head()).to_bytes())
    place = data.draw(st.one_of(st.integers(0, 400), st.integers(0, len(message) - 1)))
    message[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MessageError):
        kind.from_bytes(bytes(message), plan())


def resealed(change_fields=None, change_parts=None):
    """A block's message with a digest that is right."""
    fields, found = open_message(Kind.TRAINING_BLOCK, block().to_bytes())
    fields.update(change_fields or {})
    return seal_message(Kind.TRAINING_BLOCK, fields, (change_parts or list)(found))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (lambda: resealed({"plan": "0" * 64}), "another plan"),
        (lambda: resealed({"plan": 1}), "must be a digest"),
        (lambda: resealed({"keys": "0"}), "must be a digest"),
        (lambda: resealed({"whitening": "é" * 64}), "must be a digest"),
        (lambda: resealed({"whitening": "A" * 64}), "must be a digest"),
        (lambda: resealed({"more": 1}), "must have the fields"),
        (lambda: resealed({"owner": ""}), "printable letters"),
        (lambda: resealed({"owner": 3}), "printable letters"),
        (lambda: resealed({"owner": "a\n"}), "printable letters"),
        (lambda: resealed({"samples": 0}), "`samples` must lie in"),
        (lambda: resealed({"samples": 513}), "at most 512 samples"),
        (lambda: resealed({"samples": True}), "`samples` must be an integer"),
        (lambda: resealed({"number": 1.0}), "`number` must be an integer"),
        (lambda: resealed({"number": -1}), "`number` must lie in"),
        (lambda: resealed(None, lambda found: found[:-1]), "must hold 6 ciphertexts"),
        (lambda: resealed(None, lambda found: [*found[:-1], found[-1][:-1]]), "must hold 6 ciphertexts"),
        (lambda: resealed(None, lambda found: [*found[::2], b"".join(found[1::2])]), "must hold 6 ciphertexts"),
        (lambda: head().to_bytes(), "another kind"),
    ],
)
def test_messages_that_are_not_the_plans_are_refused(message, text):
    with pytest.raises(MessageError, match=text):
        Block.from_bytes(message(), plan())


def test_no_bytes_are_a_type_error():
    for kind in (Block, EncryptedHead):
        with pytest.raises(TypeError, match="must be bytes"):
            kind.from_bytes("block", plan())


def test_so_many_threads_check_the_digest():
    (message, *_) = blocks()
    assert Block.from_bytes(message, plan(), 3).to_bytes() == message
    with pytest.raises(ValueError, match=r"`threads` must lie in .*, got 0"):
        Block.from_bytes(message, plan(), 0)
