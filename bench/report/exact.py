"""Rows that train networks exactly on ciphertexts, for people."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.units import duration, percent, size
from bench.tables.exact import ExactRow


def details(row: ExactRow) -> Iterator[str]:
    """Everything else that a reader must know of a row, line by line."""
    yield f"trained is {row.trains}: {row.network}"
    yield (
        f"steps: {row.measured_steps} of {row.steps} made, on {row.n_train} encrypted images"
        + ("; the whole is extrapolated from them" if row.extrapolated else "")
        + f"; variables behind each are {'' if row.bit_identical else 'NOT '}those of the clear twin, to the bit; "
        f"refreshes: one a step, by the owner, who updates; the twin reads {percent(row.accuracy_plain)} of "
        f"{row.n_test} held-out images after all steps"
    )
    yield (
        f"integers: gradients of at most {row.gradient_bits} bits, modulo primes of "
        f"{' + '.join(map(str, row.moduli_bits))} bits; {row.budget_bits:.1f} bits of noise budget are proved to be "
        "left"
    )
    yield (
        f"owner: whitening and rounding in the clear {duration(row.prepare_s)}, keys {duration(row.keygen_s)}, samples "
        f"{duration(row.encrypt_s)}, and for each step weights {duration(row.ask_s)}, decryption and update "
        f"{duration(row.update_s)}; trainer: reading {duration(row.read_s)}, a step {duration(row.answer_s)}; "
        f"{duration(row.cpu_seconds)} of processor time for what was made, {duration(row.step_cpu_seconds)} a step, "
        f"threads: {row.threads}"
    )
    yield (
        f"bytes: samples {size(row.sample_bytes)}, a step {size(row.step_bytes)} both ways, evaluation keys "
        f"{size(row.evaluation_key_bytes)}; peak memory of all parties {size(row.peak_rss_bytes)}"
    )
    yield row.explanation
