"""Who holds a unique key when somebody else wants it: not who has expired before its first start."""

from __future__ import annotations

from dispatch.ids import JobID
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.plan import Lock, Plan, Rows
from dispatch.stores.sql.rows import job_of, scope_params
from dispatch.stores.sql.unique import Holder
from dispatch.stores.sql.workflow_ends import cancel_waiting
from dispatch.stores.sql.workflow_wakes import compensates
from dispatch.workflows.model import driver_id


def holder(key: str, now: int, expired: list[JobID] | None = None) -> Plan[Holder | None]:
    """As `unique.holder`, once those that have expired are out of the way, as a claim would have put them; the key is
    locked. The jobs that this has ended are added to `expired`."""
    locked = None
    while True:
        found = yield from unique.holder(key, now)
        if found is None or not found.expired:
            return found
        if found.job_id != locked:  # and is looked at again: it may have been claimed meanwhile
            locked = found.job_id
            yield Lock("lock_job_at_once", {"id": str(locked)})
            yield Lock("lock_successors", {"behind": str(locked)})
        elif (yield from _expire(found.job_id, key, now)) and expired is not None:
            expired.append(found.job_id)


def take_again(job_id: JobID, now: int) -> Plan[JobID | None]:
    """Lets a job that waits again have its key back; answers the other live job that holds it, if there is one."""
    key, hold_until = (yield Rows("unique_of", {"id": str(job_id)}))[0]
    if key is None:
        return None
    yield from unique.lock([key])
    present = yield from holder(key, now)
    if present is not None and present.live:
        return present.job_id if present.job_id != job_id else None
    yield from unique.take(key, job_id, hold_until)
    return None


def _expire(job_id: JobID, key: str, now: int) -> Plan[bool]:
    """Ends a job; the run of a driver, which only compensates from now on, gives up the key, to who waits behind it.
    Answers whether it was a job."""
    job = job_of((yield Rows("get_job", {"id": str(job_id), **scope_params(None)}))[0])
    if job.kind == "workflow" and job.run_id is not None:
        yield from compensates(job.run_id, job_id, "expired", now)
        yield from unique.end(key, job_id, now)
        return False
    # locked after the key, against the usual order: without waiting
    if job.concurrency_key is not None:
        yield from concurrency.lock({job.concurrency_key}, wait=False)
    if job.run_id is not None:
        yield Lock("lock_job_at_once", {"id": str(driver_id(job.run_id))})
    yield from cancel_waiting(job, "expired", now)
    return True
