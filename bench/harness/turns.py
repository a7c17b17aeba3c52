"""Contenders that take turns, so that what slows the machine down slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.harness.peak import dot_product_gops
from bench.harness.timing import timed

TURN_SECONDS = 4e-3  # of one contender; a turn has as many calls as fit, at least one


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], float]:
    """The least mean seconds of a call over the rounds, and the core's peak measured between them."""
    calls = {}
    for name, run in contenders.items():
        run()
        calls[name] = max(1, int(TURN_SECONDS / max(timed(run)[0], 1e-7)))
    best = dict.fromkeys(contenders, float("inf"))
    peak = 0.0
    for _ in range(rounds):
        peak = max(peak, dot_product_gops(repeats=1))
        for name, run in contenders.items():
            run()  # brings its own data back into the caches
            repeated = range(calls[name])
            seconds = timed(lambda run=run, repeated=repeated: [run() for _ in repeated])[0]  # type: ignore[misc]
            best[name] = min(best[name], seconds / calls[name])
    return best, peak
