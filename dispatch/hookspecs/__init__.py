"""The hooks: what a plugin may implement, when each is called and with what. This is the plugin API.

An implementation is a function of the hook's name under `@hookimpl`, in a module or as a method of an object; it takes
any of the hook's arguments, by name, and may be `async`. Lifecycle hooks are told what has happened: they run after the
state change, out of band, isolated from the job and from each other. `register_*` hooks are asked once, at start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pluggy

from dispatch.hookspecs.facades import CLI as CLI
from dispatch.hookspecs.facades import Noun as Noun
from dispatch.hookspecs.facades import Routes as Routes
from dispatch.hookspecs.facades import WorkerService as WorkerService

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dispatch.app import Dispatch
    from dispatch.cluster.elector import LeaderElector
    from dispatch.cluster.model import NewWorker
    from dispatch.crons.model import CronEntry
    from dispatch.events.model import Event
    from dispatch.ids import JobID, WorkerID
    from dispatch.jobs.definition import JobDefinition
    from dispatch.jobs.handler import Middleware
    from dispatch.jobs.model import Failure, Job, NewJob
    from dispatch.store import Store
    from dispatch.workflows.model import Run

GROUP = "dispatch"
"""The project name for pluggy, and the entry-point group that plugins are found in."""

ASKED_AT_ONCE = frozenset({"register_commands", "register_config", "register_routes", "register_stores"})
"""Hooks that are asked where nothing can be awaited: their implementations are plain functions."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def job_enqueuing(job: NewJob) -> Mapping[str, Any] | None:
    """A job is about to be written; the enqueue waits for this hook, so be quick.

    The only hook before a state change. It may return a dict, which is added to the job's metadata. It cannot refuse
    the job: what it raises is logged and the enqueue goes on, as it does without what cannot be stored (no JSON, or
    more than `limits.metadata`). Not asked about jobs that a cron entry's tick or the replay of a dead letter makes.

    Args:
        job: what will be written.
    """
    return None


@hookspec
def job_enqueued(job: NewJob) -> None:
    """A job was written: by an enqueue, a tick of a cron entry, the replay of a dead letter, a workflow's `enqueue` or
    `on_workers`. Not called when a unique or idempotency key answered an existing job instead, nor for a job inside of
    the caller's own transaction (`connection=`): only the caller knows whether it is committed.

    Args:
        job: what was written.
    """


@hookspec
def job_started(job: Job) -> None:
    """A worker has claimed the job and starts its handler; once for each attempt.

    Args:
        job: the row as claimed: state running, with worker_id and epoch.
    """


@hookspec
def job_completed(job: Job, elapsed: float) -> None:
    """The handler returned and the outcome is stored; not called for a worker that had lost the job meanwhile.

    Args:
        job: the job, completed.
        elapsed: seconds that this attempt took.
    """


@hookspec
def job_failed(job: Job, error: Failure) -> None:
    """The job failed for good: retries exhausted, `Fail` raised, too many crashes. A failed attempt that will be
    repeated is `job_retrying` instead.

    Args:
        job: the job, failed; `job.reason` tells why.
        error: type, message and traceback of the last failure.
    """


@hookspec
def job_retrying(job: Job, attempt: int, next_run_at: datetime) -> None:
    """An attempt failed and another one will follow.

    Args:
        job: the job, retrying; `job.error` is what went wrong.
        attempt: the number of the attempt that failed (1 = the first).
        next_run_at: when the next one is due (aware, UTC).
    """


@hookspec
def job_dlq(job: Job, error: Failure) -> None:
    """The job became a dead letter; after `job_failed`, and not called when the job failed without a dead letter.

    Args:
        job: the job, failed.
        error: type, message and traceback of the last failure.
    """


@hookspec
def job_cancelled(job: Job) -> None:
    """The job ended cancelled: by request, or because it was not started before it expired.

    Args:
        job: the job, cancelled; `job.reason` tells why.
    """


@hookspec
def job_stolen(job: Job) -> None:
    """The job's worker stopped renewing its lease, and another worker took the job away from it.

    Args:
        job: the job after that: waiting again, or failed when it has crashed too often (`job_failed` follows).
    """


@hookspec
def workflow_started(run: Run) -> None:
    """A worker plays the body of a workflow run for the first time; not again when it goes on after a park or retry.

    Args:
        run: the run: name, version, id, scope.
    """


@hookspec
def workflow_step_completed(run: Run, step: str, elapsed: float) -> None:
    """A step of a run, or the undo of one, has run in place and is recorded. What runs on the workers is a job, with a
    job's hooks.

    Args:
        run: the run.
        step: the step's name ("charge"; its undo is "charge~undo").
        elapsed: seconds that it took, with its retries.
    """


@hookspec
def workflow_step_failed(run: Run, step: str, error: Failure) -> None:
    """A step of a run has used up its retries. The body may catch that; else the run is retried or fails.

    Args:
        run: the run.
        step: the step's name.
        error: type, message and traceback of its last failure.
    """


@hookspec
def workflow_completed(run: Run, elapsed: float) -> None:
    """The body returned and the run's end is stored.

    Args:
        run: the run, completed.
        elapsed: seconds since its first start, sleeps and waits included.
    """


@hookspec
def workflow_failed(run: Run, error: Failure) -> None:
    """The run failed for good; what it did has been taken back, unless `run.compensation_failed`.

    Args:
        run: the run, failed; `run.reason` tells why.
        error: type, message and traceback of what failed it.
    """


@hookspec
def worker_started(worker: NewWorker) -> None:
    """A worker of this process has registered and begins to claim.

    Args:
        worker: its id, host, pid, queues, names and concurrency.
    """


@hookspec
def worker_stopped(worker: NewWorker) -> None:
    """A worker of this process has finished or released all its jobs and signed off.

    Args:
        worker: as in `worker_started`.
    """


@hookspec
def event_published(event: Event) -> None:
    """An event was stored through this app.

    Args:
        event: name, key, payload and scope.
    """


@hookspec
def cron_fired(entry: CronEntry, job_id: JobID) -> None:
    """A tick of a cron entry, or its trigger by hand, made a job (or the run whose driver this job is).

    Args:
        entry: the entry as it was when it fired.
        job_id: what it made.
    """


@hookspec
def leader_changed(worker_id: WorkerID, term: int | None) -> None:
    """A worker of this process became the leader, or ceased to be.

    Args:
        worker_id: the worker.
        term: the term it leads in; None: it leads no longer.
    """


@hookspec
def shutdown() -> None:
    """The app is closing; the store is still open. The last call a plugin gets: flush and let go of resources here."""


@hookspec
def register_leader_elector(lease: float) -> LeaderElector | None:
    """Asked once, when the app opens: another election than the store's own. The first answer is taken, unless the
    application named an elector itself. What it raises stops the start.

    Args:
        lease: seconds for which a leader leads without renewal (`leader_lease`).

    Returns:
        The elector.
    """
    return None


@hookspec
def register_middleware() -> list[Middleware] | None:
    """Asked once, when the app opens: middleware to put around every job, inside Dispatch's own and outside the
    application's. What it raises stops the start.

    Returns:
        The middleware, outermost first.
    """
    return None


@hookspec
def register_config() -> type[BaseModel] | None:
    """Asked on the plugin's class, before it is made: the model of its section [plugin.NAME] of the configuration.

    The section is parsed by the model, and its fields become the keyword arguments of the class; `dispatch config show`
    shows them with their defaults. Make it a staticmethod, below which `@hookimpl` stands. What is wrong with the
    section stops the start.

    Returns:
        A subclass of pydantic.BaseModel.
    """
    return None


@hookspec
def register_stores() -> Mapping[str, Callable[..., Store]] | None:
    """Asked when a store's URL has a scheme that Dispatch does not know: other kinds of stores.

    Returns:
        What makes the store for each scheme: called with what follows `://`, and the keywords `namespace` (str),
        `migrate` ("auto", "empty", "never" or None) and `clock` (None: the wall clock).
    """
    return None


@hookspec
def register_commands(cli: CLI) -> None:
    """Asked when the command line meets a word that is none of its own, or lists what there is: add commands to it.

    What it raises is told as a warning; the other commands are there all the same.

    Args:
        cli: the command line.
    """


@hookspec
def register_routes(app: Dispatch) -> Routes | None:
    """Asked once, when the HTTP API of an app is built: routes under /v1. What it raises stops that start.

    Args:
        app: whose API it is; its services do the work.

    Returns:
        The routes, each with the scope that a key needs for it.
    """
    return None


@hookspec
def register_jobs(store: Store) -> list[JobDefinition[..., Any]] | None:
    """Asked once, when the app opens: jobs of the plugin's own, which this app's workers run beside the application's.

    They are announced to nobody, so that only the plugin enqueues them. What it raises stops the start.

    Args:
        store: the app's store, which is open when a job runs.

    Returns:
        The definitions, each with the queue it names.
    """
    return None


@hookspec
def register_services(store: Store) -> list[WorkerService] | None:
    """Asked once, when the app opens: loops that run in each worker of this app. What it raises stops the start.

    Args:
        store: the app's store, which is open while a worker runs.

    Returns:
        The services; a worker starts them after its own and stops them first.
    """
    return None
