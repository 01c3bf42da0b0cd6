"""Hooks that are awaited: each gets what it names, in order, and one bad plugin stops nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from engine.facts import eventually
from hooking import plugin

from dispatch.errors import InvalidPlugin
from dispatch.hookspecs import hookimpl
from dispatch.plugins import PluginManager


async def test_each_implementation_gets_only_the_arguments_it_names(manager: PluginManager) -> None:
    seen: list[Any] = []

    async def everything(**facts: Any) -> None:
        seen.append(facts)

    manager.register(plugin(job_failed=lambda error: seen.append(error)))
    manager.register(plugin(job_failed=lambda *, job=None: seen.append(job)))
    manager.register(plugin(job_failed=everything))
    await manager.notify("job_failed", job="j", error="e")
    assert seen == [{"job": "j", "error": "e"}, "j", "e"]
    seen.clear()
    manager.register(plugin(worker_stopped=lambda worker, *rest: seen.append((worker, rest))))
    manager.register(plugin(worker_stopped=lambda *rest, worker: seen.append((worker, rest))))
    manager.register(plugin(worker_stopped=everything))
    await manager.notify("worker_stopped", worker="w")
    assert seen == [{"worker": "w"}, ("w", ()), ("w", ())]


async def test_implementations_run_in_the_order_of_pluggy(manager: PluginManager) -> None:
    seen: list[str] = []

    class Marked:
        @hookimpl(trylast=True)
        def shutdown(self) -> None:
            seen.append("last")

        @hookimpl(tryfirst=True, specname="shutdown")
        async def at_the_end(self) -> None:
            seen.append("first")

    manager.register(Marked())
    manager.register(plugin(shutdown=lambda: seen.append("earlier")))
    manager.register(plugin(shutdown=lambda: seen.append("later")))
    await manager.notify("shutdown")
    assert seen == ["first", "later", "earlier", "last"]


@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
async def test_a_failing_hook_is_logged_with_its_plugin_and_stops_nobody(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[str] = []

    def fails() -> None:
        raise error

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise error

    manager.register(plugin(shutdown=lambda: seen.append("reached")), "good")
    manager.register(plugin(shutdown=fails), "bad")
    manager.register(plugin(shutdown=fails_later), "worse")
    await asyncio.wait_for(manager.notify("shutdown"), 20)
    assert seen == ["reached"]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"plugin 'worse': its shutdown raised {type(error).__name__}",
        f"plugin 'bad': its shutdown raised {type(error).__name__}",
    ]


async def test_a_plain_hook_that_raises_stop_iteration_is_named_at_once(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.register(plugin(job_enqueuing=lambda: next(iter(()))), "bad")
    assert await manager.collect("job_enqueuing", job="j") == []
    assert "plugin 'bad': its job_enqueuing raised StopIteration" in caplog.text


async def test_a_hook_that_takes_too_long_is_cancelled_and_named(caplog: pytest.LogCaptureFixture) -> None:
    manager = PluginManager(hook_timeout=0.01)
    cancelled = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    manager.register(plugin(shutdown=hangs), "slow")
    await asyncio.wait_for(manager.notify("shutdown"), 5)
    assert cancelled.is_set()
    assert "plugin 'slow': its shutdown took longer than 0.01 s" in caplog.text


async def test_a_timeout_error_of_the_plugin_itself_is_told_as_such(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise TimeoutError("its own")

    manager.register(plugin(shutdown=fails), "own")
    await manager.notify("shutdown")
    assert "raised TimeoutError" in caplog.text


async def test_cancelling_the_caller_goes_through(manager: PluginManager, caplog: pytest.LogCaptureFixture) -> None:
    inside = asyncio.Event()

    async def hangs() -> None:
        inside.set()
        await asyncio.Event().wait()

    manager.register(plugin(shutdown=hangs))
    task = asyncio.create_task(manager.notify("shutdown"))
    await asyncio.wait_for(inside.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not caplog.records


async def swallows_cancellation(seen: list[str]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("swallowed")


async def swallows_everything(seen: list[str]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            seen.append("swallowed")


async def waits_for_such_a_task(seen: list[str]) -> None:
    gate = asyncio.Event()

    async def goes_on() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                seen.append("swallowed")

    asyncio.get_running_loop().call_later(3, gate.set)  # so that the test's own loop can end
    await asyncio.create_task(goes_on())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bad", [swallows_cancellation, swallows_everything, waits_for_such_a_task])
async def test_a_hook_that_swallows_its_cancellation_is_ended_and_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, bad: Callable[[list[str]], Any]
) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    manager = PluginManager(hook_timeout=0.02)
    seen: list[str] = []

    async def job_started() -> None:
        await bad(seen)

    async def good() -> None:
        seen.append("reached")

    manager.register(plugin(job_started=good), "good")
    manager.register(plugin(job_started=job_started), "bad")
    await asyncio.wait_for(manager.notify("job_started", job="j"), 20)
    assert seen[0] == "swallowed" and seen[-1] == "reached"
    text = "plugin 'bad': its job_started took longer than 0.02 s, went on when it was cancelled, and was ended"
    assert text in caplog.text
    seen.clear()
    manager.background("job_started", job="j")
    await eventually(lambda: "reached" in seen)
    assert await manager.drain(20) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_ends_although_a_hook_swallows_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    seen: list[str] = []

    async def main() -> None:
        manager = PluginManager(hook_timeout=0.02)

        async def shutdown() -> None:
            await swallows_cancellation(seen)

        manager.register(plugin(shutdown=shutdown))
        await manager.notify("shutdown")

    asyncio.run(main())
    assert seen


async def test_a_cancelled_caller_is_not_held_up_by_a_hook_that_swallows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    manager, begun = PluginManager(hook_timeout=3600), asyncio.Event()

    async def job_enqueuing() -> None:
        begun.set()
        await swallows_cancellation([])

    manager.register(plugin(job_enqueuing=job_enqueuing))
    enqueue = asyncio.create_task(manager.collect("job_enqueuing", job="j"))
    await asyncio.wait_for(begun.wait(), 20)
    enqueue.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(enqueue, 20)


async def test_what_a_plain_hook_answers_too_late_to_be_awaited_is_closed() -> None:
    manager, gate, closed = PluginManager(hook_timeout=0.02), threading.Event(), list[str]()

    async def never() -> None: ...

    def job_enqueuing() -> Any:
        assert gate.wait(20)
        closed.append("soon")
        return never()

    manager.register(plugin(job_enqueuing=job_enqueuing))
    assert await manager.collect("job_enqueuing", job="j") == []
    gate.set()
    assert await manager.drain(20) == 0
    assert closed == ["soon"]  # and no warning of a coroutine that was never awaited, which would be an error here


async def test_what_a_hook_answers_in_spite_of_its_cancellation_counts(manager: PluginManager) -> None:
    manager = PluginManager(hook_timeout=0.02)

    async def job_enqueuing() -> dict[str, int]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return {"late": 1}
        return {}

    manager.register(plugin(job_enqueuing=job_enqueuing))
    assert await manager.collect("job_enqueuing", job="j") == [{"late": 1}]


async def test_a_hook_that_blocks_the_loop_is_named(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 0.5])
    monkeypatch.setattr("dispatch.plugins.manager.time.perf_counter", lambda: next(ticks))

    async def shutdown() -> None: ...

    manager.register(plugin(shutdown=shutdown), "blocker")
    await manager.notify("shutdown")
    assert "plugin 'blocker': its shutdown held the event loop for 0.500 s" in caplog.text


async def test_a_plugin_that_takes_its_time_to_say_what_it_brings_holds_up_no_job_and_is_not_blamed(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 0.5])
    monkeypatch.setattr("dispatch.plugins.manager.time.perf_counter", lambda: next(ticks))
    manager.register(plugin(register_middleware=lambda: []), "importer")
    assert await manager.collect("register_middleware") == [[]]
    assert (next(ticks, "asked twice"), caplog.text) == ("asked twice", "")


async def test_collect_answers_what_was_returned_without_failures(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(job: Any) -> dict[str, Any]:
        return {"later": job}

    manager.register(plugin(job_enqueuing=lambda job: {"now": job}))
    manager.register(plugin(job_enqueuing=lambda job: 1 / 0), "bad")
    manager.register(plugin(job_enqueuing=lambda: None))
    manager.register(plugin(job_enqueuing=later))
    assert await manager.collect("job_enqueuing", job="j") == [{"later": "j"}, {"now": "j"}]
    assert "plugin 'bad'" in caplog.text


async def test_a_registration_hook_that_fails_is_an_error(manager: PluginManager) -> None:
    manager.register(plugin(register_middleware=lambda: 1 / 0), "bad")
    with pytest.raises(InvalidPlugin, match="plugin 'bad': its register_middleware raised ZeroDivisionError"):
        await manager.collect("register_middleware")


async def test_a_registration_hook_that_hangs_is_an_error_in_good_time() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    manager = PluginManager(hook_timeout=0.02)
    manager.register(plugin(register_middleware=hangs), "slow")
    with pytest.raises(InvalidPlugin, match=r"plugin 'slow': its register_middleware took longer than 0\.02 s"):
        await manager.collect("register_middleware")


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3)], ids=["error", "exit"])
async def test_a_plugin_that_fails_before_an_enqueue_keeps_nobody_else_s_additions_back(
    manager: PluginManager, error: BaseException
) -> None:
    def fails() -> None:
        raise error

    manager.register(plugin(job_enqueuing=lambda job: {"first": job}), "first")
    manager.register(plugin(job_enqueuing=fails), "bad")
    manager.register(plugin(job_enqueuing=lambda job: {"last": job}), "last")
    assert await manager.collect("job_enqueuing", job=1) == [{"last": 1}, {"first": 1}]
