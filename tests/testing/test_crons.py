"""Cron entries in the app for tests: they fire as its clock moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch.config import Config
from dispatch.hookspecs import hookimpl
from dispatch.jobs.context import current_job
from dispatch.registry import Registry
from dispatch.scope import Scope, capture
from dispatch.testing import app as testing_app
from dispatch.workflows.context import WorkflowContext

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_nightly_job_runs_once_for_each_night_that_is_travelled() -> None:
    registry, ran = Registry(), list[datetime | None]()

    @registry.cron("0 3 * * *", name="nightly", timezone="Europe/Berlin")
    async def nightly() -> None:
        ran.append(current_job().scheduled_at)

    async with testing_app(registry, start=NEW_YEAR) as app:
        assert (await app.run_until_idle()).completed == 0
        assert (await app.travel("3d")).completed == 3
        assert ran == [NEW_YEAR + timedelta(days=n, hours=2) for n in range(3)]
        await app.crons.disable("nightly")
        assert (await app.travel("3d")).completed == 0
        await app.crons.enable("nightly")
        assert (await app.travel("1d")).completed == 1
        assert [tick.outcome for tick in await app.crons.history("nightly")] == ["fired"] * 4


async def test_an_entry_of_a_tenant_runs_in_its_scope_with_its_arguments() -> None:
    registry, seen = Registry(), list[Any]()

    @registry.job
    async def digest(account: int) -> None:
        seen.append((account, capture()))

    async with testing_app(registry, start=NEW_YEAR) as app:
        scope = Scope("shop", "t-42")
        entry = await app.crons.create("t-42-digest", "*/5 * * * *", digest.call(42), scope=scope)
        assert entry.next_fire_at == NEW_YEAR + timedelta(minutes=5)
        await app.travel("11m")
        assert seen == [(42, scope)] * 2


async def test_what_an_entry_does_not_say_is_as_configured() -> None:
    registry = Registry()

    @registry.cron("0 3 * * *")
    async def nightly() -> None: ...

    @registry.job
    async def digest() -> None: ...

    config = Config.model_validate({"cron": {"timezone": "Asia/Tokyo", "misfire": "all", "jitter": "30s"}})
    async with testing_app(registry, start=NEW_YEAR, config=config) as app:
        await app.run_until_idle()
        made = await app.crons.create("digest", "0 3 * * *", digest.call(), timezone="UTC", misfire="skip", jitter=0)
        found = (await app.crons.get("nightly")).spec
        assert (found.timezone, found.misfire, found.jitter) == ("Asia/Tokyo", "all", 30.0)
        assert (made.spec.timezone, made.spec.misfire, made.spec.jitter) == ("UTC", "skip", 0.0)


async def test_a_workflow_on_a_timetable_starts_a_run_and_skips_ticks_while_it_is_not_over() -> None:
    registry, started = Registry(), list[str]()

    @registry.cron("@every 1h", call=lambda: report.call("eu"))
    @registry.workflow(version=3)
    async def report(ctx: WorkflowContext, region: str) -> str:
        started.append(region)
        await ctx.sleep(timedelta(minutes=90))
        return region

    fired: list[tuple[str, str]] = []

    class Plugin:
        @hookimpl
        def cron_fired(self, entry: Any, job_id: Any) -> None:
            fired.append((entry.name, job_id))

    async with testing_app(registry, start=NEW_YEAR, plugins=[Plugin()]) as app:
        await app.travel("3h30m")
        ticks = await app.crons.history("report")
        assert [tick.outcome for tick in ticks] == ["fired", "skipped", "fired"]
        run_id = ticks[-1].run_id
        assert run_id is not None
        run = await app.workflows.get(run_id)
        assert (run.name, run.version, run.state, run.result) == ("report", 3, "completed", b'"eu"')
        assert fired == [("report", tick.job_id) for tick in reversed(ticks) if tick.job_id]
        by_hand = await app.crons.trigger("report")
        assert (by_hand.outcome, by_hand.run_id is not None) == ("manual", True)


def test_synchronous_code_makes_and_switches_entries() -> None:
    registry = Registry()

    @registry.job
    def tidy() -> None: ...

    with testing_app(registry, start=NEW_YEAR) as app:
        app.sync.crons.create("tidy", "@daily", tidy.call())
        app.sync.crons.disable("tidy", reason="why")
        assert app.sync.crons.get("tidy").disabled_reason == "why"
        assert app.sync.crons.enable("tidy")
        assert app.sync.travel("2d").completed == 2
