"""What a server costs beside the evaluation, and how it bears many clients and its own death."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import httpx
import numpy as np

from bench.cases.options import ServiceOptions
from bench.cases.service_load import Tenant, load, tenant
from bench.harness.case import Reporter
from bench.harness.served import Served
from bench.harness.timing import timed
from bench.report.service import ServiceRow, show
from he import Circuit, ResidueCircuit, compile_approximate, compile_exact, prepare
from he.parties.expanded import ExpandedKeys
from he.parties.policy import Policy
from he.parties.prepared import PreparedCircuit
from he.service import tokens
from he.testing import inputs
from intnn import Graph, IntNetwork
from plaintext_models import zoo

__all__ = ["ServiceJob", "jobs", "measure", "show"]

_WIDE = {"rate": 1e6, "burst": 1e6}  # what is measured is how much a server bears, not how much it allows
_IMAGES = 32

T = TypeVar("T")


@dataclass(frozen=True)
class ServiceJob:
    """A network that is served.

    Attributes:
        network: Its name.
        options: What is measured.
    """

    network: str
    options: ServiceOptions

    @property
    def title(self) -> str:
        """What is measured."""
        return f"serving {self.network}"


def jobs(options: ServiceOptions) -> tuple[ServiceJob, ...]:
    """One job for each network."""
    return tuple(ServiceJob(name, options) for name in options.network)


def measure(job: ServiceJob, report: Reporter) -> Iterator[ServiceRow]:
    """The row of one image, and then that of many clients."""
    report("compiling")
    network = zoo.load(job.network)
    circuit = compile_exact(network) if isinstance(network, IntNetwork) else compile_approximate(network)
    yield from measured(job, network, circuit, report, Policy())


def measured(
    job: ServiceJob, network: IntNetwork | Graph, circuit: Circuit | ResidueCircuit, report: Reporter, policy: Policy
) -> Iterator[ServiceRow]:
    """The rows of a network's circuit."""
    options, prepared = job.options, prepare(circuit)
    with TemporaryDirectory() as folder:
        models, store, file = (Path(folder) / name for name in ("models", "store", "tokens"))
        models.mkdir()
        prepared.save(models / "network.he")
        names = [f"tenant-{number}" for number in range(options.tenants)]
        each = [tokens.add(file, tokens.Permitted(name)) for name in names]
        limits = {**_WIDE, "threads": options.threads, "requests": options.requests}
        with Served(models, store, file, **limits) as served:
            report("sending keys")
            upload, first = timed(lambda: tenant(served.url, "network", each[0], policy))
            yield _one_image(job, served, prepared, first, network, upload, store, report)
            if not options.seconds:
                return
            tenants = [first]
            for number, token in enumerate(each[1:], 1):
                report("sending keys of other clients", number / len(each))
                tenants.append(tenant(served.url, "network", token, policy))
            yield _load(job, served, tenants, network, report)


def _one_image(
    job: ServiceJob,
    served: Served,
    prepared: PreparedCircuit,
    one: Tenant,
    network: IntNetwork | Graph,
    upload: float,
    store: Path,
    report: Reporter,
) -> ServiceRow:
    """Time one client's requests over loopback, in turns with bare evaluations, and its session after a restart."""
    options, keys = job.options, one.client.evaluation_keys
    session = prepared.session(keys, options.threads)
    here, there = Turns(), Turns(served.processor_seconds)
    headers = {"Authorization": f"Bearer {one.token}", "Content-Type": "application/octet-stream"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=60) as http:
        for turn in range(options.rounds):
            report("one image", turn / options.rounds)
            first, second, third, fourth = (one.client.encrypt(inputs(network, 1)) for _ in range(4))
            session.evaluate(first)  # brings its own data back into the caches
            answer = here.take(lambda request=second: session.evaluate(request))  # type: ignore[misc]
            http.post(one.path, content=third).raise_for_status()
            got = there.take(lambda request=fourth: http.post(one.path, content=request))  # type: ignore[misc]
            one.client.decrypt(got.raise_for_status().content, fourth)
    report("starting again")
    served.kill()
    (file,) = (store / "keys").iterdir()
    restart, interface = served.start(), prepared.circuit.interface
    ready = [timed(lambda: prepared.session(ExpandedKeys.mapped(file, interface)))[0] for _ in range(9)]
    return ServiceRow(
        job.network,
        "one image",
        evaluation_s=here.least,
        service_s=there.least,
        ratio=there.least / here.least,
        evaluation_cpu_s=here.processor,
        service_cpu_s=there.processor,
        ratio_cpu=there.processor / here.processor,
        request_bytes=len(first),
        answer_bytes=len(answer),
        key_bytes=len(keys.to_bytes()),
        expanded_bytes=file.stat().st_size,
        upload_s=upload,
        restart_s=restart,
        session_s=statistics.median(ready),
        threads=options.threads,
    )


class Turns:
    """Times of one contender's turns. What disturbs the machine lengthens some, and so the least counts.

    Args:
        elsewhere: Seconds on a processor of what works for it beside this thread, so far.
    """

    def __init__(self, elsewhere: Callable[[], float] = lambda: 0.0) -> None:
        self._seconds: list[float] = []
        self._processor: list[float] = []
        self._elsewhere = elsewhere

    def take(self, action: Callable[[], T]) -> T:
        """Do and time it."""
        elsewhere = self._elsewhere()  # whose own time does not count
        before = time.thread_time()
        seconds, result = timed(action)
        here = time.thread_time() - before
        self._processor.append(here + self._elsewhere() - elsewhere)
        self._seconds.append(seconds)
        return result

    @property
    def least(self) -> float:
        """The least seconds of a turn."""
        return min(self._seconds)

    @property
    def processor(self) -> float:
        """The median seconds on a processor."""
        return statistics.median(self._processor)


def _load(
    job: ServiceJob, served: Served, tenants: list[Tenant], network: IntNetwork | Graph, report: Reporter
) -> ServiceRow:
    options, images = job.options, inputs(network, _IMAGES)
    logits = network.logits(images)

    def during() -> None:
        if options.kill:
            served.kill()
            time.sleep(0.5)
            served.start()

    report("many clients")
    found = load(served.url, tenants, options.clients, options.seconds, images, logits, during)
    return ServiceRow(
        job.network,
        "load",
        clients=options.clients,
        tenants=len(tenants),
        seconds=options.seconds,
        killed=options.kill,
        answered=found.answered,
        wrong=found.wrong,
        lost=found.lost,
        refused={str(status): count for status, count in sorted(found.refused.items())},
        median_s=float(np.median(found.seconds)) if found.seconds else None,
        slow_s=float(np.quantile(found.seconds, 0.99)) if found.seconds else None,
        peak_bytes=served.peak_bytes,
        threads=options.threads,
    )
