"""Dispatch as a backend of Django's own tasks: `django.tasks`, or the backport django-tasks where that is missing."""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone
from django.utils.module_loading import import_string

from dispatch.app import Dispatch
from dispatch.current import app_for_blocking
from dispatch.errors import JobNotFound
from dispatch.ids import JobID
from dispatch.jobs.base import runs_async
from dispatch.jobs.context import current_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Attempt, Failure, Job, JobState
from dispatch.portal import run_sync
from dispatch.registry import default_registry

_HOME = "django.tasks" if find_spec("django.tasks") else "django_tasks"
_base, _signals = import_module(f"{_HOME}.base"), import_module(f"{_HOME}.signals")
_Base: Any = import_module(f"{_HOME}.backends.base").BaseTaskBackend
_DoesNotExist: Any = import_module(f"{_HOME}.exceptions").TaskResultDoesNotExist
_Status = _base.TaskResultStatus
_STATES = {
    JobState.PENDING: _Status.READY,
    JobState.RETRYING: _Status.READY,
    JobState.RUNNING: _Status.RUNNING,
    JobState.COMPLETED: _Status.SUCCESSFUL,
    JobState.FAILED: _Status.FAILED,
    JobState.CANCELLED: _Status.FAILED,
}


class DispatchBackend(_Base):  # type: ignore[misc]
    """`"BACKEND": "dispatch.integrations.django.backend.DispatchBackend"` in TASKS; each task is a job of its path.

    OPTIONS: `max_retries` (0, as Django's tasks have none), and `connection`, the name of the database whose open
    transaction an enqueue becomes a part of.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._definitions: dict[str, JobDefinition[..., Any]] = {}

    def validate_task(self, task: Any) -> None:
        """Called for each task where it is defined; from then on workers know its job."""
        super().validate_task(task)
        if task.module_path not in self._definitions:
            settings: Any = {"queue": task.queue_name, "max_retries": self.options.get("max_retries", 0)}
            made = default_registry.job(name=task.module_path, **settings)(_runner(self, task))
            self._definitions[task.module_path] = cast("JobDefinition[..., Any]", made)

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Queues the task, in the transaction that is open on OPTIONS["connection"] if there is one."""
        self.validate_task(task)
        result = _result(task, self.alias, args=list(args), kwargs=dict(kwargs), enqueued_at=timezone.now())
        options: dict[str, Any] = {"queue": task.queue_name, "priority": task.priority}
        if task.run_after is not None:
            moment = task.run_after
            options["run_at"] = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
        if (name := self.options.get("connection")) is not None and connections[name].in_atomic_block:
            options["connection"] = connections[name]
        definition = self._definitions[task.module_path].options(**options)
        object.__setattr__(result, "id", str(definition.sync.enqueue(result.args, result.kwargs).id))
        _signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """What became of a task; TaskResultDoesNotExist when there is none, or its job has been pruned."""
        app = cast("Dispatch", app_for_blocking())
        try:
            job_id = JobID.parse(result_id)
            job: Job = run_sync(app.loop, lambda: app.job(job_id))
            task = import_string(job.name)
        except (ValueError, JobNotFound, ImportError):
            raise _DoesNotExist(result_id) from None
        if not isinstance(task, _base.Task):
            raise _DoesNotExist(result_id)
        attempts = run_sync(app.loop, lambda: app.jobs.attempts(job_id))
        return _of_job(job, task.using(priority=job.priority, queue_name=job.queue), self.alias, attempts)


def _runner(backend: DispatchBackend, task: Any) -> Any:
    """The function of the task's job."""

    async def run_async(args: list[Any], kwargs: dict[str, Any]) -> Any:
        async with _told_async(backend, task) as context:
            return await task.func(*context, *args, **kwargs)

    def run(args: list[Any], kwargs: dict[str, Any]) -> Any:
        with _told(backend, task) as context:
            return task.func(*context, *args, **kwargs)

    return run_async if runs_async(task.func) else run


@contextmanager
def _told(backend: DispatchBackend, task: Any) -> Iterator[tuple[Any, ...]]:
    """Sends Django's signals around one attempt; yields the context for a task that takes it."""
    result = _begun(backend, task)
    try:
        yield (_base.TaskContext(task_result=result),) if task.takes_context else ()
    except Exception as error:
        _ended(backend, result, error)
        raise
    _ended(backend, result, None)


@asynccontextmanager
async def _told_async(backend: DispatchBackend, task: Any) -> AsyncIterator[tuple[Any, ...]]:
    """As `_told`, with the receivers in a thread, where they may use the database."""
    result = await sync_to_async(_begun)(backend, task)
    try:
        yield (_base.TaskContext(task_result=result),) if task.takes_context else ()
    except Exception as error:
        await sync_to_async(_ended)(backend, result, error)
        raise
    await sync_to_async(_ended)(backend, result, None)


def _begun(backend: DispatchBackend, task: Any) -> Any:
    running = current_job()
    result = _of_job(running.job, task, backend.alias, ())
    workers = [str(running.job.worker_id)] * running.attempt  # who had the earlier ones is not known here
    object.__setattr__(result, "worker_ids", workers)
    _signals.task_started.send(type(backend), task_result=result)
    return result


def _ended(backend: DispatchBackend, result: Any, error: Exception | None) -> None:
    """Tells of the end; an attempt that another one follows is none."""
    if error is not None and current_job().attempt <= backend.options.get("max_retries", 0):
        return
    object.__setattr__(result, "status", _Status.FAILED if error else _Status.SUCCESSFUL)
    object.__setattr__(result, "finished_at", timezone.now())
    _signals.task_finished.send(type(backend), task_result=result)


def _of_job(job: Job, task: Any, alias: str, attempts: Sequence[Attempt]) -> Any:
    payload = json.loads(job.payload)
    workers = [str(attempt.worker_id) for attempt in attempts if attempt.worker_id]
    if job.state in (JobState.RUNNING, JobState.COMPLETED):
        workers.append(str(job.worker_id or ""))
    result = _result(
        task,
        alias,
        id=str(job.id),
        status=_STATES[job.state],
        args=payload["args"],
        kwargs=payload["kwargs"],
        enqueued_at=job.created_at,
        started_at=next((attempt.started_at for attempt in attempts if attempt.started_at), job.started_at),
        last_attempted_at=job.started_at,
        finished_at=job.finished_at,
        worker_ids=workers,
        errors=[
            _base.TaskError(exception_class_path=path_of(failure), traceback=failure.traceback or failure.message)
            for failure in (attempt.failure for attempt in attempts)
        ],
    )
    if job.state is JobState.COMPLETED:
        object.__setattr__(result, "_return_value", None if job.result is None else json.loads(job.result))
    return result


def path_of(failure: Failure) -> str:
    """Where the failure's exception class is imported from, as its traceback says."""
    if hasattr(builtins, failure.type):
        return f"builtins.{failure.type}"
    found = re.findall(rf"^([\w.]+\.{re.escape(failure.type)})(?::|$)", failure.traceback or "", re.MULTILINE)
    return str(found[-1]) if found else failure.type


def _result(task: Any, alias: str, **known: Any) -> Any:
    nothing: dict[str, Any] = {
        **{"id": "", "status": _Status.READY, "enqueued_at": None, "started_at": None, "last_attempted_at": None},
        **{"finished_at": None, "errors": [], "worker_ids": []},
    }
    return _base.TaskResult(task=task, backend=alias, **{**nothing, **known})
