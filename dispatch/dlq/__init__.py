"""Dead letters."""

from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions, Replayed
from dispatch.dlq.store import DLQStore

__all__ = ["DLQEntry", "DLQGroup", "DLQState", "DLQStore", "ListOptions", "Replayed"]
