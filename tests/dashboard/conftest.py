"""Chromium, a served dashboard for each module, and somebody who has logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browsing import Place, Visit, placed, visiting

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; a module long, for as long as it runs no asynchronous test can."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need `playwright`")
    if not CHROMIUM.exists():
        pytest.skip(f"the browser tests need {CHROMIUM}")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One for the tests of a module."""
    with placed() as found:
        yield found


@pytest.fixture
def visit(chromium: Any, place: Place) -> Iterator[Visit]:
    """Somebody who may do everything."""
    with visiting(chromium, place) as found:
        yield found
