"""A server on a free port over an app of its own, and a key for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatch import Dispatch, Registry, WorkflowContext
from dispatch.api.server import served
from dispatch.scope import NO_SCOPE, Scope

registry = Registry()


@registry.job(queue="mail", max_retries=0)
async def greet(name: str, times: int = 1) -> str:
    return f"hello {name}" * times


@registry.job(max_retries=0)
async def fail() -> None:
    raise ValueError("as asked")


async def look() -> int:
    return 7


@registry.workflow
async def approve(ctx: WorkflowContext, amount: int) -> int:
    seen = await ctx.step("look", look)
    answer = await ctx.wait_for_event("approved", key=amount)
    return seen + amount + int(json.loads(answer.payload)["bonus"])


@dataclass
class Place:
    """A served app."""

    app: Dispatch
    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def key(self, *scopes: str, tenant: Scope = NO_SCOPE) -> str:
        return (await self.app.keys.create("test", scopes=scopes or ("*",), scope=tenant)).token


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    app = Dispatch(f"sqlite:///{tmp_path}/wire.db", registry=registry)
    async with app, served(app, host="127.0.0.1", port=0) as (host, port):
        yield Place(app, host, port, (await app.keys.create("test", scopes=("*",))).token)
