"""The pictures of the documentation, taken anew when DISPATCH_SCREENSHOTS names their folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dispatch.config import Config
from tests.dashboard.browsing import visiting
from tests.dashboard.stage import staged

pytestmark = pytest.mark.slow
SHOTS = (
    ("overview", "overview", "light", 1280, 860),
    ("run", "run/{waiting}", "light", 1280, 760),
    ("dead-letters", "dead", "dark", 1280, 760),
    ("phone", "jobs?state=failed", "dark", 375, 720),
)
IMAGES = Path(__file__).parents[2] / "docs" / "img"


def test_every_picture_of_the_documentation_can_be_taken(chromium: Any, tmp_path: Path) -> None:
    folder = Path(os.environ.get("DISPATCH_SCREENSHOTS") or tmp_path)
    with staged(Config(server={"environment": "staging"}), past=True) as place:
        for name, address, theme, wide, high in SHOTS:
            with visiting(chromium, place, color_scheme=theme) as visit:
                visit.page.set_viewport_size({"width": wide, "height": high})
                page = visit.go(address.format(**place.seen))
                page.locator("h1#title").wait_for()
                page.get_by_text("live", exact=True).wait_for()
                page.screenshot(path=folder / f"dashboard-{name}.png")
    taken = {path.name for path in folder.glob("dashboard-*.png")}
    assert taken == {f"dashboard-{name}.png" for name, *_ in SHOTS}
    assert taken == {path.name for path in IMAGES.glob("dashboard-*.png")}, "the documentation shows these"
