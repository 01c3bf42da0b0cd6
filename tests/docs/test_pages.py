"""The README and the pages under docs say what is true: each of their snippets runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from snippets import commands, snippets

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNER = Path(__file__).with_name("page_runner.py")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
NOT_RUN = ("pip install", "./dev ", "pytest ")


def name_of(page: Path) -> str:
    return page.name


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-W", "error", str(RUNNER), str(page)]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_only_what_installs_or_tests_the_project_itself_is_left_out(page: Path) -> None:
    for snippet in snippets(page):
        if snippet.not_run:
            assert snippet.language in {"console", "bash"}, snippet.place
            for command in commands(snippet):
                assert command.text.startswith(NOT_RUN), f"{command.place}: {command.text!r} could be run"


@pytest.mark.parametrize("page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [page.parent / target for target in LINK.findall(page.read_text())]
    assert [str(target) for target in targets if not target.exists()] == []
