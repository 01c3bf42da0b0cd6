"""Queues, workers, who leads and what was announced, as JSON documents."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from dispatch.cluster.model import Announcement, Leadership, Worker
from dispatch.queues import Pause, QueueInfo
from dispatch.text import iso


class PauseDocument(TypedDict):
    """Why a queue stands still."""

    by: str
    reason: str
    since: str | None
    until: str | None


class QueueDocument(TypedDict):
    """A queue with its limits, its pause, its counts, and how many live workers serve it."""

    name: str
    pending: int
    retrying: int
    running: int
    set_aside: int
    blocked: int
    slots: list[str]
    oldest_due_at: str | None
    workers: int
    paused: bool
    pause: PauseDocument | None
    max_concurrency: int | None
    rate_limit: float | None
    rate_burst: int | None
    tenant_concurrency: int | None
    fair: bool


class WorkerDocument(TypedDict):
    """A worker process; `state`: active, draining (as soon as it was asked for), stopped, or dead, silent too long."""

    id: str
    hostname: str
    pid: int
    state: str
    running: int
    concurrency: int
    queues: list[str]
    names: list[str]
    drain_requested: bool
    started_at: str
    last_seen_at: str
    lease_seconds: float
    version: str
    labels: dict[str, str]


class LeaderDocument(TypedDict):
    """Who leads; nulls when nobody does."""

    leader: str | None
    term: int | None
    until: str | None


class DefinitionDocument(TypedDict):
    """A job or workflow that an app has announced."""

    name: str
    kind: str
    version: int
    queue: str
    schema: dict[str, Any]
    options: dict[str, Any]
    """What it says of its queueing beyond that, such as priority."""


def queue_document(info: QueueInfo, workers: int) -> QueueDocument:
    """A queue with its limits, its pause, its counts, and how many live workers serve it."""
    config = info.config
    return {
        "name": config.name,
        "pending": info.pending,
        "retrying": info.retrying,
        "running": info.running,
        "set_aside": info.set_aside,
        "blocked": info.blocked,
        "slots": list(info.slots),
        "oldest_due_at": iso(info.oldest_due_at),
        "workers": workers,
        "paused": info.pause is not None,
        "pause": pause_document(info.pause),
        "max_concurrency": config.max_concurrency,
        "rate_limit": config.rate_limit,
        "rate_burst": config.rate_burst,
        "tenant_concurrency": config.tenant_concurrency,
        "fair": config.fair,
    }


def pause_document(pause: Pause | None) -> PauseDocument | None:
    """Why a queue stands still, or None."""
    if pause is None:
        return None
    return {"by": pause.by, "reason": pause.reason, "since": iso(pause.since), "until": iso(pause.until)}


def worker_document(worker: Worker) -> WorkerDocument:
    """A worker process; `state` tells draining as soon as it was asked for."""
    return {
        "id": str(worker.id),
        "hostname": worker.hostname,
        "pid": worker.pid,
        "state": state_of(worker),
        "running": worker.running,
        "concurrency": worker.concurrency,
        "queues": list(worker.queues),
        "names": list(worker.names),
        "drain_requested": worker.drain_requested,
        "started_at": iso(worker.created_at),
        "last_seen_at": iso(worker.last_seen),
        "lease_seconds": worker.lease,
        "version": worker.version,
        "labels": dict(worker.labels),
    }


def state_of(worker: Worker) -> str:
    """The worker's state in a word."""
    return "draining" if worker.drain_requested and worker.state == "active" else str(worker.state)


def leader_document(found: Leadership | None) -> LeaderDocument:
    """Who leads; nulls when nobody does."""
    if found is None:
        return {"leader": None, "term": None, "until": None}
    return {"leader": str(found.leader), "term": found.term, "until": iso(found.until)}


def definition_document(found: Announcement) -> DefinitionDocument:
    """A job or workflow that an app has announced."""
    return {
        "name": found.name,
        "kind": found.kind,
        "version": found.version,
        "queue": found.queue,
        "schema": found.schema,
        "options": found.options,
    }
