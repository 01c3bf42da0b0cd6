"""New code takes over runs in flight, on three stores: what becomes of each, and that the check foretold it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dispatch import Config, Dispatch, Registry, WorkflowContext
from dispatch.current import using_app
from dispatch.engine.runs.deploy import check_runs
from dispatch.services.deploy import Problem
from dispatch.workflows import RunState

from .fleet import Scene, counted
from .processes import TIMES

STORES = ("sqlite", *(pytest.param(kind, marks=pytest.mark.proof) for kind in ("postgres", "redis")))
Body = Callable[[WorkflowContext], Coroutine[Any, Any, object]]


class Bodies:
    """What is deployed first, and what then, by the name of the change."""

    def __init__(self) -> None:
        self.did: list[str] = []

    async def _do(self, what: str) -> str:
        self.did.append(what)
        return what

    async def _steps(self, ctx: WorkflowContext, *names: str) -> None:
        for name in names:
            await ctx.step(name, self._do, f"{ctx.run_id} {name}")

    async def old(self, ctx: WorkflowContext) -> None:
        await self._steps(ctx, "charge", "pack")
        await ctx.wait_for_event("deployed")
        await self._steps(ctx, "ship")

    async def renamed(self, ctx: WorkflowContext) -> None:
        await self._steps(ctx, "charge card", "pack")
        await ctx.wait_for_event("deployed")
        await self._steps(ctx, "ship")

    async def inserted(self, ctx: WorkflowContext) -> None:
        await self._steps(ctx, "charge", "weigh", "pack")
        await ctx.wait_for_event("deployed")
        await self._steps(ctx, "ship")

    async def removed(self, ctx: WorkflowContext) -> None:
        await self._steps(ctx, "charge")
        await ctx.wait_for_event("deployed")
        await self._steps(ctx, "ship")

    async def changed(self, ctx: WorkflowContext) -> None:
        await self._steps(ctx, "charge")
        await ctx.sleep(0, name="pack")
        await self._steps(ctx, "ship")


OUTCOMES = {
    "old": (None, ["ship"]),
    "renamed": ((Problem.RENAMED, "charge card"), ["charge card", "ship"]),
    "inserted": ((Problem.INSERTED, "weigh"), ["weigh", "ship"]),
    "removed": ((Problem.DROPPED, "pack"), ["ship"]),
    "changed": ((Problem.BLOCKED, "pack"), []),
}


def deployed(bodies: dict[str, Body]) -> Registry:
    """The code of a deploy: a workflow of each name."""
    registry = Registry()
    for name, body in bodies.items():
        registry.workflow(name=name)(body)
    return registry


async def until(fact: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(40):
        while not await fact():
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
async def test_runs_in_flight_come_out_of_a_deploy_as_the_check_foretold(kind: str, tmp_path: Path) -> None:
    scene, bodies = Scene(kind, tmp_path), Bodies()
    config = Config.model_validate(TIMES | {"namespace": scene.namespace})
    before = deployed(dict.fromkeys(OUTCOMES, bodies.old))
    async with Dispatch(scene.url, config=config, registry=before) as app:
        await app.start()
        runs = {name: await app.workflows.start_named(name) for name in OUTCOMES}
        await until(counted(app, RunState.WAITING, len(runs)))
    done = list(bodies.did)
    assert len(done) == 2 * len(runs)

    after = deployed({name: getattr(bodies, name) for name in OUTCOMES})
    async with Dispatch(scene.url, config=config, registry=after) as app:
        with using_app(app):
            seen, concerns = await check_runs(app.store, after.workflows, queues=["default"], tick=lambda _: None)
        assert seen == len(runs)
        foretold = {concern.name: (concern.problem, concern.step) for concern in concerns}
        assert foretold == {f"{name}@1": problem for name, (problem, _) in OUTCOMES.items() if problem is not None}
        assert bodies.did == done, "the check itself has no effect"
        await app.start()
        await app.events.publish("deployed")
        await until(counted(app, RunState.COMPLETED, len(runs) - 1))
        await until(counted(app, RunState.BLOCKED, 1))
        assert (await app.workflows.get(runs["changed"].id)).state is RunState.BLOCKED
    for name, (_, acts) in OUTCOMES.items():
        assert [said for said in bodies.did[len(done) :] if said.startswith(runs[name].id)] == [
            f"{runs[name].id} {what}" for what in acts
        ]
