"""Who waits behind a holder of a unique key that has expired unnoticed: the key is theirs once somebody wants it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dispatch.crons.model import NewTick, Tick
from dispatch.errors import DuplicateJob
from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import CountOptions, JobState, NewJob, OnConflict, Unique, Verdict
from dispatch.testing.conformance import crons
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.flows import Driven, begin, made, new_run, state
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewRun, RunState, driver_name

MODES: tuple[OnConflict, ...] = ("return", "skip", "raise", "replace")
LINE_UP = Unique("k", on_conflict="replace")


@dataclass(frozen=True, slots=True)
class Line:
    """An expired holder of the key, a job or a run, and the run behind it."""

    job: JobID | None
    run: RunID | None
    follows: NewRun


async def _tick(env: Env, **makes: Any) -> Tick:
    """A tick of an entry whose work has the key; only ticks make runs line up."""
    env.clock.advance(1)
    entry = await env.store.crons.get("nightly") or await crons.made(env)
    fired = await crons.fired(env, entry, NewTick(env.clock.now(), "fired", **makes), then=0.0)
    (tick,) = fired.ticks
    return tick


async def _lined_up(env: Env, **options: Any) -> NewRun:
    follows = new_run(unique=LINE_UP, **options)
    assert (await _tick(env, run=follows)).run_id == follows.id
    assert (await env.job(follows.driver.id)).behind is not None
    return follows


async def _behind_a_job(env: Env, **options: Any) -> Line:
    old = await env.add(unique=Unique("k"), expires_in=5)
    follows = await _lined_up(env, **options)
    env.clock.advance(6)
    return Line(old, None, follows)


async def _behind_a_run(env: Env, **options: Any) -> Line:
    """Behind one that nobody serves."""
    old = new_run(version=2, unique=Unique("k"), expires_in=5)
    await made(env, old)
    env.clock.advance(2)
    await env.store.jobs.set_aside(due_for=1, limit=10)
    assert await state(env, old.id) is RunState.BLOCKED
    follows = await _lined_up(env, **options)
    env.clock.advance(4)
    return Line(None, old.id, follows)


LINES: tuple[Callable[..., Awaitable[Line]], ...] = (_behind_a_job, _behind_a_run)


async def _has_made_way(env: Env, line: Line) -> None:
    if line.job is not None:
        assert (await env.job(line.job)).reason == "expired"
    if line.run is not None:
        assert await state(env, line.run) is RunState.COMPENSATING


async def _goes_on(env: Env, line: Line) -> None:
    """The expired one has made way for who waited behind it, whose end frees the key."""
    await _has_made_way(env, line)
    (met,) = await env.enqueue(new(unique=Unique("k")))
    assert (met.id, met.created, met.expired) == (line.follows.driver.id, False, ())
    claimed = await env.claimed(5, names=[driver_name("flow", 1), driver_name("flow", 2), "work"])
    assert claimed.expired == []
    held = {job.run_id: Driven(env, job.run_id, job, env.worker, env.store) for job in claimed.jobs if job.run_id}
    assert set(held) == {line.follows.id} | ({line.run} if line.run else set())
    if line.run is not None:
        assert (await held[line.run].finish("cancelled", reason="expired")).reply == "applied"
    assert (await held[line.follows.id].finish()).reply == "applied"
    for kind in ("job", "workflow"):
        counts = await env.store.jobs.count(CountOptions(kinds=(kind,)))
        assert not counts.get(JobState.PENDING, 0), f"a {kind} is left over"
    job = await env.start(unique=Unique("k"))
    await env.finish(job, Verdict.COMPLETE)


async def _failed(env: Env) -> tuple[JobID, DLQID]:
    failed = await env.start(unique=Unique("k"))
    letter = (await env.finish(failed, Verdict.FAIL, failure=BOOM, dead_letter=True)).dead_letter
    assert letter is not None
    return failed.id, letter


@case("I1", "I12")
async def a_refused_retry_sets_free_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        failed, _ = await _failed(env)
        line, seen = await lined_up(env), env.store.wakeups.version
        assert (await env.store.jobs.retry(failed)).reply == "conflict"
        assert await env.store.wakeups.wait(seen, timeout=20.0) != seen, "a worker hears of it"
        await _goes_on(env, line)


@case("I1", "I12")
async def a_refused_replay_sets_free_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        _, letter = await _failed(env)
        line = await lined_up(env)
        replayed = await env.store.dlq.replay(letter, JobID.new())
        assert (replayed.reply, replayed.job_id) == ("conflict", line.follows.driver.id)
        await _goes_on(env, line)


@case("I1")
async def a_refused_retry_of_a_run_sets_free_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        failed = await begin(env, unique=Unique("k"))
        await failed.finish("failed")
        line = await lined_up(env)
        assert (await env.store.workflows.retry(failed.id)).reply == "conflict"
        await _goes_on(env, line)


@case("I1")
async def an_enqueue_meets_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        for mode in MODES:
            line, wanted = await lined_up(env), new(unique=Unique("k", on_conflict=mode))
            gone = () if line.job is None else (line.job,)
            if mode == "raise":
                async with env.unchanged("a refused enqueue"):
                    with raises(DuplicateJob):
                        await env.enqueue(wanted)
                wanted = new(unique=Unique("k"))
            (met,) = await env.enqueue(wanted)
            assert (met.id, met.created, met.replaced, met.expired) == (line.follows.driver.id, False, False, gone)
            await _goes_on(env, line)


@case("I1")
async def a_follow_up_meets_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        job, line = await env.start(), await lined_up(env)
        await env.finish(job, Verdict.COMPLETE, then=[new(unique=LINE_UP)])
        await _goes_on(env, line)


@case("I1")
async def the_start_of_a_run_meets_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        for mode in MODES:
            line, wanted = await lined_up(env), new_run(unique=Unique("k", on_conflict=mode))
            if mode == "raise":
                async with env.unchanged("a refused start"):
                    with raises(DuplicateJob):
                        await env.store.workflows.create([wanted])
                wanted = new_run(unique=Unique("k"))
            (met,) = await env.store.workflows.create([wanted])
            assert (met.id, met.created) == (line.follows.id, False)
            await _goes_on(env, line)


@case("I1", "I15")
async def a_tick_meets_who_waits_behind_the_expired_one(env: Env) -> None:
    for lined_up in LINES:
        line = await lined_up(env)
        assert (await _tick(env, run=new_run(unique=LINE_UP))).outcome == "skipped"
        await _goes_on(env, line)
        line = await lined_up(env)
        assert (await _tick(env, job=new(unique=LINE_UP))).outcome == "skipped"
        await _goes_on(env, line)


@case("I1")
async def a_job_that_waits_behind_an_expired_run_is_replaced_in_its_place(env: Env) -> None:
    old = new_run(version=2, unique=Unique("k"), expires_in=5)
    await made(env, old)
    env.clock.advance(2)
    await env.store.jobs.set_aside(due_for=1, limit=10)
    follows = await env.add(payload=b"1", unique=LINE_UP)
    env.clock.advance(4)
    (met,) = await env.enqueue(new(payload=b"2", unique=LINE_UP))
    assert (met.id, met.created, met.replaced) == (follows, False, True)
    assert await state(env, old.id) is RunState.COMPENSATING
    job = await env.take()
    assert (job.id, job.payload, job.behind) == (follows, b"2", None)
    await env.finish(job, Verdict.COMPLETE)


@case("I1")
async def who_waits_behind_an_expired_one_and_has_expired_too_makes_way(env: Env) -> None:
    for lined_up in LINES:
        line = await lined_up(env, expires_in=3)
        fresh = new(unique=Unique("k"))
        await _enqueued(env, fresh)
        await _has_made_way(env, line)
        assert await state(env, line.follows.id) is RunState.COMPENSATING
        claimed = await env.claim(5, names=[driver_name("flow", 1), driver_name("flow", 2), "work"])
        for job in claimed:
            if job.run_id is not None:
                driven = Driven(env, job.run_id, job, env.worker, env.store)
                assert (await driven.finish("cancelled", reason="expired")).reply == "applied"
        (done,) = [job for job in claimed if job.id == fresh.id]
        assert (await env.finish(done, Verdict.COMPLETE)).state is JobState.COMPLETED


async def _enqueued(env: Env, wanted: NewJob) -> None:
    (answer,) = await env.enqueue(wanted)
    assert (answer.id, answer.created) == (wanted.id, True)


@case("I1")
async def a_run_that_gave_up_its_place_behind_another_is_not_retried_beside_it(env: Env) -> None:
    first = await begin(env, unique=Unique("k"))
    behind = await _lined_up(env)
    await env.store.workflows.cancel(behind.id)
    (driver,) = await env.claim(5, names=[driver_name("flow", 1)])
    await Driven(env, behind.id, driver, env.worker, env.store).finish("cancelled", reason="cancelled")
    refused = await env.store.workflows.retry(behind.id)
    assert (refused.reply, refused.holder) == ("conflict", first.driver.id)
    assert (await first.finish()).reply == "applied"
    assert (await env.store.workflows.retry(behind.id)).reply == "applied"
    (again,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (again.id, again.created) == (behind.id, False)
