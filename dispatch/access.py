"""Who asks and what they may: the scopes that doors know, and the identity that a key, ticket or session stands for."""

from __future__ import annotations

from dataclasses import dataclass

from dispatch.scope import NO_SCOPE, Scope

EVERYTHING = "*"
JOB_READ, JOB_WRITE = "job:read", "job:write"
WORKFLOW_READ, WORKFLOW_WRITE = "workflow:read", "workflow:write"
EVENT_WRITE = "event:write"
CRON_READ, CRON_WRITE = "cron:read", "cron:write"
DLQ_READ, DLQ_WRITE = "dlq:read", "dlq:write"
QUEUE_WRITE = "queue:write"
WORKER_READ, WORKER_WRITE = "worker:read", "worker:write"
STATS_READ = "stats:read"
SUBSCRIBE = "subscribe"
ADMIN = "admin"
SCOPES: tuple[str, ...] = (
    EVERYTHING,
    *(JOB_READ, JOB_WRITE, WORKFLOW_READ, WORKFLOW_WRITE, EVENT_WRITE, CRON_READ, CRON_WRITE, DLQ_READ, DLQ_WRITE),
    *(QUEUE_WRITE, WORKER_READ, WORKER_WRITE, STATS_READ, SUBSCRIBE, ADMIN),
)
"""What a key can be allowed; each stands for itself alone, and "*" for all of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proven who they are.

    >>> Identity("deploy", "3f2a", frozenset({"job:read"})).may(JOB_WRITE)
    False
    """

    name: str
    key_id: str
    """The public id of the key; "" for one who needs none, as a person at the server's own terminal."""
    scopes: frozenset[str]
    scope: Scope = NO_SCOPE
    """The tenant; empty: bound to none, so that every tenant's things are seen."""

    def may(self, needed: str) -> bool:
        """Whether it is allowed what that scope stands for."""
        return EVERYTHING in self.scopes or needed in self.scopes

    @property
    def within(self) -> Scope | None:
        """The tenant whose things it sees, as services take it; None: every tenant's."""
        return self.scope or None

    @property
    def bound(self) -> bool:
        """Whether it belongs to a tenant, and so must not touch what all tenants share."""
        return bool(self.scope)

    @property
    def who(self) -> str:
        """As audit records name it."""
        return f"{self.name} (key {self.key_id})" if self.key_id else self.name
