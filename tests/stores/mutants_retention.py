"""Faults of prune and delete: over any store, inside the memory store, and in the SQL."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from mutants import Fault, Verb, _any_tenant
from mutants_memory import _around, _constant
from mutants_more import _also, _nothing
from mutants_sqlite import NOWHERE, _sql

from dispatch.entity import Reply
from dispatch.jobs.model import WAITING, ListOptions
from dispatch.stores.memory import changes, keys
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.rows import Origin
from dispatch.stores.sql import workflow_ends as ends

_HERE = ("retention",)


async def _prune_by_one_age(jobs: Any, *, completed: Any, **options: Any) -> Any:
    return await jobs.prune(completed=completed, **{**options, "failed": completed, "cancelled": completed})


async def _prune_what_has_no_age(jobs: Any, *, limit: int, dry_run: bool = False, **ages: Any) -> Any:
    return await jobs.prune(limit=limit, dry_run=dry_run, **{name: age or 0.0 for name, age in ages.items()})


async def _prune_the_waiting(jobs: Any, **options: Any) -> Any:
    for job in (await jobs.list(ListOptions(states=tuple(WAITING)))).items:
        await jobs.delete(job.id)
    return await jobs.prune(**options)


async def _only_cancel(jobs: Any, job_id: Any, **options: Any) -> Reply:
    answer: Reply = (await jobs.cancel(job_id, **options)).reply
    return answer


async def _cancel_the_running(jobs: Any, job_id: Any, **options: Any) -> Reply:
    answer: Reply = await jobs.delete(job_id, **options)
    return (await jobs.cancel(job_id)).reply if answer is Reply.CONFLICT else answer


def _anywhere(name: str, invariant: str, verb: str, instead: Verb) -> Fault:
    return Fault(name, invariant, _HERE, {verb: instead})


RETENTION = (
    _anywhere("nothing is pruned", "", "jobs.prune", _nothing(0)),
    _anywhere("prune knows no limit", "", "jobs.prune", _also("prune", limit=1000)),
    _anywhere("a dry prune prunes", "", "jobs.prune", _also("prune", dry_run=False)),
    _anywhere("prune has one age for all", "", "jobs.prune", _prune_by_one_age),
    _anywhere("prune takes no age for zero", "", "jobs.prune", _prune_what_has_no_age),
    _anywhere("prune takes waiting jobs too", "I1", "jobs.prune", _prune_the_waiting),
    _anywhere("delete only cancels", "", "jobs.delete", _only_cancel),
    _anywhere("delete cancels what runs", "I5", "jobs.delete", _cancel_the_running),
    _anywhere("delete sees every tenant", "I31", "jobs.delete", _any_tenant("delete")),
    _anywhere("dead workers for ever", "", "cluster.prune", _nothing(0)),
    _anywhere("dead workers go at once", "", "cluster.prune", _also("prune", older_than=0.0)),
    _anywhere("a dry prune of workers prunes", "", "cluster.prune", _also("prune", dry_run=False)),
    _anywhere("a dry prune of events prunes", "", "events.prune", _also("prune", dry_run=False)),
    _anywhere("a dry prune of records prunes", "", "records.prune", _also("prune", dry_run=False)),
)


def _forgetting(clear: Any) -> Any:
    """Forgets something else with the rows."""

    def make(true: Any) -> Any:
        def forget(data: Any, gone: Any) -> None:
            clear(data, gone)
            true(data, gone)

        return forget

    return _around(Data, "forget", make)


def _keep_attempts(true: Any) -> Any:
    def forget(data: Any, gone: Any) -> None:
        kept = {row.id: data.attempts.get(row.id, []) for row in gone}
        true(data, gone)
        data.attempts.update(kept)

    return forget


def _keep_counts(true: Any) -> Any:
    def forget(data: Any, gone: Any) -> None:
        for row in gone:
            row.tally.counts[row.state] += 1
        true(data, gone)

    return forget


def _plain_origin(true: Any) -> Any:
    def row_of_letter(data: Any, entry: Any, *rest: Any) -> Any:
        data.origins[entry.id] = Origin("job", "", "finish")
        return true(data, entry, *rest)

    return row_of_letter


RETENTION_MEMORY = (
    Fault("prune leaves attempts", "", _HERE, plant=_around(Data, "forget", _keep_attempts)),
    Fault("prune leaves counts", "", _HERE, plant=_around(Data, "forget", _keep_counts)),
    Fault("prune takes letters along", "I11", _HERE, plant=_forgetting(lambda data, gone: data.letters.clear())),
    Fault(
        "prune takes idempotency keys along",
        "I2",
        _HERE,
        plant=_forgetting(lambda data, gone: data.keys.idempotency.clear()),
    ),
    Fault("prune takes held keys along", "I1", _HERE, plant=_forgetting(lambda data, gone: data.keys.unique.clear())),
    Fault("a replay forgets kind and lane", "I11", _HERE, plant=_around(changes, "_row_of_letter", _plain_origin)),
    Fault("deleted jobs stay ready", "", _HERE, plant=_around(Data, "withdraw", _constant(None))),
    Fault("deleted jobs keep their keys", "I1", _HERE, plant=_around(keys.Keys, "give_up", _constant(None))),
)


def _no_end(key: str, job_id: Any, now: int) -> Any:
    """A plan that does nothing about a key."""
    return False
    yield


RETENTION_SQLITE = (
    _sql(
        "prune takes the young",
        "",
        "retention",
        ("ended_jobs", "finished_at < :before", "finished_at IS NOT NULL"),
        ("count_ended_jobs", "finished_at < :before", "finished_at IS NOT NULL"),
    ),
    _sql(
        "prune takes the youngest first",
        "",
        "retention",
        ("ended_jobs", "ORDER BY finished_at", "ORDER BY -finished_at"),
    ),
    _sql("prune leaves attempts", "", "retention", ("forget_attempts", *NOWHERE)),
    _sql("prune leaves the rows", "", "retention", ("forget_jobs", *NOWHERE)),
    _sql("delete leaves attempts", "", "retention", ("delete_attempts", *NOWHERE)),
    _sql(
        "live workers are pruned",
        "",
        "retention",
        ("prune_workers", "AND (state = 'dead' OR last_seen + lease < :now)", ""),
    ),
    _sql(
        "the retired are kept",
        "",
        "retention",
        ("prune_workers", "state = 'dead' OR", ""),
        ("count_old_workers", "state = 'dead' OR", ""),
    ),
    _sql(
        "the last to fall silent goes first",
        "",
        "retention",
        ("prune_workers", "ORDER BY last_seen,", "ORDER BY -last_seen,"),
    ),
    Fault("deleted jobs keep their keys", "I1", _HERE, plant=lambda: patch.object(ends.unique, "end", _no_end)),
)
