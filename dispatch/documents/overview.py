"""The status of everything, statistics, audit records and API keys as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

from dispatch.documents.fleet import QueueDocument, queue_document
from dispatch.documents.letters import GroupDocument, group_document
from dispatch.services import APIKey, AuditRecord, JobStats, Status
from dispatch.services.attention import attention, cron_attention
from dispatch.services.series import Series
from dispatch.services.stats import Spread
from dispatch.text import iso


class CronCounts(TypedDict):
    """How many cron entries fire, and how many do not."""

    enabled: int
    disabled: int
    orphaned: int
    overdue: int


class MoreCronCounts(CronCounts):
    """Those, and what was missed."""

    missed_last_day: int


class WorkerCounts(TypedDict):
    """How many workers live."""

    live: int
    draining: int
    stopped_last_hour: int


class StatusDocument(TypedDict):
    """The state of everything."""

    store: str
    at: str
    jobs: dict[str, int]
    runs: dict[str, int]
    workers: WorkerCounts
    dead_letters: int
    crons: MoreCronCounts
    attention: list[str]
    queues: list[QueueDocument]
    groups: list[GroupDocument]


class SpreadDocument(TypedDict):
    """Seconds that half, 95 % and 99 % stayed below."""

    p50: float | None
    p95: float | None
    p99: float | None


class NameStatsDocument(TypedDict):
    """What a sample says of the jobs of one name."""

    name: str
    count: int
    completed: int
    failed: int
    cancelled: int
    failure_rate: float | None
    per_minute: float | None
    wait_seconds: SpreadDocument
    run_seconds: SpreadDocument


class JobStatsDocument(TypedDict):
    """How long jobs waited and ran, by name."""

    items: list[NameStatsDocument]
    sampled: int
    limit: int
    complete: bool
    oldest_at: str | None
    newest_at: str | None


class SliceDocument(TypedDict):
    """What ended within one part of the time."""

    at: str
    completed: int
    failed: int
    cancelled: int
    wait_seconds: SpreadDocument
    run_seconds: SpreadDocument


class SeriesDocument(TypedDict):
    """What ended over time; not `complete`: from the newest jobs only."""

    items: list[SliceDocument]
    step_seconds: float
    complete: bool


class AuditDocument(TypedDict):
    """Who did what."""

    id: str
    created_at: str
    ended_at: str | None
    who: str
    verb: str
    outcome: str
    ids: list[str]
    count: int
    reason: str
    detail: str


class APIKeyDocument(TypedDict):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    tenant: str | None
    created_at: str
    created_by: str
    expires_at: str | None


def crons_document(found: Status) -> CronCounts:
    """How many cron entries fire, and how many do not."""
    disabled, orphaned = len(found.disabled), len(found.orphaned)
    enabled = len(found.crons) - disabled - orphaned
    return {"enabled": enabled, "disabled": disabled, "orphaned": orphaned, "overdue": len(found.overdue)}


def status_document(found: Status, missed: Mapping[str, int], *, store: str, at: str) -> StatusDocument:
    """The state of everything; `missed`: ticks by cron entry, `store`: its URL as it may be shown."""
    queues = [queue_document(info, found.served_by[info.config.name]) for info in found.queues]
    return {
        "store": store,
        "at": at,
        "jobs": {
            "pending": sum(queue["pending"] for queue in queues),
            "running": sum(queue["running"] for queue in queues),
            "retrying": sum(queue["retrying"] for queue in queues),
            "set_aside": sum(queue["set_aside"] for queue in queues),
        },
        "runs": {str(state): count for state, count in found.runs.items()},
        "workers": {"live": len(found.live), "draining": found.draining, "stopped_last_hour": found.stopped_lately},
        "dead_letters": found.dead_letters,
        "crons": {**crons_document(found), "missed_last_day": sum(missed.values())},
        "attention": [*attention(found), *cron_attention(found, missed)],
        "queues": queues,
        "groups": [group_document(group) for group in found.groups],
    }


def stats_document(found: JobStats, limit: int) -> JobStatsDocument:
    """How long jobs waited and ran, by name."""
    return {
        "items": [
            {
                "name": stat.name,
                "count": stat.count,
                "completed": stat.completed,
                "failed": stat.failed,
                "cancelled": stat.cancelled,
                "failure_rate": stat.failure_rate,
                "per_minute": stat.per_minute,
                "wait_seconds": _spread(stat.wait),
                "run_seconds": _spread(stat.run),
            }
            for stat in found.names
        ],
        "sampled": found.sampled,
        "limit": limit,
        "complete": found.complete,
        "oldest_at": iso(found.oldest_at),
        "newest_at": iso(found.newest_at),
    }


def series_document(found: Series) -> SeriesDocument:
    """What ended over time."""
    return {
        "items": [
            {
                "at": iso(one.at),
                "completed": one.completed,
                "failed": one.failed,
                "cancelled": one.cancelled,
                "wait_seconds": _spread(one.wait),
                "run_seconds": _spread(one.run),
            }
            for one in found.slices
        ],
        "step_seconds": found.step.total_seconds(),
        "complete": found.complete,
    }


def _spread(found: Spread) -> SpreadDocument:
    return {"p50": found.p50, "p95": found.p95, "p99": found.p99}


def audit_document(record: AuditRecord) -> AuditDocument:
    """Who did what."""
    return {
        "id": record.id,
        "created_at": iso(record.created_at),
        "ended_at": iso(record.ended_at),
        "who": record.who,
        "verb": record.verb,
        "outcome": str(record.outcome),
        "ids": list(record.ids),
        "count": record.count,
        "reason": record.reason,
        "detail": record.detail,
    }


def apikey_document(key: APIKey) -> APIKeyDocument:
    """An API key, without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "tenant": key.scope.tenant or None,
        "created_at": iso(key.created_at),
        "created_by": key.created_by,
        "expires_at": iso(key.expires_at),
    }
