"""What a run records wakes no worker: claims do not rise with the steps of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dispatch import Config, Dispatch, WorkflowContext
from dispatch.registry import Registry

from .fleet import place

STEPS = 60


@pytest.mark.parametrize("kind", ["memory", "postgres", "redis"])
async def test_the_steps_of_a_run_make_its_worker_look_for_no_other_work(
    registry: Registry, tmp_path: Path, kind: str
) -> None:
    async def nothing() -> None: ...

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        for number in range(STEPS):
            await ctx.step(f"step-{number}", nothing)

    url, namespace = ("memory://", "dispatch") if kind == "memory" else place(kind, tmp_path)
    config = Config.model_validate({"namespace": namespace, "poll_interval": "60s"})
    async with Dispatch(url, config=config, registry=registry, queues=["default"]) as app:
        jobs = type(app.store.jobs)
        claim, claims = jobs.claim, 0

        async def counting(self: Any, *args: Any, **options: Any) -> Any:
            nonlocal claims
            claims += 1
            return await claim(self, *args, **options)

        with patch.object(jobs, "claim", counting):
            await app.start()
            await (await app.start_workflow(flow)).result(timeout=60)
        assert 0 < claims < STEPS / 2
