"""The memory store: all of the Store protocol but durability, for tests and as the reference of the others."""

from dispatch.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
