"""`dispatch openapi`: the description of the HTTP API."""

from __future__ import annotations

import asyncio
from typing import Any

import typer

from dispatch_cli.session import session_of
from dispatch_cli.shell import single


@single(
    local="it describes the HTTP API of this version",
    storeless=True,
    examples=("dispatch openapi", "dispatch openapi --json | head -c 100"),
)
def app(ctx: typer.Context) -> None:
    """Print the OpenAPI 3.1 document of the HTTP API, routes of plugins included. No store is opened."""
    from dispatch import Dispatch
    from dispatch.api import API
    from dispatch.registry import Registry

    session = session_of(ctx)
    session.out.must_not_be_ids()
    session.find_own_modules()

    async def describe() -> dict[str, Any]:
        async with Dispatch("memory://", config=session.config, registry=Registry()) as app:
            return API(app).openapi()

    session.out.json(asyncio.run(describe()))
