"""Between the memory store's objects and the documents of a transfer."""

from __future__ import annotations

from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.cluster.model import Announcement
from dispatch.dlq.model import DLQEntry, DLQState
from dispatch.events.model import Event
from dispatch.ids import DLQID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import Attempt, Failure, JobState
from dispatch.queues import Pause, QueueConfig
from dispatch.records import Record
from dispatch.scope import Scope
from dispatch.stores.memory.fields import error_fields, failure_of, micros_of, moment, real, text
from dispatch.stores.memory.keys import Hold, Remembered
from dispatch.stores.memory.queue import QueueState
from dispatch.stores.memory.rows import Origin, Row, checked_json, copy_json
from dispatch.transfer import Document


def job_document(row: Row, attempts: list[Attempt]) -> Document:
    return {
        "id": str(row.id),
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
        "name": row.name,
        "queue": row.queue,
        "state": row.state.value,
        "payload": row.payload,
        "run_at": micros(row.run_at),
        "kind": row.kind,
        "lane": row.lane,
        "failures": row.failures,
        "crashes": row.crashes,
        "epoch": row.epoch,
        "worker_id": text(row.worker_id),
        "lease_until": micros_of(row.lease_until),
        "started_at": micros_of(row.started_at),
        "finished_at": micros_of(row.finished_at),
        "scheduled_at": micros_of(row.scheduled_at),
        "expires_at": micros_of(row.expires_at),
        **_options(row),
        "result": row.result,
        **error_fields(row.error),
        "reason": row.reason,
        "cancel_reason": row.cancel_reason,
        "unique_key": row.unique_key,
        "unique_until": None if row.unique_key is None else row.unique_until,
        "hold_until": micros_of(row.hold_until),
        "effect_key": row.effect_key,
        **_labels(row),
        "progress": real(row.progress),
        "progress_note": row.progress_note,
        "set_aside": row.set_aside,
        "behind": text(row.behind),
        "replay_of": text(row.replay_of),
        "concurrency_key": row.concurrency_key,
        "concurrency_max": row.concurrency_max,
        "left_as": _left_as(row),
        "run_id": text(row.run_id),
        "step": row.step,
        "attempts": [_attempt_document(attempt) for attempt in attempts],
    }


def row_of(document: Document) -> Row:
    """The row of a job's document, in no index yet."""
    d = document
    return Row(
        id=JobID(d["id"]),
        created_at=from_micros(d["created_at"]),
        updated_at=from_micros(d["updated_at"]),
        name=d["name"],
        queue=d["queue"],
        state=JobState(d["state"]),
        payload=d["payload"],
        run_at=from_micros(d["run_at"]),
        kind=d["kind"],
        lane=d["lane"],
        failures=d["failures"],
        crashes=d["crashes"],
        epoch=d["epoch"],
        worker_id=None if d["worker_id"] is None else WorkerID(d["worker_id"]),
        lease_until=moment(d["lease_until"]),
        started_at=moment(d["started_at"]),
        finished_at=moment(d["finished_at"]),
        scheduled_at=moment(d["scheduled_at"]),
        expires_at=moment(d["expires_at"]),
        priority=d["priority"],
        max_retries=d["max_retries"],
        timeout=d["timeout"],
        backoff=checked_json(d["backoff"], "the backoff"),
        keep_result=d["keep_result"],
        result=d["result"],
        error=failure_of(d),
        reason=d["reason"],
        cancel_requested=d["cancel_reason"] is not None,
        cancel_reason=d["cancel_reason"],
        unique_key=d["unique_key"],
        unique_until=d["unique_until"] or "finish",
        hold_until=moment(d["hold_until"]),
        effect_key=d["effect_key"],
        metadata=checked_json(d["metadata"], "the metadata"),
        tags=tuple(d["tags"]),
        scope=Scope(d["app_id"], d["org_id"]),
        progress=d["progress"],
        progress_note=d["progress_note"],
        set_aside=d["set_aside"],
        behind=None if d["behind"] is None else JobID(d["behind"]),
        replay_of=None if d["replay_of"] is None else DLQID(d["replay_of"]),
        concurrency_key=d["concurrency_key"],
        concurrency_max=d["concurrency_max"],
        last=_last(d["left_as"]),
        run_id=None if d["run_id"] is None else RunID(d["run_id"]),
        step=d["step"],
        lane_given=True,
    )


def attempts_of(document: Document) -> list[Attempt]:
    """The history in a job's document."""
    return [
        Attempt(
            number=a["number"],
            kind=a["kind"],
            failure=failure_of(a) or Failure("", ""),
            worker_id=None if a["worker_id"] is None else WorkerID(a["worker_id"]),
            epoch=a["epoch"],
            started_at=moment(a["started_at"]),
            ended_at=from_micros(a["ended_at"]),
        )
        for a in document["attempts"]
    ]


def letter_document(entry: DLQEntry, origin: Origin) -> Document:
    return {
        "id": str(entry.id),
        "created_at": micros(entry.created_at),
        "updated_at": micros(entry.updated_at),
        "job_id": str(entry.job_id),
        "job_name": entry.job_name,
        "queue": entry.queue,
        "kind": origin.kind,
        "lane": origin.lane,
        "state": entry.state.value,
        "reason": entry.reason,
        **error_fields(entry.error),
        "payload": entry.payload,
        "failures": entry.failures,
        "crashes": entry.crashes,
        **_options(entry),
        "unique_key": entry.unique_key,
        "unique_until": None if entry.unique_key is None else origin.unique_until,
        "effect_key": entry.effect_key,
        **_labels(entry),
        "replayed_as": text(entry.replayed_as),
        "concurrency_key": entry.concurrency_key,
        "concurrency_max": entry.concurrency_max,
    }


def letter_of(document: Document) -> tuple[DLQEntry, Origin]:
    """The dead letter in a document, and what its replay needs beside it."""
    d = document
    entry = DLQEntry(
        id=DLQID(d["id"]),
        created_at=from_micros(d["created_at"]),
        updated_at=from_micros(d["updated_at"]),
        job_id=JobID(d["job_id"]),
        job_name=d["job_name"],
        queue=d["queue"],
        state=DLQState(d["state"]),
        reason=d["reason"],
        error=failure_of(d),
        payload=d["payload"],
        failures=d["failures"],
        crashes=d["crashes"],
        priority=d["priority"],
        max_retries=d["max_retries"],
        timeout=d["timeout"],
        backoff=checked_json(d["backoff"], "the backoff"),
        keep_result=d["keep_result"],
        unique_key=d["unique_key"],
        effect_key=d["effect_key"],
        metadata=checked_json(d["metadata"], "the metadata"),
        tags=tuple(d["tags"]),
        scope=Scope(d["app_id"], d["org_id"]),
        replayed_as=None if d["replayed_as"] is None else JobID(d["replayed_as"]),
        concurrency_key=d["concurrency_key"],
        concurrency_max=d["concurrency_max"],
    )
    return entry, Origin(d["kind"], d["lane"], d["unique_until"] or "finish")


def queue_document(queue: QueueState) -> Document:
    config, pause = queue.config, queue.paused
    return {
        "name": queue.name,
        "max_concurrency": config.max_concurrency,
        "rate_limit": real(config.rate_limit),
        "rate_burst": config.rate_burst,
        "fair": config.fair,
        "tenant_concurrency": config.tenant_concurrency,
        "paused_at": None if pause is None else micros_of(pause.since),
        "paused_until": None if pause is None else micros_of(pause.until),
        "paused_by": "" if pause is None else pause.by,
        "pause_reason": "" if pause is None else pause.reason,
    }


def queue_of(document: Document) -> tuple[QueueConfig, Pause | None]:
    """A queue's limits, and its pause if there is one."""
    d = document
    config = QueueConfig(
        d["name"], d["max_concurrency"], d["rate_limit"], d["rate_burst"], d["fair"], d["tenant_concurrency"]
    )
    since = moment(d["paused_at"])
    pause = None if since is None else Pause(d["paused_by"], d["pause_reason"], moment(d["paused_until"]), since)
    return config, pause


def hold_document(key: str, hold: Hold) -> Document:
    return {"key": key, "job_id": str(hold.job_id), "live": hold.live, "hold_until": micros_of(hold.until)}


def hold_of(document: Document) -> Hold:
    return Hold(JobID(document["job_id"]), document["live"], moment(document["hold_until"]))


def remembered_document(tenant: str, key: str, made: Remembered) -> Document:
    return {
        "tenant": tenant,
        "key": key,
        "job_id": str(made.job_id),
        "fingerprint": made.fingerprint,
        "expires_at": micros(made.expires_at),
    }


def remembered_of(document: Document) -> Remembered:
    return Remembered(JobID(document["job_id"]), document["fingerprint"], from_micros(document["expires_at"]))


def definition_document(found: Announcement) -> Document:
    return {
        "name": found.name,
        "kind": found.kind,
        "version": found.version,
        "queue": found.queue,
        "schema": copy_json(found.schema),
        "options": copy_json(found.options),
    }


def definition_of(document: Document) -> Announcement:
    d = document
    schema, options = checked_json(d["schema"], "the schema"), checked_json(d["options"], "the options")
    return Announcement(d["name"], d["kind"], d["queue"], schema, options, d["version"])


def event_document(event: Event, *, consumed: bool) -> Document:
    return {
        "id": str(event.id),
        "created_at": micros_of(event.created_at),
        "name": event.name,
        "key": event.key,
        "run_id": text(event.run_id),
        "app_id": event.scope.app_id,
        "org_id": event.scope.org_id,
        "payload": event.payload,
        "consumed": consumed,
    }


def event_of(document: Document) -> Event:
    d = document
    return Event(
        name=d["name"],
        payload=d["payload"],
        key=d["key"],
        id=EventID(d["id"]),
        created_at=from_micros(d["created_at"]),
        run_id=None if d["run_id"] is None else RunID(d["run_id"]),
        scope=Scope(d["app_id"], d["org_id"]),
    )


def record_document(record: Record) -> Document:
    return {
        "namespace": record.namespace,
        "key": record.key,
        "value": record.value,
        "version": record.version,
        "created_at": micros(record.created_at),
        "updated_at": micros(record.updated_at),
        "expires_at": micros_of(record.expires_at),
    }


def record_of(document: Document) -> Record:
    d = document
    created_at, updated_at = from_micros(d["created_at"]), from_micros(d["updated_at"])
    return Record(d["namespace"], d["key"], d["value"], d["version"], created_at, updated_at, moment(d["expires_at"]))


def _options(of: Row | DLQEntry) -> dict[str, Any]:
    return {
        "priority": of.priority,
        "max_retries": of.max_retries,
        "timeout": real(of.timeout),
        "backoff": copy_json(of.backoff) or None,
        "keep_result": of.keep_result,
    }


def _labels(of: Row | DLQEntry) -> dict[str, Any]:
    return {
        "metadata": copy_json(of.metadata),
        "tags": list(of.tags),
        "app_id": of.scope.app_id,
        "org_id": of.scope.org_id,
    }


def _attempt_document(attempt: Attempt) -> Document:
    return {
        "number": attempt.number,
        "kind": attempt.kind,
        **error_fields(attempt.failure),
        "worker_id": text(attempt.worker_id),
        "epoch": attempt.epoch,
        "started_at": micros_of(attempt.started_at),
        "ended_at": micros(attempt.ended_at),
    }


def _left_as(row: Row) -> str | None:
    """How the latest claim ended; what ended an earlier one is over."""
    if row.last is None or row.last[1] != row.epoch:
        return None
    return f"{row.last[0]}:{row.last[1]}:{row.last[2]}"


def _last(left_as: str | None) -> tuple[WorkerID, int, str] | None:
    if left_as is None:
        return None
    worker, epoch, verdict = left_as.rsplit(":", 2)
    return WorkerID(worker), int(epoch), verdict
