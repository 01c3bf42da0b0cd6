"""Unique keys: which live job holds one, until when, and what each on_conflict does about it."""

from __future__ import annotations

from itertools import product

from dispatch.errors import DuplicateJob
from dispatch.ids import JobID
from dispatch.jobs.model import Job, JobState, OnConflict, Unique, UniqueUntil, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.registry import case

ENDS = {Verdict.COMPLETE: JobState.COMPLETED, Verdict.FAIL: JobState.FAILED, Verdict.CANCEL: JobState.CANCELLED}
KEEPS: tuple[OnConflict, ...] = ("return", "skip")
UNTIL: tuple[UniqueUntil, ...] = ("finish", "start")


async def _held_by(env: Env, key: str) -> JobID | None:
    """Who holds the key, found out by a call that writes nothing when it is held."""
    probe = new("probe", unique=Unique(key))
    (answer,) = await env.enqueue(probe)
    if not answer.created:
        return answer.id
    await env.store.jobs.cancel(probe.id)
    return None


async def _holder(env: Env, stage: str, unique: Unique) -> Job:
    """A job with the key, waiting, running or ended."""
    job_id = await env.add(payload=b"old", unique=unique)
    if stage != "waiting":
        job = await env.take()
        assert job.id == job_id
        if stage == "ended":
            await env.finish(job, Verdict.COMPLETE)
    return await env.job(job_id)


@case("I1")
async def a_held_key_answers_its_holder(env: Env) -> None:
    holder = await env.add(unique=Unique("k"))
    for mode in KEEPS:
        async with env.unchanged(f"on_conflict={mode}"):
            (answer,) = await env.enqueue(new(payload=b"new", unique=Unique("k", on_conflict=mode)))
        assert (answer.id, answer.created, answer.replaced) == (holder, False, False)


@case("I1")
async def a_held_key_raises_when_asked_to_and_nothing_of_the_call_is_written(env: Env) -> None:
    holder = await env.add(unique=Unique("k"))
    async with env.unchanged("a refused enqueue"):
        with raises(DuplicateJob) as caught:
            await env.enqueue(new(), new(unique=Unique("k", on_conflict="raise")), new())
    assert getattr(caught[0], "existing", None) == holder


@case("I1")
async def replace_puts_the_new_work_into_a_waiting_holder(env: Env) -> None:
    holder = await env.add(payload=b"old", unique=Unique("k"), delay=600, metadata={"v": 1}, tags=("a",), expires_in=9)
    (answer,) = await env.enqueue(
        new(
            payload=b"new",
            unique=Unique("k", on_conflict="replace"),
            delay=30,
            priority=4,
            metadata={"v": 2},
            tags=("b",),
            timeout=7.0,
            max_retries=2,
            expires_in=90,
        )
    )
    assert (answer.id, answer.created, answer.replaced) == (holder, False, True)
    job = await env.job(holder)
    assert (job.payload, job.run_at, job.priority, job.metadata) == (b"new", env.after(30), 4, {"v": 2})
    assert (job.tags, job.timeout, job.max_retries, job.expires_at) == (("b",), 7.0, 2, env.after(90))
    assert len(await env.jobs()) == 1
    env.clock.advance(30)
    assert (await env.take()).payload == b"new"


@case("I6")
async def a_replaced_job_is_claimed_by_its_new_order(env: Env) -> None:
    holder = await env.add(unique=Unique("k"))
    first = await env.add(priority=1)
    await env.enqueue(new(unique=Unique("k", on_conflict="replace"), priority=9))
    assert [job.id for job in await env.claim(5)] == [holder, first]


@case("I1")
async def keys_are_looked_at_within_one_call_too(env: Env) -> None:
    a, b, c = (new(payload=str(i).encode(), unique=Unique("k")) for i in range(3))
    answers = await env.enqueue(a, b, c)
    assert [(answer.id, answer.created) for answer in answers] == [(a.id, True), (a.id, False), (a.id, False)]
    assert len(await env.jobs()) == 1
    with raises(DuplicateJob):
        await env.enqueue(new(unique=Unique("z")), new(unique=Unique("z", on_conflict="raise")))
    assert len(await env.jobs()) == 1


@case("I1")
async def different_keys_do_not_meet(env: Env) -> None:
    for key in ("k", "K", "k ", "ключ", ""):
        await env.add(unique=Unique(key))
    await env.add()
    assert len(await env.jobs()) == 6


@case("I1")
async def a_key_is_held_while_waiting_running_and_retrying_and_free_after_each_end(env: Env) -> None:
    for verdict in ENDS:
        job_id = await env.add(unique=Unique("k"))
        assert await _held_by(env, "k") == job_id
        job = await env.take()
        assert await _held_by(env, "k") == job_id
        await env.finish(job, Verdict.RETRY, failure=BOOM)
        assert await _held_by(env, "k") == job_id
        job = await env.take()
        await env.finish(job, Verdict.SNOOZE)
        assert await _held_by(env, "k") == job_id
        await env.finish(await env.take(), verdict)
        assert await _held_by(env, "k") is None, f"after {verdict}"


@case("I1")
async def a_key_is_free_after_cancel_expiry_and_burial(env: Env) -> None:
    cancelled = await env.add(unique=Unique("k"))
    await env.store.jobs.cancel(cancelled)
    assert await _held_by(env, "k") is None
    await env.add(unique=Unique("k"), expires_in=5)
    env.clock.advance(6)
    assert len((await env.claimed()).expired) == 1
    assert await _held_by(env, "k") is None
    await env.crash(await env.start(unique=Unique("k")), max_crashes=0)
    assert await _held_by(env, "k") is None


@case("I1")
async def a_key_until_start_is_given_up_by_the_claim_and_not_taken_back(env: Env) -> None:
    job_id = await env.add(unique=Unique("k", until="start"))
    assert await _held_by(env, "k") == job_id
    job = await env.take()
    assert await _held_by(env, "k") is None
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    assert await _held_by(env, "k") is None
    second = await env.add(unique=Unique("k", until="start"), delay=60)
    assert await _held_by(env, "k") == second
    await env.finish(await env.take(), Verdict.COMPLETE)
    assert await _held_by(env, "k") == second, "the first job's end does not free the second one's key"


@case("I1")
async def a_key_held_for_a_time_outlives_its_job(env: Env) -> None:
    for until in UNTIL:
        job_id = await env.add(unique=Unique(until, until=until, hold_for=100))
        job = await env.take()
        assert await _held_by(env, until) == job_id
        await env.finish(job, Verdict.COMPLETE)
        env.clock.advance(99)
        assert await _held_by(env, until) == job_id
        env.clock.advance(2)
        assert await _held_by(env, until) is None


@case("I1")
async def a_key_is_held_past_its_time_while_its_job_lives(env: Env) -> None:
    job_id = await env.add(unique=Unique("k", hold_for=10))
    env.clock.advance(60)
    assert await _held_by(env, "k") == job_id
    job = await env.take()
    assert await _held_by(env, "k") == job_id
    await env.finish(job, Verdict.COMPLETE)
    assert await _held_by(env, "k") is None


@case("I1")
async def every_mode_meets_every_stage_of_the_holder(env: Env) -> None:
    modes: tuple[OnConflict, ...] = ("return", "skip", "raise", "replace")
    for i, (mode, until, hold, stage) in enumerate(
        product(modes, UNTIL, (None, 1000.0), ("waiting", "running", "ended"))
    ):
        what = f"{mode}, until={until}, hold_for={hold}, {stage}"
        holder = await _holder(env, stage, Unique(f"k{i}", until=until, hold_for=hold))
        held = hold is not None or stage == "waiting" or (stage == "running" and until == "finish")
        twin = new(payload=b"new", unique=Unique(f"k{i}", on_conflict=mode, until=until, hold_for=hold))
        before = len(await env.jobs())
        if held and mode == "raise":
            with raises(DuplicateJob):
                await env.enqueue(twin)
            created = False
        else:
            (answer,) = await env.enqueue(twin)
            created = answer.created
            assert created == (not held or (mode == "replace" and stage == "running")), what
            assert answer.id == (twin.id if created else holder.id), what
            assert answer.replaced == (held and mode == "replace" and stage == "waiting"), what
        assert len(await env.jobs()) == before + created, what
        row = await env.job(holder.id)
        assert row.payload == (b"new" if held and mode == "replace" and stage == "waiting" else b"old"), what
        if created:
            assert (await env.job(twin.id)).behind == (holder.id if held else None), what
        for job in await env.jobs():
            await env.store.jobs.cancel(job.id)
