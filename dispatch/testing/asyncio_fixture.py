"""The fixture `dispatch_app` where pytest-asyncio is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from dispatch.registry import Registry
    from dispatch.testing import MemoryApp


@pytest_asyncio.fixture
async def dispatch_app(request: pytest.FixtureRequest, dispatch_registry: Registry) -> AsyncIterator[MemoryApp]:
    """A memory app: `await send_email.enqueue(...)`, then `await dispatch_app.run_until_idle()`."""
    from dispatch.testing import MemoryApp

    complaint = _unfit(request.node, request.config)
    if complaint:
        pytest.fail(complaint, pytrace=False)
    async with MemoryApp(dispatch_registry) as app:
        yield app


def _unfit(test: pytest.Item, config: pytest.Config) -> str | None:
    """Why the test could not use the fixture: on another loop than the test's, every call would hang."""
    marker = test.get_closest_marker("asyncio")
    if marker is None:
        return "dispatch_app lives on an event loop, which does not run in a synchronous test: take dispatch_app_sync"
    option = "asyncio_default_fixture_loop_scope"
    mine = config.getini(option) or "function"
    theirs = marker.kwargs.get("loop_scope") or config.getini("asyncio_default_test_loop_scope")
    if theirs != mine.replace("fixture-scope", "function"):
        return (
            f"the test runs on the event loop of its {theirs}, dispatch_app on that of its {mine} ({option}): make "
            f"them the same, or open the app in the test with `async with dispatch.testing.app():`"
        )
    return None
