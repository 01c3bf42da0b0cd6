"""Queues, workers and leadership as JSON documents with stable fields; docs/cli.md lists them."""

from __future__ import annotations

from dispatch.cluster.model import Worker
from dispatch.queues import Pause, QueueInfo
from dispatch.services import Status
from dispatch_cli.documents import Document
from dispatch_cli.render import iso


def queue_document(info: QueueInfo, workers: int) -> Document:
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


def crons_document(found: Status) -> Document:
    """How many cron entries fire, and how many do not."""
    counts = {"disabled": len(found.disabled), "orphaned": len(found.orphaned)}
    return {"enabled": len(found.crons) - sum(counts.values()), **counts, "overdue": len(found.overdue)}


def pause_document(pause: Pause | None) -> Document | None:
    """Why a queue stands still, or None."""
    if pause is None:
        return None
    return {"by": pause.by, "reason": pause.reason, "since": iso(pause.since), "until": iso(pause.until)}


def worker_document(worker: Worker) -> Document:
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


def limits_in_words(document: Document) -> str:
    """The limits of a queue document in a few words; "" when it has none."""
    parts = [
        ("{} at once", document["max_concurrency"]),
        ("{:g}/s", document["rate_limit"]),
        ("burst {}", document["rate_burst"]),
        ("{} a tenant", document["tenant_concurrency"]),
        ("fair", document["fair"] or None),
    ]
    return ", ".join(text.format(value) for text, value in parts if value is not None)
