"""How output looks: JSON documents, JSON lines, ids, aligned text in a pipe, drawn tables on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli import schema_parts, schemas, schemas_ops
from tests.cli.conftest import Seeds, run

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
ID = re.compile(r"job_[0-9a-z]{26}")


def fits(document: Any, schema: schema_parts.Schema) -> None:
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def on_a_terminal(*argv: str, columns: int = 80, **env: str) -> str:
    """What the command writes when stdout is a terminal of that width."""
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatch_cli", *argv],
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", **env},
    )
    os.close(terminal)
    shown = b""
    while select.select([control], [], [], 20)[0]:
        try:
            chunk = os.read(control, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    process.wait(20)
    os.close(control)
    return shown.decode()


@pytest.mark.parametrize(
    ("command", "schema"),
    [
        ("job list", schemas.JOBS),
        ("job count", schemas.COUNTS),
        ("job show {failed}", schemas.JOB),
        ("job show {completed}", schemas.JOB),
        ("job show {odd}", schemas.JOB),
        ("job explain {pending}", schemas.EXPLANATION),
        ("job explain {completed}", schemas.EXPLANATION),
        ("job enqueue send_email to=ada", schemas.ENQUEUED),
        ("job retry {failed}", schemas.OUTCOMES),
        ("job cancel {pending} {running} --yes", schemas.OUTCOMES),
        ("job stats", schemas_ops.STATS),
        ("job stats add --since 1h", schemas_ops.STATS),
        ("dlq list", schemas.LETTERS),
        ("dlq list --group", schemas.GROUPS),
        ("dlq show {letter}", schemas.LETTER),
        ("dlq count", schema_parts.exactly(count=schema_parts.COUNT)),
        ("dlq replay {letter}", schemas.OUTCOMES),
        ("dlq discard {letter} --yes", schemas.OUTCOMES),
        ("dlq purge --dry-run", schemas_ops.PURGED),
        ("job delete {pending} --yes", schemas.OUTCOMES),
        ("store prune --dry-run", schemas_ops.PRUNED),
        ("job watch {completed}", schemas.WATCHED),
        ("queue list", schemas.QUEUES),
        ("queue show slow", schemas.QUEUE),
        ("queue pause mailers --for 1h --reason x", schemas.QUEUE_CHANGED),
        ("queue resume slow", schemas.QUEUE_CHANGED),
        ("queue purge mailers --dry-run", schemas_ops.QUEUE_PURGED),
        ("queue purge mailers --yes", schemas_ops.QUEUE_PURGED),
        ("queue limit mailers --rate 0.5 --burst 2 --dry-run", schemas.QUEUE_CHANGED),
        ("worker list --all", schemas.WORKERS),
        ("worker show {worker}", schemas.WORKER),
        ("worker drain {worker}", schemas.OUTCOMES),
        ("leader show", schemas.LEADER),
        ("leader resign --dry-run", schemas.RESIGNED),
        ("leader resign", schemas.RESIGNED),
        ("cron list", schemas.CRONS),
        ("cron show nightly", schemas.CRON),
        ("cron next nightly -n 2", schemas.CRON_TIMES),
        ("cron history nightly", schemas.CRON_TICKS),
        ("cron plan examples_tasks", schemas.CRON_PLAN),
        ("cron enable paused", schemas.CRON_CHANGED),
        ("cron disable nightly --until 2h --dry-run", schemas.CRON_CHANGED),
        ("cron trigger nightly", schemas.CRON_TRIGGERED),
        ("cron trigger nightly --dry-run", schemas.CRON_TRIGGERED),
        ("cron create digest @daily send_email to=ada", schemas.CRON_CHANGED),
        ("cron edit paused --jitter 5s", schemas.CRON_CHANGED),
        ("cron delete paused --yes", schemas.CRON_CHANGED),
        ("cron prune --yes", schemas.CRONS_PRUNED),
        ("doctor", schemas.DOCTOR),
        ("health --worker {worker}", schemas.HEALTH),
        ("status", schemas.OVERVIEW),
        ("apikey create --scope job:read --tenant shop/t-42 --expires 1h", schemas_ops.APIKEY_MADE),
        ("apikey create --scope * --dry-run", schemas_ops.APIKEY_MADE),
        ("apikey list", schemas_ops.APIKEYS),
        ("apikey revoke {apikey}", schemas_ops.APIKEY_REVOKED),
        ("audit list", schemas_ops.AUDIT),
        ("plugin list", schemas_ops.PLUGINS),
        ("store status", schemas_ops.STATUS),
        ("store migrate --dry-run", schemas_ops.MIGRATED),
        ("store verify --data", schemas_ops.EXAMINED),
        ("store copy sqlite:///dispatch.db sqlite:///copy.db --force", schemas_ops.COPIED),
        ("store copy sqlite:///dispatch.db sqlite:///copy.db --force --dry-run", schemas_ops.COPIED),
        (
            "store migrate --sql",
            schema_parts.exactly(store=schema_parts.TEXT, pending={"type": "array"}, sql=schema_parts.TEXT),
        ),
        ("check examples_tasks --elsewhere odd", schemas_ops.CHECKED),
        ("bench -n 50", schemas_ops.BENCH),
        ("openapi", {"type": "object", "required": ["openapi", "info", "paths", "components"]}),
        ("completion bash", schema_parts.exactly(shell=schema_parts.TEXT, script=schema_parts.TEXT)),
        ("config show --origin", schemas_ops.CONFIG),
        ("config init --dry-run", schema_parts.exactly(path=schema_parts.TEXT, text=schema_parts.TEXT)),
        ("config init", schema_parts.exactly(path=schema_parts.TEXT)),
        ("inspect examples_tasks", schemas_ops.INSPECTED),
    ],
)
def test_json_is_one_document_with_the_promised_fields(command: str, schema: schema_parts.Schema, seeds: Seeds) -> None:
    words = [word.format(**vars(seeds)) for word in command.split()]
    ran = run(*words, "--json")
    assert ran.code == 0, ran.err
    fits(ran.json, schema)


def test_json_lines_are_a_document_a_line_and_ids_are_ids(seeds: Seeds) -> None:
    documents = [json.loads(line) for line in run("job", "list", "-o", "jsonl").lines]
    for document in documents:
        fits(document, schemas.JOB_SUMMARY)
    assert run("job", "list", "-o", "ids").lines == [document["id"] for document in documents]
    assert len(documents) == 7


def test_global_options_may_stand_before_between_and_after_the_words_of_a_command(seeds: Seeds, folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    os.chdir(folder / "elsewhere")
    url = f"sqlite:///{folder}/dispatch.db"
    assert run("--store", url, "job", "count", "--json").json["total"] == 7
    assert run("--json", "job", "--store", url, "count").json["total"] == 7
    assert run("job", "count", "--store", url, "--json").json["total"] == 7
    assert run("--store", "memory://", "job", "count", "--store", url, "--json").json["total"] == 7


def test_piped_output_is_aligned_text_without_colour_with_whole_ids_and_exact_times(seeds: Seeds) -> None:
    ran = run("job", "list")
    head, *rows = ran.lines
    assert head.split() == ["ID", "NAME", "QUEUE", "STATE", "TRY", "CREATED", "DUE"]
    assert len(rows) == 7
    assert "\x1b" not in ran.out
    assert all(ID.match(row) for row in rows)
    assert all(re.search(rf"  {TIME}  (?:{TIME}|-)$", row) for row in rows)
    assert all(row.endswith("Z") is (" pending " in row) for row in rows)
    assert len({row.index(row.split()[1]) for row in rows}) == 1


def test_an_empty_list_is_empty_on_stdout_and_says_so_on_stderr(seeds: Seeds) -> None:
    ran = run("job", "list", "--tag", "nobody")
    assert (ran.code, ran.out) == (0, "")
    assert "no jobs match" in ran.err
    assert run("job", "list", "--tag", "nobody", "--json").json["items"] == []


def test_a_terminal_shows_whole_ids_colours_and_relative_times(seeds: Seeds) -> None:
    shown = on_a_terminal("job", "list")
    assert shown.count("job_") == 7
    assert len(ID.findall(shown)) == 7
    assert "\x1b[" in shown
    assert " ago" in shown
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()) for line in shown.splitlines()) <= 80


def test_a_terminal_says_when_a_waiting_job_is_due_and_leaves_out_what_does_not_fit(seeds: Seeds) -> None:
    def head(columns: int) -> list[str]:
        return on_a_terminal("job", "list", "--no-color", columns=columns).splitlines()[0].split()

    everything = ["ID", "NAME", "QUEUE", "STATE", "TRY", "CREATED", "DUE"]
    assert (head(100), head(80)) == (everything, everything[:-1])
    run("job", "enqueue", "add", "x:=1", "--in", "3h")
    assert (head(100), head(80)) == (everything, ["ID", "NAME", "QUEUE", "STATE", "DUE"])
    assert "in 3 h" in on_a_terminal("job", "list", "--no-color")


@pytest.mark.parametrize(("options", "env"), [((), {"NO_COLOR": "1"}), (("--no-color",), {})])
def test_no_color_leaves_no_escape_sequences(options: tuple[str, ...], env: dict[str, str], seeds: Seeds) -> None:
    shown = on_a_terminal("job", "list", *options, **env)
    assert "\x1b" not in shown
    assert len(ID.findall(shown)) == 7


def test_a_person_is_shown_nothing_that_steers_the_terminal(seeds: Seeds) -> None:
    for words in (("job", "show", seeds.odd), ("job", "show", seeds.failed), ("dlq", "show", seeds.letter)):
        ran = run(*words)
        assert ran.code == 0
        assert "\x1b" not in ran.out
    assert "\\xff\\x1b[2J no json" in run("job", "show", seeds.odd).out
    assert run("job", "show", seeds.odd, "--json").json["payload"] is None


def test_what_is_named_like_a_secret_is_masked(seeds: Seeds) -> None:
    document = run("dlq", "show", seeds.letter, "--json").json
    assert document["payload"] == {"amount": 3, "api_key": "***"}
    assert document["metadata"] == {"token": "***", "team": "a"}
    assert "s3cret" not in run("dlq", "show", seeds.letter).out


def test_attempts_are_shown_with_their_tracebacks(seeds: Seeds) -> None:
    (attempt,) = run("job", "show", seeds.failed, "--json").json["attempts"]
    assert attempt["error"]["type"] == "ValueError"
    assert 'File "pay.py"' in run("job", "show", seeds.failed).out


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(seeds: Seeds) -> None:
    text = f"{sys.executable} -m dispatch_cli job list -o jsonl | head -c 10; echo rc=${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=20)
    assert done.stdout.endswith("rc=0\n")
    assert done.stderr == ""


def test_an_error_is_one_line_on_stderr_and_a_document_with_json(seeds: Seeds) -> None:
    missing = "job_01k9ztq3e8f5v8k4y3v9h2m7xa"
    plain, document = run("job", "show", missing), run("job", "show", missing, "--json")
    assert (plain.out, document.out) == ("", "")
    assert plain.err == f"error: there is no job {missing}; `dispatch job list` shows what there is\n"
    fits(json.loads(document.err), schemas_ops.FAILURE)
    assert json.loads(document.err)["error"]["code"] == "job_not_found"
    assert json.loads(run("--json", "job", "lst").err)["error"]["code"] == "usage"


def test_a_traceback_is_shown_only_when_asked_for(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("job", "call", "explode", "--app", "examples_tasks")
    assert "Traceback" not in run(*words).err
    monkeypatch.setenv("DISPATCH_TRACEBACK", "1")
    assert "ValueError" in run(*words).err.partition("error:")[0]
