"""What is shipped of other people's work is what they published, under licences that allow it."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

import dispatch.api.dashboard

STATIC = Path(dispatch.api.dashboard.__file__).parent / "static"
VENDOR = STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
_MOST = 150_000
_FIRST = ("app.js", "api.js", "html.js", "live.js", "talk.js", "text.js", "theme.js", "ui.js", "chart.js")


@pytest.mark.parametrize("entry", MANIFEST, ids=[entry["file"] for entry in MANIFEST])
def test_a_vendored_file_is_the_one_that_the_manifest_names(entry: dict[str, str]) -> None:
    assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert entry["licence"] in ("MIT", "Apache-2.0")
    assert (VENDOR / "licenses" / f"{entry['name']}.txt").read_text().strip()
    assert entry["version"]


def test_the_manifest_names_every_vendored_file() -> None:
    there = {path.name for path in VENDOR.iterdir() if path.is_file()}
    assert there == {entry["file"] for entry in MANIFEST} | {"manifest.json"}


def test_the_first_page_is_light() -> None:
    files = [VENDOR / entry["file"] for entry in MANIFEST]
    files += [STATIC / name for name in (*_FIRST, "index.html", "icon.svg", "style.css", "pages/overview.js")]
    assert sum(path.stat().st_size for path in files) < _MOST, "plain, without gzip"


def test_no_file_of_ours_asks_another_host_or_makes_markup_of_text() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix not in (".js", ".css", ".html") or path.is_relative_to(VENDOR):
            continue
        text = path.read_text()
        for wrong in ("http://", "https://", "innerHTML", "dangerouslySet", "document.write", "eval(", "new Function"):
            assert wrong not in text, f"{path.name}: {wrong}"


def test_the_accessibility_checker_is_the_one_that_was_published() -> None:
    packed = (Path(__file__).parent / "axe.min.js.gz").read_bytes()
    found = hashlib.sha256(gzip.decompress(packed)).hexdigest()
    published = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
    assert found == published, "axe-core 4.14.1, axe.min.js, MPL-2.0"
