"""Short words for cases about transfer: all that a store exports, loaded elsewhere."""

from __future__ import annotations

from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.testing.conformance.env import Env
from dispatch.transfer import KINDS, Document, TransferKind

Dump = dict[TransferKind, list[Document]]


async def dump_of(store: Store, *, limit: int = 500) -> Dump:
    """Everything, page by page."""
    found: Dump = {}
    for kind in KINDS:
        found[kind] = []
        after: str | None = None
        for _ in range(1000):
            page = await store.transfer.export(kind, after=after, limit=limit)
            assert len(page.items) <= limit, f"export answered {len(page.items)} of {limit}"
            found[kind] += page.items
            after = page.next_cursor
            assert (after is None) == (not page.items), "the cursor is None where nothing was left, and only there"
            if after is None:
                break
        else:
            raise AssertionError(f"the walk through {kind} does not end")
    return found


async def load_all(store: Store, dump: Dump) -> dict[TransferKind, int]:
    return {kind: await store.transfer.load(kind, dump[kind]) for kind in KINDS}


async def elsewhere(env: Env) -> Env:
    """An empty world beside this one, on the same clock."""
    store = MemoryStore(clock=env.clock)
    await store.open()
    env.opened.append(store)
    return Env(store, env.clock, env.worker, env.other)


async def moved(env: Env, other: Env) -> None:
    """Loads into this store what the other world made."""
    await load_all(env.store, await dump_of(other.store))
