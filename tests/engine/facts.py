"""How a test waits for something to be so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from dispatch.clock import boot_seconds
from dispatch.current import using_app


async def eventually(fact: Callable[[], Any], *, within: float = 20.0) -> Any:
    """The first true answer of `fact`, asked again and again; an error when there is none in time."""
    deadline = boot_seconds() + within
    while True:
        answer = fact()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert boot_seconds() < deadline, f"not within {within} s: {inspect.getsource(fact).strip()}"
        await asyncio.sleep(0.002)


async def enqueued(app: Any, call: Any) -> Any:
    """What the call answers when it is made in this app."""
    with using_app(app):
        return await call
