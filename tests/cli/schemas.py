"""The JSON documents that commands promise, as JSON Schemas; docs/cli.md describes the same in words."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
MAYBE_TIME: Schema = {"anyOf": [TIME, {"type": "null"}]}
JOB_ID: Schema = {"type": "string", "pattern": r"^job_[0-9a-z]{26}$"}
LETTER_ID: Schema = {"type": "string", "pattern": r"^dlq_[0-9a-z]{26}$"}
STATE: Schema = {"enum": ["pending", "running", "retrying", "completed", "failed", "cancelled"]}

_RUN_STATES = ("pending", "running", "waiting", "compensating", "completed", "failed", "cancelled", "blocked")


def exactly(**properties: Schema) -> Schema:
    """An object with these fields, all of them, and no other."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def items(of: Schema, **more: Schema) -> Schema:
    """A list document."""
    return exactly(items={"type": "array", "items": of}, **more)


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


SCOPE = maybe(exactly(app_id=TEXT, org_id=TEXT))
SHORT_ERROR = maybe(exactly(type=TEXT, message=TEXT))
ERROR = maybe(exactly(type=TEXT, message=TEXT, traceback=MAYBE_TEXT))
ATTEMPT = exactly(
    number=COUNT,
    kind={"enum": ["failed", "crashed"]},
    error=ERROR,
    worker_id=MAYBE_TEXT,
    started_at=MAYBE_TIME,
    ended_at=TIME,
)
_JOB: dict[str, Schema] = {
    "id": JOB_ID,
    "name": TEXT,
    "queue": TEXT,
    "state": STATE,
    "attempt": COUNT,
    "priority": {"type": "integer"},
    "created_at": TIME,
    "run_at": TIME,
    "started_at": MAYBE_TIME,
    "finished_at": MAYBE_TIME,
    "tags": {"type": "array", "items": TEXT},
    "scope": SCOPE,
    "reason": MAYBE_TEXT,
}
JOB_SUMMARY = exactly(**_JOB, error=SHORT_ERROR)
JOB = exactly(
    **_JOB,
    error=ERROR,
    updated_at=TIME,
    scheduled_at=MAYBE_TIME,
    expires_at=MAYBE_TIME,
    payload={},
    payload_text=MAYBE_TEXT,
    result={},
    result_text=MAYBE_TEXT,
    result_kept={"type": "boolean"},
    failures=COUNT,
    crashes=COUNT,
    max_retries={"type": ["integer", "null"]},
    timeout_seconds={"type": ["number", "null"]},
    backoff={"type": ["object", "null"]},
    cancel_requested={"type": "boolean"},
    set_aside={"type": "boolean"},
    blocked={"type": "boolean"},
    concurrency_key=MAYBE_TEXT,
    concurrency_max={"type": ["integer", "null"], "minimum": 1},
    progress={"type": ["number", "null"]},
    progress_note=MAYBE_TEXT,
    worker_id=MAYBE_TEXT,
    epoch=COUNT,
    lease_until=MAYBE_TIME,
    unique_key=MAYBE_TEXT,
    effect_key=TEXT,
    metadata={"type": "object"},
    behind=MAYBE_TEXT,
    replay_of=MAYBE_TEXT,
    attempts={"type": "array", "items": ATTEMPT},
)
JOBS = items(JOB_SUMMARY, next_cursor=MAYBE_TEXT)
ENQUEUED = exactly(**_JOB, error=SHORT_ERROR, created={"type": "boolean"}, replaced={"type": "boolean"})
COUNTS = exactly(**dict.fromkeys((*STATE["enum"], "total"), COUNT))
EXPLANATION = exactly(
    id=JOB_ID,
    job_id=JOB_ID,
    state=STATE,
    summary=TEXT,
    gates={"type": "array", "items": exactly(name=TEXT, open={"type": "boolean"}, text=TEXT)},
    ahead=COUNT,
)
_LETTER: dict[str, Schema] = {
    "id": LETTER_ID,
    "job_id": JOB_ID,
    "job_name": TEXT,
    "queue": TEXT,
    "state": {"enum": ["open", "replayed", "retried", "discarded"]},
    "reason": TEXT,
    "failures": COUNT,
    "crashes": COUNT,
    "created_at": TIME,
    "tags": {"type": "array", "items": TEXT},
    "scope": SCOPE,
    "replayed_as": MAYBE_TEXT,
}
LETTERS = items(exactly(**_LETTER, error=SHORT_ERROR, why=TEXT), next_cursor=MAYBE_TEXT)
LETTER = exactly(
    **_LETTER,
    error=ERROR,
    updated_at=TIME,
    payload={},
    payload_text=MAYBE_TEXT,
    concurrency_key=MAYBE_TEXT,
    concurrency_max={"type": ["integer", "null"], "minimum": 1},
    priority={"type": "integer"},
    max_retries={"type": ["integer", "null"]},
    timeout_seconds={"type": ["number", "null"]},
    unique_key=MAYBE_TEXT,
    effect_key=TEXT,
    metadata={"type": "object"},
    attempts={"type": "array", "items": ATTEMPT},
)
GROUPS = items(
    exactly(
        id=LETTER_ID,
        job_name=TEXT,
        error_type=TEXT,
        count=COUNT,
        oldest_at=TIME,
        newest_at=TIME,
        sample=LETTER_ID,
    )
)
_PROBLEM = maybe(exactly(code=TEXT, message=TEXT))
_OUTCOME: dict[str, Schema] = {
    "id": TEXT,
    "ok": {"type": "boolean"},
    "outcome": TEXT,
    "detail": TEXT,
    "error": _PROBLEM,
}
OUTCOMES = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": _OUTCOME, "required": [*_OUTCOME]}},
        "done": COUNT,
        "refused": COUNT,
    },
    "required": ["items", "done", "refused"],
    "additionalProperties": False,
}
_PAUSE = maybe(exactly(by=TEXT, reason=TEXT, since=TIME, until=MAYBE_TIME))
_MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 1}
_QUEUE: dict[str, Schema] = {
    "name": TEXT,
    **dict.fromkeys(("pending", "retrying", "running", "set_aside", "blocked", "workers"), COUNT),
    "slots": {"type": "array", "items": TEXT},
    "oldest_due_at": MAYBE_TIME,
    "paused": {"type": "boolean"},
    "pause": _PAUSE,
    "rate_limit": {"type": ["number", "null"]},
    **dict.fromkeys(("max_concurrency", "rate_burst", "tenant_concurrency"), _MAYBE_COUNT),
    "fair": {"type": "boolean"},
}
QUEUE = exactly(**_QUEUE)
QUEUES = items(QUEUE)
QUEUE_CHANGED = exactly(**_QUEUE, outcome=TEXT, dry_run={"type": "boolean"})
WORKER = exactly(
    id={"type": "string", "pattern": r"^wkr_[0-9a-z]{26}$"},
    hostname=TEXT,
    pid=COUNT,
    state={"enum": ["active", "draining", "dead"]},
    running=COUNT,
    concurrency=COUNT,
    queues={"type": "array", "items": TEXT},
    names={"type": "array", "items": TEXT},
    drain_requested={"type": "boolean"},
    started_at=TIME,
    last_seen_at=TIME,
    lease_seconds={"type": "number"},
    version=TEXT,
    labels={"type": "object", "additionalProperties": TEXT},
)
WORKERS = items(WORKER)
HEALTH = exactly(
    healthy={"type": "boolean"},
    store=TEXT,
    worker=MAYBE_TEXT,
    live_workers={"type": ["integer", "null"]},
    reason=TEXT,
)
DOCTOR = items(exactly(name=TEXT, status={"enum": ["ok", "warn", "fail"]}, text=TEXT, advice=TEXT))
LEADER = exactly(leader=MAYBE_TEXT, term={"type": ["integer", "null"]}, until=MAYBE_TIME)
RESIGNED = exactly(leader=TEXT, term=COUNT, until=TIME, outcome=TEXT, dry_run={"type": "boolean"})
_CRON: dict[str, Schema] = {
    "id": {"type": "string", "pattern": r"^cron_[0-9a-z]{26}$"},
    "name": TEXT,
    "state": {"enum": ["enabled", "disabled", "orphaned"]},
    "schedule": TEXT,
    "timezone": TEXT,
    "target": TEXT,
    "kind": {"enum": ["job", "workflow"]},
    "version": {"type": ["integer", "null"]},
    "overlap": {"enum": ["skip", "allow", "queue", "cancel_old"]},
    "misfire": {"enum": ["once", "all", "skip"]},
    "misfire_window_seconds": MAYBE_NUMBER,
    "jitter_seconds": {"type": "number"},
    "scope": SCOPE,
    "origin": {"enum": ["code", "runtime"]},
    "disabled_until": MAYBE_TIME,
    "disabled_reason": TEXT,
    "disabled_by": TEXT,
    "last_fired_at": MAYBE_TIME,
    "next_fire_at": MAYBE_TIME,
    "revision": COUNT,
    "created_at": TIME,
    "updated_at": TIME,
}
_CRON_WHOLE: dict[str, Schema] = {**_CRON, "payload": {}, "payload_text": MAYBE_TEXT, "options": {"type": "object"}}
TIMES: Schema = {"type": "array", "items": TIME, "minItems": 1}
CRONS = items(exactly(**_CRON), next_cursor=MAYBE_TEXT)
CRON = exactly(**_CRON_WHOLE, next=TIMES)
CRON_CHANGED = exactly(**_CRON_WHOLE, outcome=TEXT, dry_run={"type": "boolean"})
CRON_TIMES = items(exactly(at=TIME, wall=TEXT))
CRON_TICKS = items(
    exactly(
        scheduled_at=TIME,
        outcome={"enum": ["fired", "skipped", "missed", "manual"]},
        fired_at=TIME,
        job_id=MAYBE_TEXT,
        run_id=MAYBE_TEXT,
        note=TEXT,
    )
)
CRON_TRIGGERED = exactly(
    id=MAYBE_TEXT,
    name=TEXT,
    scheduled_at=MAYBE_TIME,
    job_id=MAYBE_TEXT,
    run_id=MAYBE_TEXT,
    dry_run={"type": "boolean"},
)
CRONS_PRUNED = items(exactly(name=TEXT, tenant=MAYBE_TEXT, outcome=TEXT), dry_run={"type": "boolean"})
_TICKS_AT = exactly(at=TIME, ticks=COUNT)
CRON_PLAN = exactly(
    at=TIME,
    until=TIME,
    ticks=COUNT,
    busiest=maybe(_TICKS_AT),
    hours={"type": "array", "items": _TICKS_AT, "minItems": 25, "maxItems": 25},
    entries={
        "type": "array",
        "items": exactly(name=TEXT, schedule=TEXT, timezone=TEXT, target=TEXT, ticks=COUNT, next=TIMES),
    },
    collisions={
        "type": "array",
        "items": exactly(
            name=TEXT,
            kind={"enum": ["gap", "fold"]},
            wall=TEXT,
            timezone=TEXT,
            count=COUNT,
            fires_at=TIME,
            text=TEXT,
        ),
    },
)
CRON_COUNTS: dict[str, Schema] = dict.fromkeys(("enabled", "disabled", "orphaned", "overdue"), COUNT)
OVERVIEW = exactly(
    store=TEXT,
    at=TIME,
    jobs=exactly(**dict.fromkeys(("pending", "running", "retrying", "set_aside"), COUNT)),
    workers=exactly(**dict.fromkeys(("live", "draining", "stopped_last_hour"), COUNT)),
    dead_letters=COUNT,
    crons=exactly(**CRON_COUNTS, missed_last_day=COUNT),
    runs=exactly(**dict.fromkeys(_RUN_STATES, COUNT)),
    attention={"type": "array", "items": TEXT},
    queues={"type": "array", "items": QUEUE},
    groups={
        "type": "array",
        "items": exactly(job_name=TEXT, error_type=TEXT, count=COUNT, oldest_at=TIME, newest_at=TIME, sample=LETTER_ID),
    },
)
TOP = exactly(
    store=TEXT,
    at=TIME,
    completed_per_second=MAYBE_NUMBER,
    failed_per_second=MAYBE_NUMBER,
    dead_letters=COUNT,
    crons=exactly(**CRON_COUNTS),
    queues={"type": "array", "items": QUEUE},
    workers={"type": "array", "items": WORKER},
    groups=OVERVIEW["properties"]["groups"],
)
WATCHED = items(
    exactly(
        **_JOB,
        error=SHORT_ERROR,
        updated_at=TIME,
        worker_id=MAYBE_TEXT,
        set_aside={"type": "boolean"},
        blocked={"type": "boolean"},
        progress={"type": ["number", "null"]},
        progress_note=MAYBE_TEXT,
        cancel_requested={"type": "boolean"},
    )
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

RUN_ID: Schema = {"type": "string", "pattern": r"^run_[0-9a-z]{26}$"}
EVENT_ID: Schema = {"type": "string", "pattern": r"^evt_[0-9a-z]{26}$"}
RUN_STATE: Schema = {"enum": [*_RUN_STATES]}
_RUN: dict[str, Schema] = {
    "id": RUN_ID,
    "name": TEXT,
    "version": COUNT,
    "state": RUN_STATE,
    "queue": TEXT,
    "created_at": TIME,
    "started_at": MAYBE_TIME,
    "finished_at": MAYBE_TIME,
    "wakes_at": MAYBE_TIME,
    "parent": maybe(RUN_ID),
    "step": MAYBE_TEXT,
    "forked_from": maybe(RUN_ID),
    "tags": {"type": "array", "items": TEXT},
    "scope": SCOPE,
    "reason": MAYBE_TEXT,
    "compensated": {"type": "boolean"},
    "compensation_failed": {"type": "boolean"},
}
RUN_SUMMARY = exactly(**_RUN, error=SHORT_ERROR)
RUN_LIST = items(exactly(**_RUN, error=SHORT_ERROR, why=MAYBE_TEXT), next_cursor=MAYBE_TEXT)
RUN_STARTED = exactly(**_RUN, error=SHORT_ERROR, created={"type": "boolean"})
RUN = exactly(
    **_RUN,
    held_up=MAYBE_TEXT,
    error=ERROR,
    updated_at=TIME,
    driver=JOB_ID,
    payload={},
    payload_text=MAYBE_TEXT,
    result={},
    result_text=MAYBE_TEXT,
    result_kept={"type": "boolean"},
    metadata={"type": "object"},
    checkpoints=COUNT,
    waits={
        "type": "array",
        "items": exactly(name=TEXT, events={"type": "array", "items": TEXT}, key=MAYBE_TEXT, deadline=MAYBE_TIME),
    },
    children={"type": "array", "items": exactly(step=TEXT, child=TEXT, state=TEXT, error=SHORT_ERROR)},
)
TIMELINE = items(
    exactly(
        id=TEXT,
        step_name=TEXT,
        kind={"enum": ["step", "value", "sleep", "wait", "child", "undo", "failure"]},
        state={"enum": ["recorded", "open", "completed", "failed", "cancelled"]},
        data={},
        data_text=MAYBE_TEXT,
        position=COUNT,
        attempt=COUNT,
        worker_id=MAYBE_TEXT,
        started_at=MAYBE_TIME,
        created_at=TIME,
        event_id=maybe(EVENT_ID),
        inherited={"type": "boolean"},
    )
)
RUN_DIFF = items(exactly(step_name=TEXT, left={}, right={}, left_kind=MAYBE_TEXT, right_kind=MAYBE_TEXT))
_OUTCOME = {"id": TEXT, "ok": {"type": "boolean"}, "outcome": TEXT, "detail": TEXT}
RUN_CHANGES = items(
    exactly(**_OUTCOME, state=TEXT, error={"type": "null"}),
    done=COUNT,
    refused=COUNT,
)
EVENT = exactly(
    id=EVENT_ID,
    name=TEXT,
    key=MAYBE_TEXT,
    run_id=maybe(RUN_ID),
    created_at=TIME,
    payload={},
    payload_text=MAYBE_TEXT,
    scope=SCOPE,
)
EVENT_LIST = items(EVENT, next_cursor=MAYBE_TEXT)
