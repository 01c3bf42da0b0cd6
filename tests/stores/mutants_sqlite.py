"""Faults planted inside the SQLite store: most by changing the text of its SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from mutants import Fault, Plant

from dispatch.stores.sql import finish, statements, unique
from dispatch.stores.sqlite_executor import _STATEMENTS

NOWHERE = ("WHERE", "WHERE 0 AND")
UNCOUNTED = ("count(*)", "0 * count(*)")
SCOPED = "AND (:app_id IS NULL OR (app_id = :app_id AND org_id = :org_id))"
NAMED = "name IN (SELECT value FROM json_each(:names))"


def _changed(*changes: tuple[str, str, str]) -> Plant:
    """Replaces text in named statements; fails when a text is not there, so that no fault is planted in vain."""

    @contextmanager
    def planted() -> Iterator[None]:
        known = statements.load(_STATEMENTS)
        with ExitStack() as undo:
            for name, old, new in changes:
                statement = known[name]
                named = re.sub(r"\?(\d+)", lambda match, s=statement: f":{s.names[int(match[1]) - 1]}", statement.text)
                assert old in named, f"the statement {name} has no {old!r} any more: {named}"
                undo.enter_context(patch.dict(known, {name: statements.Statement(name, named.replace(old, new))}))
            yield

    return planted


def _sql(name: str, invariant: str, module: str, *changes: tuple[str, str, str]) -> Fault:
    return Fault(name, invariant, (module,), plant=_changed(*changes))


def _yes(*args: Any) -> bool:
    return True


def _no_holder(key: str, now: int) -> Any:
    """A plan that finds no holder of any key."""
    return None
    yield


SQLITE = (
    _sql("completion drops the epoch", "I4", "jobs_fence", ("complete_jobs", "AND epoch = :epoch", "")),
    _sql("completion drops the worker", "I4", "jobs_fence", ("complete_jobs", "AND worker_id = :worker_id", "")),
    _sql("completion drops the state", "I5", "jobs_finish", ("complete_jobs", "AND state = 'running'", "")),
    _sql("lost claims not named", "I8", "jobs_lease", ("held_by_worker", "ORDER BY", "AND epoch < 0 ORDER BY")),
    _sql(
        "steal ignores the lease",
        "I29",
        "steal",
        ("some_lapsed", "lease_until < :now", "1"),
        ("lapsed_jobs", "lease_until < :now", "1"),
        ("steal_job", "lease_until < :now", "1"),
    ),
    _sql("no crash count", "I10", "steal", ("steal_job", "crashes = :crashes", "crashes = crashes")),
    _sql("steal keeps the worker", "I3", "steal", ("steal_job", "worker_id = NULL,", "")),
    _sql(
        "claim ignores run_at",
        "I6",
        "jobs_claim",
        ("due_jobs", "run_at <= :now", "1"),
        ("next_run_at", "run_at > :after", "1"),
    ),
    _sql("the youngest first", "I6", "jobs_claim", ("due_jobs", "ORDER BY run_at, id", "ORDER BY run_at DESC, id")),
    _sql(
        "the lowest priority first",
        "I6",
        "jobs_claim",
        ("priorities", "SELECT max(priority)", "SELECT min(priority)"),
        ("priorities", "SELECT max(jobs.priority)", "SELECT min(jobs.priority)"),
        ("priorities", "jobs.priority < walk.priority", "jobs.priority > walk.priority"),
    ),
    _sql("claim takes any name", "I7", "jobs_claim", ("due_jobs", NAMED, "1")),
    _sql("claimed rows stay ready", "I3", "jobs_claim", ("start_jobs", "ready = 0,", "")),
    _sql("epoch is the clock", "I3", "jobs_claim", ("start_jobs", "max(epoch + 1, :epoch_floor)", ":epoch_floor")),
    _sql("running rows not counted", "I28", "jobs_gates", ("running_in_queue", *UNCOUNTED)),
    _sql("running rows of tenants not counted", "I28", "jobs_gates", ("running_by_tenant", *UNCOUNTED)),
    _sql("leased slots not counted", "I28", "queues", ("live_slots", *UNCOUNTED)),
    _sql("lapsed slots stay", "I28", "queues", ("live_slots", "AND lease_until > :now", "")),
    _sql("successor lost", "I1", "successors", ("free_successor", "ready = 1", "ready = 0")),
    _sql("keys never freed", "I1", "unique", ("free_unique", *NOWHERE)),
    _sql("an expired job keeps its key", "I1", "expired_holders", ("unique_holder", "live = 1 AND", "live > 1 AND")),
    _sql(
        "an expired run keeps its key",
        "I1",
        "expired_holders",
        ("unique_holder", "j.behind IS", "run_id IS NULL AND j.behind IS"),
    ),
    _sql(
        "a cancelled run expires",
        "I1",
        "expired_holders",
        ("unique_holder", "r.compensating = 1", "r.compensating > 1"),
    ),
    _sql(
        "retried beside another",
        "I1",
        "expired_lines",
        ("free_driver", "behind = NULL,", "behind = NULL, unique_key = NULL,"),
    ),
    _sql("hold_for ignored", "I1", "unique", ("hold_unique", *NOWHERE)),
    _sql("idempotency lost", "I2", "idempotency", ("idempotent", "expires_at > :now", "0")),
    _sql(
        "idempotency for ever",
        "I2",
        "idempotency",
        ("idempotent", "expires_at > :now", "1"),
        ("prune_idempotency", "WHERE expires_at <= :now", "WHERE 0"),
    ),
    _sql("tenants share idempotency keys", "I31", "idempotency", ("idempotent", "tenant = :tenant AND", "")),
    _sql("cancel flag ignored", "I5", "jobs_cancel", ("request_cancel", *NOWHERE)),
    _sql("retry leaves the dead letter", "I11", "jobs_retry", ("close_dead_letters", *NOWHERE)),
    _sql("retry keeps the counts", "I10", "jobs_retry", ("revive_job", "failures = 0, crashes = 0,", "")),
    _sql("replay does not mark", "I12", "dlq", ("decide_entry", "state = :state,", "")),
    _sql("no dead letter", "I11", "jobs_finish", ("bury_job", *NOWHERE)),
    _sql("payload of the dead cut", "I11", "payloads", ("bury_job", " payload,\n", " substr(payload, 1, 99),\n")),
    _sql("no history", "I10", "jobs_finish", ("attempts", *NOWHERE)),
    _sql("terms stand still", "I26", "leadership", ("begin_term", "term = excluded.term,", "")),
    _sql("an old term is extended", "I26", "leadership", ("extend_term", "AND term = :term", "")),
    _sql("dead workers serve", "I29", "aside", ("live_workers", "AND last_seen + lease >= :now", "")),
    _sql("get sees every tenant", "I31", "jobs_read", ("get_job", SCOPED, "")),
    Fault("late is a repetition", "I4", ("jobs_fence",), plant=lambda: patch.object(finish, "is_repetition", _yes)),
    Fault("no quarantine", "I10", ("jobs_gates",), plant=lambda: patch.object(finish, "QUARANTINE_FROM", 1000)),
    Fault("a key taken from a twin", "I5", ("jobs_retry",), plant=lambda: patch.object(unique, "holder", _no_holder)),
)
