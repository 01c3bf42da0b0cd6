"""Cron entries: what code and people say they are, who sees them, and how long ticks are kept."""

from __future__ import annotations

from datetime import timedelta

from dispatch.crons.model import ListOptions, NewTick
from dispatch.entity import Reply
from dispatch.ids import CronID
from dispatch.scope import Scope
from dispatch.testing.conformance.crons import announced, entry_of, fired, made, outcomes, spec, tick
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case


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
