"""Queues: limits and pauses as stored facts, and slots of them for code that is no job."""

from dispatch.queues.model import Pause, QueueConfig, QueueInfo
from dispatch.queues.slots import QueueManager, Slot
from dispatch.queues.store import QueueStore

__all__ = ["Pause", "QueueConfig", "QueueInfo", "QueueManager", "QueueStore", "Slot"]
