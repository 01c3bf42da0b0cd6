"""The fleet: workers, announced definitions, leadership."""

from dispatch.cluster.elector import LeaderElector, OpenElector
from dispatch.cluster.model import Announcement, Leadership, NewWorker, Worker, WorkerState
from dispatch.cluster.store import ClusterStore

__all__ = [
    "Announcement",
    "ClusterStore",
    "LeaderElector",
    "Leadership",
    "NewWorker",
    "OpenElector",
    "Worker",
    "WorkerState",
]
