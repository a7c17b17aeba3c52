"""A search that takes long says what it does, and one that does not says nothing."""

import io
import sys
import time

import pytest

from intnn.quantisation.progress import Patient, speaking


def test_who_is_not_patient_hears_every_line(capsys):
    with Patient(0.0) as say:
        for line in ("one", "two"):
            say(line)
    assert capsys.readouterr().err == "one\ntwo\n"


def test_what_is_soon_done_says_nothing(capsys):
    with Patient(600.0) as say:
        say("one")
    assert capsys.readouterr().err == ""


def test_one_long_step_is_named_while_it_goes_on(capsys):
    said = ""
    with Patient(0.05) as say:
        say("a short step")
        say("a long step")
        for _ in range(1000):  # it ends as soon as something is said
            time.sleep(0.01)
            said += capsys.readouterr().err
            if said:
                break
    assert said == "a long step\n"


def test_nothing_is_said_after_the_end(capsys):
    with Patient(0.2) as say:
        say("one")
    say._timer.join(10)
    assert not say._timer.is_alive()
    assert capsys.readouterr().err == ""


def test_who_gives_a_function_has_it_called():
    lines = []
    with speaking(lines.append, 600.0) as say:
        say("one")
    assert lines == ["one"]


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Gone(), closed(), None])
def test_no_search_ends_where_nobody_hears(monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with Patient(0.0) as say:
        say("one")
        say._timer.join(10)
        say("two")
    assert capsys.readouterr().out == ""  # print takes None for stdout


def test_no_timer_fails_where_nobody_hears(monkeypatch):
    failures = []
    monkeypatch.setattr("threading.excepthook", failures.append)
    monkeypatch.setattr(sys, "stderr", Gone())
    with Patient(0.05) as say:
        say("one")
        say._timer.join(10)
    assert not failures
