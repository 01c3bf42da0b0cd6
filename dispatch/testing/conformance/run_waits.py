"""Waits: the oldest event that matches, once a run; signals; deadlines that do not restart; nothing lost in between."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.entity import Reply
from dispatch.errors import RunEnded, RunNotFound
from dispatch.events import Event
from dispatch.ids import EventID, RunID
from dispatch.jobs.model import Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, raises
from dispatch.testing.conformance.flows import Driven, begin, drive, idle, journal, made, new_run, run_of
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewCheckpoint, RunState, Wait

A, B = Scope("shop", "a"), Scope("shop", "b")


async def _publish(env: Env, name: str = "paid", **fields: Any) -> EventID:
    return (await env.store.events.publish(Event(name, **fields))).id


async def _consume(held: Driven, name: str, event: EventID) -> int:
    answer = await held.record(NewCheckpoint(name, "wait", event_id=event))
    assert answer.reply is Reply.APPLIED
    return len(answer.checkpoints)


@case("I22")
async def a_wait_takes_the_oldest_match_that_its_run_has_not_consumed(env: Env) -> None:
    held = await begin(env)
    first = await _publish(env, payload=b"1")
    env.clock.advance(1)
    second = await _publish(env, payload=b"2")
    answer = await held.wait("w1", "paid")
    assert answer.event is not None
    assert (answer.reply, answer.checkpoint, answer.event.id, answer.event.payload) == (
        Reply.APPLIED,
        None,
        first,
        b"1",
    )
    assert (await held.wait("w1", "paid")).event == answer.event, "looking does not consume"
    assert await _consume(held, "w1", first) == 1
    known = await held.wait("w1", "paid")
    assert known.checkpoint is not None
    assert (known.event, known.checkpoint.event_id) == (None, first)
    following = await held.wait("w2", "paid")
    assert following.event is not None
    assert following.event.id == second
    assert await _consume(held, "w2", second) == 1
    assert (await held.wait("w3", "paid")).event is None


@case("I22")
async def an_event_is_consumed_at_most_once_a_run(env: Env) -> None:
    held = await begin(env)
    event = await _publish(env)
    assert await _consume(held, "w1", event) == 1
    assert await _consume(held, "w2", event) == 0
    assert await _consume(held, "w1", event) == 1
    assert [c.name for c in await journal(env, held.id)] == ["w1"]


@case("I22")
async def one_event_satisfies_many_runs_once_each(env: Env) -> None:
    runs = [await begin(env) for _ in range(5)]
    for held in runs:
        assert (await held.wait("w", "paid")).event is None
        assert await held.park() is Reply.APPLIED
    event = await _publish(env)
    await _publish(env, "other")
    for held in runs:
        again = await drive(env, held.id)
        found = await again.wait("w", "paid")
        assert found.event is not None
        assert found.event.id == event
        assert await _consume(again, "w", event) == 1
        assert (await again.run()).wake_seq == 1
    assert await idle(env)


@case("I22", "I31")
async def name_key_and_scope_must_match(env: Env) -> None:
    held = await begin(env, scope=A)
    wrong: list[dict[str, Any]] = [{"scope": B}, {"scope": A, "key": "1"}, {}]
    for fields in wrong:
        await _publish(env, **fields)
    await _publish(env, "other", scope=A)
    assert (await held.wait("w", "paid")).event is None
    assert await held.park() is Reply.APPLIED
    for fields in wrong:
        await _publish(env, **fields)
    await _publish(env, "other", scope=A)
    assert await idle(env)
    right = await _publish(env, scope=A)
    held = await drive(env, held.id)
    found = await held.wait("w", "paid")
    assert found.event is not None
    assert found.event.id == right
    keyed = await held.wait("k", "paid", key="2")
    assert keyed.event is None
    assert await held.park() is Reply.APPLIED
    await _publish(env, scope=A, key="1")
    assert await idle(env)
    await _publish(env, scope=A, key="2")
    assert (await (await drive(env, held.id)).wait("k", "paid", key="2")).event is not None


@case("I22")
async def a_wait_for_any_of_several_takes_the_oldest(env: Env) -> None:
    held = await begin(env)
    assert (await held.wait("w", "paid", "refused")).event is None
    assert await held.park() is Reply.APPLIED
    await _publish(env, "refused", payload=b"r")
    env.clock.advance(1)
    await _publish(env, "paid", payload=b"p")
    held = await drive(env, held.id)
    found = await held.wait("w", "paid", "refused")
    assert found.event is not None
    assert (found.event.name, found.event.payload) == ("refused", b"r")
    assert (await held.run()).wake_seq == 2


@case("I22")
async def events_from_before_the_run_count_only_when_asked_for(env: Env) -> None:
    start = env.clock.now()
    early = await _publish(env)
    env.clock.advance(10)
    held = await begin(env)
    assert (await held.wait("w", "paid")).event is None
    found = await held.wait("s", "paid", since=start)
    assert found.event is not None
    assert found.event.id == early
    later = await held.wait("l", "paid", since=env.after(60))
    assert later.event is None
    same = await _publish(env)
    assert (await held.wait("w", "paid")).event is not None
    assert (await held.wait("l", "paid", since=env.after(60))).event is None
    assert same != early


@case("I21")
async def a_deadline_is_that_of_the_first_visit(env: Env) -> None:
    held = await begin(env)
    until = env.after(60)
    assert (await held.wait("w", "paid", timeout=60)).deadline == until
    env.clock.advance(40)
    assert (await held.wait("w", "paid", timeout=60)).deadline == until
    await held.leave(Verdict.RELEASE)
    held = await drive(env, held.id, by=env.other)
    assert (await held.wait("w", "paid", timeout=600)).deadline == until
    assert await env.store.workflows.waits(held.id) == [Wait(held.id, "w", ("paid",), None, None, until)]
    assert await held.park(until=until) is Reply.APPLIED
    assert (await held.run()).wakes_at == until
    assert await idle(env)
    env.clock.advance(20)
    held = await drive(env, held.id)
    timeout = await held.wait("w", "paid", timeout=60)
    assert timeout.checkpoint is not None
    assert (timeout.event, timeout.checkpoint.kind, timeout.checkpoint.event_id) == (None, "wait", None)
    assert [c.name for c in await journal(env, held.id)] == ["w"]
    assert await env.store.workflows.waits(held.id) == []


@case("I22")
async def a_wait_ends_by_an_event_or_by_its_timeout_never_both(env: Env) -> None:
    held = await begin(env)
    await held.wait("w", "paid", timeout=10)
    env.clock.advance(11)
    event = await _publish(env)
    found = await held.wait("w", "paid", timeout=10)
    assert found.event is not None
    assert found.checkpoint is None
    await _consume(held, "w", event)
    env.clock.advance(1)
    other = await begin(env)
    await other.wait("w", "paid", timeout=10)
    env.clock.advance(11)
    timed_out = await other.wait("w", "paid", timeout=10)
    assert timed_out.checkpoint is not None
    late = await _publish(env)
    again = await other.wait("w", "paid", timeout=10)
    assert (again.event, again.checkpoint) == (None, timed_out.checkpoint)
    answer = await other.record(NewCheckpoint("w", "wait", event_id=late))
    assert [c.event_id for c in answer.checkpoints] == [None]
    next_wait = await other.wait("w2", "paid")
    assert next_wait.event is not None
    assert next_wait.event.id == late, "what the timeout did not consume is there for the next wait"


@case("I22")
async def an_event_between_look_and_park_keeps_the_run_awake(env: Env) -> None:
    held = await begin(env)
    seen = (await held.load()).run.wake_seq
    assert (await held.wait("w", "paid")).event is None
    await _publish(env)
    assert await held.park(seen=seen) is Reply.CONFLICT
    assert (await run_of(env, held.id)).state is RunState.RUNNING
    assert (await held.wait("w", "paid")).event is not None
    assert await held.park() is Reply.APPLIED


@case("I22")
async def publishes_and_parks_at_once_lose_no_event(env: Env) -> None:
    sibling = await env.sibling()
    for number in range(6):
        held = await begin(env)
        seen = (await held.load()).run.wake_seq
        name = f"paid-{number}"

        async def park(held: Driven = held, seen: int = seen, name: str = name) -> bool:
            found = await held.wait("w", name)
            return found.event is not None or await held.park(seen=seen) is Reply.CONFLICT

        awake, _ = await asyncio.gather(park(), sibling.events.publish(Event(name)))
        if not awake:
            held = await drive(env, held.id)
        assert (await held.wait("w", name)).event is not None
        await held.finish()


@case("I22")
async def a_signal_is_for_one_run_whatever_its_key_and_age(env: Env) -> None:
    held = await begin(env, scope=A)
    other = await begin(env, scope=A)
    sent = await env.store.events.publish(Event("go", b"1", key="k", run_id=held.id))
    assert (sent.run_id, sent.scope) == (held.id, A)
    env.clock.advance(1)
    await _publish(env, "go", scope=A)
    found = await held.wait("w", "go", since=env.after(10))
    assert found.event == sent
    assert await _consume(held, "w", sent.id) == 1
    assert (await held.wait("w2", "go", key="k")).event is None
    mine = await other.wait("w", "go")
    assert mine.event is not None
    assert mine.event.run_id is None


@case("I22")
async def a_signal_wakes_its_run(env: Env) -> None:
    held, other = await begin(env), await begin(env)
    for run in (held, other):
        await run.wait("w", "go")
        assert await run.park() is Reply.APPLIED
    await _publish(env, "go", run_id=held.id)
    held = await drive(env, held.id)
    assert (await held.wait("w", "go")).event is not None
    assert await idle(env)
    assert (await other.run()).wake_seq == 0


@case("I31")
async def a_signal_to_a_run_that_is_not_there_or_has_ended_is_refused(env: Env) -> None:
    with raises(RunNotFound):
        await _publish(env, run_id=RunID.new())
    held = await begin(env, scope=A)
    with raises(RunNotFound):
        await _publish(env, run_id=held.id, scope=B)
    sent = await env.store.events.publish(Event("go", run_id=held.id, scope=A))
    await held.finish()
    with raises(RunEnded):
        await _publish(env, "go", run_id=held.id)
    assert await env.store.events.publish(sent) == sent, "the same id again changes nothing"


@case("I22")
async def signals_wait_in_the_mailbox_as_long_as_the_run_lives(env: Env) -> None:
    held = await begin(env)
    (read,) = (await _publish(env, "go", run_id=held.id),)
    unread = await _publish(env, "go", run_id=held.id)
    await _publish(env, "go")
    await _consume(held, "w", read)
    env.clock.advance(1000)
    assert await env.store.events.prune(older_than=10, dry_run=True) == 2
    assert await env.store.events.prune(older_than=10) == 2
    found = await held.wait("w2", "go")
    assert found.event is not None
    assert found.event.id == unread
    await held.finish()
    assert await env.store.events.prune(older_than=10) == 1


@case("I22")
async def a_pruned_run_takes_its_mail_along(env: Env) -> None:
    held = await begin(env)
    sent = await _publish(env, "go", run_id=held.id)
    kept = await _publish(env, "go")
    await held.finish()
    env.clock.advance(10)
    assert await env.store.workflows.prune(completed=5, failed=None, cancelled=None, limit=5) == 1
    assert await env.store.events.get(sent) is None
    assert await env.store.events.get(kept) is not None


@case("I22")
async def a_publish_that_matches_nothing_wakes_nobody(env: Env) -> None:
    held = await begin(env)
    await held.wait("w", "paid")
    await _consume(held, "w", await _publish(env))
    seq = (await held.run()).wake_seq
    await _publish(env)
    await _publish(env, "go", run_id=held.id)
    assert (await held.run()).wake_seq == seq, "a wait that is closed hears nothing"
    await made(env, new_run())


@case("I21")
async def a_wait_that_asks_for_something_else_now_keeps_its_deadline(env: Env) -> None:
    held = await begin(env)
    first = await held.wait("w", "paid", timeout=60)
    env.clock.advance(5)
    changed = await held.wait("w", "refused", timeout=60)
    assert changed.deadline == first.deadline
    assert await held.park() is Reply.APPLIED
    await _publish(env, "paid")
    assert await idle(env)
    await _publish(env, "refused")
    assert (await (await drive(env, held.id)).wait("w", "refused", timeout=60)).event is not None


@case("I22")
async def nobody_takes_another_runs_signal_out_of_its_mailbox(env: Env) -> None:
    held, other = await begin(env), await begin(env)
    sent = await _publish(env, "go", run_id=held.id)
    await _consume(other, "w", sent)
    found = await held.wait("w", "go")
    assert found.event is not None
    assert found.event.id == sent
