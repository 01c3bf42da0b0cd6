"""Completion: what a shell is answered, by the protocol of its script and in a real bash."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dispatch_cli.complete import _quick_url
from dispatch_cli.completing import SCRIPTS
from dispatch_cli.settings import Settings

from tests.cli.conftest import Seeds, run

Ask = Callable[..., list[str]]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> Ask:
    def ask(line: str, shell: str = "fish") -> list[str]:
        with monkeypatch.context() as patched:
            patched.setenv("_DISPATCH_COMPLETE", shell)
            patched.setenv("COMP_LINE", line)
            ran = run()
        assert (ran.code, ran.err) == (0, "")
        return ran.lines

    return ask


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("dispatch que", ["queue"]),
        ("dispatch dlq d", ["discard"]),
        ("dispatch dlqs d", ["discard"]),
        ("dispatch job list --sta", ["--state"]),
        ("dispatch job list --state f", ["failed"]),
        ("dispatch job list --state=f", ["--state=failed"]),
        ("dispatch job list -s failed -q ", ["default", "mailers", "shop", "slow"]),
        ("dispatch queue show ", ["default", "mailers", "shop", "slow"]),
        ("dispatch queue show m", ["mailers"]),
        ("dispatch queue show mailers ", []),
        ("dispatch run examples_tasks -q m", ["mailers"]),
        ("dispatch job enqueue ", ["add", "send_email"]),
        ("dispatch job enqueue send_email -q s", ["shop", "slow"]),
        ("dispatch --json job enqueue s", ["send_email"]),
        ('dispatch job enqueue "s', ["send_email"]),
        ("dispatch cron disable n", ["nightly"]),
        ("dispatch cron create digest @daily s", ["send_email"]),
        ("dispatch completion z", ["zsh"]),
        ("dispatch nonsense verb ", None),
    ],
)
def test_commands_options_and_live_values_complete(
    line: str, wanted: list[str] | None, seeds: Seeds, complete: Ask
) -> None:
    found = complete(line)
    assert found == wanted if wanted is not None else "queue" in found


def test_ids_complete_the_newest_first_and_letters_only_while_open(seeds: Seeds, complete: Ask) -> None:
    assert complete("dispatch worker show wkr_") == [seeds.worker]
    assert set(complete("dispatch dlq replay ")) == {seeds.letter, seeds.other_letter}
    assert complete(f"dispatch dlq replay {seeds.letter} dlq_")[0] == max(seeds.letter, seeds.other_letter)
    run("dlq", "discard", seeds.letter, "--yes")
    assert complete("dispatch dlq show dlq_") == [seeds.other_letter]
    jobs = complete("dispatch job show job_")
    assert jobs == sorted(jobs, reverse=True)
    assert seeds.failed in jobs


def test_the_store_that_the_line_or_a_file_names_is_asked(
    seeds: Seeds, folder: Path, complete: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dispatch.db").rename(folder / "other.db")
    assert complete("dispatch queue show ") == []
    assert complete("dispatch --store sqlite:///other.db queue show m") == ["mailers"]
    (folder / "dispatch.toml").write_text('[profiles.live]\nstore = "sqlite:///other.db"\n')
    assert complete("dispatch -P live queue show m") == ["mailers"]
    (folder / "dispatch.toml").write_text('store = "sqlite:///other.db"\n')
    assert complete("dispatch queue show m") == ["mailers"]
    monkeypatch.setenv("DISPATCH_STORE", "sqlite:///nowhere.db")
    assert complete("dispatch queue show m") == []
    assert not (folder / "nowhere.db").exists()


def test_a_broken_configuration_completes_nothing_and_says_nothing(seeds: Seeds, folder: Path, complete: Ask) -> None:
    (folder / "dispatch.toml").write_text("store = [nonsense")
    assert complete("dispatch queue show ") == []
    (folder / "dispatch.toml").write_text("")
    (folder / "dispatch.db").write_bytes(b"not a database, but long enough to look like one " * 50)
    assert complete("dispatch queue show ") == []


def test_what_stands_in_plain_sight_needs_no_configuration_loader(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _quick_url(Settings()) == "sqlite:///dispatch.db"
    assert _quick_url(Settings(store="memory://")) == "memory://"
    (folder / "pyproject.toml").write_text("")
    assert _quick_url(Settings()) is None
    (folder / "dispatch.toml").write_text('store = "env:SECRET_URL"')
    assert _quick_url(Settings()) is None
    monkeypatch.setenv("DISPATCH_STORE", "sqlite:///x.db")
    assert _quick_url(Settings()) == "sqlite:///x.db"
    monkeypatch.setenv("DISPATCH_PROFILE", "live")
    assert _quick_url(Settings()) is None


def test_completion_loads_neither_pydantic_nor_a_store(seeds: Seeds) -> None:
    code = (
        "import os, sys; os.environ.update(_DISPATCH_COMPLETE='bash', COMP_LINE='dispatch queue show m');"
        "from dispatch_cli.main import main; main([]);"
        "print([m for m in sys.modules if m.split('.')[0] in ('rich', 'pydantic', 'aiosqlite')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "mailers\n[]\n"


def test_a_bash_with_the_script_completes_and_words_with_colons_too(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dispatch_cli "$@"\n')
    (folder / "dispatch").chmod(0o755)
    run("job", "enqueue", "send_email", "to=x", "-q", "eu:mail")
    asked = "".join(
        f"COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _dispatch ./dispatch; echo \"${{COMPREPLY[*]}}\"; "
        for line in ("dispatch queue sh", "dispatch queue show eu:m", "dispatch store copy sqlite:///a sqlite:")
    )
    done = subprocess.run(
        ["bash", "-c", SCRIPTS["bash"] + asked], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout == "show\nmail\n\n"
    assert done.stderr == ""


def test_the_scripts_are_printed_and_another_shell_is_a_usage_error(folder: Path) -> None:
    for shell, script in SCRIPTS.items():
        assert run("completion", shell).out == script
    refused = run("completion", "powershell")
    assert refused.code == 2
    assert "bash, zsh, fish" in refused.err
