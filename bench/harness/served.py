"""A server in a process of its own, which may be killed, and what it has taken of memory."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import httpx

_SAMPLE_SECONDS = 0.2


class Served:
    """`python -m he serve` on a free port of this machine. It is a context manager.

    Args:
        models: the folder of its models.
        store: its own folder.
        tokens: its file of permitted clients.
        limits: of `he.service.config.Limits`.

    Attributes:
        url: its address.
        peak_bytes: The largest memory of its own, without mapped files, that was seen of it and of what it has started,
            taken together; None where the system does not tell.
    """

    def __init__(self, models: Path, store: Path, tokens: Path, **limits: float) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.peak_bytes: int | None = None
        self._command = [sys.executable, "-m", "he", "serve", "--port", str(port)]
        self._command += ["--models", str(models), "--store", str(store), "--tokens", str(tokens)]
        self._command += [f"--limit={name}={number}" for name, number in limits.items()]
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sampler.join()
        self._process.terminate()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def start(self) -> float:
        """Start the process, and return the seconds that passed until it answered.

        Raises:
            ValueError: It ended instead.
        """
        start = time.perf_counter()
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)  # noqa: S603 - our own program
        while self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/health")
                return time.perf_counter() - start
            time.sleep(0.02)
        raise ValueError(f"the server ended with {self._process.returncode} before it answered")

    def processor_seconds(self) -> float:
        """Return the seconds on a processor of the threads that the process has; 0 where the system does not tell."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self._process.wait()

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            found = own_bytes(self._process.pid)
            if found is not None:
                self.peak_bytes = max(found, self.peak_bytes or 0)


def own_bytes(pid: int) -> int | None:
    """The memory of a process and of its children that is no file's; None where the system does not tell."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    own = re.search(r"RssAnon:\s*(\d+) kB", status)
    return 1024 * int(own[1]) + sum(own_bytes(int(child)) or 0 for child in children) if own else None
