"""The fixture `dispatch_app` where anyio's pytest plugin is loaded and pytest-asyncio is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dispatch.registry import Registry
    from dispatch.testing import MemoryApp


@pytest.fixture
async def dispatch_app(anyio_backend_name: str, dispatch_registry: Registry) -> AsyncIterator[MemoryApp]:
    """A memory app: `await send_email.enqueue(...)`, then `await dispatch_app.run_until_idle()`."""
    from dispatch.testing import MemoryApp

    if anyio_backend_name != "asyncio":
        pytest.fail(f"Dispatch runs on asyncio, not on {anyio_backend_name}: set the anyio_backend to 'asyncio'", False)
    async with MemoryApp(dispatch_registry) as app:
        yield app
