"""Plugins' own jobs and loops in a worker: they run beside its own and harm nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dispatch import Config, Dispatch, hookimpl
from dispatch.engine.guest import Guest
from dispatch.errors import DuplicateName
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.testing import MemoryApp


class Rounds:
    """A service that counts its rounds and wants to sleep for long."""

    name = "rounds"

    def __init__(self, error: BaseException | None = None) -> None:
        self.done = 0
        self.error = error
        self.changed = asyncio.Event()

    async def run_once(self) -> float:
        self.done += 1
        self.changed.set()
        if self.error is not None:
            raise self.error
        return 60.0

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.done < count:
                self.changed.clear()
                await self.changed.wait()


class Bringer:
    """A plugin with a job and a service."""

    def __init__(self, service: Rounds | None = None) -> None:
        self.ran: list[str] = []
        self.services = [service] if service else []
        self.store: Store | None = None

    @hookimpl
    def register_jobs(self, store: Store) -> list[Any]:
        self.store = store

        async def work(text: str) -> None:
            self.ran.append(text)

        return [Registry().job(name="bringer.work", queue="brought")(work)]

    @hookimpl
    async def register_services(self, store: Store) -> list[Rounds]:
        assert store is self.store
        return self.services

    async def enqueue(self, text: str) -> JobID:
        assert self.store is not None
        job = NewJob(JobID.new(), "bringer.work", b'{"text": "%s"}' % text.encode(), queue="brought")
        await self.store.jobs.enqueue([job])
        return job.id


def app_with(*plugins: object, registry: Registry | None = None) -> Dispatch:
    return Dispatch("memory://", config=Config(), registry=registry or Registry(), plugins=plugins)


async def test_a_plugins_job_runs_on_the_queue_it_names_and_is_announced_to_nobody() -> None:
    plugin = Bringer()
    async with app_with(plugin) as app:
        assert app.served_queues() == ["default", "brought"]
        assert not app.registry.jobs
        await app.start()
        await app.jobs.wait(await plugin.enqueue("hello"), timeout=5)
        assert plugin.ran == ["hello"]
        assert await app.store.cluster.definitions() == []


async def test_two_apps_on_one_registry_run_the_jobs_of_their_own_plugins(registry: Registry) -> None:
    one, other = Bringer(), Bringer()
    async with app_with(one, registry=registry) as first, app_with(other, registry=registry) as second:
        await first.start()
        await second.start()
        await first.jobs.wait(await one.enqueue("one"), timeout=5)
        await second.jobs.wait(await other.enqueue("other"), timeout=5)
    assert (one.ran, other.ran) == (["one"], ["other"])


async def test_a_plugins_job_may_not_take_the_name_of_the_applications(registry: Registry) -> None:
    @registry.job(name="bringer.work")
    async def mine() -> None: ...

    async with app_with(Bringer(), registry=registry) as app:
        with pytest.raises(DuplicateName, match=r"bringer\.work"):
            await app.start()


async def test_a_service_runs_in_the_worker_and_again_when_the_store_changes() -> None:
    service = Rounds()
    plugin = Bringer(service)
    async with app_with(plugin) as app:
        assert service.done == 0
        await app.start()
        await service.reached(1)
        await plugin.enqueue("hello")
        await service.reached(2)


async def test_a_service_that_raises_is_named_in_the_log_and_the_worker_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = Bringer(Rounds(error=ValueError("no such thing")))
    with caplog.at_level(logging.ERROR, "dispatch.engine"):
        async with app_with(plugin) as app:
            await app.start()
            await plugin.services[0].reached(2)
            await app.jobs.wait(await plugin.enqueue("still"), timeout=5)
    assert plugin.ran == ["still"]
    assert "rounds failed (try 1)" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_what_would_end_a_process_is_an_ordinary_failure_of_the_service(error: BaseException) -> None:
    def died(error: BaseException) -> None:
        raise AssertionError(error)

    guest = Guest(Rounds(error=error), on_death=died, logger=logging.getLogger("dispatch.test"))
    with pytest.raises(RuntimeError, match=f"'rounds' of a plugin raised {type(error).__name__}"):
        await guest.run_once()


async def test_a_service_whose_own_task_was_cancelled_is_tried_again() -> None:
    """It is nobody's wish that the worker ends."""
    deaths: list[BaseException] = []
    service = Rounds(error=asyncio.CancelledError())
    guest = Guest(service, on_death=deaths.append, logger=logging.getLogger("dispatch.test"))
    guest.start()
    await service.reached(2)
    await guest.stop()
    assert deaths == []


async def test_a_memory_app_runs_plugins_jobs_and_services_when_it_is_told_to() -> None:
    service = Rounds()
    plugin = Bringer(service)
    async with MemoryApp(Registry(), plugins=[plugin]) as app:
        await plugin.enqueue("hello")
        assert (await app.run_until_idle()).completed == 1
        assert plugin.ran == ["hello"]
        assert service.done
