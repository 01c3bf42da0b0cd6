"""Every help page can be read, and every example on one runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from dispatch_cli.dlq.base import EXAMPLE as LETTER
from dispatch_cli.event.base import EXAMPLE as EVENT
from dispatch_cli.job.base import EXAMPLE as JOB
from dispatch_cli.main import Root, app
from dispatch_cli.worker.base import EXAMPLE as WORKER
from dispatch_cli.workflow.base import EXAMPLE as RUN
from dispatch_cli.workflow.base import OTHER as OTHER_RUN

from tests.cli.conftest import Seeds, run

SLOW = {"dispatch demo --keep demo-files", "dispatch demo"}
ENDLESS = {
    *("dispatch serve", "dispatch serve myapp.tasks --host 127.0.0.1 --port 8484"),
    *("dispatch dev myapp.tasks", "dispatch dev myapp.tasks --port 8485 -c 2"),
}
"""Other tests serve."""
SHELL = f'dispatch() {{ {shlex.quote(sys.executable)} -m dispatch_cli "$@"; }}; set -o pipefail; '


def commands() -> list[tuple[str, Any]]:
    """Every command with its words, the groups too."""
    root: Any = typer.main.get_command(app)
    found = [("", root)]
    for noun in Root.table:
        group = root.get_command(None, noun)
        found.append((noun, group))
        found += [(f"{noun} {name}", command) for name, command in getattr(group, "commands", {}).items()]
    return found


def examples() -> list[str]:
    return [example for words, command in commands() if words for example in command.examples]


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_every_help_page_says_what_it_is_for_and_fits_80_columns(words: str) -> None:
    ran = run(*words.split(), "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: dispatch")
    assert len(ran.lines[2].strip()) >= 20
    assert "Global options:" in ran.out
    usage_and_options = ran.out.partition("Examples:")[0]
    assert max(map(len, usage_and_options.splitlines())) <= 80


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_every_help_page_has_examples(words: str) -> None:
    assert "Examples:\n  dispatch " in run(*words.split(), "--help").out


@pytest.mark.parametrize("example", [example for example in examples() if example not in SLOW | ENDLESS])
def test_every_example_runs(example: str, seeds: Seeds, folder: Path) -> None:
    (folder / "myapp").mkdir()
    (folder / "examples_tasks.py").rename(folder / "myapp" / "tasks.py")
    fitting = {"result": seeds.completed, "watch": seeds.completed, "cancel": seeds.pending, "explain": seeds.pending}
    verb = [*example.split(), ""][2]
    run_of = {"result": seeds.run_done, "retry": seeds.run_failed, "fork": seeds.run_done}
    text = (
        example.replace(JOB, fitting.get(verb, seeds.failed))
        .replace(LETTER, seeds.letter)
        .replace(WORKER, seeds.worker)
        .replace(RUN, run_of.get(verb, seeds.run_waiting))
        .replace(OTHER_RUN, seeds.run_failed)
        .replace(EVENT, seeds.event)
    )
    if "|" in text:
        done = subprocess.run(["bash", "-c", SHELL + text], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return
    ran = run(*shlex.split(text)[1:])
    assert ran.code == 0, ran.err
    assert not re.search("Traceback", ran.err)


def test_no_command_shows_the_help_page_and_a_noun_alone_is_a_usage_error() -> None:
    nothing, noun = run(), run("job")
    assert nothing.code == 0
    assert "Commands:" in nothing.out
    assert noun.code == 2
    assert noun.out == ""
    assert "Commands:" in noun.err


def test_plurals_are_aliases_that_the_help_page_does_not_list(seeds: Seeds) -> None:
    assert run("jobs", "count", "--json").json == run("job", "count", "--json").json
    assert "\n  jobs" not in run("--help").out


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; from dispatch_cli.main import main; main(['--help']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('rich', 'pydantic', 'aiosqlite', 'dispatch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
