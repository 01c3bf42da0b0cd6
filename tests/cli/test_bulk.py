"""Changes of many jobs by filters: which ones are meant, what is asked, what is shown, how the command ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from dispatch_cli import bulk
from dispatch_cli.bulk import Outcomes, each
from dispatch_cli.choices import interval_of, moment
from dispatch_cli.failures import CommandError

from dispatch.errors import JobNotFound, StoreUnreachable
from dispatch.services import JobService
from tests.cli.conftest import Ran, Seeds, run


def ids(ran: Ran) -> list[str]:
    return [item["id"] for item in ran.json["items"]]


def test_filters_choose_what_is_changed_and_the_rest_stays(seeds: Seeds) -> None:
    run("job", "enqueue", "add", "x:=1", "--tag", "later")
    ran = run("job", "cancel", "--tag", "later", "--yes", "--json")
    assert (ran.json["done"], ran.json["items"][0]["outcome"]) == (1, "cancelled")
    assert ids(run("job", "cancel", "--queue", "mailers", "--yes", "--json")) == [seeds.pending]
    assert ids(run("job", "retry", "--name", "add", "--state", "failed", "--yes", "--json")) == [seeds.failed]
    counts = run("job", "count", "--json").json
    assert (counts["pending"], counts["running"], counts["completed"]) == (2, 1, 1)


def test_what_was_retried_meanwhile_is_not_deleted_with_the_failed(
    seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = JobService.delete

    async def late(jobs: JobService, job_id: Any, **options: Any) -> None:
        await jobs.retry(job_id)
        await delete(jobs, job_id, **options)

    monkeypatch.setattr(JobService, "delete", late)
    ran = run("job", "delete", "--state", "failed", "--yes")
    assert ran.code != 0
    assert "is pending by now" in ran.out
    assert run("job", "show", seeds.failed, "--json").json["state"] == "pending"


def test_the_version_is_one_line() -> None:
    ran = run("--version")
    assert (ran.code, ran.out.split()[0], ran.out.count("\n")) == (0, "dispatch", 1)


def test_without_yes_the_count_is_asked_and_nothing_is_done_where_nobody_answers(seeds: Seeds) -> None:
    for words, said in (("cancel --state pending", "cancel 2 jobs"), ("retry --name add", "retry 1 job ")):
        ran = run("job", *words.split())
        assert ran.code == 2
        assert f"would {said}" in ran.err
        assert "pass --yes" in ran.err
    assert run("job", "count", "--json").json["pending"] == 2


def test_a_rehearsal_by_filters_lists_and_changes_nothing(seeds: Seeds) -> None:
    before = run("job", "list", "--json").json
    for verb in ("retry", "cancel", "delete"):
        ran = run("job", verb, "--since", "1h", "--dry-run", "--json")
        assert ran.code == 0, ran.err
        assert all(item["outcome"].startswith("would be ") for item in ran.json["items"])
        assert ran.json["done"] >= 2
    assert run("job", "list", "--json").json == before


def test_a_time_is_a_length_or_a_moment(seeds: Seeds) -> None:
    everything = run("job", "list", "-o", "ids").lines
    assert run("job", "list", "--since", "1h", "-o", "ids").lines == everything
    assert run("job", "list", "--until", "1h", "-o", "ids").lines == []
    assert run("job", "list", "--since", "2200-01-01T00:00Z", "-o", "ids").lines == []
    assert run("job", "list", "--until", "2200-01-01T00:00Z", "-o", "ids").lines == everything
    assert run("job", "list", "--since", "yesterday").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("retry", "which jobs?"),
        ("cancel --yes", "which jobs?"),
        ("delete job_01k9ztq3e8f5v8k4y3v9h2m7xa --queue mailers", "ids are already chosen"),
        ("retry --state completed", "completed jobs cannot be retried"),
        ("cancel --state failed", "failed jobs cannot be cancelled"),
        ("delete --state running", "running jobs cannot be deleted"),
        ("delete --state faild", "did you mean 'failed'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, said: str, seeds: Seeds) -> None:
    ran = run("job", *words.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_nothing_that_matches_is_no_error(seeds: Seeds) -> None:
    ran = run("job", "cancel", "--queue", "nowhere", "--yes")
    assert (ran.code, ran.out, ran.err) == (0, "", "no jobs match, so nothing was done\n")


def test_what_was_refused_among_many_makes_it_partly_done(seeds: Seeds) -> None:
    assert run("job", "enqueue", "add", "x:=2", "--unique", "k").code == 0
    (first,) = run("job", "list", "--state", "pending", "--name", "add", "-o", "ids").lines
    assert run("job", "cancel", first, "--yes").code == 0
    assert run("job", "enqueue", "add", "x:=2", "--unique", "k").code == 0
    ran = run("job", "retry", "--name", "add", "--yes", "--json")
    assert ran.code == 75
    assert {item["id"]: item["ok"] for item in ran.json["items"]} == {first: False, seeds.failed: True}
    assert (ran.json["done"], ran.json["refused"]) == (1, 1)


def test_a_purged_queue_has_nothing_that_waits(seeds: Seeds) -> None:
    refused = run("queue", "purge", "mailers")
    assert (refused.code, "delete 1 waiting job of queue 'mailers' for good" in refused.err) == (2, True)
    assert run("queue", "purge", "mailers", "--dry-run", "--json").json["would_purge"] == 1
    assert run("queue", "purge", "mailers", "--yes", "--json").json["purged"] == 1
    assert run("job", "show", seeds.pending).code == 4
    assert run("job", "show", seeds.running).code == 0
    assert run("queue", "purge", "mailers", "--yes", "--json").json["purged"] == 0


async def several(count: int) -> AsyncIterator[str]:
    for number in range(count):
        yield f"job_{number}"


async def test_outcomes_keep_their_order_and_are_bounded_while_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LISTED", 30)

    async def act(id_: str, outcomes: Outcomes) -> None:
        await asyncio.sleep(0 if int(id_[4:]) % 2 else 0.001)
        if id_ == "job_7":
            raise JobNotFound("no such job")
        outcomes.add(id_, "done")

    outcomes, ticks = Outcomes(), []
    await each(several(50), act, outcomes, tick=lambda: ticks.append(1))
    assert [item["id"] for item in outcomes.items] == [f"job_{number}" for number in range(30)]
    assert (outcomes.done, outcomes.refused, len(ticks), outcomes.exit_code) == (49, 1, 50, 75)


async def test_a_store_that_fails_stops_the_rest_and_what_was_done_is_known() -> None:
    async def act(id_: str, outcomes: Outcomes) -> None:
        if id_ == "job_20":
            raise StoreUnreachable("gone")
        outcomes.add(id_, "done")

    outcomes = Outcomes()
    with pytest.raises(StoreUnreachable):
        await each(several(100), act, outcomes)
    assert 20 <= outcomes.done < 100


async def test_a_rate_spaces_them_out() -> None:
    at: list[float] = []

    async def act(id_: str, outcomes: Outcomes) -> None:
        at.append(asyncio.get_running_loop().time())

    await each(several(4), act, Outcomes(), interval=0.02)
    assert at[-1] - at[0] >= 0.055


def test_rates_are_read_as_they_are_written() -> None:
    assert [interval_of("--rate", text) for text in (None, "10/s", "4", "30/m", "100/h")] == [0, 0.1, 0.25, 2, 36]
    for text in ("0/s", "fast", "3/d", "-1"):
        with pytest.raises(CommandError, match="is no rate"):
            interval_of("--rate", text)


def test_a_wall_time_that_the_clocks_skip_is_the_first_moment_after_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert moment("--at", "2026-03-29T01:59:59") == datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
        assert moment("--at", "2026-03-29T02:30") == datetime(2026, 3, 29, 1, tzinfo=UTC)
        assert moment("--at", "2026-03-29T03:00") == datetime(2026, 3, 29, 1, tzinfo=UTC)
        assert moment("--at", "2026-10-25T02:30") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        assert moment("--at", "2026-03-29T02:30Z") == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
