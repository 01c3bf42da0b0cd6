"""The feed of jobs: each transition tells of itself, in its own transaction, while somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from dispatch.errors import DuplicateJob
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob, Unique, Verdict
from dispatch.scope import Scope
from dispatch.streams import EVENT_TYPES, StreamEntry
from dispatch.testing.conformance.dumps import elsewhere, moved
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.registry import case

_BOOM = {"type": BOOM.type, "message": BOOM.message}


@dataclass
class Feed:
    """A listener, and how far it has read."""

    env: Env
    kinds: Collection[str]
    position: int

    async def entries(self) -> list[StreamEntry]:
        """What has come since the last look."""
        page = await self.env.store.stream.read_after(self.kinds, self.position)
        assert not page.reset, f"something is missing: {sorted(page.gaps)}"
        self.position = page.position
        return page.entries

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Type and data of what has come since the last look."""
        return [(entry.type, from_json(entry.data)) for entry in await self.entries()]

    async def types(self) -> list[str]:
        return [entry.type for entry in await self.entries()]


async def listen(env: Env, *kinds: str, lease: float = 1e6) -> Feed:
    """Begins to listen (to everything)."""
    wanted = kinds or EVENT_TYPES
    await env.store.stream.listen(wanted, "listener", lease=lease)
    return Feed(env, wanted, (await env.store.stream.read_after(wanted, -1)).position)


def about(job_id: JobID, attempt: int = 1, **more: Any) -> dict[str, Any]:
    """The data of an event about a job."""
    return {"job_id": job_id, "job_name": "work", "queue": "default", "attempt": attempt, **more}


@case()
async def a_job_tells_of_its_enqueue_start_and_completion(env: Env) -> None:
    feed = await listen(env)
    job = await env.start()
    assert await feed.told() == [("job.enqueued", about(job.id)), ("job.started", about(job.id))]
    env.clock.advance(1.5)
    await env.finish(job, Verdict.COMPLETE, result=b"1")
    (entry,) = await feed.entries()
    assert (entry.channel, entry.type, entry.at) == ("job.completed", "job.completed", env.clock.now())
    assert from_json(entry.data) == about(job.id, elapsed_ms=1500)
    assert entry.tenant == ""


@case()
async def a_failure_tells_when_the_next_attempt_is_due(env: Env) -> None:
    job = await env.start()
    feed = await listen(env)
    await env.finish(job, Verdict.RETRY, failure=BOOM, delay=90.25)
    ((kind, data),) = await feed.told()
    due = datetime.fromisoformat(data.pop("next_run_at"))
    assert (kind, data, due) == ("job.retrying", about(job.id, error=_BOOM), env.after(90.25))
    env.clock.advance(100)
    again = await env.take()
    assert await feed.told() == [("job.started", about(job.id, 2))]
    await env.finish(again, Verdict.COMPLETE)
    assert await feed.told() == [("job.completed", about(job.id, 2, elapsed_ms=0))]


@case()
async def what_fails_for_good_tells_so_and_of_its_dead_letter(env: Env) -> None:
    feed = await listen(env)
    job = await env.start()
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    job = await env.take()
    await feed.entries()
    await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
    failed, buried = await feed.told()
    assert failed == ("job.failed", about(job.id, 2, error=_BOOM))
    assert buried == ("job.dlq", about(job.id, 2, error=_BOOM))
    job = await env.start()
    await feed.entries()
    await env.finish(job, Verdict.FAIL, failure=BOOM, reason="expected")
    assert await feed.types() == ["job.failed"]


@case()
async def each_way_to_be_cancelled_tells_once(env: Env) -> None:
    feed = await listen(env, "job.cancelled")
    waiting = await env.add()
    await env.store.jobs.cancel(waiting)
    await env.store.jobs.cancel(waiting)
    assert await feed.told() == [("job.cancelled", about(waiting))]
    running = await env.start()
    await env.store.jobs.cancel(running.id)
    assert await feed.types() == []
    await env.finish(running, Verdict.RETRY, failure=BOOM)
    (told,) = await feed.told()
    assert told[1]["job_id"] == running.id
    job = await env.start()
    await env.finish(job, Verdict.CANCEL)
    assert await feed.told() == [("job.cancelled", about(job.id))]
    late = await env.add(expires_in=5)
    env.clock.advance(6)
    assert await env.claim(5) == []
    assert await feed.told() == [("job.cancelled", about(late))]
    late = await env.add(expires_in=5, unique=Unique("k"))
    env.clock.advance(6)
    await env.add(unique=Unique("k"))
    assert await feed.told() == [("job.cancelled", about(late))]


@case()
async def what_counts_nothing_tells_nothing(env: Env) -> None:
    job = await env.start()
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    feed = await listen(env)
    for verdict in (Verdict.SNOOZE, Verdict.RELEASE):
        await env.finish(await env.take(), verdict)
        assert await feed.types() == ["job.started"]
    job = await env.take()
    await feed.entries()
    await env.store.jobs.renew(env.worker, [(job.id, job.epoch)], lease=30)
    await env.store.jobs.progress(env.worker, [(job.id, job.epoch, 0.5, "half")])
    await env.store.jobs.release(env.worker, [(job.id, job.epoch)])
    await env.store.jobs.cancel(await env.add(), reason="x")
    assert await feed.types() == ["job.enqueued", "job.cancelled"]


@case()
async def a_stolen_job_tells_of_its_retry_or_its_end(env: Env) -> None:
    feed = await listen(env)
    job = await env.start()
    await feed.entries()
    await env.crash(job, delays=(10.0,))
    ((kind, data),) = await feed.told()
    error = (await env.job(job.id)).error
    assert error is not None
    assert (kind, data["attempt"], data["error"]) == (
        *("job.retrying", 1),
        {"type": error.type, "message": error.message},
    )
    assert datetime.fromisoformat(data["next_run_at"]) == env.after(10)
    env.clock.advance(10)
    again = await env.take()
    await feed.entries()
    await env.crash(again, max_crashes=1)
    assert sorted(await feed.types()) == ["job.dlq", "job.failed"]


@case("I4")
async def a_stale_or_repeated_finish_tells_nothing(env: Env) -> None:
    job = await env.start(lease=5)
    await env.crash(job)
    again = await env.take(by=env.other)
    feed = await listen(env)
    for verdict in Verdict:
        await env.finish(job, verdict, failure=BOOM, dead_letter=True)
    assert await feed.types() == []
    await env.finish(again, Verdict.COMPLETE, by=env.other)
    await env.finish(again, Verdict.COMPLETE, by=env.other)
    await env.finish(again, Verdict.FAIL, by=env.other, failure=BOOM, dead_letter=True)
    assert await feed.types() == ["job.completed"]


@case()
async def a_retry_by_hand_and_a_replay_enqueue(env: Env) -> None:
    dead, _ = await env.bury()
    _, letter = await env.bury()
    feed = await listen(env)
    await env.store.jobs.retry(dead)
    await env.store.jobs.retry(dead)
    assert await feed.told() == [("job.enqueued", about(dead))]
    replay = JobID.new()
    await env.store.dlq.replay(letter, replay)
    await env.store.dlq.replay(letter, JobID.new())
    assert await feed.told() == [("job.enqueued", about(replay))]


@case()
async def an_id_is_given_once_and_names_what_it_is_about(env: Env) -> None:
    feed = await listen(env)
    job = await env.add()
    for _ in range(3):
        await env.store.jobs.cancel(job)
        await env.store.jobs.retry(job)
    entries = await feed.entries()
    assert [entry.type for entry in entries] == ["job.enqueued", *["job.cancelled", "job.enqueued"] * 3]
    assert len({entry.id for entry in entries}) == len(entries)
    assert {entry.id.rpartition(":")[0] for entry in entries} == {job}
    again = await env.store.stream.read_after(feed.kinds, entries[2].position)
    assert [entry.id for entry in again.entries] == [entry.id for entry in entries[3:]]


@case()
async def only_what_somebody_listens_to_is_kept(env: Env) -> None:
    await env.add()
    feed = await listen(env, "job.started", lease=60)
    job = await env.start(queue="q")
    await env.finish(job, Verdict.COMPLETE)
    every = await env.store.stream.read_after(EVENT_TYPES, feed.position)
    assert [entry.type for entry in every.entries] == ["job.started"]
    env.clock.advance(61)
    await env.start(queue="q")
    assert await feed.types() == ["job.started"]
    await env.store.stream.listen(["job.started"], "listener", lease=60)
    await env.store.stream.unlisten("listener")
    await env.start(queue="q")
    last = (await env.store.stream.read_after(EVENT_TYPES, -1)).position
    await env.start(queue="q")
    assert (await env.store.stream.read_after(EVENT_TYPES, -1)).position == last


@case("I31")
async def events_carry_the_tenant(env: Env) -> None:
    feed = await listen(env)
    scopes = [Scope("shop", "a"), Scope("shop", ""), Scope("", "a")]
    for scope in scopes:
        await env.bury(scope=scope)
    entries = await feed.entries()
    assert [entry.tenant for entry in entries] == [scope.tenant for scope in scopes for _ in range(4)]
    data = [from_json(entry.data) for entry in entries]
    assert {(d["scope_app_id"], d["scope_org_id"]) for d in data[:4]} == {("shop", "a")}
    assert [("scope_app_id" in d, "scope_org_id" in d) for d in data[4::4]] == [(True, False), (False, True)]


@case()
async def drivers_and_deliveries_are_no_jobs(env: Env) -> None:
    feed = await listen(env)
    job = await env.start(kind="delivery")
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    job = await env.take()
    await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True)
    assert await feed.types() == []


@case()
async def what_is_refused_tells_nothing(env: Env) -> None:
    await env.add(unique=Unique("k"))
    feed = await listen(env)
    with raises(DuplicateJob):
        await env.enqueue(new(), new(unique=Unique("k", on_conflict="raise")))
    assert await feed.types() == []
    once = new()
    await env.enqueue(once)
    await env.enqueue(once)
    assert await feed.told() == [("job.enqueued", about(once.id))]


@case()
async def batches_tell_of_every_job_in_order(env: Env) -> None:
    feed = await listen(env)
    jobs = [new(priority=9 - n % 3, payload=b"[%d]" % n) for n in range(30)]
    await env.enqueue(*jobs)
    assert [data["job_id"] for _, data in await feed.told()] == [job.id for job in jobs]
    claimed = await env.claim(30)
    assert sorted(data["job_id"] for _, data in await feed.told()) == sorted(job.id for job in claimed)
    for job in claimed[:10]:
        await env.finish(job, Verdict.COMPLETE)
    rest = await asyncio.gather(*(env.finish(job, Verdict.COMPLETE) for job in claimed[10:]))
    assert len(rest) == 20
    told = await feed.told()
    assert {kind for kind, _ in told} == {"job.completed"}
    assert [data["job_id"] for _, data in told[:10]] == [job.id for job in claimed[:10]]
    assert sorted(data["job_id"] for _, data in told) == sorted(job.id for job in claimed)


@case()
async def followups_tell_of_their_enqueue(env: Env) -> None:
    feed = await listen(env)
    job = await env.start()
    then = NewJob(id=JobID.new(), name="work", payload=b"{}")
    await env.finish(job, Verdict.COMPLETE, then=(then,))
    assert sorted(await feed.types()) == sorted(["job.enqueued", "job.started", "job.completed", "job.enqueued"])


@case()
async def what_is_loaded_from_another_store_is_no_change(env: Env) -> None:
    other = await elsewhere(env)
    await other.bury()
    await other.add()
    await other.start(queue="q")
    feed = await listen(env)
    await moved(env, other)
    assert await feed.types() == []
    await env.add()
    assert await feed.types() == ["job.enqueued"]
