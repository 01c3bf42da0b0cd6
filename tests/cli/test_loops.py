"""A started worker tells the garbage collector what stays and how seldom to look."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from dispatch_cli.loops import has_started


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_a_worker_starts_with_stays_and_jobs_in_flight_are_not_looked_through(collector: None) -> None:
    frozen = gc.get_freeze_count()
    has_started()
    assert gc.get_freeze_count() > frozen
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 400 * 10, "more than some hundred jobs with a dozen objects each"
