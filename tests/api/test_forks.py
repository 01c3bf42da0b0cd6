"""A fork over HTTP: what it inherits is taken back only when the request says so."""

from __future__ import annotations

import httpx2
import pytest

from dispatch import WorkflowContext, testing
from dispatch.access import EVERYTHING
from dispatch.api import API
from dispatch.errors import Fail
from dispatch.registry import Registry
from dispatch.workflows import RunState
from tests.api.world import BASE


@pytest.mark.parametrize("undo_inherited", [False, True])
async def test_a_fork_takes_back_what_it_inherited_only_when_told_over_http(undo_inherited: bool) -> None:
    registry, log = Registry(), list[str]()

    async def do(what: str) -> str:
        log.append(what)
        return what

    async def undo(what: str) -> None:
        log.append(f"undo {what}")

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", do, "charge").compensate(undo)
        await ctx.step("pack", do, "pack").compensate(undo)
        raise Fail("sold out")

    async with testing.app(registry) as app:
        old = await flow.start()
        await app.run_until_idle()
        log.clear()
        transport = httpx2.ASGITransport(API(app).asgi())
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            token = (await app.keys.create("tester", scopes=(EVERYTHING,))).token
            made = await client.post(
                f"/v1/workflows/runs/{old.id}/fork",
                headers={"Authorization": f"Bearer {token}"},
                json={"before": "pack", "undo_inherited": undo_inherited},
            )
        assert (made.status_code, made.json()["forked_from"]) == (201, str(old.id))
        await app.run_until_idle()
        assert log == ["pack", "undo pack", *(["undo charge"] if undo_inherited else [])]
        assert (await app.workflows.count())[RunState.FAILED] == 2
