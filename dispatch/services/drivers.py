"""What refuses a change of a job that drives a workflow run: the run has verbs of its own."""

from __future__ import annotations

from typing import Literal

from dispatch.jobs.model import Job


def drives(job: Job | None, verb: Literal["cancel", "retry", "delete"]) -> str:
    """Which run the job drives, and the command that does the like to the run; "" of a job that drives none."""
    if job is None or job.kind != "workflow" or job.run_id is None:
        return ""
    if verb == "delete" and job.state.terminal:
        return f"{job.id} drives {job.run_id} and is removed with it, when [retention] says so"
    command = "retry" if verb == "retry" else "cancel"
    return f"{job.id} drives {job.run_id}: `dispatch workflow {command} {job.run_id}` is the way"
