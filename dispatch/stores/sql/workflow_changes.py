"""What people do to runs: cancel, retry, migrate and fork, and what retention removes."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import merge
from itertools import islice

from dispatch.entity import Reply
from dispatch.ids import CheckpointID, JobID, RunID
from dispatch.jobs.model import QUARANTINE_FROM, JobState
from dispatch.scope import Scope
from dispatch.stores.sql import holders
from dispatch.stores.sql.plan import Do, Each, Plan, Rows, first
from dispatch.stores.sql.rows import names_text
from dispatch.stores.sql.workflow_journal import CHECKPOINT, checkpoint_row, create
from dispatch.stores.sql.workflow_rows import Driver, LockedRun, checkpoint_of, lock_drivers, lock_runs
from dispatch.stores.sql.workflow_wakes import cancel_run, compensates
from dispatch.workflows.model import CreatedRun, NewRun, RunChanged, RunState, driver_name

_ROWS_AT_ONCE = 2000
_BYTES_AT_ONCE = 4 * 1024 * 1024
"""What one transaction gives up of journals."""
_EVERY_POSITION = 2**31 - 1
"""Behind every checkpoint of a journal."""


def find(run_id: RunID, scope: Scope | None) -> Plan[tuple[Driver, LockedRun] | None]:
    """The run and its driver, locked, if it is there and the scope sees it."""
    drivers = yield Rows("lock_drivers_of", {"ids": names_text([run_id])})
    run = (yield from lock_runs([run_id])).get(run_id)
    if run is None or not drivers or (scope is not None and (run.app_id, run.org_id) != tuple(scope)):
        return None
    driver = (yield from lock_drivers([run.driver]))[run.driver]
    return driver, run


def cancel(run_id: RunID, scope: Scope | None, reason: str, now: int) -> Plan[RunChanged]:
    """The plan of WorkflowStore.cancel."""
    found = yield from find(run_id, scope)
    if found is None:
        return RunChanged(Reply.MISSING)
    driver, run = found
    if run.ended or run.compensating:
        return RunChanged(Reply.CONFLICT, RunState(run.state))
    yield from cancel_run(run.id, driver.state, driver.id, reason, now)
    return (yield from _changed(run.id))


def retry(run_id: RunID, scope: Scope | None, now: int) -> Plan[RunChanged]:
    """The plan of WorkflowStore.retry."""
    found = yield from find(run_id, scope)
    if found is None:
        return RunChanged(Reply.MISSING)
    driver, run = found
    state = RunState(run.state)
    if state is RunState.BLOCKED:
        yield Do("take_up_driver", {"id": driver.id, "now": now})
        yield Do("take_up_run", {"id": run.id, "version": run.version, "now": now})
        return (yield from _changed(run.id))
    over = bool(run.compensated) and not run.compensation_failed
    if state not in (RunState.FAILED, RunState.CANCELLED) or over:
        return RunChanged(Reply.CONFLICT, state)
    twin = yield from holders.take_again(JobID(driver.id), now)
    if twin is not None:
        return RunChanged(Reply.CONFLICT, state, twin)
    yield Do("revive_job", {"id": driver.id, "now": now})
    if driver.concurrency_key is not None:
        yield Do("set_missing_key", {"id": driver.id})
    yield Do("close_dead_letters", {"job_id": driver.id, "now": now})
    yield Do("revive_run", {"id": run.id, "now": now})
    return (yield from _changed(run.id))


def migrate(run_id: RunID, version: int, scope: Scope | None, now: int) -> Plan[RunChanged]:
    """The plan of WorkflowStore.migrate."""
    found = yield from find(run_id, scope)
    if found is None:
        return RunChanged(Reply.MISSING)
    driver, run = found
    if run.ended or run.compensating:
        return RunChanged(Reply.CONFLICT, RunState(run.state))
    name = driver_name(run.name, version)
    yield Do("migrate_driver", {"id": driver.id, "name": name, "quarantine": QUARANTINE_FROM, "now": now})
    if driver.state == JobState.RUNNING and driver.cancel_reason is not None:
        yield from compensates(run.id, driver.id, driver.cancel_reason, now)
    yield Do("take_up_run", {"id": run.id, "version": version, "now": now})
    return (yield from _changed(run.id))


def fork(
    run_id: RunID, before: str | None, new: NewRun, edits: Mapping[str, bytes], scope: Scope | None, now: int
) -> Plan[CreatedRun | None]:
    """The plan of WorkflowStore.fork."""
    found = yield from find(run_id, scope)
    if found is None:
        return None
    position = _EVERY_POSITION
    if before is not None:
        row = first((yield Rows("checkpoint_named", {"run_id": str(run_id), "name": before})))
        if row is None:
            return None
        position = checkpoint_of(row).position
    (created,) = yield from create([new], now, forked_from=run_id)
    if not created.created:
        return created
    copies = []
    for copied in (yield Rows("journal_before", {"run_id": str(run_id), "position": position})):
        checkpoint = checkpoint_of(copied)
        if before is None and checkpoint.kind == "undo":
            continue
        checkpoint.id, checkpoint.run_id = CheckpointID.new(), new.id
        checkpoint.data, checkpoint.inherited = edits.get(checkpoint.name, checkpoint.data), True
        copies.append(checkpoint_row(checkpoint, now))
    yield Each("add_checkpoint", CHECKPOINT, copies)
    yield Do("copy_child_results", {"run_id": str(run_id), "fork": str(new.id)})
    return created


def _changed(run_id: str) -> Plan[RunChanged]:
    run = (yield from lock_runs([run_id]))[run_id]
    return RunChanged(Reply.APPLIED, RunState(run.state))


def count_ended(before: Mapping[RunState, int], limit: int) -> Plan[int]:
    """How many runs could be pruned, up to `limit`."""
    total = 0
    for state, moment in before.items():
        params = {"state": state.value, "before": moment, "limit": limit - total}
        total += (yield Rows("count_ended_runs", params))[0][0]
    return total


def prune(before: Mapping[RunState, int], limit: int) -> Plan[int]:
    """The plan of WorkflowStore.prune."""
    found = []
    for state, moment in before.items():
        found.append((yield Rows("ended_runs", {"state": state.value, "before": moment, "limit": limit})))
    ids: list[str] = []
    drivers: list[str] = []
    rows, room = _ROWS_AT_ONCE, _BYTES_AT_ONCE
    for _, id_, driver in islice(merge(*found), limit):
        count, size = (yield Rows("journal_size", {"id": id_}))[0]
        rows, room = rows - count, room - size
        if ids and (rows < 0 or room < 0):
            break
        ids.append(id_)
        drivers.append(driver)
    if ids:
        for name in ("forget_journals", "forget_child_results", "forget_mail", "forget_runs"):
            yield Do(name, {"ids": names_text(ids)})
        for name in ("forget_driver_attempts", "forget_drivers"):
            yield Do(name, {"ids": names_text(drivers)})
    return len(ids)
