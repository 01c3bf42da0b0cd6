"""Hooks in the background, and plain ones on a thread of their plugin: they are waited for, for so long."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from typing import Any

import pytest
from engine.facts import eventually
from hooking import plugin

from dispatch.plugins import PluginManager


async def test_has_follows_later_registrations_and_refuses_typing_errors(manager: PluginManager) -> None:
    assert not manager.has("shutdown")
    manager.register(plugin(shutdown=lambda: None))
    assert manager.has("shutdown")
    assert not manager.has("job_failed")
    with pytest.raises(KeyError):
        manager.has("shutdwon")


async def test_drain_waits_for_background_calls_and_for_those_they_start(manager: PluginManager) -> None:
    seen: list[str] = []

    async def first(job: Any) -> None:
        await asyncio.sleep(0)
        manager.background("job_completed", job=job, elapsed=0.1)
        seen.append("started")

    manager.register(plugin(job_started=first, job_completed=lambda job: seen.append("completed")))
    manager.background("job_started", job="j")
    assert seen == []
    assert await manager.drain(5) == 0
    assert seen == ["started", "completed"]


async def test_drain_gives_up_and_cancels_what_is_left(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    manager.register(plugin(shutdown=hangs))
    manager.background("shutdown")
    await asyncio.wait_for(begun.wait(), 20)
    assert await manager.drain(0.01) == 1
    assert cancelled.is_set()
    assert "hook shutdown was still running" in caplog.text
    assert await manager.drain(5) == 0


async def test_a_hook_that_drains_does_not_wait_for_itself(manager: PluginManager) -> None:
    left: list[int] = []

    async def closes() -> None:
        left.append(await manager.drain(3600))

    manager.register(plugin(shutdown=closes))
    manager.background("shutdown")
    await asyncio.wait_for(manager.drain(5), 10)
    assert left == [0]


async def test_background_makes_no_task_for_a_hook_that_nobody_implements(manager: PluginManager) -> None:
    before = asyncio.all_tasks()
    manager.background("job_started", job="j")
    assert asyncio.all_tasks() == before


async def test_calls_that_plugins_do_not_keep_up_with_wait_and_then_are_left_out(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 2)
    monkeypatch.setattr("dispatch.plugins.manager.MOST_WAITING", 3)
    gate, begun = asyncio.Event(), list[int]()

    async def slow(job: int) -> None:
        begun.append(job)
        await gate.wait()

    manager.register(plugin(job_started=slow), "slow one")
    for number in range(9):
        manager.background("job_started", job=number)
    await eventually(lambda: len(begun) == 2)
    (record,) = [record for record in caplog.records if "were left out" in record.getMessage()]
    assert "3 wait already, since plugins hang or do not keep up: slow one" in record.getMessage()
    gate.set()
    assert await manager.drain(5) == 0
    assert begun == [0, 1, 2, 3, 4]


async def test_a_call_that_waits_for_its_turn_is_not_made_twice_for_plain_hooks(
    manager: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 1)
    told, waited = list[int](), list[int]()

    async def later(job: int) -> None:
        await asyncio.sleep(0)
        waited.append(job)

    manager.register(plugin(job_started=later))
    manager.register(plugin(job_started=lambda job: told.append(job)))
    for number in range(3):
        manager.background("job_started", job=number)
    await eventually(lambda: len(waited) == 3)
    assert await manager.drain(20) == 0
    assert told == waited == [0, 1, 2]


async def test_calls_that_still_wait_when_time_is_up_are_told_and_not_begun(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 1)
    begun: list[int] = []

    async def hangs(job: int) -> None:
        begun.append(job)
        await asyncio.Event().wait()

    manager.register(plugin(job_started=hangs))
    for number in range(3):
        manager.background("job_started", job=number)
    await eventually(lambda: begun)
    assert await manager.drain(0.01) == 3
    assert begun == [0]
    assert "2 calls of hooks still waited for their turn" in caplog.text


async def test_plain_hooks_of_a_plugin_are_called_in_order_on_a_thread_of_its_own(manager: PluginManager) -> None:
    seen: list[str] = []

    async def later() -> None:
        seen.append("awaited")

    manager.register(plugin(job_started=lambda job: seen.append(job), job_completed=lambda job: later()))
    manager.background("job_started", job="a")
    manager.background("job_completed", job="b", elapsed=0.0)
    manager.background("job_started", job="c")
    assert await manager.drain(5) == 0
    assert [word for word in seen if word != "awaited"] == ["a", "c"]
    assert "awaited" in seen


async def test_a_plain_hook_that_hangs_holds_up_neither_the_loop_nor_other_plugins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = PluginManager(hook_timeout=0.05)
    gate, seen = threading.Event(), list[str]()
    manager.register(plugin(job_started=lambda job: seen.append(job)), "good")
    manager.register(plugin(job_started=lambda: gate.wait(), job_enqueuing=lambda: {"late": 1}), "hung")
    try:
        for job in "abc":
            manager.background("job_started", job=job)
        while len(seen) < 3:
            await asyncio.sleep(0)
        assert await manager.collect("job_enqueuing", job="d") == []
        assert re.search("plugin 'hung': its job_enqueuing (took longer than 0.05 s|raised TimeoutError)", caplog.text)
        assert await manager.collect("job_enqueuing", job="e") == []
        manager.background("job_started", job="f")
        assert "calls of hooks were left out" in caplog.text and "hung" in caplog.text
        assert await manager.drain(0.01) >= 1
    finally:
        gate.set()


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=["error", "exit", "ctrl-c"]
)
async def test_a_plain_hook_that_fails_is_logged_and_stops_nobody(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[str] = []

    def fails() -> None:
        raise error

    manager.register(plugin(job_started=lambda: seen.append("other")), "good")
    manager.register(plugin(job_started=fails), "bad")
    manager.background("job_started", job="a")
    assert await manager.drain(5) == 0
    assert seen == ["other"]
    assert f"plugin 'bad': its job_started raised {type(error).__name__}" in caplog.text


async def test_the_logger_that_was_given_is_used(caplog: pytest.LogCaptureFixture) -> None:
    manager = PluginManager(logger=logging.getLogger("mine"))
    manager.register(plugin(shutdown=lambda: 1 / 0))
    await manager.notify("shutdown")
    assert [record.name for record in caplog.records] == ["mine"]
