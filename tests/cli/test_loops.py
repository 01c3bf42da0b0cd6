"""A started worker tells the garbage collector what stays and how seldom to look."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest
from dispatch_cli.loops import has_started


@pytest.fixture
def collector() -> Iterator[None]:
    before, turn = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    sys.setswitchinterval(turn)


def test_threads_of_a_worker_take_short_turns(collector: None) -> None:
    sys.setswitchinterval(0.005)  # Python's own
    has_started()
    assert sys.getswitchinterval() < 0.002


def test_what_a_worker_starts_with_stays_and_jobs_in_flight_are_not_looked_through(collector: None) -> None:
    frozen = gc.get_freeze_count()
    has_started()
    assert gc.get_freeze_count() > frozen
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 400 * 10, "more than some hundred jobs with a dozen objects each"
