"""The fixture `dispatch_app` where no plugin runs asynchronous tests: it says so."""

from __future__ import annotations

import pytest


@pytest.fixture
def dispatch_app() -> None:
    """Needs a plugin that runs coroutines."""
    pytest.fail(
        "dispatch_app is asynchronous, and no pytest plugin that runs coroutines is loaded: `pip install "
        "pytest-asyncio` (or use anyio's), or take dispatch_app_sync in a synchronous test",
        pytrace=False,
    )
