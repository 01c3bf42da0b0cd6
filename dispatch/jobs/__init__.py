"""Jobs: the row, the definition, the store protocol and what handlers see."""

from dispatch.jobs.context import JobContext, current_job
from dispatch.jobs.definition import Call, JobDefinition
from dispatch.jobs.handle import JobHandle, SyncJobHandle
from dispatch.jobs.handler import Handler, Middleware, Next
from dispatch.jobs.model import Attempt, CountOptions, Failure, Job, JobState, ListOptions, NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.jobs.store import JobStore

__all__ = [
    "Attempt",
    "Call",
    "CountOptions",
    "EnqueueOptions",
    "Failure",
    "Handler",
    "Job",
    "JobContext",
    "JobDefinition",
    "JobHandle",
    "JobState",
    "JobStore",
    "ListOptions",
    "Middleware",
    "NewJob",
    "Next",
    "SyncJobHandle",
    "current_job",
]
