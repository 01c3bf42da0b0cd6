"""The numbers an engine runs by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatch.engine.outcome import Policy
from dispatch.services.retention import Retention


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds and counts; see `dispatch.toml.example` for what each means."""

    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 0})
    """Queue → slots it may use at most (0: as many as there are). None at all: it runs no jobs."""
    concurrency: int = 10
    max_jobs: int | None = None
    """Claim no more once this many jobs have ended here or are held."""
    poll_interval: float = 1.0
    heartbeat_interval: float = 5.0
    lease: float = 30.0
    leader_lease: float = 15.0
    stall_limit: float = 60.0
    grace: float = 25.0
    max_crashes: int = 3
    misfire_window: float = 3600.0
    cron: bool = True
    """Whether this worker campaigns for leadership and fires cron entries."""
    unserved_after: float = 60.0
    unknown_grace: float | None = None
    park_after: float = 1.0
    """Sleeps of workflow runs that are over sooner than this are waited for in place."""
    idempotency_ttl: float = 86400.0
    result_limit: int = 1024 * 1024
    policy: Policy = field(default_factory=Policy)
    retention: Retention = field(default_factory=Retention)
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def lease_margin(self) -> float:
        """How long before its leases may lapse a worker that cannot renew stops its handlers."""
        return self.lease / 6

    @property
    def call_timeout(self) -> float:
        """What one store call of the engine may take."""
        return self.lease / 3
