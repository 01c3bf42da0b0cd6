"""An outbox: jobs of a store that is no SQL database, kept in one by the caller's transaction until they are moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dispatch.errors import ConfigError
from dispatch.jobs.model import Enqueued, NewJob
from dispatch.jobs.store import EnqueuesHere, EnqueuesInside
from dispatch.store import Store
from dispatch.stores.outbox_rows import row_of


class WithOutbox:
    """A store whose jobs a transaction on another database can hold: a row there, which workers move here after the
    commit (`dispatch.engine.forwarder`). Everything else is the store's own.

    Args:
        store: where jobs live, such as Redis.
        outbox: a store in the SQL database of the caller's transactions.

    Raises:
        ConfigError: `store` needs no outbox, or `outbox` cannot be one.
    """

    def __init__(self, store: Store, outbox: Store) -> None:
        if isinstance(store.jobs, EnqueuesInside):
            raise ConfigError(
                f"outbox = {outbox.url}: the store {store.url} is a SQL database itself, whose transactions can hold "
                "its jobs; leave the outbox out"
            )
        if not isinstance(outbox.jobs, EnqueuesInside):
            raise ConfigError(f"outbox = {outbox.url}: name a SQL database, whose transactions can hold rows")
        self.store = store
        self.outbox = outbox
        face = _InsideAndHere if isinstance(store.jobs, EnqueuesHere) else _Inside
        self.jobs = face(store.jobs, outbox.jobs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def open(self) -> None:
        """Opens both."""
        await self.store.open()
        try:
            await self.outbox.open()
        except BaseException:
            await self.store.close()
            raise

    async def close(self) -> None:
        """Closes both; idempotent."""
        try:
            await self.outbox.close()
        finally:
            await self.store.close()


def with_outbox(store: Store, outbox: Store) -> Store:
    """The store as code sees it that asks for nothing but a Store."""
    return cast("Store", WithOutbox(store, outbox))


class _Inside:
    """The jobs part of a store, with EnqueuesInside by way of the outbox."""

    def __init__(self, jobs: Any, outbox: EnqueuesInside) -> None:
        self._jobs = jobs
        self._outbox = outbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def prepare_inside(self) -> None:
        """As EnqueuesInside."""
        await self._outbox.prepare_inside()

    async def enqueue_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As EnqueuesInside; what keys the jobs bring is looked at once they are moved."""
        return await self._outbox.enqueue_inside(connection, [row_of(job) for job in jobs])

    def enqueue_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As EnqueuesInside."""
        return self._outbox.enqueue_inside_here(connection, [row_of(job) for job in jobs])


class _InsideAndHere(_Inside):
    """The same for a store that code without a loop can enqueue in."""

    def enqueue_here(self, jobs: Sequence[NewJob]) -> list[Enqueued] | None:
        """As EnqueuesHere."""
        answers: list[Enqueued] | None = self._jobs.enqueue_here(jobs)
        return answers
