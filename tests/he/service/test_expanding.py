"""The process that expands keys: what it answers, and that it may fail."""

import asyncio
import errno
import os
import signal

import pytest

from he import MessageError, interface_bytes
from he.parties.expanded import ExpandedKeys
from he.service import expanding
from he.service.expanding import Expander, answered
from he.service.problems import Problem


@pytest.fixture
def files(exact, tmp_path):
    """The files of an interface and of keys, and where expanded ones are to be."""
    interface, keys = tmp_path / "interface", tmp_path / "keys"
    interface.write_bytes(interface_bytes(exact.circuit.interface))
    exact.client.evaluation_keys.save(keys)
    return interface, keys, tmp_path / "expanded"


def test_keys_are_expanded_or_it_is_said_why_not(exact, files, monkeypatch) -> None:
    interface, keys, target = files
    assert answered(*map(str, files)) == {}
    assert ExpandedKeys.mapped(target, exact.circuit.interface).id == exact.client.evaluation_keys.id
    told = answered(str(interface), str(interface), str(target))
    assert "evaluation keys" in told["refused"]
    assert answered(str(interface), str(keys), str(target / "below")) == {
        "failed": "FileNotFoundError",
        "errno": errno.EIO,
    }
    monkeypatch.setattr(ExpandedKeys, "of", None)
    assert answered(*map(str, files)) == {"failed": "TypeError"}


def test_a_process_that_ends_or_hangs_is_replaced(exact, files) -> None:
    interface, keys, target = files

    async def story():
        expander = Expander(seconds=60)
        await expander.start()
        os.kill(expander._process.pid, signal.SIGKILL)
        with pytest.raises(Problem) as ended:
            await expander.expand(interface, keys, target)
        assert ended.value.status == 503
        await expander.expand(interface, keys, target)
        pid = expander._process.pid
        with pytest.raises(MessageError, match="evaluation keys"):
            await expander.expand(interface, interface, target)
        with pytest.raises(OSError, match="FileNotFoundError"):
            await expander.expand(interface, keys, target / "below")
        assert expander._process.pid == pid
        os.kill(pid, signal.SIGSTOP)
        expander._seconds = 0.2
        with pytest.raises(Problem) as hung:
            await expander.expand(interface, keys, target)
        assert hung.value.status == 503
        await expander.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(story())
    assert ExpandedKeys.mapped(target, exact.circuit.interface).id == exact.client.evaluation_keys.id


def test_the_process_ends_with_its_input(capsys, files, monkeypatch) -> None:
    question = '{"interface": "%s", "keys": "%s", "target": "%s"}\n' % files  # noqa: UP031 - braces
    monkeypatch.setattr(expanding.sys, "stdin", [question, question])
    expanding.main()
    assert capsys.readouterr().out == "{}\n{}\n"
