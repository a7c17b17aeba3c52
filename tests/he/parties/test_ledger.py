"""What a session remembers, and in which order it asks its ledger."""

import numpy as np
import pytest

from he import MessageError, prepare
from he.parties.ledger import MemoryLedger, ReplayError, SpentError
from tests.he.parties.exchange import images_for, renewed


def test_a_request_is_admitted_once_and_no_more_than_are_allowed() -> None:
    ledger = MemoryLedger(2)
    ledger.admit("a")
    with pytest.raises(ReplayError, match="once only"):
        ledger.admit("a")
    ledger.admit("b")
    with pytest.raises(SpentError, match="at most 2 requests"):
        ledger.admit("c")
    with pytest.raises(ReplayError):  # a replay is one even when all is spent
        ledger.admit("b")
    ledger.release("a")
    ledger.admit("c")


class Recorded(MemoryLedger):
    """A ledger that says what it was asked, and may fail to record."""

    def __init__(self, failure=None):
        super().__init__(10)
        self.asked, self.failure = [], failure

    def admit(self, name):
        super().admit(name)
        self.asked.append("admit")

    def confirm(self, name):
        self.asked.append("confirm")
        if self.failure:
            raise self.failure

    def release(self, name):
        super().release(name)
        self.asked.append("release")


def test_no_answer_leaves_before_its_request_is_recorded(exchange) -> None:
    party, asked, _ = exchange
    prepared, keys = prepare(party.circuit), party.client.evaluation_keys
    ledger = Recorded()
    session = prepared.session(keys, ledger=ledger)
    request = party.client.encrypt(images_for(party))
    assert np.shape(party.client.decrypt(session.evaluate(request), request))
    assert ledger.asked == ["admit", "confirm"]
    with pytest.raises(ReplayError):
        session.evaluate(request)
    failing = Recorded(OSError(28, "no space"))
    with pytest.raises(OSError, match="no space"):
        prepared.session(keys, ledger=failing).evaluate(renewed(asked))


def test_what_could_not_be_evaluated_is_released(exchange, monkeypatch) -> None:
    def refuse(_):
        raise ValueError("not fresh")

    party, asked, _ = exchange
    ledger = Recorded()
    session = prepare(party.circuit).session(party.client.evaluation_keys, ledger=ledger)
    monkeypatch.setattr(session.evaluator, "evaluate", refuse)
    with pytest.raises(MessageError, match="not fresh"):
        session.evaluate(renewed(asked))
    assert ledger.asked == ["admit", "release"]
