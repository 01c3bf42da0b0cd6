"""Every verb once: what the CLI, the app and later doors call."""

from dispatch.services.attempts import Failures
from dispatch.services.audit import Act, AuditRecord, AuditService
from dispatch.services.cluster import ClusterService
from dispatch.services.crons import CronService
from dispatch.services.dlq import DLQService
from dispatch.services.events import EventService
from dispatch.services.explain import Explanation
from dispatch.services.gates import Gate
from dispatch.services.jobs import JobService, Limits
from dispatch.services.keys import APIKey, APIKeyService, NewAPIKey
from dispatch.services.logins import LoginService
from dispatch.services.queues import QueueService
from dispatch.services.retention import Retention, RetentionService
from dispatch.services.stats import JobStats, NameStats
from dispatch.services.status import Status, missed_ticks, read_status
from dispatch.services.transfer import Copied, StoreCopy
from dispatch.services.workflows import WorkflowService

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
