"""The JSON documents that commands about jobs, queues, workers and crons promise, as JSON Schemas.

docs/cli.md describes the same in words.
"""

from __future__ import annotations

from tests.cli.schema_parts import (
    COUNT,
    ERROR,
    JOB_ID,
    LETTER_ID,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    MAYBE_TIME,
    RUN_STATES,
    SCOPE,
    SHORT_ERROR,
    STATE,
    TEXT,
    TIME,
    Schema,
    exactly,
    items,
    maybe,
)

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
    run_id=MAYBE_TEXT,
    step=MAYBE_TEXT,
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
    state={"enum": ["active", "draining", "stopped", "dead"]},
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
    runs=exactly(**dict.fromkeys(RUN_STATES, COUNT)),
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
