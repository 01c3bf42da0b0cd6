"""Background jobs for Python: decorators, one command, any store.

The names below are imported when they are first used, so that `import dispatch` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dispatch.current import AppPort, install_opener

if TYPE_CHECKING:
    from dispatch import backoff
    from dispatch.app import Dispatch
    from dispatch.config import Config
    from dispatch.errors import DispatchError, Fail, Retry, Snooze
    from dispatch.events.declaration import event
    from dispatch.events.model import Event
    from dispatch.hookspecs import hookimpl
    from dispatch.jobs.context import current_job
    from dispatch.jobs.handle import JobHandle, SyncJobHandle
    from dispatch.jobs.handler import Middleware, Next
    from dispatch.jobs.limit import Limit
    from dispatch.jobs.model import Job, JobState
    from dispatch.queues import QueueConfig
    from dispatch.registry import Registry, cron, job, lifespan, workflow
    from dispatch.scope import Scope
    from dispatch.workflows.context import WorkflowContext
    from dispatch.workflows.handle import RunHandle, SyncRunHandle

_HOMES = {
    "Config": "dispatch.config",
    "Dispatch": "dispatch.app",
    "DispatchError": "dispatch.errors",
    "Event": "dispatch.events.model",
    "Fail": "dispatch.errors",
    "Job": "dispatch.jobs.model",
    "JobHandle": "dispatch.jobs.handle",
    "JobState": "dispatch.jobs.model",
    "Limit": "dispatch.jobs.limit",
    "Middleware": "dispatch.jobs.handler",
    "Next": "dispatch.jobs.handler",
    "QueueConfig": "dispatch.queues",
    "Registry": "dispatch.registry",
    "Retry": "dispatch.errors",
    "RunHandle": "dispatch.workflows.handle",
    "Scope": "dispatch.scope",
    "Snooze": "dispatch.errors",
    "SyncJobHandle": "dispatch.jobs.handle",
    "SyncRunHandle": "dispatch.workflows.handle",
    "WorkflowContext": "dispatch.workflows.context",
    "cron": "dispatch.registry",
    "current_job": "dispatch.jobs.context",
    "event": "dispatch.events.declaration",
    "hookimpl": "dispatch.hookspecs",
    "job": "dispatch.registry",
    "lifespan": "dispatch.registry",
    "workflow": "dispatch.registry",
}

__all__ = [
    "Config",
    "Dispatch",
    "DispatchError",
    "Event",
    "Fail",
    "Job",
    "JobHandle",
    "JobState",
    "Limit",
    "Middleware",
    "Next",
    "QueueConfig",
    "Registry",
    "Retry",
    "RunHandle",
    "Scope",
    "Snooze",
    "SyncJobHandle",
    "SyncRunHandle",
    "WorkflowContext",
    "backoff",
    "cron",
    "current_job",
    "event",
    "hookimpl",
    "job",
    "lifespan",
    "workflow",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        if name == "backoff":
            return importlib.import_module("dispatch.backoff")
        raise AttributeError(f"module 'dispatch' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


async def _open_implicit() -> AppPort:
    from dispatch.app import open_implicit

    return await open_implicit()


install_opener(_open_implicit)
