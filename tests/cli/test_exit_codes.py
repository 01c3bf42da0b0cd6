"""Every exit code once, from the situation it stands for. (3 is kept for servers that authenticate.)"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from dispatch_cli.__main__ import main as entry
from dispatch_cli.failures import error_code, exit_code

from dispatch import errors
from tests.cli.conftest import Seeds, run, spawn

UNKNOWN_JOB = "job_01k9ztq3e8f5v8k4y3v9h2m7xa"
UNKNOWN_WORKER = "wkr_01k9ztq5m1c3p6t9x2b4g7j0ne"
UNKNOWN_LETTER = "dlq_01k9ztr0c2e6r9v1s8f0q5b4nd"


def test_0_done(seeds: Seeds) -> None:
    assert run("job", "result", seeds.completed).json == {"sum": 3}


def test_1_the_job_failed(seeds: Seeds) -> None:
    ran = run("job", "result", seeds.failed)
    assert ran.code == 1
    assert ran.err.startswith("error: add (")
    assert "ValueError: card \\x1b[31mrefused" in ran.err
    assert run("job", "call", "explode", "--app", "examples_tasks").code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nope", "there is no command 'nope'"),
        ("enqueue add x:=1", "did you mean `dispatch job enqueue`?"),
        ("migrate", "did you mean `dispatch workflow migrate` or `dispatch store migrate`?"),
        ("list", "there are: run, "),
        ("job lst", "did you mean 'list'?"),
        ("job list --stat failed", "did you mean --state"),
        ("job list --state faild", "did you mean 'failed'?"),
        ("job list -o xml", "xml"),
        ("job show", "missing argument 'ID'"),
        ("job show job_x", "'job_x' is not the id of a job: job_ and 26 of 0-9 and a-z"),
        ("worker show nosuch", "'nosuch' is not the id of a worker: wkr_ and 26 of"),
        (f"job show {UNKNOWN_LETTER}", "those are for `dispatch dlq …`"),
        ("job enqueue add x", "'x' is not an argument with its value"),
        ("job enqueue add x:=nope", "the value is not JSON"),
        ("job enqueue add x:=1 --in soon", "--in: 'soon' is not a duration"),
        ("job enqueue add x:=1 --in 1s --at 2026-01-01", "keep one of them"),
        ("job enqueue add x:=1 --at tomorrow", "is not a moment"),
        ("job enqueue add z:=1", "no parameter 'z'"),
        ("job enqueue add --args @missing.json", "cannot be read"),
        ("job enqueue add x:=1 --timeout 3s", "add --wait"),
        ("dlq replay", "which dead letters?"),
        (f"dlq replay {UNKNOWN_LETTER} --all", "which dead letters?"),
        (f"dlq replay {UNKNOWN_LETTER} --set to", "or all arguments as --payload FILE"),
        (f"dlq replay {UNKNOWN_LETTER} --payload missing.json", "the arguments from missing.json cannot be read"),
        ("dlq purge", "pass --yes"),
        ("queue pause a/b", "is no queue name"),
        ("cron disable nightly --until soon", "hint: write 2h (from now on), 2026-05-01T09:00, or"),
        ("queue pause mailers --for soon", "--for: 'soon' is not a duration"),
        ("queue pause mailers --for 0", "would pause nothing"),
        ("queue limit mailers", "which limit?"),
        ("queue limit mailers --concurrency 0", "`dispatch queue pause`"),
        ("queue limit mailers --rate nan", "is no rate"),
        ("queue limit mailers --burst 3", "but no rate"),
        ("worker show job_01k9ztq3e8f5v8k4y3v9h2m7xa", "those are for `dispatch job …`"),
        ("worker drain", "which workers?"),
        ("event show nosuch", "'nosuch' is not the id of an event: evt_ and"),
        ("completion", "missing argument 'SHELL'"),
        ("completion bsh", "did you mean 'bash'?"),
        ("completion bash,zsh", "'bash,zsh' is not one shell"),
        ("cron edit paused --overlap ,", "',' is not one overlap rule"),
        ("run examples_tasks --burst --log-level debug,info", "is not one log level"),
        ("worker drain --all", "pass --yes"),
        ("status -o ids", "has no ids"),
        ("audit list --limit 0", "error: invalid value for '--limit': it should be greater than or equal to 1\n"),
        ("audit list --limit x", "error: invalid value for '--limit': it should be a valid integer\n"),
        ("run", "which module has the jobs?"),
        ("run examples_tasks --fail-on-error", "add --burst"),
        ("run examples_tasks --max-memory lots", "--max-memory"),
        ("run examples_tasks --label x", "write key=text"),
        ("run examples_tasks --log-level loud", "there is no log level 'loud'"),
        ("config show --config nowhere.toml", "does not exist"),
        ("config show -P production", "production"),
        ("job count --store mysql://x", "no such kind of store; did you mean mysql+asyncmy://?"),
        ("job count -o ids", "has no ids"),
    ],
)
def test_2_usage(words: str, said: str, seeds: Seeds) -> None:
    ran = run(*words.split())
    assert ran.code == 2, ran
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.out == ""


def test_2_an_empty_word_where_one_of_a_few_is_wanted(seeds: Seeds) -> None:
    ran = run("completion", "")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: '' is not one shell\nhint: choose among bash, zsh, fish\n"


def test_4_not_found(seeds: Seeds) -> None:
    for words in (f"job show {UNKNOWN_JOB}", f"job explain {UNKNOWN_JOB}", f"dlq show {UNKNOWN_LETTER}"):
        assert run(*words.split()).code == 4
    for words in (f"job watch {UNKNOWN_JOB}", f"worker show {UNKNOWN_WORKER}", f"worker drain {UNKNOWN_WORKER}"):
        assert run(*words.split()).code == 4
    for words in (f"worker drain {UNKNOWN_WORKER} --dry-run", "queue show slo"):
        assert run(*words.split()).code == 4
    ran = run("job", "call", "ad", "--app", "examples_tasks")
    assert ran.code == 4
    assert "did you mean 'add'?" in ran.err


def test_5_conflict(seeds: Seeds) -> None:
    assert run("job", "cancel", seeds.completed).code == 5
    assert run("job", "retry", seeds.running).code == 5
    assert run("dlq", "replay", seeds.letter).code == 0
    assert run("dlq", "replay", seeds.letter).code == 5
    keyed = ("job", "enqueue", "add", "--idempotency-key", "k")
    assert run(*keyed, "x:=1").code == 0
    assert run(*keyed, "x:=2").code == 5
    taken = run("cron", "create", "nightly", "@daily", "add", "x:=1")
    assert (taken.code, taken.err) == (
        5,
        "error: there is a cron entry 'nightly' already; edit or delete it, or choose another name\n",
    )


def test_6_the_store_cannot_be_reached(folder: Path) -> None:
    ran = run("job", "count", "--store", f"sqlite:///{folder}/no/such/folder.db")
    assert ran.code == 6
    assert run("store", "status").code == 6
    for words in (
        "job list",
        "status",
        "queue list",
        f"job cancel {UNKNOWN_JOB} --yes",
        "dlq purge --yes",
        "audit list",
    ):
        ran = run(*words.split())
        assert (ran.code, "is this the right folder?" in ran.err) == (6, True), ran.err
    assert not (folder / "dispatch.db").exists()


def test_7_discovery(folder: Path) -> None:
    (folder / "examples_broken.py").write_text("import json\n\nraise RuntimeError('half written')\n")
    ran = run("run", "examples_broken")
    assert ran.code == 7
    assert "examples_broken.py:3: RuntimeError: half written" in ran.err
    (folder / "examples_wrong.py").write_text('from dispatch import job\n\n\n@job(queue="a b")\ndef f() -> None: ...\n')
    for words in ("run examples_wrong", "inspect examples_wrong", "job call f --app examples_wrong"):
        ran = run(*words.split())
        assert (ran.code, "examples_wrong.py:4: " in ran.err) == (7, True), ran.err
    assert run("inspect", "no_such_module").code == 7
    assert run("run", "examples_tasks:TASKS").code == 7


def test_8_waited_too_long(seeds: Seeds) -> None:
    ran = run("job", "result", seeds.pending)
    assert ran.code == 8
    assert "is pending" in ran.err
    assert run("job", "result", seeds.pending, "--timeout", "0.05s").code == 8
    waited = run("job", "enqueue", "send_email", "to=ada", "--wait", "--timeout", "0.05s")
    assert (waited.code, waited.out) == (8, "")


def test_9_the_schema_does_not_fit(seeds: Seeds, folder: Path) -> None:
    for current in (0, 99):
        connection = sqlite3.connect(folder / "dispatch.db")
        connection.execute(f"PRAGMA user_version = {current}")
        connection.close()
        (folder / "dispatch.toml").write_text('migrate = "never"\n')
        assert run("job", "count").code == 9
        assert run("store", "status").code == 9


def test_75_some_of_several_went_wrong(seeds: Seeds) -> None:
    ran = run("job", "retry", seeds.failed, seeds.completed, UNKNOWN_JOB, "--json")
    assert ran.code == 75
    assert [(item["ok"], (item["error"] or {}).get("code")) for item in ran.json["items"]] == [
        (True, None),
        (False, "job_already_complete"),
        (False, "job_not_found"),
    ]
    assert (ran.json["done"], ran.json["refused"]) == (1, 2)
    assert run("job", "retry", seeds.completed, UNKNOWN_JOB).code == 5


def test_130_interrupted(seeds: Seeds) -> None:
    process = spawn("job", "enqueue", "send_email", "to=ada", "--wait")
    assert process.stderr is not None
    told = next(line for line in process.stderr if "waiting" in line)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, told
    assert (out, err) == ("", "error: interrupted\n")


def test_a_watch_ends_as_its_job_does_and_130_when_it_is_interrupted(seeds: Seeds) -> None:
    assert run("job", "watch", seeds.completed).code == 0
    failed = run("job", "watch", seeds.failed)
    assert failed.code == 1
    assert "failed     attempt 1, ValueError: card \\x1b[31mrefused" in failed.out
    late = run("job", "watch", seeds.pending, "--timeout", "0.05s")
    assert late.code == 8
    assert "pending" in late.out
    process = spawn("job", "watch", seeds.pending)
    assert process.stdout is not None
    assert "pending" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "error: interrupted\n")


def test_every_class_of_error_has_a_code_and_a_name() -> None:
    table = {
        errors.StoreUnreachable: 6,
        errors.StoreBusy: 6,
        errors.SchemaMismatch: 9,
        errors.JobNotFound: 4,
        errors.JobPurged: 4,
        errors.JobAlreadyComplete: 5,
        errors.WorkerStopped: 5,
        errors.LeaderUnknown: 5,
        errors.ConfigError: 2,
        errors.MissingExtra: 2,
        errors.DiscoveryError: 7,
        errors.WaitTimeout: 8,
        errors.JobFailed: 1,
        errors.ResultNotKept: 1,
    }
    assert {kind: exit_code(kind("x")) for kind in table} == table
    assert error_code(errors.DLQNotFound("x")) == "dlq_not_found"
    assert error_code(errors.JobAlreadyComplete("x")) == "job_already_complete"
    assert json.dumps(error_code(ValueError("x"))) == '"internal"'


class Interrupting:
    """Somebody presses Ctrl-C while the command is imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "dispatch_cli.main":
            raise KeyboardInterrupt


def test_130_when_it_is_interrupted_before_it_has_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "dispatch_cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert entry() == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")
