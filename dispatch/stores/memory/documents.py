"""Between the memory store's objects and the documents of a transfer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.cluster.model import Announcement
from dispatch.crons.model import CronEntry, CronSpec, Tick, spec_of
from dispatch.crons.settle import Announced
from dispatch.dlq.model import DLQEntry, DLQState
from dispatch.events.model import Event
from dispatch.ids import DLQID, CronID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import Attempt, Failure, JobState
from dispatch.queues import Pause, QueueConfig
from dispatch.records import Record
from dispatch.scope import Scope
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
        "worker_id": _text(row.worker_id),
        "lease_until": _micros(row.lease_until),
        "started_at": _micros(row.started_at),
        "finished_at": _micros(row.finished_at),
        "scheduled_at": _micros(row.scheduled_at),
        "expires_at": _micros(row.expires_at),
        **_options(row),
        "result": row.result,
        **_error(row.error),
        "reason": row.reason,
        "cancel_reason": row.cancel_reason,
        "unique_key": row.unique_key,
        "unique_until": None if row.unique_key is None else row.unique_until,
        "hold_until": _micros(row.hold_until),
        "effect_key": row.effect_key,
        **_labels(row),
        "progress": _real(row.progress),
        "progress_note": row.progress_note,
        "set_aside": row.set_aside,
        "behind": _text(row.behind),
        "replay_of": _text(row.replay_of),
        "concurrency_key": row.concurrency_key,
        "concurrency_max": row.concurrency_max,
        "left_as": None if row.last is None else f"{row.last[0]}:{row.last[1]}:{row.last[2]}",
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
        lease_until=_moment(d["lease_until"]),
        started_at=_moment(d["started_at"]),
        finished_at=_moment(d["finished_at"]),
        scheduled_at=_moment(d["scheduled_at"]),
        expires_at=_moment(d["expires_at"]),
        priority=d["priority"],
        max_retries=d["max_retries"],
        timeout=d["timeout"],
        backoff=checked_json(d["backoff"], "the backoff"),
        keep_result=d["keep_result"],
        result=d["result"],
        error=_failure(d),
        reason=d["reason"],
        cancel_requested=d["cancel_reason"] is not None,
        cancel_reason=d["cancel_reason"],
        unique_key=d["unique_key"],
        unique_until=d["unique_until"] or "finish",
        hold_until=_moment(d["hold_until"]),
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
        lane_given=True,
    )


def attempts_of(document: Document) -> list[Attempt]:
    """The history in a job's document."""
    return [
        Attempt(
            number=a["number"],
            kind=a["kind"],
            failure=_failure(a) or Failure("", ""),
            worker_id=None if a["worker_id"] is None else WorkerID(a["worker_id"]),
            epoch=a["epoch"],
            started_at=_moment(a["started_at"]),
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
        **_error(entry.error),
        "payload": entry.payload,
        "failures": entry.failures,
        "crashes": entry.crashes,
        **_options(entry),
        "unique_key": entry.unique_key,
        "unique_until": None if entry.unique_key is None else origin.unique_until,
        "effect_key": entry.effect_key,
        **_labels(entry),
        "replayed_as": _text(entry.replayed_as),
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
        error=_failure(d),
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
        "rate_limit": _real(config.rate_limit),
        "rate_burst": config.rate_burst,
        "fair": config.fair,
        "tenant_concurrency": config.tenant_concurrency,
        "paused_at": None if pause is None else _micros(pause.since),
        "paused_until": None if pause is None else _micros(pause.until),
        "paused_by": "" if pause is None else pause.by,
        "pause_reason": "" if pause is None else pause.reason,
    }


def queue_of(document: Document) -> tuple[QueueConfig, Pause | None]:
    """A queue's limits, and its pause if there is one."""
    d = document
    config = QueueConfig(
        d["name"], d["max_concurrency"], d["rate_limit"], d["rate_burst"], d["fair"], d["tenant_concurrency"]
    )
    since = _moment(d["paused_at"])
    pause = None if since is None else Pause(d["paused_by"], d["pause_reason"], _moment(d["paused_until"]), since)
    return config, pause


def hold_document(key: str, hold: Hold) -> Document:
    return {"key": key, "job_id": str(hold.job_id), "live": hold.live, "hold_until": _micros(hold.until)}


def hold_of(document: Document) -> Hold:
    return Hold(JobID(document["job_id"]), document["live"], _moment(document["hold_until"]))


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


def event_document(event: Event) -> Document:
    return {
        "id": str(event.id),
        "created_at": _micros(event.created_at),
        "name": event.name,
        "key": event.key,
        "run_id": _text(event.run_id),
        "app_id": event.scope.app_id,
        "org_id": event.scope.org_id,
        "payload": event.payload,
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
        "expires_at": _micros(record.expires_at),
    }


def record_of(document: Document) -> Record:
    d = document
    created_at, updated_at = from_micros(d["created_at"]), from_micros(d["updated_at"])
    return Record(d["namespace"], d["key"], d["value"], d["version"], created_at, updated_at, _moment(d["expires_at"]))


def code_document(one: Announced) -> Document:
    return {"digest": one.digest, "spec": _spec(one.spec), "first_seen": micros(one.first_seen)}


def code_of(document: Document) -> Announced:
    return Announced(document["digest"], spec_of(document["spec"]), from_micros(document["first_seen"]))


def cron_document(entry: CronEntry) -> Document:
    return {
        "id": str(entry.id),
        "spec": _spec(entry.spec),
        "enabled": entry.enabled,
        "disabled_until": _micros(entry.disabled_until),
        "disabled_reason": entry.disabled_reason,
        "disabled_by": entry.disabled_by,
        "revision": entry.revision,
        "code_hash": entry.code_hash,
        "orphaned": entry.orphaned,
        "anchor": _micros(entry.anchor),
        "last_fired_at": _micros(entry.last_fired_at),
        "next_fire_at": _micros(entry.next_fire_at),
        "created_at": micros(entry.created_at),
        "updated_at": micros(entry.updated_at),
    }


def cron_of(document: Document) -> CronEntry:
    d = document
    return CronEntry(
        CronID(d["id"]),
        from_micros(d["created_at"]),
        from_micros(d["updated_at"]),
        spec_of(d["spec"]),
        enabled=d["enabled"],
        disabled_until=_moment(d["disabled_until"]),
        disabled_reason=d["disabled_reason"],
        disabled_by=d["disabled_by"],
        revision=d["revision"],
        code_hash=d["code_hash"],
        orphaned=d["orphaned"],
        anchor=_moment(d["anchor"]),
        last_fired_at=_moment(d["last_fired_at"]),
        next_fire_at=_moment(d["next_fire_at"]),
    )


def tick_document(tick: Tick) -> Document:
    return {
        "entry_id": str(tick.entry_id),
        "scheduled_at": micros(tick.scheduled_at),
        "outcome": tick.outcome,
        "fired_at": micros(tick.fired_at),
        "job_id": _text(tick.job_id),
        "run_id": _text(tick.run_id),
        "note": tick.note,
    }


def tick_of(document: Document) -> Tick:
    d = document
    return Tick(
        CronID(d["entry_id"]),
        from_micros(d["scheduled_at"]),
        d["outcome"],
        from_micros(d["fired_at"]),
        None if d["job_id"] is None else JobID(d["job_id"]),
        None if d["run_id"] is None else RunID(d["run_id"]),
        d["note"],
    )


def _spec(spec: CronSpec) -> dict[str, Any]:
    """The spec as JSON has it: lists where options held tuples."""
    document: dict[str, Any] = checked_json(spec.document(), "the spec")
    return document


def _options(of: Row | DLQEntry) -> dict[str, Any]:
    return {
        "priority": of.priority,
        "max_retries": of.max_retries,
        "timeout": _real(of.timeout),
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
        **_error(attempt.failure),
        "worker_id": _text(attempt.worker_id),
        "epoch": attempt.epoch,
        "started_at": _micros(attempt.started_at),
        "ended_at": micros(attempt.ended_at),
    }


def _error(failure: Failure | None) -> dict[str, str | None]:
    if failure is None:
        return {"error_type": None, "error_message": None, "error_traceback": None}
    return {"error_type": failure.type, "error_message": failure.message, "error_traceback": failure.traceback}


def _failure(document: Document) -> Failure | None:
    kind = document["error_type"]
    return None if kind is None else Failure(kind, document["error_message"] or "", document["error_traceback"])


def _last(left_as: str | None) -> tuple[WorkerID, int, str] | None:
    if left_as is None:
        return None
    worker, epoch, verdict = left_as.rsplit(":", 2)
    return WorkerID(worker), int(epoch), verdict


def _text(id_: str | None) -> str | None:
    return None if id_ is None else str(id_)


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
