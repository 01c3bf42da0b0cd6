"""Every verb once: what the CLI, the app and later doors call. Each name is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.services.admission import Limits
    from dispatch.services.attempts import Failures
    from dispatch.services.audit import Act, AuditRecord, AuditService
    from dispatch.services.cluster import ClusterService
    from dispatch.services.crons import CronService
    from dispatch.services.dlq import DLQService
    from dispatch.services.events import EventService
    from dispatch.services.explain import Explanation
    from dispatch.services.gates import Gate
    from dispatch.services.jobs import JobService
    from dispatch.services.keys import APIKey, APIKeyService, NewAPIKey
    from dispatch.services.logins import LoginService
    from dispatch.services.queues import QueueService
    from dispatch.services.retention import Retention, RetentionService
    from dispatch.services.stats import JobStats, NameStats
    from dispatch.services.status import Status, missed_ticks, read_status
    from dispatch.services.transfer import Copied, StoreCopy
    from dispatch.services.workflows import WorkflowService

_HOMES = {
    "APIKey": "dispatch.services.keys",
    "APIKeyService": "dispatch.services.keys",
    "Act": "dispatch.services.audit",
    "AuditRecord": "dispatch.services.audit",
    "AuditService": "dispatch.services.audit",
    "ClusterService": "dispatch.services.cluster",
    "Copied": "dispatch.services.transfer",
    "CronService": "dispatch.services.crons",
    "DLQService": "dispatch.services.dlq",
    "EventService": "dispatch.services.events",
    "Explanation": "dispatch.services.explain",
    "Failures": "dispatch.services.attempts",
    "Gate": "dispatch.services.gates",
    "JobService": "dispatch.services.jobs",
    "JobStats": "dispatch.services.stats",
    "Limits": "dispatch.services.admission",
    "LoginService": "dispatch.services.logins",
    "NameStats": "dispatch.services.stats",
    "NewAPIKey": "dispatch.services.keys",
    "QueueService": "dispatch.services.queues",
    "Retention": "dispatch.services.retention",
    "RetentionService": "dispatch.services.retention",
    "Status": "dispatch.services.status",
    "StoreCopy": "dispatch.services.transfer",
    "WorkflowService": "dispatch.services.workflows",
    "missed_ticks": "dispatch.services.status",
    "read_status": "dispatch.services.status",
}

__all__ = [
    "APIKey",
    "APIKeyService",
    "Act",
    "AuditRecord",
    "AuditService",
    "ClusterService",
    "Copied",
    "CronService",
    "DLQService",
    "EventService",
    "Explanation",
    "Failures",
    "Gate",
    "JobService",
    "JobStats",
    "Limits",
    "LoginService",
    "NameStats",
    "NewAPIKey",
    "QueueService",
    "Retention",
    "RetentionService",
    "Status",
    "StoreCopy",
    "WorkflowService",
    "missed_ticks",
    "read_status",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
