"""Every command in the same six situations: piped, NO_COLOR, 80 columns, no store, a wrong name or id, Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli.main import main
from dispatch_cli.render import Output
from rich.cells import cell_len

from dispatch.stores.sqlite import SQLiteStore
from tests.cli.conftest import Seeds, run
from tests.cli.test_examples import commands
from tests.cli.test_exit_codes import UNKNOWN_JOB, UNKNOWN_LETTER, UNKNOWN_WORKER

UNKNOWN_RUN, UNKNOWN_EVENT = "run_00000000000000000000000001", "evt_00000000000000000000000001"
DOWN = "sqlite:////no/such/folder/dispatch.db"


@dataclass(frozen=True)
class Case:
    """How a command is used."""

    good: str
    """Arguments with which it does something in the seeded store."""
    wrong: str = ""
    """Arguments that name what is not there; "": it takes no name or id."""
    down: int | None = 6
    """The exit code without a store; None: it needs none."""
    long: bool = False
    """It writes values as long as they are: fields, files, scripts."""
    slow: bool = False
    """Its own tests run it to the end."""


CASES = {
    "run": Case("examples_tasks --burst", "nowhere.tasks", long=True, slow=True),
    "dev": Case("examples_tasks --port 0", long=True, slow=True),
    "serve": Case("--port 0", "nowhere.tasks --port 0", long=True, slow=True),
    "demo": Case("", down=None, slow=True),
    "status": Case("", long=True),
    "top": Case("--once --interval 0.2s"),
    "job enqueue": Case("send_email to=ada", long=True),
    "job call": Case("add x:=1 --app examples_tasks", "nope --app examples_tasks", down=None),
    "job list": Case(""),
    "job count": Case(""),
    "job show": Case("{completed}", UNKNOWN_JOB, long=True),
    "job explain": Case("{pending}", UNKNOWN_JOB, long=True),
    "job retry": Case("{failed}", UNKNOWN_JOB),
    "job cancel": Case("{pending}", UNKNOWN_JOB),
    "job delete": Case("{failed} --yes", f"{UNKNOWN_JOB} --yes"),
    "job result": Case("{completed}", UNKNOWN_JOB),
    "job watch": Case("{completed}", UNKNOWN_JOB),
    "job stats": Case("", "nope"),
    "dlq list": Case(""),
    "dlq count": Case(""),
    "dlq show": Case("{letter}", UNKNOWN_LETTER, long=True),
    "dlq replay": Case("{letter}", UNKNOWN_LETTER),
    "dlq discard": Case("{letter} --yes", f"{UNKNOWN_LETTER} --yes"),
    "dlq purge": Case("--yes"),
    "queue list": Case(""),
    "queue show": Case("mailers", "nope"),
    "queue pause": Case("mailers"),
    "queue resume": Case("slow"),
    "queue limit": Case("mailers --concurrency 3"),
    "queue purge": Case("mailers --yes"),
    "cron list": Case(""),
    "cron show": Case("nightly", "nope", long=True),
    "cron next": Case("nightly", "nope"),
    "cron history": Case("nightly", "nope"),
    "cron plan": Case("examples_tasks", "nowhere.tasks", down=None, long=True),
    "cron enable": Case("paused", "nope"),
    "cron disable": Case("nightly", "nope"),
    "cron trigger": Case("nightly", "nope"),
    "cron create": Case("digest @daily send_email to=ada"),
    "cron edit": Case("paused --schedule @daily", "nope --schedule @daily"),
    "cron delete": Case("paused --yes", "nope --yes"),
    "cron prune": Case("--yes"),
    "workflow start": Case("checkout order:=42", long=True),
    "workflow list": Case(""),
    "workflow show": Case("{run_waiting}", UNKNOWN_RUN, long=True),
    "workflow timeline": Case("{run_done}", UNKNOWN_RUN),
    "workflow diff": Case("{run_done} {run_failed}", f"{UNKNOWN_RUN} {UNKNOWN_RUN}"),
    "workflow result": Case("{run_done}", UNKNOWN_RUN),
    "workflow cancel": Case("{run_waiting} --yes", f"{UNKNOWN_RUN} --yes"),
    "workflow retry": Case("{run_failed}", UNKNOWN_RUN),
    "workflow migrate": Case("{run_waiting} --to-version 3", f"{UNKNOWN_RUN} --to-version 3"),
    "workflow fork": Case("{run_failed} --from ship", f"{UNKNOWN_RUN} --from ship", long=True),
    "workflow signal": Case("{run_waiting} order.approved", f"{UNKNOWN_RUN} order.approved", long=True),
    "event list": Case(""),
    "event show": Case("{event}", UNKNOWN_EVENT, long=True),
    "event publish": Case("stock.arrived", long=True),
    "event tail": Case("--for 0.1s"),
    "worker list": Case(""),
    "worker show": Case("{worker}", UNKNOWN_WORKER),
    "worker drain": Case("{worker}", UNKNOWN_WORKER),
    "leader show": Case(""),
    "leader resign": Case(""),
    "health": Case("", down=9, long=True),
    "doctor": Case("", down=9, long=True),
    "apikey create": Case("--scope job:read", long=True),
    "apikey list": Case(""),
    "apikey revoke": Case("{apikey}", "00000000000000ff"),
    "audit list": Case(""),
    "plugin list": Case("", down=None),
    "check": Case("examples_tasks --elsewhere odd --elsewhere charge_card", "nowhere.tasks"),
    "store init": Case("", long=True),
    "store migrate": Case("", long=True),
    "store status": Case("", long=True),
    "store verify": Case("--data", long=True),
    "store copy": Case("sqlite:///dispatch.db sqlite:///other.db --force", long=True),
    "store prune": Case("--dry-run", long=True),
    "bench": Case("-n 20", down=None, slow=True),
    "config show": Case("", down=None, long=True),
    "config init": Case("", down=None, long=True),
    "inspect": Case("examples_tasks", "nowhere.tasks", down=None, long=True),
    "openapi": Case("", down=None, long=True),
    "completion": Case("bash", down=None, long=True),
    "version": Case("", down=None, long=True),
}
NAMES_A_MODULE = ("run", "serve", "check", "inspect", "cron plan")
"""What is wrong there is an import: exit 7."""
QUICK = [words for words, case in CASES.items() if not case.slow]


class Terminal(io.StringIO):
    """What a command takes for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def argv(words: str, text: str, seeds: Seeds) -> list[str]:
    return [*words.split(), *text.format(**vars(seeds)).split()]


def on_a_screen(words: list[str]) -> tuple[int, str]:
    screen = Terminal()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(io.StringIO()):
        code = main(words)
    return code, screen.getvalue()


def test_every_command_has_its_case() -> None:
    assert (
        list(CASES).sort() == [words for words, found in commands() if words and not hasattr(found, "commands")].sort()
    )
    assert {*CASES} == {words for words, found in commands() if words and not hasattr(found, "commands")}


@pytest.mark.parametrize("words", QUICK)
def test_in_a_pipe_it_writes_whole_plain_lines(words: str, seeds: Seeds) -> None:
    ran = run(*argv(words, CASES[words].good, seeds))
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out + ran.err
    assert not ran.out or ran.out.endswith("\n")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("words", QUICK)
def test_no_color_means_no_escape_sequences_on_a_screen_of_80_columns_either(
    words: str, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, shown = on_a_screen(argv(words, CASES[words].good, seeds))
    assert code == 0
    assert "\x1b" not in shown
    if not CASES[words].long:
        assert [line for line in shown.splitlines() if cell_len(line) > 80] == []


@pytest.mark.parametrize("words", [words for words, case in CASES.items() if case.down])
def test_without_a_store_it_says_so_and_makes_none(words: str, seeds: Seeds, folder: Path) -> None:
    before = {*folder.iterdir()}
    text = CASES[words].good.replace("sqlite:///dispatch.db", DOWN)
    ran = run(*argv(words, text, seeds), "--store", DOWN, "--json")
    assert ran.code == CASES[words].down, ran
    told = ran.out if ran.code == 9 else ran.err
    assert "/no/such/folder" in told
    assert "Traceback" not in told
    assert {path for path in folder.iterdir() if path.suffix != ".py" and "pycache" not in path.name} <= before


@pytest.mark.parametrize("words", [words for words, case in CASES.items() if case.wrong])
def test_what_is_not_there_is_said_in_one_line_that_tells_what_to_do(words: str, seeds: Seeds) -> None:
    ran = run(*argv(words, CASES[words].wrong, seeds))
    assert ran.code == (7 if words in NAMES_A_MODULE else 4), ran
    assert ran.out == ""
    assert re.match(r"(warning: .*\n)*error: .+\n(hint: .+\n)?$", ran.err)


@pytest.mark.parametrize("words", CASES)
def test_ctrl_c_ends_it_with_130_and_without_a_traceback(
    words: str, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    async def interrupted_open(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SQLiteStore, "open", interrupted_open)
    for way in ("write", "json", "record", "rows"):
        monkeypatch.setattr(Output, way, interrupted)
    ran = run(*argv(words, CASES[words].good, seeds))
    assert ran.code == 130, ran
    assert ran.out == "" or words == "demo", "which tells its story as it goes"
    assert ran.err.endswith("error: interrupted\n")
    assert "Traceback" not in ran.err


def test_ctrl_c_is_told_as_a_document_to_who_asked_for_documents(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted_open(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SQLiteStore, "open", interrupted_open)
    ran = run("job", "count", "--json")
    assert (ran.code, ran.out) == (130, "")
    assert json.loads(ran.err) == {"error": {"code": "interrupted", "message": "interrupted"}}
