"""`dispatch job`: enqueue in all its forms, call, filters and pages, and what a change would do."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Seeds, run

KEYED = """
from dispatch import Limit, WorkflowContext, job, workflow

@job(unique=lambda batch: batch, concurrency=Limit(key=lambda batch: batch, max=2))
async def load(batch: str) -> None: ...

@job(concurrency=Limit(key="gpu", max=1, name="render"), tags=["a"])
async def plain() -> None: ...

@workflow(concurrency=Limit(key=lambda batch: batch, max=1))
async def audit(ctx: WorkflowContext, batch: str) -> None: ...
"""


def enqueued(*words: str, stdin: str = "") -> dict[str, object]:
    ran = run("job", "enqueue", *words, stdin=stdin)
    assert ran.code == 0, ran.err
    document: dict[str, object] = run("job", "show", ran.out.strip(), "--json").json
    return document


def test_arguments_are_given_as_text_as_json_from_a_file_or_from_standard_input(seeds: Seeds, folder: Path) -> None:
    (folder / "args.json").write_text('{"x": 4}')
    assert enqueued("add", "x:=1", "y=two")["payload"] == {"x": 1, "y": "two"}
    assert enqueued("add", "x=a=b")["payload"] == {"x": "a=b"}
    assert enqueued("add", "--args", '{"x": 3}')["payload"] == {"x": 3}
    assert enqueued("add", "--args", "[5, 6]")["payload"] == {"x": 5, "y": 6}
    assert enqueued("add", "--args", "@args.json")["payload"] == {"x": 4}
    assert enqueued("add", "--args", "-", stdin='{"x": 5}')["payload"] == {"x": 5}


def test_options_reach_the_job(seeds: Seeds) -> None:
    job = enqueued(
        "add", "x:=1", "--queue", "slow", "--priority", "7", "--tag", "a", "--tag", "b", "--at", "2030-01-01T00:00Z"
    )
    assert (job["queue"], job["priority"], job["tags"]) == ("slow", 7, ["a", "b"])
    assert job["run_at"] == "2030-01-01T00:00:00.000000Z"
    later = datetime.fromisoformat(str(enqueued("add", "x:=1", "--in", "1h")["run_at"]))
    assert 3500 < (later - datetime.now(UTC)).total_seconds() <= 3600


def test_the_queue_comes_from_what_the_app_announced(seeds: Seeds) -> None:
    assert enqueued("send_email", "to=ada")["queue"] == "mailers"


def test_a_unique_key_answers_the_job_that_holds_it(seeds: Seeds) -> None:
    first = run("job", "enqueue", "add", "x:=1", "--unique", "one")
    second = run("job", "enqueue", "add", "x:=2", "--unique", "one")
    assert first.out == second.out
    assert "already there" in second.err
    by_arguments = [run("job", "enqueue", "add", f"x:={x}", "--unique", "*").out for x in (8, 8, 9)]
    assert len({*by_arguments}) == 2


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--wait",)])
def test_a_name_that_looks_like_a_slip_is_refused_unless_it_is_meant(more: tuple[str, ...], seeds: Seeds) -> None:
    before = run("job", "count", "--json").json["total"]
    ran = run("job", "enqueue", "send_emal", "to=ada", *more)
    assert (ran.code, ran.out) == (2, "")
    assert "no app has announced a job 'send_emal'; did you mean 'send_email'?" in ran.err
    assert "--force" in ran.err
    assert run("job", "count", "--json").json["total"] == before
    meant = run("job", "enqueue", "send_emal", "to=ada", "--force")
    assert (meant.code, "it waits until a worker knows it" in meant.err) == (0, True)


def test_a_letter_that_is_missing_extra_another_or_swapped_is_a_slip(folder: Path) -> None:
    (folder / "examples_keyed.py").write_text(KEYED)
    assert run("run", "examples_keyed", "--burst").code == 0
    for slip in ("lod", "loaad", "loat", "laod", "oald"):
        for command in (("job", "enqueue", slip), ("cron", "create", "digest", "@daily", slip)):
            ran = run(*command, "--dry-run")
            expected = (0, False) if slip == "oald" else (2, True)
            assert (ran.code, "error: no app has announced" in ran.err) == expected, (slip, ran.err)


def test_a_name_a_letter_from_one_of_three_is_only_warned_of(seeds: Seeds) -> None:
    ran = run("job", "enqueue", "addd", "--dry-run")
    assert (ran.code, "warning: no app has announced a job 'addd'; did you mean 'add'?" in ran.err) == (0, True)


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_a_workflow_is_not_enqueued_as_a_job_unless_it_is_meant(more: tuple[str, ...], seeds: Seeds) -> None:
    refused = run("job", "enqueue", "checkout", "order:=1", *more)
    assert (refused.code, refused.out) == (2, "")
    assert "checkout is a workflow: `dispatch workflow start checkout …`" in refused.err
    assert "--force" in refused.err
    assert run("job", "enqueue", "checkout", "order:=1", "--force", *more).code == 0


@pytest.mark.parametrize(("name", "told"), [("send_sms", "did you mean 'send_email'?"), ("reindex", "it waits until")])
def test_a_name_of_its_own_is_enqueued_for_a_worker_to_come(name: str, told: str, seeds: Seeds) -> None:
    ran = run("job", "enqueue", name)
    assert ran.code == 0
    assert told in ran.err


def test_keys_that_a_function_makes_are_warned_about(folder: Path) -> None:
    (folder / "examples_keyed.py").write_text(KEYED)
    assert run("run", "examples_keyed", "--burst").code == 0
    ran = run("job", "enqueue", "load", "batch=acme")
    assert ran.code == 0
    assert "warning: the unique key of load is made by a function, which is not called here" in ran.err
    assert "warning: the concurrency key of load is made by a function" in ran.err
    given = run("job", "enqueue", "load", "batch=acme", "--unique", "acme", "--dry-run").err
    assert ("unique key" in given, "concurrency key" in given) == (False, True)
    assert "concurrency key of audit is made by a function" in run("workflow", "start", "audit", "batch=acme").err
    assert "made by a function" not in run("job", "enqueue", "plain").err
    options = {found["name"]: found["options"] for found in run("inspect", "examples_keyed", "--json").json["jobs"]}
    assert options["load"] == {"unique": "by a function", "concurrency": "2 at once for each key (by a function)"}
    assert options["plain"] == {"tags": ["a"], "concurrency": "1 at once for key gpu, shared as render"}


def test_a_queue_without_a_worker_is_warned_about(seeds: Seeds) -> None:
    assert "no live worker serves queue 'mailers'" in run("job", "enqueue", "send_email", "to=ada").err
    assert "warning" not in run("job", "enqueue", "add", "x:=1").err


def test_waiting_ends_with_8_when_no_worker_has_come(seeds: Seeds) -> None:
    ran = run("job", "enqueue", "send_email", "to=ada", "--wait", "--timeout", "0.1s")
    assert (ran.code, ran.out) == (8, "")
    assert "no live worker serves queue 'mailers'" in ran.err
    assert "still pending" in ran.err


def test_waiting_prints_the_result_once_a_worker_has_run_the_job(seeds: Seeds) -> None:
    job_id = run("job", "enqueue", "send_email", "to=ada").out.strip()
    assert run("run", "examples_tasks", "--burst", "-q", "mailers").code == 0
    assert run("job", "result", job_id, "--wait").json == "sent to ada"


@pytest.mark.parametrize(
    "words",
    [
        "job enqueue add x:=1 --dry-run",
        "job retry {failed} --dry-run",
        "job cancel {pending} {running} --dry-run",
        "dlq replay {letter} --dry-run",
        "dlq replay --all --dry-run",
        "dlq discard {letter} --dry-run",
        "dlq purge --dry-run",
        "job call add x:=1 --app examples_tasks --dry-run",
    ],
)
def test_a_dry_run_says_what_would_happen_and_writes_nothing(words: str, seeds: Seeds) -> None:
    def all_there_is() -> list[str]:
        return [run(*noun.split(), "-o", "jsonl").out for noun in ("job list", "dlq list --state all")]

    before = all_there_is()
    ran = run(*(word.format(**vars(seeds)) for word in words.split()))
    assert ran.code == 0, ran.err
    assert "would" in ran.out + ran.err or "was not called" in ran.err
    assert all_there_is() == before


def test_a_dry_run_refuses_what_the_act_would_refuse(seeds: Seeds) -> None:
    assert run("job", "retry", seeds.completed, "--dry-run").code == 5
    assert run("job", "cancel", seeds.failed, "--dry-run").code == 5
    assert run("dlq", "replay", "dlq_01k9ztr0c2e6r9v1s8f0q5b4nd", "--dry-run").code == 4
    assert run("job", "enqueue", "add", "nope:=1", "--dry-run").code == 2


def test_calling_runs_the_function_here_and_queues_nothing(seeds: Seeds) -> None:
    before = run("job", "count", "--json").json
    assert run("job", "call", "add", "x:=40", "--app", "examples_tasks").json == 42
    assert run("job", "call", "send_email", "to=ada", "--app", "examples_tasks").json == "sent to ada"
    assert run("job", "call", "add", "x=many", "--app", "examples_tasks").code == 2
    assert run("job", "count", "--json").json == before


def test_what_a_called_job_enqueues_goes_to_the_store_of_the_command(seeds: Seeds, folder: Path) -> None:
    url = f"sqlite:///{folder}/other.db"
    job_id = run("job", "call", "order", "x:=40", "--app", "examples_tasks", "--store", url).json
    assert run("job", "list", "--store", url, "-o", "ids").lines == [job_id]
    (folder / "dispatch.toml").write_text("auto_open = false\n")
    refused = run("job", "call", "order", "x:=40", "--app", "examples_tasks")
    assert refused.code == 1
    assert "auto_open is false" in refused.err


def test_the_module_may_be_configured(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text('app = "examples_tasks"\n')
    assert run("job", "call", "add", "x:=1").json == 3
    assert "send_email" in run("inspect").out
    assert run("run", "--burst").code == 0


def test_lists_are_filtered_and_paged(seeds: Seeds) -> None:
    assert run("job", "list", "--tag", "nightly", "-o", "ids").lines == [seeds.completed]
    assert {*run("job", "list", "--state", "failed,running", "-o", "ids").lines} >= {seeds.failed, seeds.running}
    assert run("job", "list", "--queue", "slow", "--name", "add", "-o", "ids").lines == [seeds.running]
    everything = run("job", "list", "-o", "ids").lines
    pages: list[str] = []
    cursor: str | None = None
    while True:
        more = ("--cursor", cursor) if cursor else ()
        page = run("job", "list", "--limit", "3", "--json", *more).json
        pages += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == everything
    assert "there are more: --cursor" in run("job", "list", "--limit", "3").err


def test_ids_are_read_from_standard_input_each_once(seeds: Seeds) -> None:
    ran = run("job", "retry", "-", "--json", stdin=f"{seeds.failed}\n\n{seeds.failed}\n")
    assert [item["id"] for item in ran.json["items"]] == [seeds.failed]
    nothing = run("job", "retry", "-", stdin="")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no ids were given" in nothing.err


def test_cancelling_a_waiting_job_ends_it_and_a_running_one_is_asked_to_stop(seeds: Seeds) -> None:
    ran = run("job", "cancel", seeds.pending, seeds.running, "--yes", "--json")
    assert [item["outcome"] for item in ran.json["items"]] == ["cancelled", "asked to stop"]
    assert run("job", "show", seeds.pending, "--json").json["state"] == "cancelled"
    assert run("job", "show", seeds.running, "--json").json["cancel_requested"] is True


def test_deleting_asks_removes_what_does_not_run_and_leaves_a_record(seeds: Seeds) -> None:
    unasked = run("job", "delete", seeds.failed)
    assert (unasked.code, "there is no terminal to ask on" in unasked.err) == (2, True)
    rehearsed = run("job", "delete", seeds.pending, seeds.running, "--dry-run", "--json")
    assert [item["ok"] for item in rehearsed.json["items"]] == [True, False]
    assert run("job", "count", "--json").json["total"] == 7
    ran = run("job", "delete", "-", "--yes", "--json", stdin=f"{seeds.pending}\n{seeds.failed}\n{seeds.running}\n")
    assert ran.code == 75
    assert [item["outcome"] for item in ran.json["items"]] == ["deleted", "deleted", "refused"]
    assert f"`dispatch job cancel {seeds.running}` stops it" in ran.json["items"][2]["detail"]
    assert run("job", "show", seeds.failed).code == 4
    assert run("job", "count", "--json").json["total"] == 5
    database = sqlite3.connect("dispatch.db")
    (document,) = database.execute("SELECT value FROM records WHERE namespace = 'audit'").fetchone()
    database.close()
    assert json.loads(document)["verb"] == "job.delete"
    assert json.loads(document)["ids"] == [seeds.pending, seeds.failed]


def test_explaining_names_the_gate_that_is_closed(seeds: Seeds) -> None:
    document = run("job", "explain", seeds.pending, "--json").json
    assert [gate["name"] for gate in document["gates"] if not gate["open"]] == ["served"]
    assert "CLOSED" in run("job", "explain", seeds.pending).out


def test_counts_add_up(seeds: Seeds) -> None:
    counts = run("job", "count", "--json").json
    assert counts["total"] == sum(counts.values()) - counts["total"] == 7
    assert json.loads(run("job", "count", "--name", "charge_card", "--json").out)["failed"] == 2


TYPED = """
from dispatch import job

@job(max_retries=0)
def slow(seconds: float, items: list[int] = [], note: str = "") -> float: return seconds
"""


def test_text_where_a_number_or_list_belongs_is_told_how_to_write_json(folder: Path) -> None:
    (folder / "examples_typed.py").write_text(TYPED)
    run("run", "examples_typed", "--burst")
    refused = run("job", "enqueue", "slow", "seconds=1", "note=x")
    assert refused.code == 2
    assert refused.err.splitlines()[-2:] == [
        "error: slow: seconds: '1' is not of type 'number'",
        "hint: seconds=… is text; write seconds:=1 for a number, a list, true, false or null",
    ]
    hint = run("job", "enqueue", "slow", "seconds=abc").err.splitlines()[-1]
    assert hint == "hint: 'abc' is text and nothing else; a number is written seconds:=3, a list seconds:='[1, 2]'"
    called = run("job", "call", "slow", "seconds=1", "items=3", "--app", "examples_typed", "--json")
    document = json.loads(called.err)["error"]
    assert (called.code, document["code"]) == (2, "invalid_arguments")
    assert "write items:=3 for" in document["hint"]
    assert run("job", "enqueue", "slow", "seconds:=1", "items:=[1]").code == 0


@pytest.mark.parametrize("words", ["secondz=1", "seconds:=[1]", "note=x"])
def test_other_refusals_are_told_without_that_hint(words: str, folder: Path) -> None:
    (folder / "examples_typed.py").write_text(TYPED)
    run("run", "examples_typed", "--burst")
    refused = run("job", "enqueue", "slow", words)
    assert refused.code == 2
    assert "is text; write" not in refused.err


def test_statistics_say_what_was_sampled_and_refuse_a_name_that_nobody_knows(seeds: Seeds) -> None:
    ran = run("job", "stats")
    assert ran.code == 0
    assert ran.lines[0].startswith("NAME ")
    assert {"ENDED", "FAILED", "WAITED", "RAN", "MINUTE"} <= {*ran.lines[0].split()}
    assert "ended jobs, all that are kept; from 20" in ran.err
    (add,) = run("job", "stats", "add", "--json").json["items"]
    assert (add["count"], add["completed"], add["failed"], add["failure_rate"]) == (2, 1, 1, 0.5)
    assert "of the 1 newest; --limit looks at more" in run("job", "stats", "--limit", "1").err
    assert run("job", "stats", "send_email").code == 0
    wrong = run("job", "stats", "ad")
    assert (wrong.code, "did you mean 'add'?" in wrong.err) == (4, True)
