"""Between rows and objects: times, JSON columns, and a Job built from the columns of `job_columns`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch.clock import EPOCH, from_micros, micros
from dispatch.errors import DataRejected, StoreCorrupt
from dispatch.ids import DLQID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, Job, JobKind, JobState
from dispatch.scope import NO_SCOPE, Scope

SECOND = 1_000_000
_LATEST = micros(datetime.max.replace(tzinfo=UTC))
NEVER = micros(datetime(9999, 12, 31, tzinfo=UTC))
"""The run_at of a driver that only an event, a child or a person can wake."""
_STATES = {state.value: state for state in JobState}
_TO_STARTED, _OPTIONAL, _TO_SCOPE, _ASIDE = 17, slice(17, 32), slice(32, 36), slice(36, 46)
"""Places in `job_columns`: up to started_at; what hardly any waiting job has; metadata to org_id; the rest."""
_UNSET = (None,) * 15
_NOWHERE = (None, None, 0, None, None, None, None, 0, None, None)
"""No progress, not set aside, behind nobody, no replay, no concurrency key, not blocked, no run, no step."""


def span(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * SECOND)


def later(now: int, seconds: float) -> int:
    """The time that many seconds from now; DataRejected when no row with it could be read again."""
    if not seconds * SECOND <= _LATEST - now:
        raise DataRejected(f"{seconds!r} seconds from now is no storable time; nothing was written")
    return now + span(seconds)


def moment(value: int | None) -> datetime | None:
    """The time in a column, or None."""
    return None if value is None else from_micros(value)


def to_text(document: Mapping[Any, Any] | Sequence[Any] | None) -> str | None:
    """A JSON column; NULL for what is empty."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) if document else None


def names_text(names: Any) -> str:
    """Strings as one JSON parameter, sorted, so that `IN (SELECT value FROM json_each(…))` can take them."""
    return json.dumps(sorted(map(str, names)))


def optional_names(names: Sequence[str]) -> str | None:
    """As `names_text`; None where an empty filter matches everything."""
    return names_text(names) if names else None


def scope_of(app_id: str, org_id: str) -> Scope:
    return Scope(app_id, org_id) if app_id or org_id else NO_SCOPE


def parsed(text: str | None, empty: Any) -> Any:
    """A JSON column; what somebody edited into nonsense reads as empty, so that one row does not stop a whole claim."""
    if text is None:
        return empty
    try:
        document = json.loads(text)
    except ValueError:
        return empty
    return document if isinstance(document, dict if isinstance(empty, dict) else list) else empty


def failure_of(kind: str | None, message: str | None, traceback: str | None) -> Failure | None:
    return None if kind is None else Failure(kind, message or "", traceback)


def failure_params(failure: Failure | None) -> dict[str, str | None]:
    return {
        "error_type": failure.type if failure else None,
        "error_message": failure.message if failure else None,
        "error_traceback": failure.traceback if failure else None,
    }


def scope_params(scope: Scope | None) -> dict[str, str | None]:
    """The parameters of the `in_scope` part; None is every tenant."""
    if scope is None:
        return {"app_id": None, "org_id": None}
    return {"app_id": scope.app_id, "org_id": scope.org_id}


def job_of(row: tuple[Any, ...]) -> Job:
    """The job in a row that starts with `job_columns`."""
    try:
        if row[_OPTIONAL] == _UNSET and row[_ASIDE] == _NOWHERE:
            return _plain_job(*row[:_TO_STARTED], *row[_TO_SCOPE])
        return _any_job(row)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"the row of {row[0]} holds what no job can hold ({type(error).__name__}: {error}); "
            "find and repair that row"
        ) from error


def _any_job(row: tuple[Any, ...]) -> Job:
    (
        id_,
        created_at,
        updated_at,
        name,
        queue,
        state,
        payload,
        run_at,
        kind,
        lane,
        priority,
        failures,
        crashes,
        epoch,
        worker_id,
        lease_until,
        started_at,
        finished_at,
        scheduled_at,
        expires_at,
        max_retries,
        timeout,
        backoff,
        keep_result,
        result,
        error_type,
        error_message,
        error_traceback,
        reason,
        cancel_reason,
        unique_key,
        effect_key,
        metadata,
        tags,
        app_id,
        org_id,
        progress,
        progress_note,
        set_aside,
        behind,
        replay_of,
        concurrency_key,
        concurrency_max,
        blocked,
        run_id,
        step,
        *_,
    ) = row
    return Job(
        JobID(id_),
        EPOCH + timedelta(0, 0, created_at),
        EPOCH + timedelta(0, 0, updated_at),
        name,
        queue,
        _STATES[state],
        b"" if payload is None else payload,
        EPOCH + timedelta(0, 0, run_at),
        kind,
        lane,
        priority,
        failures,
        crashes,
        epoch,
        None if worker_id is None else WorkerID(worker_id),
        None if lease_until is None else from_micros(lease_until),
        None if started_at is None else from_micros(started_at),
        None if finished_at is None else from_micros(finished_at),
        None if scheduled_at is None else from_micros(scheduled_at),
        None if expires_at is None else from_micros(expires_at),
        max_retries,
        timeout,
        None if backoff is None else parsed(backoff, {}) or None,
        None if keep_result is None else bool(keep_result),
        result,
        None if error_type is None else Failure(error_type, error_message or "", error_traceback),
        reason,
        cancel_reason is not None,
        unique_key,
        id_ if effect_key is None else effect_key,
        {} if metadata is None else parsed(metadata, {}),
        () if tags is None else tuple(parsed(tags, [])),
        Scope(app_id, org_id) if app_id or org_id else NO_SCOPE,
        progress,
        progress_note,
        bool(set_aside),
        None if behind is None else JobID(behind),
        None if replay_of is None else DLQID(replay_of),
        None if run_id is None else RunID(run_id),
        step,
        concurrency_key=concurrency_key,
        concurrency_max=concurrency_max,
        blocked=bool(blocked),
    )


def _plain_job(
    id_: str,
    created_at: int,
    updated_at: int,
    name: str,
    queue: str,
    state: str,
    payload: bytes | None,
    run_at: int,
    kind: JobKind,
    lane: str,
    priority: int,
    failures: int,
    crashes: int,
    epoch: int,
    worker_id: str | None,
    lease_until: int | None,
    started_at: int | None,
    metadata: str | None,
    tags: str | None,
    app_id: str,
    org_id: str,
) -> Job:
    """As most jobs are when they are claimed: with their options left open, and nothing behind them yet."""
    created = EPOCH + timedelta(0, 0, created_at)
    return Job(
        JobID(id_),
        created,
        created if updated_at == created_at else EPOCH + timedelta(0, 0, updated_at),
        name,
        queue,
        _STATES[state],
        payload or b"",
        created if run_at == created_at else EPOCH + timedelta(0, 0, run_at),
        kind,
        lane,
        priority,
        failures,
        crashes,
        epoch,
        None if worker_id is None else WorkerID(worker_id),
        None if lease_until is None else from_micros(lease_until),
        None if started_at is None else from_micros(started_at),
        effect_key=id_,
        metadata={} if metadata is None else parsed(metadata, {}),
        tags=() if tags is None else tuple(parsed(tags, [])),
        scope=Scope(app_id, org_id) if app_id or org_id else NO_SCOPE,
    )
