"""Looks through everything a store keeps for what no sequence of its verbs leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from dispatch.dlq.model import DLQState
from dispatch.errors import StoreCorrupt
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import TERMINAL, WAITING, JobState
from dispatch.services.damage import Damage, Found
from dispatch.services.integrity_runs import Children, examine_runs, may_lack_key, stray_driver
from dispatch.store import Store
from dispatch.transfer import KINDS, RUN_KINDS, Document, TransferKind

_PAGE = 500
_LIVE = (*WAITING, JobState.RUNNING)


async def examine(store: Store, *, found: Found, tick: Callable[[int], None]) -> int:
    """Looks at every job, key, dead letter and run, and reads every other row; answers how many it has looked at.

    Args:
        found: told of each damage as it is met.
        tick: told how many more documents were looked at.

    It reads only and keeps one line a live unique key and an ended child in memory. Made while workers run
    it may report what is in flight: look again at what it names.
    """
    holders: dict[str, str] = {}
    async for document in _walk(store, "unique_keys", tick):
        if document["live"]:
            holders[document["key"]] = document["job_id"]
    seen = len(holders)
    claimed: set[str] = set()
    children: Children = {}
    async for job in _walk(store, "jobs", tick):
        seen += 1
        for damage in _of_job(job):
            found(damage)
        if (keyless := await _of_key(store, job, holders)) is not None:
            found(keyless)
        if job["behind"] is not None and (stuck := await _behind(store, job)) is not None:
            found(stuck)
        if job["kind"] == "workflow" and (stray := await stray_driver(store, job)) is not None:
            found(stray)
        elif job["step"] is not None and job["state"] in TERMINAL:
            children[job["run_id"], job["step"]] = ("jobs", job["id"])
        if job["unique_key"] is not None and job["state"] in _LIVE and holders.get(job["unique_key"]) == job["id"]:
            claimed.add(job["unique_key"])
    for key, job_id in holders.items():
        if key not in claimed:
            text = f"is held by {job_id}, which does not need it: nothing with this key is ever enqueued again"
            found(Damage("unique_keys", key, text, f"`dispatch job retry {job_id}`, or enqueue under another key"))
    async for letter in _walk(store, "dlq", tick):
        seen += 1
        if (odd := await _of_letter(store, letter)) is not None:
            found(odd)
    seen += await examine_runs(store, walk=lambda kind: _walk(store, kind, tick), children=children, found=found)
    for kind in KINDS:
        if kind not in ("unique_keys", "jobs", "dlq", *RUN_KINDS):
            async for _ in _walk(store, kind, tick):
                seen += 1
    return seen


def _of_job(job: Document) -> Iterator[Damage]:
    """What is wrong with a job by itself."""
    id_, state = job["id"], job["state"]
    odd = [name for name, wanted in _WANTED.items() if not isinstance(job[name], wanted)]
    if odd or state not in set(JobState):
        text = f"holds what no job can hold in: {', '.join(odd or ['state'])}"
        yield Damage("jobs", id_, text, "repair that row with the database's own tools")
        return
    try:
        JobID.parse(id_)
    except ValueError:
        yield Damage("jobs", id_, "has an id that is none", "repair that row with the database's own tools")
    if state == JobState.RUNNING and (job["worker_id"] is None or job["lease_until"] is None):
        yield Damage("jobs", id_, "is running, but in nobody's name: it is never stolen", "repair that row")
    if state in TERMINAL and job["finished_at"] is None:
        yield Damage("jobs", id_, f"is {state}, but has no end: it is never pruned", f"`dispatch job delete {id_}`")


async def _of_key(store: Store, job: Document, holders: dict[str, str]) -> Damage | None:
    """That somebody else holds the unique key which the job needs; a run that compensates may have passed its on."""
    id_, key = job["id"], job["unique_key"]
    gave_up = job["unique_until"] == "start" and job["started_at"] is not None
    if key is None or job["state"] not in _LIVE or job["behind"] is not None or gave_up or holders.get(key) == id_:
        return None
    if job["kind"] == "workflow" and await may_lack_key(store, job):
        return None
    text = f"needs the unique key {key!r}, which {holders.get(key, 'nobody')} holds: a twin may be enqueued"
    return Damage("jobs", id_, text, f"`dispatch job cancel {id_}`, and enqueue it again")


_WANTED: dict[str, Any] = {
    **dict.fromkeys(("id", "name", "queue", "state", "kind", "lane", "effect_key"), str),
    **dict.fromkeys(("created_at", "updated_at", "run_at", "failures", "crashes", "epoch", "priority"), int),
    **dict.fromkeys(("lease_until", "started_at", "finished_at", "expires_at", "max_retries"), int | None),
    "payload": bytes,
    "metadata": dict,
    "tags": list,
}


async def _behind(store: Store, job: Document) -> Damage | None:
    holder = await store.jobs.get(JobID(job["behind"]))
    if holder is not None and not holder.state.terminal:
        return None
    text = (
        f"waits behind {job['behind']}, which {'is gone' if holder is None else f'is {holder.state}'}: nobody runs it"
    )
    return Damage("jobs", job["id"], text, f"`dispatch job cancel {job['id']}`, and enqueue it again")


async def _of_letter(store: Store, letter: Document) -> Damage | None:
    """What is wrong with a dead letter: its job is alive although nobody has decided, or the job of its replay is not
    its replay. That a job is gone is no damage: dead letters outlive their jobs."""
    id_ = letter["id"]
    try:
        job = await store.jobs.get(JobID(letter["job_id"]))
        made = None if letter["replayed_as"] is None else await store.jobs.get(JobID(letter["replayed_as"]))
    except StoreCorrupt:
        return None  # told with the job
    if letter["state"] == DLQState.OPEN and job is not None and job.state is not JobState.FAILED:
        text = f"is open, but its job {job.id} is {job.state}: a replay would do the work twice"
        return Damage("dlq", id_, text, f"`dispatch dlq discard {id_}`")
    if letter["state"] == DLQState.REPLAYED and letter["replayed_as"] is None:
        return Damage("dlq", id_, "was replayed, but as nothing: its work is lost", "enqueue its payload again by hand")
    if made is not None and made.replay_of != DLQID(id_):
        text = f"says that {made.id} is its replay, which that job does not know"
        return Damage("dlq", id_, text, "compare the two by hand")
    return None


async def _walk(store: Store, kind: TransferKind, tick: Callable[[int], None]) -> AsyncIterator[Document]:
    after: str | None = None
    while True:
        page = await store.transfer.export(kind, after=after, limit=_PAGE)
        for document in page.items:
            yield document
        tick(len(page.items))
        if page.next_cursor is None:
            return
        after = page.next_cursor
