"""Evaluation keys are expanded by a process of its own: it may fail, or be ended, and the server goes on.

`python -m he.service.expanding` reads questions from its input, a JSON object a line: the files of an interface, of
keys as they travel, and of what is to be written. It answers each with a line: an empty object, or why not. It ends
with its input, and so with the server, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from he.circuit.interface import Interface
from he.formats.messages import MessageError
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.expanded import ExpandedKeys
from he.parties.interfaces import read_interface
from he.service.problems import busy


class Expander:
    """The process, as the server sees it. It is started when it is needed, and again when it has ended.

    Args:
        seconds: how long it may take for one set of keys.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._lock = seconds, asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process, if there is none; it goes on to load what it needs."""
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", __name__),  # of this very package, wherever the server was started
                stdin=pipe,
                stdout=pipe,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )

    async def expand(self, interface: Path, keys: Path, target: Path) -> None:
        """Expand the keys in a file, one set after the other.

        Args:
            interface: the file of their circuit's interface.
            keys: the file of the keys as they travel.
            target: the file that is written, whole or not at all.

        Raises:
            MessageError: if they are no keys of the circuit.
            OSError: if the file cannot be written.
            Problem: if the process has ended, or took too long, and was ended (503).
        """
        question = json.dumps({"interface": str(interface), "keys": str(keys), "target": str(target)})
        async with self._lock:
            await self.start()
            try:
                answer = await asyncio.wait_for(self._ask(question), self._seconds)
            except (TimeoutError, OSError, ValueError, asyncio.CancelledError) as error:
                await self.close()
                if isinstance(error, asyncio.CancelledError):
                    raise
                raise busy("the keys were not expanded in time, or not at all") from error
        if "refused" in answer:
            raise MessageError(answer["refused"])
        if "errno" in answer:
            raise OSError(answer["errno"], answer["failed"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, question: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question.encode() + b"\n")
        await self._process.stdin.drain()
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


def answered(interface: str, keys: str, target: str) -> dict[str, str | int]:
    """Expand the keys in a file; return what is said of that."""
    try:
        ExpandedKeys.of(EvaluationKeys.load(keys), _interface(interface)).save(target)
    except MessageError as error:
        return {"refused": str(error)}
    except OSError as error:
        return {"failed": type(error).__name__, "errno": error.errno or errno.EIO}
    except Exception as error:  # whoever asks learns of it, and the process goes on
        return {"failed": type(error).__name__}
    return {}


@lru_cache(16)
def _interface(path: str) -> Interface:
    return read_interface(Path(path).read_bytes())


def main() -> None:
    """Answer questions until there are no more."""
    for line in sys.stdin:
        print(json.dumps(answered(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
