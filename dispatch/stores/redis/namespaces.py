"""Removing a namespace with everything in it."""

from __future__ import annotations

from dispatch.stores.redis.store import RedisStore

_AT_ONCE = 1000


async def forget(url: str, namespace: str) -> None:
    """Deletes every key of the namespace, a portion at a time, so that nobody else on the server has to wait."""
    store = RedisStore(url, namespace=namespace, migrate="never", allow_eviction=True)
    await store.open()
    try:
        await store.erase(_AT_ONCE)
    finally:
        await store.close()
