"""Jobs that drive workflow runs, as people meet them: by the ids of the runs, which have verbs of their own."""

from __future__ import annotations

from typing import Literal

from dispatch.ids import JobID
from dispatch.jobs.model import Job
from dispatch.store import Store


async def named(store: Store, job_id: JobID | None) -> str:
    """The id by which people know a job: of one that drives a run, that run's."""
    job = None if job_id is None else await store.jobs.get(job_id)
    return str(job_id if job is None or job.kind != "workflow" or job.run_id is None else job.run_id)


def drives(job: Job | None, verb: Literal["cancel", "retry", "delete"]) -> str:
    """Which run the job drives, and the command that does the like to the run; "" of a job that drives none."""
    if job is None or job.kind != "workflow" or job.run_id is None:
        return ""
    if verb == "delete" and job.state.terminal:
        return f"{job.id} drives {job.run_id} and is removed with it, when [retention] says so"
    command = "retry" if verb == "retry" else "cancel"
    return f"{job.id} drives {job.run_id}: `dispatch workflow {command} {job.run_id}` is the way"
