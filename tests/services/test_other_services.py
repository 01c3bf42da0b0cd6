"""The verbs on dead letters, events, queues and workers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.clock import utc_now
from dispatch.cluster.model import Announcement, NewWorker, WorkerState
from dispatch.config import Config
from dispatch.dlq.model import DLQEntry, DLQState, ListOptions
from dispatch.errors import (
    AlreadyReplayed,
    DLQNotFound,
    DuplicateJob,
    EventNotFound,
    InvalidArguments,
    LeaderUnknown,
    PayloadTooLarge,
    QueuePaused,
    WorkerNotFound,
    WorkerStopped,
)
from dispatch.events.model import ListOptions as EventOptions
from dispatch.ids import DLQID, EventID, JobID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Unique, Verdict
from dispatch.masking import mask_value
from dispatch.registry import Registry
from dispatch.scope import Scope, use_scope
from dispatch.services.edits import Edit
from dispatch.stores.memory import MemoryStore

CONFIG = Config(store="memory://", auto_open=False, limits={"payload": 1000})  # type: ignore[arg-type]


@pytest.fixture
async def app(registry: Registry) -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(), registry=registry, config=CONFIG) as opened:
        yield opened


async def bury(app: Dispatch, count: int = 1, *, error: str = "ValueError", **facts: Any) -> list[DLQID]:
    worker = WorkerID.new()
    jobs = [NewJob(JobID.new(), "work", b'{"odd":  1}', **facts) for _ in range(count)]
    await app.store.jobs.enqueue(jobs)
    claimed = await app.store.jobs.claim(worker, queues={"default": count}, names=["work"], limit=count, lease=60)
    answers = await app.store.jobs.finish(
        worker,
        [
            Transition(j.id, j.epoch, Verdict.FAIL, failure=Failure(error, "m"), dead_letter=True, reason="failed")
            for j in claimed.jobs
        ],
    )
    return [answer.dead_letter for answer in answers if answer.dead_letter]


# dead letters


async def _announce_work(app: Dispatch) -> None:
    parts = {"odd": {"type": "integer"}, "to": {"type": "object"}, "token": {"type": "string"}}
    schema = {"properties": parts, "required": ["odd"], "additionalProperties": False}
    await app.store.cluster.announce([Announcement("work", "job", schema=schema)])


async def test_a_dead_letter_is_replayed_with_other_arguments_and_keeps_its_own(app: Dispatch) -> None:
    await _announce_work(app)
    first, second = await bury(app, 2, tags=("t",))
    job = await app.jobs.get(await app.dlq.replay(first, edit=Edit(sets={"odd": 2, "to": {"a": [1, 2]}})))
    assert (job.payload, job.tags, job.replay_of) == (b'{"odd":2,"to":{"a":[1,2]}}', ("t",), first)
    entry = await app.dlq.get(first)
    assert (entry.payload, entry.state, entry.replayed_as) == (b'{"odd":  1}', DLQState.REPLAYED, job.id)
    whole = await app.jobs.get(await app.dlq.replay(second, edit=Edit([7])))
    assert whole.payload == b'{"odd":7}'
    edited = [record.detail for record in await app.audit.list() if record.verb == "dlq.replay"]
    assert edited == ["edited: all arguments", "edited: odd, to"]


@pytest.mark.parametrize(
    ("edit", "wrong"),
    [
        (Edit(sets={"odd": "x"}), "odd: 'x' is not of type 'integer'"),
        (Edit(sets={"even": 2}), "no parameter 'even'"),
        (Edit(sets={"odd.deep": 2}), "'odd.deep' leads nowhere"),
        (Edit({"to": {}}), "'odd' is a required property"),
        (Edit({"odd": 1, "token": "x" * 1000}), "more than 1,000"),
    ],
    ids=["type", "name", "path", "missing", "large"],
)
async def test_an_edit_that_no_worker_could_take_leaves_the_dead_letter_open(
    app: Dispatch, edit: Edit, wrong: str
) -> None:
    await _announce_work(app)
    (entry_id,) = await bury(app)
    with pytest.raises(InvalidArguments, match=re.escape(wrong)):
        await app.dlq.replay(entry_id, edit=edit)
    with pytest.raises(InvalidArguments, match=re.escape(wrong)):
        await app.dlq.rehearse(entry_id, edit=edit)
    assert (await app.dlq.get(entry_id)).state is DLQState.OPEN


async def test_a_secret_that_was_shown_masked_is_replayed_as_it_was(app: Dispatch) -> None:
    held = DLQEntry(
        DLQID.new(), utc_now(), utc_now(), JobID.new(), "pay", "default", DLQState.OPEN, "failed", None,
        b'{"api_key": "s3cret", "cards": [{"token": "t-1"}], "note": "old"}',
    )  # fmt: skip
    shown = {"api_key": "***", "cards": [{"token": "***"}], "note": "***"}
    wanted = {"api_key": "s3cret", "cards": [{"token": "t-1"}], "note": "***"}
    assert json.loads(Edit(shown).payload(held, None)) == wanted
    odd = replace(held, payload=b"no json")
    with pytest.raises(InvalidArguments, match="give all arguments"):
        Edit(sets={"note": 1}).payload(odd, None)
    assert json.loads(Edit({"note": 1}).payload(odd, None)) == {"note": 1}


HELD = {"db": "pg://app:s3cret@db/x", "cards": [{"token": "t-1"}, {"token": "t-2"}], "secrets": {"a": 1}, "note": "***"}
SHOWN = {"db": "pg://app:***@db/x", "cards": [{"token": "***"}, {"token": "***"}], "secrets": "***", "note": "***"}


def _letter(carried: Any) -> DLQEntry:
    payload = json.dumps(carried).encode()
    now = utc_now()
    return DLQEntry(DLQID.new(), now, now, JobID.new(), "pay", "default", DLQState.OPEN, "failed", None, payload)


async def test_every_way_of_showing_a_secret_is_taken_back_when_it_is_replayed() -> None:
    assert mask_value("", HELD) == SHOWN
    edited = json.loads(Edit({**SHOWN, "amount": 2}).payload(_letter(HELD), None))
    assert edited == {**HELD, "amount": 2}
    assert json.loads(Edit({"token": "***"}).payload(_letter({"token": "***"}), None)) == {"token": "***"}


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"cards": [{"token": "***"}]}, "cards.0.token: "),
        ({"db": "pg://app:***@elsewhere/x"}, "db: "),
        ({"new": {"password": "***"}}, "new.password: "),
    ],
    ids=["a card less", "another host", "a key more"],
)
async def test_a_mask_of_which_nobody_knows_what_it_hides_is_not_replayed(changed: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(f"{where}*** is shown instead of a secret")):
        Edit({**SHOWN, **changed}).payload(_letter(HELD), None)


async def test_a_path_with_an_index_of_thousands_of_digits_leads_nowhere() -> None:
    with pytest.raises(InvalidArguments, match="leads nowhere"):
        Edit(sets={f"cards.{'9' * 5000}.token": "t-3"}).payload(_letter(HELD), None)


async def test_an_edited_dead_letter_is_replayed_once_too(app: Dispatch) -> None:
    (entry_id,) = await bury(app)
    new_id = await app.dlq.replay(entry_id, edit=Edit(sets={"odd": 2}))
    for again in (app.dlq.replay(entry_id, edit=Edit(sets={"odd": 3})), app.dlq.rehearse(entry_id)):
        with pytest.raises(AlreadyReplayed, match=f"was replayed before as {new_id};"):
            await again


async def test_i12_a_dead_letter_is_replayed_once(app: Dispatch) -> None:
    (entry_id,) = await bury(app)
    new_id = await app.dlq.replay(entry_id)
    job = await app.jobs.get(new_id)
    entry = await app.dlq.get(entry_id)
    assert (job.payload, job.replay_of, job.effect_key) == (b'{"odd":  1}', entry_id, entry.effect_key)
    assert (entry.state, entry.replayed_as) == (DLQState.REPLAYED, new_id)
    with pytest.raises(AlreadyReplayed, match=f"was replayed before as {new_id}; an entry is replayed once"):
        await app.dlq.replay(entry_id)
    with pytest.raises(AlreadyReplayed):
        await app.dlq.discard(entry_id)


async def test_a_live_twin_keeps_the_entry_open(app: Dispatch) -> None:
    (entry_id,) = await bury(app, unique=Unique("k"))
    twin = JobID.new()
    await app.store.jobs.enqueue([NewJob(twin, "work", b"{}", unique=Unique("k"))])
    with pytest.raises(DuplicateJob, match=f"{twin} is live and holds the same unique key") as caught:
        await app.dlq.replay(entry_id)
    assert caught.value.existing == twin
    assert (await app.dlq.get(entry_id)).state is DLQState.OPEN


async def test_a_discarded_entry_is_decided(app: Dispatch) -> None:
    (entry_id,) = await bury(app)
    await app.dlq.discard(entry_id)
    assert await app.dlq.count() == 0
    assert (await app.dlq.list(ListOptions(states=()))).items[0].state is DLQState.DISCARDED
    with pytest.raises(AlreadyReplayed, match="was discarded before"):
        await app.dlq.replay(entry_id)
    with pytest.raises(AlreadyReplayed, match="was decided before"):
        await app.dlq.discard(entry_id)


async def test_what_does_not_exist_is_said_to(app: Dispatch) -> None:
    for verb in (app.dlq.get, app.dlq.replay, app.dlq.discard):
        with pytest.raises(DLQNotFound, match="`dispatch dlq list` shows what there is"):
            await verb(DLQID.new())


async def test_every_entry_is_visited_once_while_they_are_decided(app: Dispatch) -> None:
    entries = await bury(app, 23)
    seen = []
    async for entry in app.dlq.each(ListOptions(limit=5)):
        seen.append(entry.id)
        await app.dlq.replay(entry.id)
    assert sorted(seen) == sorted(entries)
    assert await app.dlq.count() == 0


async def test_entries_are_grouped_counted_and_purged(app: Dispatch) -> None:
    await bury(app, 3)
    await bury(app, 1, error="KeyError")
    groups = await app.dlq.groups()
    assert [(group.job_name, group.error_type, group.count) for group in groups] == [
        ("work", "ValueError", 3),
        ("work", "KeyError", 1),
    ]
    assert await app.dlq.count(ListOptions(error_types=["KeyError"])) == 1
    assert await app.dlq.purge(older_than=3600) == 0
    assert await app.dlq.purge(limit=3) == 3
    assert await app.dlq.purge() == 1
    assert await app.dlq.purge() == 0


async def test_another_tenant_sees_no_entry(app: Dispatch) -> None:
    (entry_id,) = await bury(app, scope=Scope("shop", "t-1"))
    assert (await app.dlq.get(entry_id, scope=Scope("shop", "t-1"))).id == entry_id
    for verb in (app.dlq.get, app.dlq.replay, app.dlq.discard):
        with pytest.raises(DLQNotFound):
            await verb(entry_id, scope=Scope("shop", "t-2"))


# events


async def test_an_event_is_kept_with_key_payload_and_tenant(app: Dispatch) -> None:
    with use_scope("shop", "t-1"):
        event = await app.events.publish("order.paid", {"total": 5}, key="order-42")
    found = await app.events.get(event.id)
    assert (found.name, found.data, found.key, found.scope) == (
        "order.paid",
        {"total": 5},
        "order-42",
        Scope("shop", "t-1"),
    )
    assert found.created_at is not None
    assert [e.id for e in (await app.events.list(EventOptions(names=["order.paid"]))).items] == [event.id]
    with pytest.raises(EventNotFound):
        await app.events.get(EventID.new())


@pytest.mark.parametrize(
    ("name", "payload", "kind", "message"),
    [
        ("two words", None, InvalidArguments, "'two words' is no event name"),
        ("x", object(), InvalidArguments, "event x: the payload cannot be stored as JSON"),
        ("x", [float("nan")], InvalidArguments, "event x: 0 is NaN or infinite"),
        ("x", "y" * 2000, PayloadTooLarge, "event x: the payload takes 2,002 bytes, more than 1,000"),
    ],
)
async def test_an_event_that_cannot_be_kept_is_refused(
    app: Dispatch, name: str, payload: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await app.events.publish(name, payload)
    assert (await app.events.list()).items == []


# queues and workers


async def test_of_two_pauses_at_once_the_shorter_is_told_whose_stands(app: Dispatch) -> None:
    await app.queues.pause("mails", by="ada", reason="migration", duration=600)
    told = r"queue 'mails' is paused by ada until .* UTC: migration; .* only with force"
    with pytest.raises(QueuePaused, match=told) as caught:
        await app.queues.pause("mails", by="bob", duration=60)
    assert caught.value.pause == (await app.queues.get("mails")).pause
    act, *_ = await app.audit.list()
    assert (act.verb, act.who, act.outcome) == ("queue.pause", "bob", "refused")
    taken = await app.queues.pause("mails", by="bob", duration=60, force=True)
    assert ((await app.queues.get("mails")).pause, taken.by) == (taken, "bob")


async def test_a_pause_says_who_and_why(app: Dispatch) -> None:
    await app.queues.pause("mails", by="ops", reason="provider is down", duration=60)
    info = await app.queues.get("mails")
    assert info.pause is not None
    assert (info.pause.by, info.pause.reason) == ("ops", "provider is down")
    assert info.pause.until is not None
    assert [queue.config.name for queue in await app.queues.list()] == ["mails"]
    assert (await app.queues.resume("mails"), await app.queues.resume("mails")) == (True, False)


async def test_an_elector_that_tells_nobody_who_leads_is_named() -> None:
    class Secretive:
        async def campaign(self, worker_id: WorkerID) -> int | None:
            return 1

        async def resign(self, worker_id: WorkerID) -> None: ...

    config = Config(store="memory://", auto_open=False)
    async with Dispatch(config=config, registry=Registry(), leader_elector=Secretive()) as app:
        for verb in (app.workers.leadership, app.workers.resign):
            with pytest.raises(LeaderUnknown, match="elected by Secretive, which does not tell"):
                await verb()


async def test_workers_are_listed_and_drained(app: Dispatch) -> None:
    worker = NewWorker(WorkerID.new(), "host", 1, ("default",), ("work",), 4, 30.0)
    await app.store.cluster.register(worker)
    assert [w.id for w in await app.workers.list(live=True)] == [worker.id]
    await app.workers.drain(worker.id)
    found = await app.workers.get(worker.id)
    assert (found.drain_requested, found.state) == (True, WorkerState.ACTIVE)
    await app.store.cluster.retire(worker.id)
    with pytest.raises(WorkerStopped, match="has stopped already"):
        await app.workers.drain(worker.id)
    for verb in (app.workers.get, app.workers.drain):
        with pytest.raises(WorkerNotFound, match="there is no worker wkr_"):
            await verb(WorkerID.new())
