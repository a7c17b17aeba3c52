"""Work in several processes: order, failures, and what is left behind."""

import multiprocessing
import operator
import os
import time
from functools import partial
from pathlib import Path

import pytest

from bench.papers.processes import in_processes


def nothing(_):
    """Hear how many calls are over."""


def test_calls_of_a_key_follow_one_another_in_one_process_and_keys_run_side_by_side(tmp_path):
    def written(key, number):
        return partial(os.link, tmp_path / f"{key}{number - 1}", tmp_path / f"{key}{number}")  # needs the one before

    for key in "abc":
        (tmp_path / f"{key}0").write_text(key)
    over = []
    work = {key: [written(key, number) for number in range(1, 4)] for key in "abc"}
    in_processes(work, 2, over.append)
    assert over == list(range(1, 10))
    assert all((tmp_path / f"{key}3").read_text() == key for key in "abc")
    meeting = {key: [partial(os.mkfifo, tmp_path / f"pipe {key}")] for key in range(2)}
    in_processes(meeting, 2, nothing)
    pipe = tmp_path / "pipe 0"  # whoever opens one end waits for the other
    in_processes({0: [partial(Path.read_text, pipe)], 1: [partial(Path.write_text, pipe, "met")]}, 2, nothing)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (partial(operator.truediv, 1, 0), ZeroDivisionError, "division by zero"),
        (partial(os._exit, 3), ChildProcessError, "--processes 1"),
    ],
)
def test_an_error_ends_all_processes_and_the_next_time_there_are_new_ones(call, error, match, tmp_path):
    begin = time.monotonic()
    late = tmp_path / "late"
    with pytest.raises(error, match=match):
        in_processes({0: [call, partial(late.touch)], 1: [partial(time.sleep, 600)]}, 2, nothing)
    assert time.monotonic() - begin < 60
    assert not late.exists()
    assert not multiprocessing.active_children()
    in_processes({0: [partial(late.touch)]}, 2, nothing)
    assert late.exists()


def test_an_interrupt_ends_processes_that_are_at_work():
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_processes({0: [partial(abs, 1)], 1: [partial(time.sleep, 600)]}, 2, interrupted)
    assert not multiprocessing.active_children()
