"""A run that costs too many workers while it takes back what it did: its end is told of as others are."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dispatch import WorkflowContext, hookimpl
from dispatch.engine.report import Report
from dispatch.engine.settings import Settings
from dispatch.engine.stealer import Stealer
from dispatch.errors import RunFailed
from dispatch.jobs.model import JobState, Stolen
from dispatch.registry import Registry
from dispatch.testing import MemoryApp


async def test_a_run_that_a_steal_has_ended_is_told_of_as_failed(registry: Registry) -> None:
    told: list[tuple[bool, str]] = []

    class Plugin:
        @hookimpl
        def workflow_failed(self, run: Any, error: Any) -> None:
            told.append((run.compensation_failed, error.type))

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    async with MemoryApp(registry, plugins=[Plugin()]) as app:
        handle = await flow.start()
        with pytest.raises(RunFailed):
            await handle.result()
        await app.plugins.drain(20)
        told.clear()
        run = replace(await app.workflows.get(handle.id), compensation_failed=True)
        driver = await app.jobs.get(run.driver)
        assert (driver.kind, driver.state) == ("workflow", JobState.FAILED)

        async def steal(**_: Any) -> list[Stolen]:
            return [Stolen(driver, None)]

        async def get(run_id: Any) -> Any:
            assert run_id == run.id
            return run

        store: Any = SimpleNamespace(jobs=SimpleNamespace(steal=steal), workflows=SimpleNamespace(get=get))
        logger = logging.getLogger("dispatch")
        stealer = Stealer(
            store,
            Settings(),
            may_steal=lambda: True,
            report=Report(app.plugins, logger=logger),
            on_death=lambda error: None,
            logger=logger,
        )
        await stealer.run_once()
        await app.plugins.drain(10)
    assert told == [(True, "ValueError")]
