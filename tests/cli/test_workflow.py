"""`dispatch workflow` and `dispatch event` on a seeded store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dispatch_cli.workflow.timeline import bar
from jsonschema import validate

from dispatch.ids import RunID
from dispatch.services import EventService
from dispatch.workflows.model import driver_id
from tests.cli import schemas_runs
from tests.cli.conftest import Seeds, run, spawn


def test_documents_are_as_promised(seeds: Seeds) -> None:
    promised: list[tuple[Any, tuple[str, ...]]] = [
        (schemas_runs.RUN_LIST, ("workflow", "list")),
        (schemas_runs.RUN, ("workflow", "show", seeds.run_waiting)),
        (schemas_runs.RUN, ("workflow", "show", seeds.run_failed)),
        (schemas_runs.TIMELINE, ("workflow", "timeline", seeds.run_done)),
        (schemas_runs.RUN_DIFF, ("workflow", "diff", seeds.run_done, seeds.run_failed)),
        (schemas_runs.RUN_CHANGES, ("workflow", "cancel", seeds.run_waiting, "--dry-run")),
        (schemas_runs.RUN_CHANGES, ("workflow", "retry", seeds.run_failed)),
        (schemas_runs.RUN_CHANGES, ("workflow", "migrate", seeds.run_waiting, "--to-version", "3")),
        (schemas_runs.RUN_SUMMARY, ("workflow", "fork", seeds.run_done, "--from", "ship")),
        (schemas_runs.RUN_STARTED, ("workflow", "start", "checkout", "order:=4")),
        (schemas_runs.EVENT, ("workflow", "signal", seeds.run_waiting, "hello", "[1]")),
        (schemas_runs.EVENT, ("event", "publish", "news", '{"a": 1}', "--key", "k")),
        (schemas_runs.EVENT, ("event", "show", seeds.event)),
        (schemas_runs.EVENT_LIST, ("event", "list")),
    ]
    for schema, words in promised:
        ran = run(*words, "--json")
        assert ran.code == 0, (words, ran.err)
        validate(ran.json, schema)


def test_runs_are_listed_by_state_name_and_version(seeds: Seeds) -> None:
    assert run("workflow", "list", "-o", "ids").lines == [seeds.run_failed, seeds.run_waiting, seeds.run_done]
    assert run("workflow", "list", "--active", "-o", "ids").lines == [seeds.run_waiting]
    assert run("workflow", "list", "--state", "failed,completed", "-o", "ids").lines == [
        seeds.run_failed,
        seeds.run_done,
    ]
    assert run("workflow", "list", "--version", "1").err == "no runs match\n"
    assert run("workflow", "list", "--state", "wating").code == 2
    page = run("workflow", "list", "--limit", "1", "--json").json
    rest = run("workflow", "list", "--cursor", page["next_cursor"], "-o", "ids").lines
    assert rest == [seeds.run_waiting, seeds.run_done]


def test_a_run_is_shown_with_what_it_waits_for_and_without_secrets(seeds: Seeds) -> None:
    shown = run("workflow", "show", seeds.run_waiting)
    assert "waits in 'payment'" in shown.out
    assert "for payment.cleared with key 'order-2' until " in shown.out
    assert "s3cret" not in shown.out
    failed = run("workflow", "show", seeds.run_failed).out
    assert "Traceback: sold out" in failed
    assert "\x1b" not in failed


def test_the_timeline_is_drawn(seeds: Seeds) -> None:
    drawn = run("workflow", "timeline", seeds.run_done)
    assert drawn.lines[0].split() == ["STEP", "KIND", "ATTEMPT", "STATE", "TOOK", "TIMELINE"]
    assert [line.split()[0] for line in drawn.lines[1:]] == ["charge", "pause", "ship"]
    assert all("█" in line for line in drawn.lines[1:])
    assert drawn.err == "checkout version 2 is completed\n"


@pytest.mark.parametrize(
    ("start", "end", "drawn"), [(0, 4, "████████"), (4, 4, "       █"), (0, 0, "█"), (2, 3, "    ██")]
)
def test_a_bar_is_never_empty_nor_too_long(start: int, end: int, drawn: str) -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC)
    at = [zero + timedelta(hours=hour) for hour in range(5)]
    assert bar(at[start], at[end], at[0], at[4], 8) == drawn


def test_results_and_their_exit_codes(seeds: Seeds) -> None:
    assert run("workflow", "result", seeds.run_done).json == {"sent": True}
    failed = run("workflow", "result", seeds.run_failed, "--json")
    assert (failed.code, "ValueError" in failed.err) == (1, True)
    waiting = run("workflow", "result", seeds.run_waiting)
    assert waiting.code == 8
    assert "has not ended: it is waiting" in waiting.err
    assert run("workflow", "result", seeds.run_waiting, "--timeout", "10ms").code == 8
    missing = run("workflow", "result", RunID.new())
    assert missing.code == 4
    other = run("workflow", "show", seeds.pending)
    assert other.code == 2
    assert "it looks like the id of a job" in other.err


def test_runs_are_started_by_name_with_the_announced_schema(seeds: Seeds) -> None:
    started = run("workflow", "start", "checkout", "order:=7", "--version", "2", "--unique", "o-7", "--tag", "vip")
    assert started.code == 0, started.err
    shown = run("workflow", "show", started.out.strip(), "--json").json
    assert (shown["version"], shown["queue"], shown["payload"], shown["tags"]) == (2, "shop", {"order": 7}, ["vip"])
    again = run("workflow", "start", "checkout", "order:=7", "--version", "2", "--unique", "o-7", "--json").json
    assert (again["id"], again["created"]) == (started.out.strip(), False)
    assert "no live worker plays checkout version 3" in run("workflow", "start", "checkout", "order:=8").err
    wrong = run("workflow", "start", "checkout", "order=x")
    assert (wrong.code, "order:=3" in wrong.err) == (2, True)
    other = run("workflow", "start", "add", "x:=1")
    assert (other.code, "add is a job: `dispatch job enqueue add …`" in other.err) == (2, True)
    unknown = run("workflow", "start", "chekout")
    assert (unknown.code, "did you mean 'checkout'?" in unknown.err) == (4, True)
    before = len(run("workflow", "list", "-o", "ids").lines)
    dry = run("workflow", "start", "checkout", "order:=9", "--dry-run", "--json")
    assert dry.json["payload"] == {"order": 9}
    assert len(run("workflow", "list", "-o", "ids").lines) == before


def test_a_run_is_cancelled_retried_and_migrated(seeds: Seeds) -> None:
    assert run("workflow", "cancel", seeds.run_done).code == 5
    assert run("workflow", "retry", seeds.run_done).code == 5
    assert run("workflow", "migrate", seeds.run_done, "--to-version", "3").code == 5
    assert run("workflow", "migrate", seeds.run_waiting, "--to-version", "9").code == 4
    both = run("workflow", "cancel", seeds.run_done, seeds.run_waiting, "--yes", "--reason", "a test", "--json")
    assert (both.code, both.json["done"], both.json["refused"]) == (75, 1, 1)
    shown = run("workflow", "show", seeds.run_waiting, "--json").json
    assert (shown["state"], shown["reason"]) == ("compensating", "a test")
    assert "about" not in run("workflow", "retry", seeds.run_failed).err
    assert run("workflow", "list", "--state", "failed").err == "no runs match\n"
    verbs = [line["verb"] for line in run("audit", "list", "--json").json["items"]]
    assert {"workflow.cancel", "workflow.retry"} <= {*verbs}


def test_a_fork_starts_with_edited_results(seeds: Seeds) -> None:
    edit = ("--from", "ship", "--set", "charge.amount=5")
    dry = run("workflow", "fork", seeds.run_done, *edit, "--dry-run")
    assert dry.err == "nothing was written; a new run would begin with: charge (edited), pause\n"
    forked = run("workflow", "fork", seeds.run_done, *edit).out.strip()
    items = run("workflow", "timeline", forked, "--json").json["items"]
    assert [(item["step_name"], item["inherited"]) for item in items] == [("charge", True), ("pause", True)]
    assert items[0]["data"]["amount"] == 5
    assert run("workflow", "show", forked, "--json").json["forked_from"] == seeds.run_done
    assert run("workflow", "fork", seeds.run_done, "--from", "shipp").code == 2
    assert run("workflow", "fork", seeds.run_done, "--from", "ship", "--set", "chrge=1").code == 2
    assert run("workflow", "fork", seeds.run_done, "--from", "ship", "--set", "charge.amount").code == 2
    assert run("workflow", "fork", seeds.run_done, "--from", "ship", "--set", "charge.deep.er=1").code == 2
    slip = ("--from", "ship", "--set", "charge.amuont=5")
    refused = run("workflow", "fork", seeds.run_done, *slip, "--dry-run")
    assert refused.code == 2
    assert "step 'charge': 'amuont' is not there; did you mean 'amount'? With force" in refused.err
    assert run("workflow", "fork", seeds.run_done, *slip).code == 2
    added = run("workflow", "fork", seeds.run_done, *slip, "--force").out.strip()
    assert run("workflow", "timeline", added, "--json").json["items"][0]["data"]["amuont"] == 5
    assert run("workflow", "fork", seeds.run_done, "--from", "ship", "--force").code == 2


def test_runs_are_compared(seeds: Seeds) -> None:
    forked = run("workflow", "fork", seeds.run_done, "--from", "ship", "--set", "charge.amount=5").out.strip()
    rows = run("workflow", "diff", seeds.run_done, forked, "--json").json["items"]
    assert [(row["step_name"], row["right_kind"]) for row in rows] == [("charge", "step"), ("ship", None)]
    assert run("workflow", "diff", forked, forked).err == "the two runs have recorded the same\n"


def test_events_are_published_listed_and_shown(seeds: Seeds) -> None:
    published = run("event", "publish", "payment.cleared", '{"amount": 5}', "--key", "order-2")
    assert published.err == "published payment.cleared with key order-2\n"
    assert run("event", "list", "--name", "payment.cleared", "-o", "ids").lines == published.lines
    assert run("event", "list", "--key", "a-1", "-o", "ids").lines == [seeds.event]
    assert '"sku": "a-1"' in run("event", "show", seeds.event).out
    assert run("event", "publish", "x", "{oops").code == 2
    assert run("event", "publish", "two words").code == 2
    assert run("event", "publish", "never", "--dry-run").out == ""
    assert run("event", "list", "--name", "never").err == "no events match\n"
    assert run("workflow", "signal", seeds.run_done, "late").code == 5
    assert run("workflow", "signal", seeds.run_done, "late", "--dry-run").code == 5


def test_events_are_followed_as_they_come(seeds: Seeds) -> None:
    assert "stock.arrived  a-1" in run("event", "tail", "--for", "50ms").out
    assert run("event", "tail", "--last", "0", "--for", "50ms").out == ""
    with spawn("event", "tail", "--last", "1", "-o", "ids", "--for", "30s") as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline().strip() == seeds.event
        published = run("event", "publish", "fresh").out
        assert tail.stdout.readline() == published
        tail.terminate()


def test_the_events_that_there_are_come_however_slow_the_store_is(
    seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = EventService.list

    async def slowly(self: EventService, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.05)
        return await listed(self, *args, **options)

    monkeypatch.setattr(EventService, "list", slowly)
    assert run("event", "tail", "-o", "ids", "--for", "1ms").lines == [seeds.event]


def test_status_shows_runs_and_what_is_blocked(seeds: Seeds) -> None:
    document = run("status", "--json").json
    assert document["runs"]["waiting"] == 1


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_the_job_that_drives_a_run_is_not_touched_and_the_runs_own_command_is_named(
    how: tuple[str, ...], seeds: Seeds
) -> None:
    waiting, failed = seeds.run_waiting, seeds.run_failed
    for run_id, verb, told in (
        (waiting, "cancel", f"drives {waiting}: `dispatch workflow cancel {waiting}`"),
        (waiting, "delete", f"drives {waiting}: `dispatch workflow cancel {waiting}`"),
        (waiting, "retry", f"drives {waiting}: `dispatch workflow retry {waiting}`"),
        (failed, "cancel", "is failed already"),
        (failed, "delete", f"drives {failed} and is removed with it"),
        (failed, "retry", f"drives {failed}: `dispatch workflow retry {failed}`"),
    ):
        consent = () if verb == "retry" else ("--yes",)
        ran = run("job", verb, driver_id(RunID(run_id)), *consent, *how)
        assert (ran.code, told in ran.err) == (5, True), ran.err
