"""Cron entries: who says what they are, and that a tick fires once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dispatch.crons.model import CronEntry, CronSpec, Fire, Fired, ListOptions, NewTick
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


@case("I15")
async def code_that_a_worker_announces_becomes_an_entry_once(env: Env) -> None:
    one = spec()
    await env.register()
    await env.store.crons.announce(env.worker, {one.digest: one})
    assert await env.store.crons.candidates() == {one.digest: one}
    (entry,) = await env.store.crons.settle(next_fire_at={one.digest: env.after(10)})
    assert (entry.spec, entry.code_hash, entry.next_fire_at, entry.anchor) == (
        one,
        one.digest,
        env.after(10),
        env.after(0),
    )
    assert await env.store.crons.candidates() == {}
    assert await env.store.crons.settle(next_fire_at={}) == []
    assert await announced(env, one, by=env.other) == []
    assert await entry_of(env) == entry


@case("I15")
async def of_two_versions_of_the_code_the_newer_wins_until_its_workers_are_gone(env: Env) -> None:
    old, young = spec(), spec(schedule="0 4 * * *")
    await announced(env, old)
    env.clock.advance(1)
    (entry,) = await announced(env, young, by=env.other)
    assert (entry.spec, entry.revision) == (young, 2)
    assert await announced(env, old) == []
    await env.store.cluster.retire(env.other)
    (entry,) = await env.store.crons.settle(next_fire_at={})
    assert (entry.spec, entry.code_hash) == (old, old.digest)


@case("I15")
async def what_did_not_change_the_schedule_keeps_the_next_tick(env: Env) -> None:
    one = spec()
    await env.register()
    await env.store.crons.announce(env.worker, {one.digest: one})
    await env.store.crons.settle(next_fire_at={one.digest: env.after(100)})
    first = await entry_of(env)
    env.clock.advance(1)
    calmer = spec(jitter=5.0)
    await env.store.crons.announce(env.worker, {calmer.digest: calmer})
    (entry,) = await env.store.crons.settle(next_fire_at={calmer.digest: env.after(7)})
    assert (entry.next_fire_at, entry.anchor, entry.spec.jitter) == (first.next_fire_at, first.anchor, 5.0)
    moved = spec(timezone="Europe/Berlin")
    await env.store.crons.announce(env.worker, {moved.digest: moved})
    (entry,) = await env.store.crons.settle(next_fire_at={moved.digest: env.after(7)})
    assert (entry.next_fire_at, entry.anchor) == (env.after(7), env.after(0))


@case("I16")
async def a_disabled_entry_stays_disabled_when_its_code_changes(env: Env) -> None:
    await announced(env, spec())
    await env.store.crons.disable("nightly", reason="quiet")
    env.clock.advance(1)
    (entry,) = await announced(env, spec(schedule="0 4 * * *"))
    assert (entry.enabled, entry.disabled_reason, entry.spec.schedule) == (False, "quiet", "0 4 * * *")
    assert not (await entry_of(env)).enabled


@case("I15")
async def an_entry_that_nobody_announces_is_orphaned_and_does_not_fire(env: Env) -> None:
    await announced(env, spec())
    await env.store.cluster.retire(env.worker)
    (entry,) = await env.store.crons.settle(next_fire_at={})
    assert entry.orphaned
    assert (await env.store.crons.due()).entries == []
    assert (await fired(env, entry, tick(env, entry))).reply is Reply.CONFLICT
    (entry,) = await announced(env, spec(), by=env.other)
    assert not entry.orphaned
    assert [one.name for one in (await env.store.crons.due()).entries] == ["nightly"]


@case("I15")
async def a_worker_that_falls_silent_for_its_lease_no_longer_speaks_for_its_code(env: Env) -> None:
    await announced(env, spec())
    env.clock.advance(31)
    (entry,) = await env.store.crons.settle(next_fire_at={})
    assert entry.orphaned
    await env.store.cluster.beat(env.worker, running=0)
    (entry,) = await env.store.crons.settle(next_fire_at={})
    assert not entry.orphaned


@case("I15")
async def an_entry_made_at_run_time_stands_before_code_of_its_name(env: Env) -> None:
    entry = await made(env)
    assert await announced(env, spec(schedule="* * * * *")) == []
    assert await entry_of(env) == entry
    assert await env.store.crons.candidates() == {}


@case("I15")
async def a_name_is_taken_once_for_each_tenant(env: Env) -> None:
    crons = env.store.crons
    entry = await made(env, scope=Scope("shop", "a"))
    assert await crons.create(entry.spec, entry_id=entry.id, next_fire_at=None) == entry
    assert await crons.create(entry.spec, entry_id=CronID.new(), next_fire_at=None) is None
    other = await made(env, scope=Scope("shop", "b"))
    assert await crons.get("nightly", scope=Scope("shop", "b")) == other
    assert await crons.get("nightly", scope=Scope("shop", "c")) is None
    assert await crons.get("nightly") is None
    plain = await made(env)
    assert await crons.get("nightly") == plain


@case("I31")
async def lists_show_a_tenant_its_own_entries_in_order_of_name(env: Env) -> None:
    crons, mine = env.store.crons, Scope("shop", "a")
    for name in ("c", "a", "b"):
        await made(env, name, scope=mine)
        await made(env, name)
    await crons.disable("b", scope=mine)
    page = await crons.list(ListOptions(scope=mine, limit=2))
    assert [entry.name for entry in page.items] == ["a", "b"]
    rest = await crons.list(ListOptions(scope=mine, limit=2, cursor=page.next_cursor))
    assert ([entry.name for entry in rest.items], rest.next_cursor) == (["c"], None)
    assert [entry.name for entry in (await crons.list(ListOptions(enabled=False))).items] == ["b"]
    assert [entry.name for entry in (await crons.list(ListOptions(names=["c", "x"], scope=mine))).items] == ["c"]
    assert len((await crons.list(ListOptions(orphaned=False))).items) == 6


@case("I14")
async def a_manual_tick_makes_a_job_whether_enabled_or_not_and_moves_nothing(env: Env) -> None:
    entry = await made(env, due_in=50)
    await env.store.crons.disable("nightly")
    before = await entry_of(env)
    answer = await env.store.crons.trigger("nightly", NewTick(env.after(0), "manual", job=new("work")))
    assert (answer.reply, [one.outcome for one in answer.ticks]) == (Reply.APPLIED, ["manual"])
    assert await entry_of(env) == before
    assert len(await env.claim(5)) == 1
    missing = await env.store.crons.trigger("other", NewTick(env.after(0), "manual", job=new("work")))
    assert missing.reply is Reply.MISSING
    assert await outcomes(env, entry) == ["manual"]


@case("I15")
async def delete_takes_entry_and_ticks_but_not_what_code_announces(env: Env) -> None:
    crons = env.store.crons
    entry = await made(env)
    await fired(env, entry, tick(env, entry))
    assert await crons.delete("nightly") is Reply.APPLIED
    assert await crons.get("nightly") is None
    assert list(await crons.history(entry.id)) == []
    await announced(env, spec())
    assert await crons.delete("nightly") is Reply.CONFLICT
    await env.store.cluster.retire(env.worker)
    await crons.settle(next_fire_at={})
    assert await crons.delete("nightly") is Reply.APPLIED
    assert (await fired(env, entry, tick(env, entry))).reply is Reply.MISSING


@case("I15")
async def old_ticks_are_pruned_in_portions(env: Env) -> None:
    entry = await made(env)
    for number in range(5):
        await fired(env, await entry_of(env), NewTick(env.after(0), "missed"), then=float(number + 1))
        env.clock.advance(number + 1)
    crons = env.store.crons
    env.clock.advance(100)
    assert await crons.prune(older_than=100, limit=2, dry_run=True) == 2
    assert len(await crons.history(entry.id)) == 5
    assert [await crons.prune(older_than=50, limit=2) for _ in range(4)] == [2, 2, 1, 0]


@case("I15")
async def what_an_entry_says_comes_back_as_it_was_written(env: Env) -> None:
    odd = spec(
        "mañana",
        payload='{"text": "ü\\u0000", "n": []}'.encode(),
        timezone="Europe/Berlin",
        overlap="queue",
        misfire="all",
        misfire_window=7.5,
        jitter=0.25,
        options={"queue": "q", "priority": 3, "tags": ["a"]},
        scope=Scope("shop", "ö"),
        kind="workflow",
        version=2,
    )
    entry = await env.store.crons.create(odd, entry_id=CronID.new(), next_fire_at=env.after(0.000001))
    assert entry is not None
    stored = await entry_of(env, "mañana")
    assert (stored.spec, stored.spec.digest, stored.next_fire_at) == (odd, odd.digest, env.after(0.000001))
    assert stored.next_fire_at is not None
    assert stored.next_fire_at - env.clock.now() == timedelta(microseconds=1)
