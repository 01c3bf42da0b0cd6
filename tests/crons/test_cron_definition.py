"""What cannot be a cron entry is refused where it is written, with the fault and its place."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.errors import CronNotFound, DuplicateName, InvalidArguments, InvalidDefinition
from dispatch.jobs.limit import Limit
from dispatch.jobs.model import ListOptions
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.services.cron_specs import specs_of
from dispatch.testing import app as testing_app
from dispatch.workflows.context import WorkflowContext


async def report() -> None: ...


@pytest.mark.parametrize(
    ("schedule", "options", "said"),
    [
        ("61 * * * *", {}, "the minute '61' (column 1)"),
        ("0 25 * * *", {}, "the hour '25' (column 3)"),
        ("0 0 32 * *", {}, "the day of month '32' (column 5)"),
        ("0 0 * 13 *", {}, "the month '13' (column 7)"),
        ("0 0 * * 9", {}, "the day of week '9' (column 9)"),
        ("99 0 0 * * *", {}, "the second '99' (column 1)"),
        ("0 0 31 2 *", {}, "names a date that never comes"),
        ("0 0 30 2 *", {}, "names a date that never comes"),
        ("* * * *", {}, "has 4 fields"),
        ("* * * * * * *", {}, "has 7 fields"),
        ("@dayly", {}, "did you mean @daily?"),
        ("@every soon", {}, "'@every soon'"),
        ("@every 10ms", {}, "less than a second"),
        ("R * * * *", {}, "spread load with jitter"),
        ("@daily", {"timezone": "Europe/Berlim"}, "did you mean Europe/Berlin?"),
        ("@daily", {"timezone": "../etc/passwd"}, "is no IANA time zone"),
        ("@daily", {"overlap": "never"}, "it is one of allow, skip, queue, cancel_old"),
        ("@daily", {"misfire": "twice"}, "it is one of skip, once, all"),
        ("@daily", {"jitter": -1}, "must be a finite duration"),
        ("@daily", {"misfire_window": "soon"}, "misfire_window"),
        ("@daily", {"name": "a b"}, "cannot be a cron entry's name"),
    ],
)
def test_what_says_nothing_is_refused_with_the_fault(schedule: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        Registry().cron(schedule, **options)(report)
    assert said in str(refused.value)


@pytest.mark.parametrize("overlap", ["skip", "allow", "queue", "cancel_old"])
def test_a_workflow_takes_every_overlap(overlap: Any) -> None:
    registry = Registry()

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None: ...

    registry.cron("@daily", overlap=overlap)(flow)
    assert [entry.overlap for entry in registry.crons.values()] == [overlap]


def test_an_entry_keeps_the_options_of_its_call() -> None:
    registry = Registry()

    @registry.cron("@daily", call=lambda: sync.options(priority=3, tags=["a"]).call("eu"))
    @registry.job(queue="sync", concurrency=Limit(key=lambda region: region, max=2))
    async def sync(region: str) -> None: ...

    (spec,) = specs_of(registry.crons.values()).values()
    assert (spec.options["queue"], spec.options["priority"], spec.options["tags"]) == ("sync", 3, ["a"])
    assert (spec.options["concurrency_max"], "eu" in spec.options["concurrency_key"]) == (2, True)


async def test_entries_by_name_fit_what_was_announced_and_are_each_tenants_own() -> None:
    registry = Registry()

    @registry.job(queue="mail")
    async def digest(account: int) -> None: ...

    async with testing_app(registry) as app:
        with pytest.raises(InvalidArguments, match="account"):
            await app.crons.create_named("a", "@daily", "digest", {"account": "many"})
        with pytest.raises(InvalidDefinition, match="column 3"):
            await app.crons.create_named("a", "0 25 * * *", "digest", {"account": 1})
        rehearsed = await app.crons.create_named("a", "@daily", "digest", {"account": 1}, dry_run=True)
        assert (await app.crons.list()).items == []
        one, two = Scope("shop", "one"), Scope("shop", "two")
        for scope in (one, two):
            made = await app.crons.create_named("a", "@daily", "digest", {"account": 1}, scope=scope)
            assert (made.spec.options, made.spec.scope) == ({"queue": "mail"}, scope)
        assert rehearsed.spec.payload == made.spec.payload
        with pytest.raises(DuplicateName):
            await app.crons.create("a", "@daily", digest.call(2), scope=two)
        with pytest.raises(CronNotFound, match="name the tenant"):
            await app.crons.get("a")
        with pytest.raises(CronNotFound, match="of tenant 'shop/three'"):
            await app.crons.get("a", scope=Scope("shop", "three"))
        await app.crons.create_named("nightly", "@daily", "digest", {"account": 1}, scope=one)
        for verb in (app.crons.get, app.crons.disable, app.crons.delete, app.crons.trigger):
            with pytest.raises(CronNotFound, match="did you mean 'nightly'"):
                await verb("nightyl")
            with pytest.raises(CronNotFound, match="of tenant 'shop/two'; `dispatch cron list`"):
                await verb("nightyl", scope=two)
        with pytest.raises(InvalidDefinition, match="has no colour"):
            await app.crons.edit("a", scope=one, colour="red")


async def test_an_entry_whose_job_is_gone_makes_jobs_that_say_so() -> None:
    async with testing_app(Registry()) as app:
        await app.crons.create_named("lost", "@hourly", "no_such_job")
        done = await app.travel("2h")
        assert done.completed == 0
        (tick, *_) = await app.crons.history("lost")
        assert tick.job_id is None
        (job,) = (await app.jobs.list(ListOptions())).items
        explained = await app.jobs.explain(job.id)
        assert "no_such_job" in explained.summary
