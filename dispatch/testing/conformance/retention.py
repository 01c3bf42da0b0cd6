"""What goes: jobs that ended long ago, jobs that an operator deletes, dead workers; and what stays behind them."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.errors import IdempotencyMismatch
from dispatch.events import Event
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import WAITING, CountOptions, Enqueued, Idempotency, Job, JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.registry import case


async def _prune(
    env: Env, *, age: float = 0.5, limit: int = 100, dry_run: bool = False, via: Store | None = None
) -> int:
    """Prunes every outcome by one age."""
    jobs = (via or env.store).jobs
    return await jobs.prune(completed=age, failed=age, cancelled=age, limit=limit, dry_run=dry_run)


async def _complete(env: Env, **options: Any) -> Job:
    job = await env.start(**options)
    await env.finish(job, Verdict.COMPLETE, result=b"1")
    return job


async def _gone(env: Env, job_id: JobID) -> bool:
    return await env.store.jobs.get(job_id) is None


@case()
async def each_outcome_is_kept_for_its_own_time_and_none_means_for_ever(env: Env) -> None:
    done = await _complete(env)
    failed, _ = await env.bury()
    cancelled = await env.add(delay=60)
    await env.store.jobs.cancel(cancelled)
    env.clock.advance(100)
    jobs = env.store.jobs
    async with env.unchanged("a prune of what is not older than 100 seconds"):
        assert await jobs.prune(completed=100, failed=100, cancelled=100, limit=9) == 0
        assert await jobs.prune(completed=None, failed=None, cancelled=None, limit=9) == 0
    for ages, victim in (
        ((50.0, 200.0, None), done.id),
        ((None, 50.0, 200.0), failed),
        ((200.0, None, 50.0), cancelled),
    ):
        left = {job.id for job in await env.jobs()}
        answer = await jobs.prune(completed=ages[0], failed=ages[1], cancelled=ages[2], limit=9)
        assert answer == 1, f"pruned {answer} jobs by {ages}"
        assert {job.id for job in await env.jobs()} == left - {victim}


@case()
async def the_longest_ended_go_first_and_no_more_than_the_limit(env: Env) -> None:
    ended: list[JobID] = []
    for number in range(6):
        if number % 3 == 0:
            ended.append((await _complete(env)).id)
        elif number % 3 == 1:
            ended.append((await env.bury())[0])
        else:
            ended.append(await env.add(delay=60))
            await env.store.jobs.cancel(ended[-1])
        env.clock.advance(1)
    assert await _prune(env, limit=0) == 0
    assert await _prune(env, limit=2) == 2
    assert {job.id for job in await env.jobs()} == set(ended[2:])
    assert await _prune(env, limit=3) == 3
    assert {job.id for job in await env.jobs()} == {ended[5]}
    assert await _prune(env, limit=3) == 1
    assert await _prune(env, limit=3) == 0


@case("I1")
async def waiting_and_running_jobs_are_never_pruned(env: Env) -> None:
    await env.finish(await env.start(), Verdict.RETRY, failure=BOOM, delay=99_999)
    again, _ = await env.bury()
    await env.store.jobs.retry(again)
    assert (await env.take()).id == again
    await env.start()
    await env.add(delay=99_999)
    await env.add()
    env.clock.advance(50_000)
    async with env.unchanged("a prune without anything ended"):
        assert await _prune(env) == 0
    assert len(await env.jobs()) == 5


@case()
async def a_pruned_job_is_gone_from_every_list_with_its_attempts(env: Env) -> None:
    job_id, _ = await env.bury()
    kept = await env.add(delay=60)
    env.clock.advance(1)
    assert await _prune(env) == 1
    assert await _gone(env, job_id)
    assert await env.store.jobs.attempts(job_id) == []
    assert [job.id for job in await env.jobs()] == [kept]
    assert sum((await env.store.jobs.count(CountOptions())).values()) == 1


@case("I4")
async def verbs_on_a_pruned_job_say_that_it_is_missing(env: Env) -> None:
    job = await _complete(env)
    env.clock.advance(1)
    await _prune(env)
    assert (await env.finish(job, Verdict.COMPLETE)).reply is Reply.MISSING
    assert (await env.store.jobs.retry(job.id)).reply is Reply.MISSING
    assert (await env.store.jobs.cancel(job.id)).reply is Reply.MISSING
    assert await env.store.jobs.delete(job.id) is Reply.MISSING


@case()
async def a_dry_run_counts_up_to_its_limit_and_removes_nothing(env: Env) -> None:
    for _ in range(3):
        await _complete(env)
    env.clock.advance(1)
    async with env.unchanged("a dry run"):
        assert await _prune(env, dry_run=True) == 3
        assert await _prune(env, limit=2, dry_run=True) == 2
    assert await _prune(env) == 3
    assert await _prune(env, dry_run=True) == 0


@case("I11", "I12")
async def a_dead_letter_outlives_its_job_and_is_replayed_as_it_was(env: Env) -> None:
    job_id, letter_id = await env.bury(
        payload=b'{"a": 1}', kind="delivery", lane="east", priority=3, max_retries=7, unique=Unique("k", until="start")
    )
    env.clock.advance(1)
    assert await _prune(env) == 1
    letter = await env.letter(letter_id)
    assert (letter.state, letter.job_id, letter.payload) == (DLQState.OPEN, job_id, b'{"a": 1}')
    assert (await env.store.jobs.retry(job_id)).reply is Reply.MISSING
    answer = await env.store.dlq.replay(letter_id, JobID.new())
    assert answer.reply is Reply.APPLIED
    assert answer.job_id is not None
    made = await env.job(answer.job_id)
    assert (made.kind, made.lane, made.priority, made.max_retries) == ("delivery", "east", 3, 7)
    assert (made.payload, made.effect_key, made.unique_key) == (b'{"a": 1}', str(job_id), "k")
    await env.take()
    await env.add(unique=Unique("k"))


@case("I2")
async def an_idempotency_key_outlives_its_job(env: Env) -> None:
    job = await _complete(env, idempotency=Idempotency("once", "f", 100))
    env.clock.advance(50)
    assert await _prune(env) == 1
    again = new(idempotency=Idempotency("once", "f", 100))
    assert await env.enqueue(again) == [Enqueued(job.id, created=False)]
    with raises(IdempotencyMismatch):
        await env.enqueue(new(idempotency=Idempotency("once", "other", 100)))
    env.clock.advance(51)
    assert (await env.enqueue(again))[0].created


@case("I1")
async def a_unique_key_is_held_for_its_time_after_its_job_is_gone(env: Env) -> None:
    job = await _complete(env, unique=Unique("k", hold_for=100))
    env.clock.advance(50)
    assert await _prune(env) == 1
    for policy in ("return", "replace"):
        (answer,) = await env.enqueue(new(unique=Unique("k", on_conflict=policy)))
        assert answer == Enqueued(job.id, created=False)
    env.clock.advance(51)
    await env.add(unique=Unique("k"))


@case("I2")
async def two_prunes_at_once_remove_each_job_once(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(20):
        await _complete(env)
    env.clock.advance(1)
    stores = [env.store, sibling] * 5
    assert sum(await asyncio.gather(*(_prune(env, limit=3, via=store) for store in stores))) == 20
    assert await env.jobs() == []


@case()
async def a_waiting_job_is_deleted_and_no_longer_claimed(env: Env) -> None:
    first, second = await env.add(), await env.add()
    retrying = await env.start(name="other")
    await env.finish(retrying, Verdict.RETRY, failure=BOOM, delay=0)
    assert await env.store.jobs.delete(first) is Reply.APPLIED
    assert await env.store.jobs.delete(retrying.id) is Reply.APPLIED
    assert [job.id for job in await env.jobs()] == [second]
    assert await env.store.jobs.attempts(retrying.id) == []
    assert [job.id for job in await env.claim(5, names=["work", "other"])] == [second]


@case("I5")
async def a_running_job_is_not_deleted(env: Env) -> None:
    job = await env.start()
    async with env.unchanged("the refused deletion of a running job"):
        assert await env.store.jobs.delete(job.id) is Reply.CONFLICT
    assert (await env.finish(job, Verdict.COMPLETE)).reply is Reply.APPLIED
    assert await env.store.jobs.delete(job.id) is Reply.APPLIED
    assert await env.store.jobs.delete(job.id) is Reply.MISSING


@case()
async def delete_leaves_what_is_in_none_of_the_states_named(env: Env) -> None:
    ended, waiting = await _complete(env), await env.add()
    over = (JobState.COMPLETED, JobState.FAILED)
    async with env.unchanged("the refused deletion of a job that has ended"):
        assert await env.store.jobs.delete(ended.id, states=WAITING) is Reply.CONFLICT
    async with env.unchanged("the refused deletion of a job that waits"):
        assert await env.store.jobs.delete(waiting, states=over) is Reply.CONFLICT
        assert await env.store.jobs.delete(waiting, states=()) is Reply.CONFLICT
    assert await env.store.jobs.delete(waiting, states=WAITING) is Reply.APPLIED
    assert await env.store.jobs.delete(waiting, states=WAITING) is Reply.MISSING
    assert [job.id for job in await env.jobs()] == [ended.id]
    assert await env.store.jobs.delete(ended.id, states=over) is Reply.APPLIED


@case("I31")
async def delete_sees_only_its_tenants_jobs(env: Env) -> None:
    job_id = await env.add(scope=Scope("shop", "a"))
    async with env.unchanged("a deletion by another tenant"):
        assert await env.store.jobs.delete(job_id, scope=Scope("shop", "b")) is Reply.MISSING
        assert await env.store.jobs.delete(JobID.new()) is Reply.MISSING
    assert await env.store.jobs.delete(job_id, scope=Scope("shop", "a")) is Reply.APPLIED


@case("I11")
async def a_dead_letter_stays_open_when_its_job_is_deleted(env: Env) -> None:
    job_id, letter_id = await env.bury()
    assert await env.store.jobs.delete(job_id) is Reply.APPLIED
    assert await env.store.jobs.attempts(job_id) == []
    assert (await env.letter(letter_id)).state is DLQState.OPEN
    assert (await env.store.dlq.replay(letter_id, JobID.new())).reply is Reply.APPLIED


@case("I1")
async def a_deleted_job_gives_its_unique_key_up(env: Env) -> None:
    waiting = await env.add(delay=60, unique=Unique("k"))
    held = await env.add(delay=60, unique=Unique("h", hold_for=100))
    for job_id in (waiting, held):
        assert await env.store.jobs.delete(job_id) is Reply.APPLIED
    await env.add(unique=Unique("k"))
    assert await env.enqueue(new(unique=Unique("h"))) == [Enqueued(held, created=False)]
    env.clock.advance(101)
    await env.add(unique=Unique("h"))


@case("I1")
async def deleting_a_job_sets_its_successor_free(env: Env) -> None:
    holder = await env.start(unique=Unique("k"))
    (answer,) = await env.enqueue(new(unique=Unique("k", on_conflict="replace")))
    await env.finish(holder, Verdict.RETRY, failure=BOOM, delay=3600)
    assert await env.store.jobs.delete(holder.id) is Reply.APPLIED
    assert (await env.enqueue(new(unique=Unique("k"))))[0].id == answer.id
    assert (await env.take()).id == answer.id


@case("I1")
async def a_deleted_successor_leaves_the_holder_alone(env: Env) -> None:
    holder = await env.start(unique=Unique("k"))
    (behind,) = await env.enqueue(new(unique=Unique("k", on_conflict="replace")))
    assert await env.store.jobs.delete(behind.id) is Reply.APPLIED
    assert (await env.enqueue(new(unique=Unique("k"))))[0].id == holder.id
    (other,) = await env.enqueue(new(unique=Unique("k", on_conflict="replace")))
    assert other.created
    await env.finish(holder, Verdict.COMPLETE)
    assert (await env.take()).id == other.id


@case()
async def a_job_that_was_set_aside_is_deleted_like_any_other(env: Env) -> None:
    job_id = await env.add(name="unknown")
    env.clock.advance(100)
    assert await env.store.jobs.set_aside(due_for=50, limit=9) == 1
    assert await env.store.jobs.delete(job_id) is Reply.APPLIED
    assert await env.register(names=["unknown"]) == 0
    assert await env.claim(5, names=["unknown"]) == []


@case()
async def the_id_of_a_removed_job_may_be_used_again(env: Env) -> None:
    job = await _complete(env)
    assert await env.store.jobs.delete(job.id) is Reply.APPLIED
    assert await env.add(id=job.id) == job.id
    assert [(found.id, found.state) for found in await env.jobs()] == [(job.id, JobState.PENDING)]


@case()
async def dead_workers_are_pruned_after_a_while_the_longest_silent_first(env: Env) -> None:
    cluster = env.store.cluster
    ids = [WorkerID.new() for _ in range(5)]
    for worker_id in ids[:3]:
        await env.register(id=worker_id, lease=10)
        env.clock.advance(1)
    await env.register(id=ids[3], lease=1000)
    await env.register(id=ids[4], lease=1000)
    await cluster.retire(ids[4])
    assert await cluster.prune(older_than=0.5, limit=9) == 0, "nobody was silent for that long, or they live"
    env.clock.advance(60)
    assert await cluster.beat(ids[2], running=0) is Reply.APPLIED
    assert await cluster.prune(older_than=100) == 0
    assert await cluster.prune(older_than=30, limit=9, dry_run=True) == 3
    assert len(await cluster.list()) == 5
    assert await cluster.prune(older_than=30, limit=1) == 1
    assert {worker.id for worker in await cluster.list()} == set(ids[1:])
    assert await cluster.prune(older_than=30, limit=9) == 2
    assert {worker.id for worker in await cluster.list()} == {ids[2], ids[3]}
    assert await cluster.beat(ids[0], running=0) is Reply.MISSING


@case()
async def a_dry_prune_of_events_and_records_removes_none(env: Env) -> None:
    event = await env.store.events.publish(Event("order.paid"))
    await env.store.records.put("ns", "a", b"1", expires_in=10)
    env.clock.advance(20)
    assert await env.store.events.prune(older_than=10, dry_run=True) == 1
    assert await env.store.events.prune(older_than=30, dry_run=True) == 0
    assert await env.store.events.get(event.id) is not None
    assert await env.store.records.prune(dry_run=True) == 1
    assert await env.store.events.prune(older_than=10) == 1
    assert await env.store.records.prune() == 1
    assert await env.store.records.prune(dry_run=True) == 0
