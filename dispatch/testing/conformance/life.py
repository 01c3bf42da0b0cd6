"""Whole lives: a busy store with failing, crashing, cancelled jobs ends with every job in one terminal state."""

from __future__ import annotations

import asyncio
from collections import Counter

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import TERMINAL, Job, JobState, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.registry import case

QUEUES = ("a", "b", "limited")


def _verdict(job: Job, order: int) -> Verdict | None:
    """What this start of the job leads to, decided by its number and history; None: the worker dies."""
    turn = (order * 7 + job.failures * 3 + job.crashes * 5) % 11
    if turn in (0, 1):
        return Verdict.RETRY if job.failures < 3 else Verdict.FAIL
    if turn == 2:
        return Verdict.FAIL
    if turn == 3:
        return None
    if turn == 4 and job.started_at == job.created_at:
        return Verdict.RELEASE if order % 2 else Verdict.SNOOZE
    return Verdict.COMPLETE


async def _work(env: Env, store: Store, order: dict[JobID, int]) -> Counter[JobState]:
    """One worker process: claims once and ends what it claimed, except for what it takes to its grave."""
    worker = WorkerID.new()
    ends: Counter[JobState] = Counter()
    answer = await env.claimed(7, by=worker, via=store, queues=QUEUES, lease=10.0)
    jobs = answer.jobs or await env.claim(1, by=worker, via=store, queues=QUEUES, lease=10.0, alone=True)
    transitions = [
        Transition(
            job.id,
            job.epoch,
            verdict,
            failure=BOOM if verdict in (Verdict.RETRY, Verdict.FAIL) else None,
            dead_letter=verdict is Verdict.FAIL,
            delay=2.0,
        )
        for job in jobs
        if (verdict := _verdict(job, order[job.id])) is not None
    ]
    for finished in await store.jobs.finish(worker, transitions):
        assert finished.reply is Reply.APPLIED
        assert finished.state is not None
        ends[finished.state] += 1
    return ends


@case("I1", "I5", "I10", "I11", "I28")
async def every_job_ends_in_exactly_one_terminal_state(env: Env) -> None:
    sibling = await env.sibling()
    await env.store.queues.configure(QueueConfig("limited", max_concurrency=3))
    given = [
        new(
            queue=QUEUES[i % 3],
            priority=i % 4,
            delay=float(i % 5),
            scope=Scope("shop", str(i % 2)),
            unique=Unique(f"u{i}") if i % 6 == 0 else None,
        )
        for i in range(90)
    ]
    await env.enqueue(*given)
    order = {job.id: i for i, job in enumerate(given)}
    ends: Counter[JobState] = Counter()
    for turn in range(120):
        for outcome in await asyncio.gather(*(_work(env, store, order) for store in (env.store, sibling, env.store))):
            ends += outcome
        running = [job for job in await env.jobs() if job.state is JobState.RUNNING]
        assert sum(job.queue == "limited" for job in running) <= 3
        if turn == 1:
            await env.store.jobs.cancel(given[-1].id)
        env.clock.advance(4)
        for stolen in await env.steal(delays=[1.0, 2.0], max_crashes=2):
            ends[stolen.job.state] += 1
        if all(job.state in TERMINAL for job in await env.jobs()):
            break
    rows = await env.jobs()
    assert {row.id for row in rows} == set(order)
    assert {row.state for row in rows} <= TERMINAL
    by_hand = sum(row.state is JobState.CANCELLED for row in rows)
    assert sum(ends[state] for state in (JobState.COMPLETED, JobState.FAILED)) == len(given) - by_hand, (
        "an end was told twice"
    )
    assert all(row.crashes <= 3 and row.failures <= 4 for row in rows)
    letters = (await env.dump())["dlq"]
    assert {letter.state for letter in letters} == {DLQState.OPEN}
    assert sorted(letter.job_id for letter in letters) == sorted(row.id for row in rows if row.state is JobState.FAILED)
    for row in rows:
        kinds = Counter(attempt.kind for attempt in await env.store.jobs.attempts(row.id))
        assert (kinds["failed"], kinds["crashed"]) == (row.failures, row.crashes)
