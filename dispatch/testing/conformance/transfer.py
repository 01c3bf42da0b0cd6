"""Transfer: all that a store keeps goes out as documents, and comes back as it was."""

from __future__ import annotations

from typing import Any

from dispatch.cluster.model import Announcement
from dispatch.crons.model import CronSpec, Fire, NewTick
from dispatch.crons.model import ListOptions as CronOptions
from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.events import Event
from dispatch.ids import CronID, JobID
from dispatch.jobs.model import CountOptions, Enqueued, Idempotency, JobState, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.testing.conformance.dumps import Dump, dump_of, elsewhere, load_all, moved
from dispatch.testing.conformance.env import BOOM, Env, new, pairs, raises
from dispatch.testing.conformance.registry import case
from dispatch.transfer import FIELDS, KINDS, RUN_KINDS, Document, TransferKind

_HERE: list[TransferKind] = [kind for kind in KINDS if kind not in RUN_KINDS]


async def _populate(env: Env) -> None:
    """One of everything."""
    store = env.store
    await store.cluster.announce([Announcement("work", "job", "q", {"properties": {"a": {}}}, {"max_retries": 2}, 3)])
    await store.cluster.announce([Announcement("flow", "workflow", version=2), Announcement("flow", "workflow")])
    await store.queues.configure(QueueConfig("tight", 5, 2.5, 7, True, 2))
    await store.queues.pause("still", by="ada", reason="why not", duration=500)
    await store.queues.pause("for ever")
    scope = Scope("shop", "t-1")
    await env.add(delay=60, priority=3, scope=scope, metadata={"a": [1, None, "ü"]}, tags=("x", "y"), kind="delivery")
    await env.add(payload=b"\x00\xff no json", max_retries=0, timeout=2.5, backoff={"kind": "fixed"}, keep_result=True)
    await env.add(queue="tight", scope=scope, expires_in=30, effect_key="e", scheduled_at=env.after(-5), lane="east")
    await env.finish(await env.start("done"), Verdict.COMPLETE, result=b"[1]")
    await env.bury("dead", unique=Unique("dead", until="start"), metadata={"m": 1}, scope=scope, lane="west")
    replayed, letter = await env.bury("replayed")
    await store.dlq.replay(letter, JobID.new())
    again, _ = await env.bury("again")
    await store.jobs.retry(again)
    _, gone = await env.bury("gone")
    await store.dlq.discard(gone)
    await store.jobs.delete(replayed)
    waiting = await env.add("cancelled")
    await store.jobs.cancel(waiting, reason="no more")
    retrying = await env.start("retrying")
    await env.finish(retrying, Verdict.RETRY, failure=BOOM, delay=30)
    await env.crash(await env.start("crashed"), delays=(40.0,))
    holder = await env.start("held", unique=Unique("k", hold_for=200))
    await env.enqueue(new("held", unique=Unique("k", on_conflict="replace")))
    await store.jobs.progress(env.worker, [(holder.id, holder.epoch, 0.25, "a quarter")])
    stopping = await env.start("stopping")
    await store.jobs.cancel(stopping.id, reason="enough")
    await env.add("once", idempotency=Idempotency("i", "print", 300), scope=scope)
    await env.add("nobody", queue="aside")
    env.clock.advance(1)
    await env.register(queues=["default", "q", "tight"], names=["work", "once"])
    assert await store.jobs.set_aside(due_for=0.5, limit=100) > 0
    await store.events.publish(Event("paid", b"{}", key="7", scope=scope))
    await store.events.publish(Event("sent"))
    await store.records.put("ns", "a", b"\x00\x01")
    await store.records.put("ns", "a", b"2", expires_in=100)
    await store.records.put("other", "b", b"{}")
    await _add_crons(env)


async def _add_crons(env: Env) -> None:
    """An entry of code and one made at run time, both disabled and fired, the other orphaned."""
    crons = env.store.crons
    code = CronSpec(name="nightly", schedule="0 3 * * *", target="work", timezone="Europe/Berlin", jitter=3)
    await env.register()
    await crons.announce(env.worker, {code.digest: code})
    await crons.settle(next_fire_at={code.digest: env.after(60)})
    made = CronSpec(name="t-1", schedule="@every 30s", target="work", options={"tags": ["a"]}, scope=Scope("shop", "x"))
    entry = await crons.create(made, entry_id=CronID.new(), next_fire_at=env.clock.now())
    assert entry is not None
    tick = NewTick(env.clock.now(), "fired", new(run_at=env.after(3600)))
    await crons.fire([Fire(entry.id, entry.revision, entry.next_fire_at, [tick], env.after(30))])
    await crons.disable("nightly", until=env.after(600), reason="a holiday", by="ada")


@case("I1", "I11")
async def what_is_exported_loads_elsewhere_and_exports_the_same(env: Env) -> None:
    await _populate(env)
    dump, other = await dump_of(env.store), await elsewhere(env)
    assert all(dump[kind] for kind in _HERE), f"nothing of {[kind for kind in _HERE if not dump[kind]]}"
    for kind in KINDS:
        assert all(set(document) == set(FIELDS[kind]) for document in dump[kind])
    assert await load_all(other.store, dump) == {kind: len(dump[kind]) for kind in KINDS}
    assert await dump_of(other.store) == dump
    assert await other.dump() == await env.dump()


@case("I1", "I11")
async def what_another_store_exported_loads_and_exports_the_same(env: Env) -> None:
    other = await elsewhere(env)
    await _populate(other)
    dump = await dump_of(other.store)
    assert await load_all(env.store, dump) == {kind: len(dump[kind]) for kind in KINDS}
    assert await dump_of(env.store) == dump
    assert await env.store.transfer.count() == {kind: len(dump[kind]) for kind in KINDS}
    assert await env.dump() == await other.dump()
    assert await env.store.jobs.count(CountOptions()) == await other.store.jobs.count(CountOptions())
    for mine, theirs in zip(await env.store.queues.list(), await other.store.queues.list(), strict=True):
        assert (mine.config, mine.pause) == (theirs.config, theirs.pause)
        assert (mine.pending, mine.retrying, mine.running) == (theirs.pending, theirs.retrying, theirs.running)
        assert (mine.set_aside, mine.oldest_due_at) == (theirs.set_aside, theirs.oldest_due_at)


@case("I1", "I4")
async def it_is_told_how_each_claim_ended_in_the_same_words_by_any_store(env: Env) -> None:
    done, snoozed = await env.start("done"), await env.start("snoozed")
    await env.finish(done, Verdict.COMPLETE, result=b"1")
    await env.finish(snoozed, Verdict.SNOOZE, delay=5)
    waiting = {document["id"]: document["left_as"] for document in (await dump_of(env.store))["jobs"]}
    assert waiting == {
        done.id: f"{env.worker}:{done.epoch}:complete",
        snoozed.id: f"{env.worker}:{snoozed.epoch}:snooze",
    }
    env.clock.advance(6)
    again = await env.take(names=["snoozed"])
    assert {d["id"]: d["left_as"] for d in (await dump_of(env.store))["jobs"]} == {**waiting, again.id: None}
    await env.finish(again, Verdict.COMPLETE)
    ended = {document["id"]: document["left_as"] for document in (await dump_of(env.store))["jobs"]}
    assert ended == {**waiting, again.id: f"{env.worker}:{again.epoch}:complete"}


@case("I2")
async def loading_again_changes_nothing_whatever_the_documents_say(env: Env) -> None:
    await _populate(env)
    dump = await dump_of(env.store)
    other: Dump = {
        kind: [{**document, **_altered(kind, document)} for document in documents] for kind, documents in dump.items()
    }
    for again in (dump, other):
        assert await load_all(env.store, again) == dict.fromkeys(KINDS, 0)
        assert await dump_of(env.store) == dump


def _altered(kind: TransferKind, document: Document) -> dict[str, Any]:
    match kind:
        case "jobs":
            attempt = {**dict.fromkeys(("error_message", "error_traceback", "worker_id", "started_at"))}
            attempt |= {"number": 9, "kind": "failed", "error_type": "E", "epoch": 1, "ended_at": 1}
            return {"payload": b"other", "attempts": [*document["attempts"], attempt]}
        case "dlq" | "events":
            return {"payload": b"other"}
        case "records":
            return {"value": b"other"}
        case "queues":
            return {"max_concurrency": 1}
        case "definitions":
            return {"queue": "other"}
        case "crons":
            return {"enabled": not document["enabled"]}
        case "cron_codes":
            return {"first_seen": 0}
        case "cron_ticks":
            return {"note": "other"}
        case _:
            return {"job_id": str(JobID.new())}


@case("I1")
async def a_walk_in_small_pages_meets_each_row_once_while_others_come_and_go(env: Env) -> None:
    await _populate(env)
    dump = await dump_of(env.store)
    assert await dump_of(env.store, limit=2) == dump
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await env.store.transfer.export("jobs", after=after, limit=3)
        seen += [document["id"] for document in page.items]
        after = page.next_cursor
        if after is None:
            break
        await env.claim(1, names=["work", "once"])
        if len(seen) < 20:
            await env.add()
    assert len(set(seen)) == len(seen)
    assert {document["id"] for document in dump["jobs"]} <= set(seen)


@case()
async def large_rows_come_in_smaller_pages_but_they_come(env: Env) -> None:
    large = [await env.add(payload=b"x" * 3_000_000) for _ in range(3)]
    page = await env.store.transfer.export("jobs", limit=3)
    assert 1 <= len(page.items) <= 3
    dump = await dump_of(env.store)
    assert [document["id"] for document in dump["jobs"]] == sorted(large)
    assert all(len(document["payload"]) == 3_000_000 for document in dump["jobs"])


@case()
async def a_document_with_other_fields_is_refused_and_nothing_is_written(env: Env) -> None:
    other = await elsewhere(env)
    await _populate(other)
    dump = await dump_of(other.store)
    for kind in _HERE:
        good, bad = dump[kind], {**dump[kind][-1]}
        bad.popitem()
        with raises(DataRejected):
            await env.store.transfer.load(kind, [*good[:-1], bad])
        with raises(DataRejected):
            await env.store.transfer.load(kind, [*good, {**good[0], "unheard_of": 1}])
    assert await env.store.transfer.count() == dict.fromkeys(KINDS, 0)
    assert await env.store.transfer.load("jobs", []) == 0


@case("I6", "I3")
async def loaded_jobs_are_claimed_in_their_order_when_they_are_due(env: Env) -> None:
    other = await elsewhere(env)
    late = await other.add(delay=60)
    first, second = await other.add(), await other.add()
    urgent = await other.add(priority=9)
    epoch = (await other.take()).epoch
    await other.store.jobs.release(other.worker, [(urgent, epoch)])
    await moved(env, other)
    claimed = await env.claim(9)
    assert [job.id for job in claimed] == [urgent, first, second]
    assert claimed[0].epoch > epoch
    env.clock.advance(61)
    assert (await env.take()).id == late


@case("I4", "I29")
async def a_loaded_claim_is_finished_by_its_holder_or_stolen_when_it_lapses(env: Env) -> None:
    other = await elsewhere(env)
    mine, lapsing = await other.start(), await other.start()
    stopping = await other.start()
    await other.store.jobs.cancel(stopping.id)
    done = await other.start()
    await other.finish(done, Verdict.COMPLETE)
    retried = await other.start("again")
    await other.finish(retried, Verdict.RETRY, failure=BOOM, delay=999)
    await moved(env, other)
    assert (await env.finish(mine, Verdict.COMPLETE, by=env.other)).reply is Reply.STALE
    assert (await env.finish(mine, Verdict.COMPLETE, epoch=mine.epoch - 1)).reply is Reply.STALE
    renewed = await env.store.jobs.renew(env.worker, pairs(mine, lapsing), lease=30)
    assert set(renewed.held) == {mine.id, lapsing.id}
    assert await env.store.jobs.cancel_requests(env.worker) == [stopping.id]
    assert (await env.finish(mine, Verdict.COMPLETE)).reply is Reply.APPLIED
    assert (await env.finish(done, Verdict.COMPLETE)).reply is Reply.APPLIED, "the reply was lost in the move"
    assert (await env.finish(retried, Verdict.RETRY, failure=BOOM)).reply is Reply.APPLIED
    assert len(await env.store.jobs.attempts(retried.id)) == 1
    env.clock.advance(31)
    stolen = {found.job.id: found.job.state for found in await env.steal()}
    assert stolen == {lapsing.id: JobState.RETRYING, stopping.id: JobState.CANCELLED}


@case("I28", "I10")
async def limits_pauses_and_quarantine_hold_for_loaded_jobs(env: Env) -> None:
    other = await elsewhere(env)
    await other.store.queues.configure(QueueConfig("tight", max_concurrency=2))
    running = await other.start(queue="tight", lease=900)
    for _ in range(3):
        await other.add(queue="tight")
    killer = await other.start("killer")
    for _ in range(2):
        await other.crash(killer)
        killer = await other.take(names=["killer"], alone=True)
    await other.crash(killer)
    await other.add(queue="still")
    await other.store.queues.pause("still", reason="because")
    await moved(env, other)
    assert await env.claim(9, names=["killer"]) == []
    assert [job.id for job in await env.claim(9, names=["killer"], alone=True)] == [killer.id]
    assert await env.claim(9, queues=["still"]) == []
    assert await env.store.queues.resume("still") is Reply.APPLIED
    assert len(await env.claim(9, queues=["still"])) == 1
    assert (await env.job(running.id)).state is JobState.RUNNING
    assert len(await env.claim(9, queues=["tight"])) == 1


@case("I1", "I2")
async def keys_are_held_and_handed_on_as_before(env: Env) -> None:
    other = await elsewhere(env)
    holder = await other.start(unique=Unique("k"))
    (behind,) = await other.enqueue(new(unique=Unique("k", on_conflict="replace")))
    held = await other.start(unique=Unique("h", hold_for=100))
    await other.finish(held, Verdict.COMPLETE)
    once = await other.add(idempotency=Idempotency("i", "f", 100))
    await moved(env, other)
    assert await env.enqueue(new(unique=Unique("k"))) == [Enqueued(holder.id, created=False)]
    assert await env.enqueue(new(unique=Unique("h"))) == [Enqueued(held.id, created=False)]
    assert await env.enqueue(new(idempotency=Idempotency("i", "f", 100))) == [Enqueued(once, created=False)]
    assert behind.id not in [job.id for job in await env.claim(9)]
    await env.finish(holder, Verdict.COMPLETE)
    assert (await env.take()).id == behind.id
    env.clock.advance(101)
    await env.add(unique=Unique("h"))
    assert (await env.enqueue(new(idempotency=Idempotency("i", "f", 100))))[0].created


@case("I11", "I12")
async def loaded_dead_letters_are_decided_once_and_retried_with_their_jobs(env: Env) -> None:
    other = await elsewhere(env)
    _, letter = await other.bury(payload=b"1", kind="delivery", lane="east", unique=Unique("u", until="start"))
    job_id, open_one = await other.bury(payload=b"2")
    gone_id, replayed = await other.bury(payload=b"3")
    made = JobID.new()
    await other.store.dlq.replay(replayed, made)
    await moved(env, other)
    answer = await env.store.dlq.replay(letter, JobID.new())
    assert answer.reply is Reply.APPLIED
    assert answer.job_id is not None
    row = await env.job(answer.job_id)
    assert (row.payload, row.kind, row.lane, row.unique_key, row.replay_of) == (b"1", "delivery", "east", "u", letter)
    assert (await env.store.dlq.replay(replayed, made)).reply is Reply.APPLIED
    assert (await env.store.dlq.replay(replayed, JobID.new())).reply is Reply.CONFLICT
    assert (await env.store.jobs.retry(gone_id)).replayed_as == made
    assert (await env.store.jobs.retry(job_id)).reply is Reply.APPLIED
    assert (await env.letter(open_one)).state is DLQState.RETRIED


@case()
async def loaded_jobs_grow_old_and_come_back_from_aside(env: Env) -> None:
    other = await elsewhere(env)
    early, late = await other.start(), await other.start()
    for job in (late, early):
        env.clock.advance(1)
        await other.finish(job, Verdict.COMPLETE)
    aside = await other.add("nobody")
    env.clock.advance(10)
    assert await other.store.jobs.set_aside(due_for=5, limit=9) == 1
    await moved(env, other)
    jobs = env.store.jobs
    assert await jobs.prune(completed=10.5, failed=None, cancelled=None, limit=9) == 1
    assert await jobs.get(late.id) is None
    assert await jobs.get(early.id) is not None
    assert await env.claim(9, names=["nobody"]) == []
    assert await env.register(names=["nobody"]) == 1
    assert (await env.take(names=["nobody"])).id == aside


@case("I14", "I16")
async def loaded_cron_entries_tick_on_where_they_stood(env: Env) -> None:
    other = await elsewhere(env)
    await _add_crons(other)
    await moved(env, other)
    crons = env.store.crons
    assert await crons.list(CronOptions()) == await other.store.crons.list(CronOptions())
    env.clock.advance(30)
    (due,) = (await crons.due()).entries
    assert due.name == "t-1"
    first = due.last_fired_at
    assert first is not None
    again = Fire(due.id, due.revision, first, [NewTick(first, "fired", new())], env.after(30))
    assert [fired.reply for fired in await crons.fire([again])] == [Reply.CONFLICT], "this tick was fired before"
    assert len(await crons.history(due.id)) == 1
    assert not (await crons.list(CronOptions(names=["nightly"]))).items[0].enabled
