"""The dead letters of a server elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Attempt
from dispatch.services.edits import Edit
from dispatch.text import iso
from dispatch_cli.remote.link import Link, words
from dispatch_cli.remote.reading import attempts_of, built, letter_of


class RemoteLetters:
    """As DLQService."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, entry_id: DLQID) -> DLQEntry:
        return await self._link.get(f"/v1/dlq/{entry_id}", letter_of)

    async def list(self, options: ListOptions | None = None) -> Page[DLQEntry]:
        chosen = options or ListOptions()
        return await self._link.page("/v1/dlq", letter_of, **_filters(chosen), limit=chosen.limit, cursor=chosen.cursor)

    async def each(self, options: ListOptions | None = None) -> AsyncIterator[DLQEntry]:
        chosen = replace(options or ListOptions(), limit=LARGEST_PAGE, cursor=None)
        while True:
            page = await self.list(chosen)
            for entry in page.items:
                yield entry
            if page.next_cursor is None:
                return
            chosen = replace(chosen, cursor=page.next_cursor)

    async def groups(self) -> Sequence[DLQGroup]:
        return await self._link.all("/v1/dlq/groups", lambda found: built(DLQGroup, found))

    async def count(self, options: ListOptions | None = None) -> int:
        filters = _filters(options or ListOptions())
        return await self._link.get("/v1/dlq/count", lambda found: int(found["count"]), **filters)

    async def attempts(self, entry_id: DLQID) -> Sequence[Attempt]:
        return await self._link.get(f"/v1/dlq/{entry_id}", attempts_of)

    async def replay(self, entry_id: DLQID, *, edit: Edit | None = None) -> JobID:
        body = {**_edited(edit), "reason": self._link.reason}
        return await self._link.post(f"/v1/dlq/{entry_id}/replay", lambda found: JobID(found["job_id"]), body)

    async def rehearse(self, entry_id: DLQID, *, edit: Edit | None = None) -> object:
        return await self._link.post(f"/v1/dlq/{entry_id}/replay", dict, {**_edited(edit), "dry_run": True})

    async def discard(self, entry_id: DLQID) -> None:
        await self._link.post(f"/v1/dlq/{entry_id}/discard", dict, {"reason": self._link.reason})

    async def purge(self, *, older_than: float = 0.0, states: Sequence[DLQState] = (), limit: int = 1000) -> int:
        body = {"older_than": older_than, "states": words(states), "reason": self._link.reason}
        return await self._link.post("/v1/dlq/purge", lambda found: int(found["purged"]), body)


def _edited(edit: Edit | None) -> dict[str, Any]:
    return {} if edit is None else {"payload": edit.arguments, "set": dict(edit.sets), "force": edit.force}


def _filters(options: ListOptions) -> dict[str, Any]:
    return {
        "state": words(options.states or list(DLQState)),  # without any, the API means open ones
        "queue": words(options.queues),
        "name": words(options.names),
        "error": words(options.error_types),
        "until": iso(options.created_before),
    }
