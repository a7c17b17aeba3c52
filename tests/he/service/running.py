"""Servers of small networks for tests: in this process on a free port, or asked without a network."""

import asyncio
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from he import MessageError, Policy, compile_approximate, compile_exact, prepare
from he.service import server
from he.service.config import Config, Limits
from he.service.expanding import answered
from he.testing import square_graph, table_network

NETWORKS = {"exact": table_network(), "approximate": square_graph()}
POLICY = Policy(security="insecure")


def write_models(folder: Path) -> Path:
    """Two models that are computed in milliseconds."""
    folder.mkdir()
    prepare(compile_exact(NETWORKS["exact"], images=4, security="insecure")).save(folder / "exact.he")
    prepare(compile_approximate(NETWORKS["approximate"], images=4, security="insecure")).save(folder / "approximate.he")
    return folder


@cache
def hidden():
    """The exact network, to be encrypted."""
    return compile_exact(NETWORKS["exact"], weights="encrypted", images=4, security="insecure", salt=bytes(32))


class Here:
    """What stands for `Expander` where nothing depends on its process, which takes seconds to start."""

    async def start(self):
        pass

    async def expand(self, interface, keys, target):
        told = await asyncio.to_thread(answered, interface, keys, target)
        if told:
            raise {"refused": MessageError, "failed": RuntimeError}[next(iter(told))](*told.values())

    async def close(self):
        pass


@contextmanager
def running(config: Config, expander=None, **options):
    """A server in a thread of this process: what runs it, and its address."""
    one = server.server(config, port=0, **options)
    one.config.app.state.service._expander = expander or Here()
    with server.running(one) as url:
        yield one, url


def config(models: Path, store: Path, tokens: Path | None = None, **limits) -> Config:
    """A configuration with limits that tests do not meet, but for those that are given."""
    wide = {"rate": 1e6, "burst": 1e6, "evaluations": 2, "keys_each": 64, "stop_seconds": 5}
    return Config(models, store, tokens, Limits(**{**wide, **limits}))
