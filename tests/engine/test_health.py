"""Health: progress and readiness, decided from vital signs; and an engine's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch import Dispatch
from dispatch.engine.health import STARTING, Vitals, judge
from dispatch.registry import Registry

WELL = Vitals(
    loops={"worker": True, "stealer": True}, beating=True, claim_age=0.5, beat_age=3.0, call_timeout=10.0, lease=30.0
)


@pytest.mark.parametrize(
    ("changes", "live", "ready", "reason"),
    [
        ({}, True, True, ""),
        ({"loops": {"worker": True, "stealer": False}}, False, False, "the loop stealer has ended"),
        ({"beating": False}, False, False, "the heartbeat has ended"),
        ({"claim_age": 24.0}, True, True, ""),
        ({"claim_age": 26.0}, False, False, "stands still since 26 s"),
        ({"beat_age": 30.0}, True, True, ""),
        ({"beat_age": 31.0}, True, False, "the store does not answer"),
        ({"stopping": True, "beating": False, "claim_age": 99.0}, True, False, "stopping"),
    ],
)
def test_health_follows_from_the_vital_signs(changes: dict[str, Any], live: bool, ready: bool, reason: str) -> None:
    found = judge(replace(WELL, **changes))
    assert (found.live, found.ready) == (live, ready)
    assert reason in "; ".join(found.reasons)
    assert bool(found.reasons) == bool(reason)


async def test_an_engine_is_starting_then_ready_then_stopping_and_dead_when_a_loop_ends() -> None:
    registry = Registry()
    async with Dispatch("memory://", registry=registry) as app:
        engine = app.build_engine()
        assert engine.health() == STARTING
        await engine.start()
        try:
            assert engine.health().ready
            await engine._services[2].stop()
            found = engine.health()
            assert (found.live, found.ready) == (False, False)
            assert found.reasons == (f"the loop {engine._services[2].name} has ended",)
        finally:
            await engine.stop()
        assert engine.health().reasons == ("stopping",)
