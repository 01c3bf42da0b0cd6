"""Cron entries: who says what they are, and that a tick fires once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.crons.model import CronEntry, CronSpec, Fire, Fired, NewTick
from dispatch.entity import Reply
from dispatch.ids import CronID, WorkerID
from dispatch.jobs.model import JobState, NewJob, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case


def spec(name: str = "nightly", **fields: Any) -> CronSpec:
    """What an entry says."""
    return CronSpec(**{"name": name, "schedule": "0 3 * * *", "target": "work", **fields})


async def made(env: Env, name: str = "nightly", *, due_in: float | None = 0.0, **fields: Any) -> CronEntry:
    """An entry made at run time that ticks in so many seconds."""
    moment = None if due_in is None else env.after(due_in)
    entry = await env.store.crons.create(spec(name, **fields), entry_id=CronID.new(), next_fire_at=moment)
    assert entry is not None
    return entry


async def announced(env: Env, *specs: CronSpec, by: WorkerID | None = None) -> list[CronEntry]:
    """What changes once a worker, registered, has announced these entries."""
    worker = by or env.worker
    await env.register(id=worker)
    await env.store.crons.announce(worker, {one.digest: one for one in specs})
    return await env.store.crons.settle(next_fire_at={})


async def entry_of(env: Env, name: str = "nightly") -> CronEntry:
    entry = await env.store.crons.get(name)
    assert entry is not None, f"there is no entry {name}"
    return entry


def job_for(entry: CronEntry, moment: datetime, *, on_conflict: Any = None) -> NewJob:
    """The job of a tick; with `on_conflict` it holds the entry's key."""
    unique = None if on_conflict is None else Unique(f"cron:{entry.id}", on_conflict=on_conflict)
    return new(entry.spec.target, scheduled_at=moment, unique=unique, scope=entry.spec.scope)


async def fired(
    env: Env, entry: CronEntry, *ticks: NewTick, then: float | None = 60.0, expected: datetime | None = None
) -> Fired:
    """Fires an entry as it was read."""
    moment = None if then is None else env.after(then)
    fire = Fire(entry.id, entry.revision, expected or entry.next_fire_at, ticks, moment)
    (answer,) = await env.store.crons.fire([fire])
    return answer


def tick(env: Env, entry: CronEntry, *, at: float = 0.0, **how: Any) -> NewTick:
    moment = env.after(at)
    return NewTick(moment, "fired", job=job_for(entry, moment, on_conflict=how.pop("on_conflict", None)), **how)


async def outcomes(env: Env, entry: CronEntry) -> Sequence[str]:
    return [one.outcome for one in await env.store.crons.history(entry.id)]


@case("I14")
async def a_fire_writes_tick_and_job_and_moves_the_schedule_on(env: Env) -> None:
    entry = await made(env, scope=Scope("shop", "t-42"))
    due = await env.store.crons.due()
    assert [one.id for one in due.entries] == [entry.id]
    answer = await fired(env, entry, tick(env, entry))
    assert answer.reply is Reply.APPLIED
    (written,) = answer.ticks
    assert written.job_id is not None
    job = await env.job(written.job_id)
    assert (job.scheduled_at, job.scope) == (written.scheduled_at, Scope("shop", "t-42"))
    after = await entry_of(env)
    assert (after.last_fired_at, after.next_fire_at) == (written.scheduled_at, env.after(60))
    assert await env.store.crons.history(entry.id) == [written]
    due = await env.store.crons.due()
    assert (due.entries, due.next_at) == ([], env.after(60))


@case("I14")
async def the_same_fire_twice_makes_one_job(env: Env) -> None:
    entry = await made(env)
    once = tick(env, entry)
    assert (await fired(env, entry, once)).reply is Reply.APPLIED
    again = NewTick(once.scheduled_at, "fired", job=job_for(entry, once.scheduled_at))
    assert (await fired(env, entry, again)).reply is Reply.CONFLICT
    assert len(await env.jobs()) == 1


@case("I14")
async def two_leaders_at_once_fire_a_tick_once(env: Env) -> None:
    entry = await made(env)
    sibling = await env.sibling()
    moment = env.after(0)
    answers = await asyncio.gather(
        *(
            store.crons.fire(
                [
                    Fire(
                        entry.id,
                        entry.revision,
                        entry.next_fire_at,
                        [NewTick(moment, "fired", job=job_for(entry, moment))],
                        env.after(60),
                    )
                ]
            )
            for store in (env.store, sibling, env.store, sibling)
        )
    )
    assert sorted(answer.reply for (answer,) in answers) == [Reply.APPLIED, *[Reply.CONFLICT] * 3]
    assert len(await env.jobs()) == 1


@case("I14")
async def a_tick_that_exists_makes_nothing_when_it_comes_again(env: Env) -> None:
    entry = await made(env)
    moment = env.after(0)
    first = await fired(env, entry, NewTick(moment, "fired", job=job_for(entry, moment)), then=0.0)
    entry = await entry_of(env)
    second = await fired(env, entry, NewTick(moment, "fired", job=job_for(entry, moment)))
    assert second.reply is Reply.APPLIED
    assert second.ticks == first.ticks
    assert len(await env.jobs()) == 1


@case("I14")
async def several_ticks_of_one_fire_make_a_job_each_and_missed_ones_none(env: Env) -> None:
    entry = await made(env)
    ticks = [tick(env, entry, at=-20), tick(env, entry, at=-10), NewTick(env.after(-30), "missed")]
    answer = await fired(env, entry, *ticks)
    assert [one.outcome for one in answer.ticks] == ["fired", "fired", "missed"]
    assert len(await env.jobs()) == 2
    assert (await entry_of(env)).last_fired_at == env.after(-10)
    assert await outcomes(env, entry) == ["fired", "fired", "missed"]


@case("I14", "I16")
async def of_fires_of_one_call_each_stands_by_itself(env: Env) -> None:
    entries = [await made(env, f"e{number}") for number in range(5)]
    fine, held, disabled, gone, twice = entries
    await fired(env, held, tick(env, held, at=-9, on_conflict="skip"), then=0.0)
    held = await entry_of(env, held.name)
    await env.store.crons.disable(disabled.name)
    assert await env.store.crons.delete(gone.name) is Reply.APPLIED

    def fire(entry: CronEntry, on_conflict: Any, *at: float) -> Fire:
        ticks = [tick(env, entry, at=each, on_conflict=on_conflict) for each in at]
        return Fire(entry.id, entry.revision, entry.next_fire_at, ticks, env.after(60))

    calls = [fire(fine, None, -1, 0), *(fire(each, "skip", 0) for each in (held, disabled, gone))]
    calls += [fire(twice, "skip", -2, -1), fire(twice, "skip", 0)]
    answers = await env.store.crons.fire(calls)
    found = [(answer.reply, [one.outcome for one in answer.ticks]) for answer in answers]
    assert found == [
        (Reply.APPLIED, ["fired", "fired"]),
        (Reply.APPLIED, ["skipped"]),
        (Reply.CONFLICT, []),
        (Reply.MISSING, []),
        (Reply.APPLIED, ["fired", "skipped"]),
        (Reply.CONFLICT, []),
    ]
    assert len(await env.jobs()) == 4
    assert (await entry_of(env, fine.name)).last_fired_at == env.after(0)
    assert (await entry_of(env, held.name)).last_fired_at == env.after(-9)
    assert (await entry_of(env, twice.name)).last_fired_at == env.after(-2)


@case("I14")
async def many_entries_fire_in_one_call(env: Env) -> None:
    entries = [await made(env, f"e{number:02}") for number in range(45)]
    calls = [
        Fire(entry.id, entry.revision, entry.next_fire_at, [tick(env, entry, on_conflict="skip")], env.after(60))
        for entry in entries
    ]
    answers = await env.store.crons.fire(calls)
    made_jobs = {str(one.job_id) for answer in answers for one in answer.ticks}
    assert [answer.ticks[0].entry_id for answer in answers] == [entry.id for entry in entries]
    assert made_jobs == {str(job.id) for job in await env.jobs()}
    assert len(made_jobs) == len(entries)
    assert {answer.reply for answer in await env.store.crons.fire(calls)} == {Reply.CONFLICT}


@case("I15")
async def a_tick_whose_predecessor_lives_is_skipped_under_the_key_of_its_entry(env: Env) -> None:
    entry = await made(env)
    await fired(env, entry, tick(env, entry, on_conflict="skip"))
    env.clock.advance(60)
    answer = await fired(env, await entry_of(env), tick(env, entry, on_conflict="skip"))
    assert [(one.outcome, one.job_id) for one in answer.ticks] == [("skipped", None)]
    await env.finish(await env.take(), Verdict.COMPLETE)
    env.clock.advance(60)
    answer = await fired(env, await entry_of(env), tick(env, entry, on_conflict="skip"))
    assert [one.outcome for one in answer.ticks] == ["fired"]


@case("I15")
async def of_ticks_that_queue_behind_a_running_job_one_waits(env: Env) -> None:
    entry = await made(env)
    await fired(env, entry, tick(env, entry, on_conflict="replace"), then=0.0)
    running = await env.take()
    found = []
    for _ in range(3):
        env.clock.advance(1)
        answer = await fired(env, await entry_of(env), tick(env, entry, on_conflict="replace"), then=0.0)
        found += [one.outcome for one in answer.ticks]
    assert found == ["fired", "skipped", "skipped"]
    assert await env.claim(5) == []
    await env.finish(running, Verdict.COMPLETE)
    assert len(await env.claim(5)) == 1


@case("I15")
async def a_tick_that_cancels_the_old_one_waits_for_its_end(env: Env) -> None:
    entry = await made(env)
    await fired(env, entry, tick(env, entry, on_conflict="replace", cancel_old=True), then=0.0)
    old = await env.take()
    env.clock.advance(1)
    later = await fired(env, await entry_of(env), tick(env, entry, on_conflict="replace", cancel_old=True), then=0.0)
    assert [one.outcome for one in later.ticks] == ["fired"]
    assert (await env.job(old.id)).cancel_requested
    assert await env.claim(5) == []
    await env.finish(old, Verdict.CANCEL)
    (young,) = await env.claim(5)
    assert young.id == later.ticks[0].job_id


@case("I15")
async def a_tick_that_cancels_a_waiting_old_one_takes_its_place(env: Env) -> None:
    entry = await made(env)
    first = await fired(env, entry, tick(env, entry, on_conflict="replace", cancel_old=True), then=0.0)
    env.clock.advance(1)
    second = await fired(env, await entry_of(env), tick(env, entry, on_conflict="replace", cancel_old=True))
    old, young = first.ticks[0].job_id, second.ticks[0].job_id
    assert old is not None
    assert young is not None
    assert (await env.job(old)).state is JobState.CANCELLED
    assert [job.id for job in await env.claim(5)] == [young]


@case("I16")
async def a_disable_wins_over_a_fire_that_was_decided_before(env: Env) -> None:
    entry = await made(env)
    assert await env.store.crons.disable("nightly", reason="too loud", by="eve") is Reply.APPLIED
    assert (await fired(env, entry, tick(env, entry))).reply is Reply.CONFLICT
    assert await env.jobs() == []
    due = await env.store.crons.due()
    assert (due.entries, due.next_at) == ([], None)
    after = await entry_of(env)
    assert (after.enabled, after.disabled_reason, after.disabled_by) == (False, "too loud", "eve")


@case("I16")
async def a_fire_as_of_a_disabled_entry_changes_nothing(env: Env) -> None:
    await made(env)
    await env.store.crons.disable("nightly")
    disabled = await entry_of(env)
    assert (await fired(env, disabled, tick(env, disabled))).reply is Reply.CONFLICT
    assert await env.jobs() == []


@case("I16")
async def an_edit_wins_over_a_fire_that_was_decided_before(env: Env) -> None:
    entry = await made(env)
    changed = replace(entry.spec, schedule="0 4 * * *")
    crons = env.store.crons
    assert (
        await crons.edit(entry.id, changed, revision=entry.revision, next_fire_at=entry.next_fire_at) is Reply.APPLIED
    )
    assert (await fired(env, entry, tick(env, entry))).reply is Reply.CONFLICT
    assert (
        await crons.edit(entry.id, changed, revision=entry.revision, next_fire_at=entry.next_fire_at) is Reply.CONFLICT
    )
    assert await crons.edit(CronID.new(), changed, revision=1, next_fire_at=None) is Reply.MISSING
    assert (await entry_of(env)).spec.schedule == "0 4 * * *"


@case("I16")
async def an_entry_enabled_again_ticks_from_the_time_given(env: Env) -> None:
    await made(env)
    crons = env.store.crons
    assert await crons.enable("nightly", next_fire_at=env.after(5)) is Reply.CONFLICT
    await crons.disable("nightly", reason="why")
    assert await crons.enable("nightly", next_fire_at=env.after(5)) is Reply.APPLIED
    entry = await entry_of(env)
    assert (entry.enabled, entry.disabled_reason, entry.next_fire_at) == (True, "", env.after(5))
    assert (await crons.due()).next_at == env.after(5)
    for answer in (crons.enable("other", next_fire_at=None), crons.disable("other"), crons.delete("other")):
        assert await answer is Reply.MISSING


@case("I16")
async def an_entry_disabled_until_a_time_fires_again_after_it(env: Env) -> None:
    await made(env)
    crons = env.store.crons
    await crons.disable("nightly", until=env.after(30))
    due = await crons.due()
    assert (due.entries, due.next_at) == ([], env.after(30))
    env.clock.advance(30)
    due = await crons.due()
    (entry,) = due.entries
    assert (await fired(env, entry, tick(env, entry))).reply is Reply.APPLIED
    assert (await entry_of(env)).enabled


@case("I15")
async def due_answers_the_longest_due_first_and_at_most_so_many(env: Env) -> None:
    for name, seconds in (("c", -1.0), ("a", -3.0), ("b", -2.0), ("d", 9.0)):
        await made(env, name, due_in=seconds)
    await made(env, "never", due_in=None)
    due = await env.store.crons.due()
    assert ([entry.name for entry in due.entries], due.next_at) == (["a", "b", "c"], env.after(9))
    due = await env.store.crons.due(limit=2)
    assert [entry.name for entry in due.entries] == ["a", "b"]
    assert due.next_at is not None
    assert due.next_at <= due.now
