"""A tenant sees, changes and counts nothing of another one, by any verb; its scope goes with all its work."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dispatch import WorkflowContext, current_job, services, testing
from dispatch.backoff import Constant
from dispatch.dlq.model import DLQEntry
from dispatch.dlq.model import ListOptions as Letters
from dispatch.errors import NotFound
from dispatch.events.model import Event
from dispatch.events.model import ListOptions as Events
from dispatch.jobs.model import CountOptions, JobState
from dispatch.jobs.model import ListOptions as Jobs
from dispatch.registry import Registry
from dispatch.scope import Scope, capture, use_scope
from dispatch.testing import MemoryApp
from dispatch.workflows.model import ListOptions as Runs

OWN, OTHER = Scope("shop", "t-1"), Scope("shop", "t-2")
MISSING = "missing"
"""What a verb answers that names what is another tenant's: a NotFound."""


@dataclass(frozen=True)
class World:
    """One thing of each kind, all of them OWN's."""

    app: MemoryApp
    waiting: Any
    failed: Any
    letter: DLQEntry
    run: Any
    event: Event


@pytest.fixture
async def world() -> AsyncIterator[World]:
    registry = Registry()

    @registry.job(max_retries=0)
    async def fails() -> None:
        raise ValueError("no")

    @registry.job(max_retries=0)
    async def later() -> None: ...

    @registry.workflow
    async def waits(ctx: WorkflowContext) -> None:
        await ctx.step("one", asyncio.sleep, 0)
        await ctx.wait_for_event("go")

    async with testing.app(registry) as app:
        with use_scope(*OWN):
            failed = await fails.enqueue()
            waiting = await later.options(delay=1000).enqueue()
            run = await waits.start()
            event = await app.events.publish("hello")
            await app.crons.create("digest", "0 0 1 1 *", later.call())
        await app.run_until_idle()
        (letter,) = (await app.dlq.list()).items
        yield World(app, waiting.id, failed.id, letter, run.id, event)


async def first(stream: Any) -> Any:
    return await anext(stream)


async def all_of(stream: Any) -> list[Any]:
    return [item async for item in stream]


Verb = Callable[[World, Scope], Awaitable[Any]]
FOREIGN: dict[str, tuple[Verb, Any]] = {
    "JobService.get": (lambda w, s: w.app.jobs.get(w.waiting, scope=s), MISSING),
    "JobService.list": (lambda w, s: items(w.app.jobs.list(Jobs(scope=s))), []),
    "JobService.count": (lambda w, s: total(w.app.jobs.count(CountOptions(scope=s))), 0),
    "JobService.attempts": (lambda w, s: w.app.jobs.attempts(w.failed, scope=s), MISSING),
    "JobService.cancel": (lambda w, s: w.app.jobs.cancel(w.waiting, scope=s), MISSING),
    "JobService.cancel_many": (lambda w, s: none_found(w.app.jobs.cancel_many([w.waiting], scope=s)), MISSING),
    "JobService.retry": (lambda w, s: w.app.jobs.retry(w.failed, scope=s), MISSING),
    "JobService.delete": (lambda w, s: w.app.jobs.delete(w.failed, scope=s), MISSING),
    "JobService.wait": (lambda w, s: w.app.jobs.wait(w.failed, timeout=1, scope=s), MISSING),
    "JobService.watch": (lambda w, s: first(w.app.jobs.watch(w.failed, timeout=1, scope=s)), MISSING),
    "JobService.explain": (lambda w, s: w.app.jobs.explain(w.waiting, scope=s), MISSING),
    "DLQService.get": (lambda w, s: w.app.dlq.get(w.letter.id, scope=s), MISSING),
    "DLQService.attempts": (lambda w, s: w.app.dlq.attempts(w.letter.id, scope=s), MISSING),
    "DLQService.rehearse": (lambda w, s: w.app.dlq.rehearse(w.letter.id, scope=s), MISSING),
    "DLQService.list": (lambda w, s: items(w.app.dlq.list(Letters(scope=s))), []),
    "DLQService.each": (lambda w, s: all_of(w.app.dlq.each(Letters(scope=s))), []),
    "DLQService.count": (lambda w, s: w.app.dlq.count(Letters(scope=s)), 0),
    "DLQService.groups": (lambda w, s: w.app.dlq.groups(scope=s), []),
    "DLQService.replay": (lambda w, s: w.app.dlq.replay(w.letter.id, scope=s), MISSING),
    "DLQService.discard": (lambda w, s: w.app.dlq.discard(w.letter.id, scope=s), MISSING),
    "DLQService.purge": (lambda w, s: w.app.dlq.purge(scope=s), 0),
    "EventService.get": (lambda w, s: w.app.events.get(w.event.id, scope=s), MISSING),
    "EventService.list": (lambda w, s: items(w.app.events.list(Events(scope=s))), []),
    "CronService.get": (lambda w, s: w.app.crons.get("digest", scope=s), MISSING),
    "CronService.edit": (lambda w, s: w.app.crons.edit("digest", scope=s, schedule="* * * * *"), MISSING),
    "CronService.enable": (lambda w, s: w.app.crons.enable("digest", scope=s), MISSING),
    "CronService.disable": (lambda w, s: w.app.crons.disable("digest", scope=s), MISSING),
    "CronService.delete": (lambda w, s: w.app.crons.delete("digest", scope=s), MISSING),
    "CronService.trigger": (lambda w, s: w.app.crons.trigger("digest", scope=s), MISSING),
    "CronService.history": (lambda w, s: w.app.crons.history("digest", scope=s), MISSING),
    "CronService.next": (lambda w, s: w.app.crons.next("digest", scope=s), MISSING),
    "CronService.list": (lambda w, s: items(w.app.crons.list(cron_options(s))), []),
    "WorkflowService.get": (lambda w, s: w.app.workflows.get(w.run, scope=s), MISSING),
    "WorkflowService.list": (lambda w, s: items(w.app.workflows.list(Runs(scope=s))), []),
    "WorkflowService.count": (lambda w, s: total(w.app.workflows.count(scope=s)), 0),
    "WorkflowService.timeline": (lambda w, s: w.app.workflows.timeline(w.run, scope=s), MISSING),
    "WorkflowService.waits": (lambda w, s: w.app.workflows.waits(w.run, scope=s), MISSING),
    "WorkflowService.children": (lambda w, s: w.app.workflows.children(w.run, scope=s), MISSING),
    "WorkflowService.wait": (lambda w, s: w.app.workflows.wait(w.run, timeout=1, scope=s), MISSING),
    "WorkflowService.signal": (lambda w, s: w.app.workflows.signal(w.run, "go", scope=s), MISSING),
    "WorkflowService.cancel": (lambda w, s: w.app.workflows.cancel(w.run, scope=s), MISSING),
    "WorkflowService.retry": (lambda w, s: w.app.workflows.retry(w.run, scope=s), MISSING),
    "WorkflowService.migrate": (lambda w, s: w.app.workflows.migrate(w.run, version=1, scope=s), MISSING),
    "WorkflowService.fork": (lambda w, s: w.app.workflows.fork(w.run, before="one", scope=s), MISSING),
}
MAKES = {"CronService.create", "CronService.create_named", "APIKeyService.create"}
"""What belongs to the scope that is given."""
ANYBODY = {"JobService.stats": [], "CronService.find": MISSING, "WorkflowService.held_up": None}
"""Verbs whose arguments grow in other places; tried when they take a scope."""


async def items(page: Awaitable[Any]) -> list[Any]:
    return list((await page).items)


async def none_found(answers: Awaitable[Any]) -> None:
    """A verb over several things answers for each: here with an error, which is raised."""
    (answer,) = await answers
    raise answer if isinstance(answer, Exception) else AssertionError(f"{answer!r}")


async def total(counts: Awaitable[Any]) -> int:
    return sum((await counts).values())


def cron_options(scope: Scope) -> Any:
    from dispatch.crons.model import ListOptions

    return ListOptions(scope=scope)


def taking_a_scope() -> set[str]:
    """Every verb of a service that takes a scope, or options that have one."""
    found = set()
    for name in services.__all__:
        service = getattr(services, name)
        if inspect.isclass(service) and name.endswith("Service"):
            for verb, function in vars(service).items():
                parameters = inspect.signature(function).parameters if inspect.isfunction(function) else {}
                options = str(parameters["options"].annotation) if "options" in parameters else ""
                if not verb.startswith("_") and ("scope" in parameters or "ListOptions" in options):
                    found.add(f"{name}.{verb}")
    return found


def test_every_verb_that_takes_a_scope_is_tried() -> None:
    assert taking_a_scope() - FOREIGN.keys() - MAKES - ANYBODY.keys() == set()


async def state(world: World) -> Any:
    """All that a foreign hand could have changed."""
    app = world.app
    return (
        await app.jobs.count(CountOptions()),
        await app.workflows.count(),
        (await app.dlq.get(world.letter.id)).state,
        await app.crons.get("digest"),
        len((await app.events.list()).items),
        (await app.workflows.get(world.run)).state,
    )


@pytest.mark.parametrize("verb", FOREIGN)
async def test_a_foreign_tenant_sees_and_changes_nothing(verb: str, world: World) -> None:
    call, answer = FOREIGN[verb]
    before = await state(world)
    if answer is MISSING:
        with pytest.raises(NotFound):
            await call(world, OTHER)
    else:
        assert await call(world, OTHER) == answer
    assert await state(world) == before


@pytest.mark.parametrize("verb", [verb for verb, (_, answer) in FOREIGN.items() if answer is not MISSING])
async def test_its_own_tenant_sees_what_there_is(verb: str, world: World) -> None:
    call, nothing = FOREIGN[verb]
    assert await call(world, OWN) != nothing


@pytest.mark.parametrize("verb", ["JobService.get", "DLQService.get", "EventService.get", "WorkflowService.timeline"])
async def test_its_own_tenant_finds_its_things(verb: str, world: World) -> None:
    assert await FOREIGN[verb][0](world, OWN)


async def test_the_scope_goes_with_whatever_the_work_starts() -> None:
    registry = Registry()
    seen: dict[str, Scope] = {}

    def note(what: str) -> None:
        seen[what] = capture()

    @registry.job
    async def leaf(name: str) -> None:
        note(name)
        assert current_job().scope == capture()

    @registry.job(max_retries=1, backoff=Constant(1))
    async def twice() -> None:
        note(f"attempt {current_job().attempt}")
        raise ValueError("no")

    async def in_a_step() -> None:
        note("step")

    def in_a_thread() -> None:
        note("thread")

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        note("child")

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> None:
        note("run")
        await ctx.step("one", in_a_step)
        await ctx.step("two", in_a_thread)
        await ctx.step("three", leaf, "on workers").on_workers()
        await ctx.run_child(child)
        await ctx.enqueue(leaf, "enqueued by a run")

    @registry.job
    async def top(app_events: bool = True) -> None:
        await leaf.enqueue("enqueued by a job")
        await parent.start()
        await app.events.publish("made")

    async with testing.app(registry) as app:
        with use_scope(*OWN):
            await top.enqueue()
            await twice.enqueue()
            await app.jobs.enqueue_named("leaf", {"name": "by name"})
            await app.crons.create("mine", "0 0 1 1 *", leaf.call("cron"))
        await app.run_until_idle()
        await app.travel(60)
        (letter,) = (await app.dlq.list()).items
        seen["dead letter"] = letter.scope
        replayed = await app.dlq.replay(letter.id)
        seen["replay"] = (await app.jobs.get(replayed)).scope
        (run,) = [run for run in (await app.workflows.list()).items if run.name == "parent"]
        fork = await app.workflows.fork(run.id, before="two")
        seen["fork"] = (await app.workflows.get(fork.id)).scope
        seen["event"] = (await app.events.list()).items[0].scope
        await app.crons.trigger("mine", scope=OWN)
        await app.run_until_idle()
        jobs = (await app.jobs.list(Jobs(limit=500))).items
        runs = (await app.workflows.list()).items
    assert {what: scope for what, scope in seen.items() if scope != OWN} == {}
    assert set(seen) == {
        *("by name", "enqueued by a job", "enqueued by a run", "on workers", "cron", "run", "child", "step", "thread"),
        *("attempt 1", "attempt 2", "dead letter", "replay", "fork", "event"),
    }
    assert {job.scope for job in jobs} == {run.scope for run in runs} == {OWN}


async def test_an_event_wakes_runs_of_its_own_tenant_only(world: World) -> None:
    app = world.app
    for scope, ends in ((OTHER, False), (Scope(), False), (OWN, True)):
        with use_scope(*scope):
            await app.events.publish("go")
        await app.run_until_idle()
        run = await app.workflows.get(world.run)
        assert (run.state.terminal, run.scope) == (ends, OWN)


async def test_work_of_nobody_runs_in_no_scope_wherever_the_worker_was_started() -> None:
    registry = Registry()

    @registry.job
    async def work() -> str:
        return capture().tenant

    with use_scope(*OTHER):
        async with testing.app(registry) as app:
            with use_scope():
                handle = await work.enqueue()
            await app.run_until_idle()
            assert (await handle.status(), await handle.result(timeout=1)) == (JobState.COMPLETED, "")
