"""Documents of the HTTP API back into what they were made of; secrets in them stay masked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from dispatch.cluster.model import Leadership, Worker
from dispatch.crons.model import CronEntry, CronSpec, Tick
from dispatch.dlq.model import DLQEntry
from dispatch.events.model import Event
from dispatch.ids import DLQID, CheckpointID, CronID, EventID, JobID, RunID, TypeID, WorkerID
from dispatch.jobs.model import Attempt, Failure, Job, JobState
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services import APIKey, AuditRecord, Explanation, Gate, JobStats, NameStats
from dispatch.services.stats import Spread
from dispatch.workflows.model import Checkpoint, ChildResult, Run, Wait

T = TypeVar("T")
Document = Mapping[str, Any]


def built(kind: type[T], document: Document, **given: Any) -> T:
    """A `kind` out of what its document says under the same names; `given` is what the document calls otherwise.

    Raises KeyError, TypeError, ValueError for what an other version may have written.
    """
    anything: Any = kind
    hints = _hints(anything)
    said = {
        field.name: _converted(hints[field.name], document[field.name])
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name in document and field.name not in given
    }
    return kind(**said, **given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _converted(hint: Any, value: Any) -> Any:
    if value is None:
        return NO_SCOPE if hint is Scope else None
    kinds = [one for one in get_args(hint) if one is not NoneType] if NoneType in get_args(hint) else [hint]
    kind = get_origin(kinds[0]) or kinds[0]
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is tuple:
        return tuple(value)
    if kind is Scope:
        return Scope(value["app_id"], value["org_id"])
    if kind is Failure:
        return Failure(value["type"], value["message"], value.get("traceback"))
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum | TypeID) else value


def stored(document: Document, key: str) -> bytes:
    """The bytes that `<key>` and `<key>_text` of a document stand for."""
    text = document[f"{key}_text"]
    return json.dumps(document[key]).encode() if text is None else text.encode()


def job_of(document: Document, *, result: bytes | None = None) -> Job:
    """A job out of its summary or its whole document."""
    attempt = document["attempt"]
    whole = "payload" in document
    lacking = {} if whole else {"failures": attempt - (document["state"] != JobState.FAILED)}
    return built(
        Job,
        document,
        id=JobID(document["id"]),
        payload=stored(document, "payload") if whole else b"",
        result=result,
        updated_at=_moment(document.get("updated_at", document["created_at"])),
        timeout=document.get("timeout_seconds"),
        **lacking,
    )


def attempts_of(document: Document) -> list[Attempt]:
    """The attempts in the document of a job or a dead letter."""
    return [built(Attempt, one, failure=_failure(one["error"]), epoch=0) for one in document["attempts"]]


def explanation_of(document: Document) -> Explanation:
    """Why a job does or does not run."""
    return built(Explanation, document, gates=tuple(built(Gate, gate) for gate in document["gates"]))


def stats_of(document: Document) -> JobStats:
    """How long jobs waited and ran."""
    names = [
        built(NameStats, one, wait=Spread(**one["wait_seconds"]), run=Spread(**one["run_seconds"]))
        for one in document["items"]
    ]
    return built(JobStats, document, names=names)


def letter_of(document: Document) -> DLQEntry:
    """A dead letter out of its summary or its whole document."""
    return built(
        DLQEntry,
        document,
        id=DLQID(document["id"]),
        payload=stored(document, "payload") if "payload" in document else b"",
        updated_at=_moment(document.get("updated_at", document["created_at"])),
        timeout=document.get("timeout_seconds"),
    )


def queue_of(document: Document) -> QueueInfo:
    """A queue with its limits, its pause and its counts."""
    pause = document["pause"]
    return built(
        QueueInfo,
        document,
        config=built(QueueConfig, document),
        pause=None if pause is None else built(Pause, pause),
    )


def worker_of(document: Document) -> Worker:
    """A worker process."""
    return built(
        Worker,
        document,
        id=WorkerID(document["id"]),
        created_at=_moment(document["started_at"]),
        updated_at=_moment(document["last_seen_at"]),
        last_seen=_moment(document["last_seen_at"]),
        lease=document["lease_seconds"],
    )


def leadership_of(document: Document) -> Leadership | None:
    """Who leads, if anybody does."""
    return None if document["leader"] is None else built(Leadership, document)


def cron_of(document: Document) -> CronEntry:
    """A cron entry out of its summary or its whole document."""
    whole = "payload" in document
    spec = built(
        CronSpec,
        document,
        payload=stored(document, "payload") if whole else b"",
        misfire_window=document["misfire_window_seconds"],
        jitter=document["jitter_seconds"],
    )
    return built(
        CronEntry,
        document,
        id=CronID(document["id"]),
        spec=spec,
        enabled=document["state"] != "disabled",
        orphaned=document["state"] == "orphaned",
        code_hash="" if document["origin"] == "code" else None,
    )


def tick_of(document: Document, entry_id: CronID) -> Tick:
    """A moment of a schedule and what became of it."""
    return built(Tick, document, entry_id=entry_id)


def run_of(document: Document, *, result: bytes | None = None) -> Run:
    """A run out of its summary or its whole document."""
    whole = "payload" in document
    return built(
        Run,
        document,
        id=RunID(document["id"]),
        driver=JobID(document.get("driver", "")),
        input=stored(document, "payload") if whole else b"",
        result=result,
        updated_at=_moment(document.get("updated_at", document["created_at"])),
    )


def waits_of(document: Document) -> list[Wait]:
    """What a run waits for, out of its document."""
    return [built(Wait, one, run_id=RunID(document["id"])) for one in document["waits"]]


def children_of(document: Document) -> list[ChildResult]:
    """What a run's children came to, out of its document."""
    return [built(ChildResult, one, run_id=RunID(document["id"])) for one in document["children"]]


def checkpoint_of(document: Document, run_id: RunID) -> Checkpoint:
    """A visit of a run."""
    return built(
        Checkpoint,
        document,
        id=CheckpointID(document["id"]),
        run_id=run_id,
        name=document["step_name"],
        data=stored(document, "data"),
        updated_at=_moment(document["created_at"]),
    )


def event_of(document: Document) -> Event:
    """A published event."""
    return built(Event, document, id=EventID(document["id"]), payload=stored(document, "payload"))


def audit_of(document: Document) -> AuditRecord:
    """Who did what."""
    return built(AuditRecord, document)


def key_of(document: Document) -> APIKey:
    """An API key, without its secret."""
    app_id, _, org_id = (document["tenant"] or "/").partition("/")
    return built(APIKey, document, scopes=tuple(document["scopes"]), scope=Scope(app_id, org_id))


def _failure(document: Document | None) -> Failure:
    said = document or {"type": "", "message": ""}
    return Failure(said["type"], said["message"], said.get("traceback"))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
