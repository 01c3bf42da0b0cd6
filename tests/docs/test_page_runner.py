"""The runner of snippets notices what is not true; one that lets everything pass would prove nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("page_runner.py")
PRINTS = "```python\nprint(6 * 7)\n```\n\n```text\n{}\n```\n"
FALSE = {
    "a block that raises": ("```python\nassert 1 == 2\n```\n", "AssertionError"),
    "another output": (PRINTS.format("43"), "the page shows\n  43"),
    "another command output": ("```console\n$ dispatch job count\ntotal  1\n```\n", "the page shows\n  total  1"),
    "a command that fails": ("```console\n$ dispatch job list --state lost\n```\n", "ended with 2"),
    "a command that does not fail": ("```console\n$ dispatch job count\nerror: …\n```\n", "ended with 0"),
    "lines in another order": ("```console\n$ dispatch job count\ntotal  0\npending  0\n```\n", "pending  0"),
    "an unknown key": ("```toml\nconcurency = 4\n```\n", "did you mean 'concurrency'"),
    "a block of no language": ("```\n$ dispatch frobnicate\n```\n", "say what this block is"),
}


def run(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "page.md").write_text(f"```console\n$ dispatch store init\n…\n```\n\n{page}")
    return subprocess.run(
        [sys.executable, str(RUNNER), "page.md"], cwd=folder, capture_output=True, text=True, timeout=30
    )


@pytest.mark.slow
@pytest.mark.parametrize(("page", "complaint"), FALSE.values(), ids=list(FALSE))
def test_a_page_that_is_not_true_fails(page: str, complaint: str, tmp_path: Path) -> None:
    done = run(page, tmp_path)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.slow
def test_a_page_that_is_true_passes(tmp_path: Path) -> None:
    page = PRINTS.format("4…") + "```console\n$ dispatch job count\npending    0\ntotal      0\n```\n"
    done = run(page, tmp_path)
    assert done.returncode == 0, done.stderr
