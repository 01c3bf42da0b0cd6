"""The JSON documents that commands about keys, audit, figures, stores and configuration promise, as JSON Schemas."""

from __future__ import annotations

from tests.cli.schema_parts import (
    COUNT,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    MAYBE_TIME,
    POSITIVE,
    STATE,
    TEXT,
    TIME,
    Schema,
    exactly,
    items,
    maybe,
)

_APIKEY: dict[str, Schema] = {
    "id": TEXT,
    "name": TEXT,
    "scopes": {"type": "array", "items": TEXT, "minItems": 1},
    "tenant": MAYBE_TEXT,
    "created_at": TIME,
    "created_by": TEXT,
    "expires_at": MAYBE_TIME,
}
APIKEYS = items(exactly(**_APIKEY))
APIKEY_MADE = exactly(
    **{**_APIKEY, "id": MAYBE_TEXT, "created_at": MAYBE_TIME}, key=MAYBE_TEXT, dry_run={"type": "boolean"}
)
APIKEY_REVOKED = exactly(**_APIKEY, outcome=TEXT, dry_run={"type": "boolean"})
AUDIT = items(
    exactly(
        id=TEXT,
        created_at=TIME,
        ended_at=MAYBE_TIME,
        who=TEXT,
        verb=TEXT,
        outcome={"enum": ["started", "done", "partly", "refused", "interrupted", "unknown"]},
        ids={"type": "array", "items": TEXT},
        count=COUNT,
        reason=TEXT,
        detail=TEXT,
    )
)
PLUGINS = items(
    exactly(name=TEXT, state={"enum": ["loaded", "disabled"]}, origin=TEXT, hooks={"type": "array", "items": TEXT})
)
_SPREAD = exactly(p50=MAYBE_NUMBER, p95=MAYBE_NUMBER, p99=MAYBE_NUMBER)
STATS = items(
    exactly(
        name=TEXT,
        count=COUNT,
        completed=COUNT,
        failed=COUNT,
        cancelled=COUNT,
        failure_rate={"type": ["number", "null"]},
        per_minute={"type": ["number", "null"]},
        wait_seconds=_SPREAD,
        run_seconds=_SPREAD,
    ),
    sampled=COUNT,
    limit=COUNT,
    complete={"type": "boolean"},
    oldest_at=MAYBE_TIME,
    newest_at=MAYBE_TIME,
)
QUEUE_PURGED = exactly(name=TEXT, purged=COUNT, would_purge=COUNT)
PURGED = exactly(purged=COUNT, would_purge=COUNT)
STATUS = exactly(
    store=TEXT,
    schema=COUNT,
    schema_wanted=COUNT,
    pending={"type": "array", "items": TEXT},
    jobs=maybe(exactly(**dict.fromkeys(STATE["enum"], COUNT))),
    dead_letters={"type": ["integer", "null"]},
    live_workers={"type": ["integer", "null"]},
)
PRUNED = exactly(
    store=TEXT,
    completed=COUNT,
    failed=COUNT,
    cancelled=COUNT,
    workers=COUNT,
    events=COUNT,
    records=COUNT,
    total=COUNT,
    dry_run={"type": "boolean"},
)
_KINDS = (
    "definitions",
    "queues",
    "runs",
    "checkpoints",
    "child_results",
    "waits",
    "jobs",
    "unique_keys",
    "idempotency",
    "dlq",
    "events",
    "records",
    "cron_codes",
    "crons",
    "cron_ticks",
)
COPIED = exactly(
    source=TEXT,
    destination=TEXT,
    dry_run={"type": "boolean"},
    resumed={"type": "boolean"},
    written=COUNT,
    counts=exactly(**dict.fromkeys(_KINDS, COUNT)),
    equal={"type": ["boolean", "null"]},
    differences={"type": "array", "items": exactly(kind={"enum": [*_KINDS]}, key=TEXT, text=TEXT)},
)
VERIFIED = items(
    exactly(name=TEXT, invariants={"type": "array", "items": TEXT}, passed={"type": "boolean"}, error=TEXT),
    store=TEXT,
    kept=COUNT,
    broken=COUNT,
)
EXAMINED = items(
    exactly(kind={"enum": [*_KINDS]}, key=TEXT, text=TEXT, advice=TEXT), store=TEXT, seen=COUNT, damages=COUNT
)
CHECKED = items(
    exactly(
        problem={
            "enum": ["removed", "invalid", "unserved", "blocked", "renamed", "inserted", "dropped", "fails"],
        },
        danger={"type": "boolean"},
        name=TEXT,
        step=MAYBE_TEXT,
        queue=TEXT,
        waiting=COUNT,
        running=COUNT,
        sample={"type": "array", "items": {"type": "string", "pattern": r"^(job|run)_[0-9a-z]{26}$"}},
        text=TEXT,
        advice=TEXT,
    ),
    seen=COUNT,
    runs=COUNT,
    dangers=COUNT,
)
BENCH = exactly(
    store=TEXT,
    jobs=COUNT,
    concurrency=COUNT,
    one_per_second=POSITIVE,
    bulk_per_second=POSITIVE,
    drain_per_second=POSITIVE,
    latency_p50_seconds=POSITIVE,
    latency_p95_seconds=POSITIVE,
    latency_p99_seconds=POSITIVE,
)
MIGRATED = exactly(
    store=TEXT,
    applied={"type": "array", "items": TEXT},
    pending={"type": "array", "items": TEXT},
    dry_run={"type": "boolean"},
)
CONFIG = exactly(
    config={"type": "object"},
    file=MAYBE_TEXT,
    profile=MAYBE_TEXT,
    protected={"type": "boolean"},
    origins={"type": "object", "additionalProperties": TEXT},
)
INSPECTED = exactly(
    modules={"type": "array", "items": TEXT},
    jobs={
        "type": "array",
        "items": exactly(
            name=TEXT,
            queue=TEXT,
            summary=TEXT,
            executor={"enum": ["async", "thread", "process"]},
            parameters={"type": "object"},
            options={"type": "object"},
            place=TEXT,
        ),
    },
    workflows={"type": "array", "items": exactly(name=TEXT, version=COUNT, queue=TEXT, summary=TEXT, place=TEXT)},
    crons={
        "type": "array",
        "items": exactly(
            name=TEXT,
            schedule=TEXT,
            timezone=TEXT,
            target=TEXT,
            overlap=TEXT,
            misfire=TEXT,
            jitter_seconds={"type": "number"},
            next={"type": "array", "items": TIME, "minItems": 1},
            place=TEXT,
        ),
    },
    lifespans={"type": "array", "items": exactly(name=TEXT, place=TEXT)},
)
FAILURE = exactly(
    error={
        "type": "object",
        "properties": {"code": TEXT, "message": TEXT, "hint": TEXT},
        "required": ["code", "message"],
        "additionalProperties": False,
    }
)
