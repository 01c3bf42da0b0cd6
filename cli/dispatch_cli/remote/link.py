"""How the remote services ask: a request, its document read back, and the reason that goes along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from dispatch.client.errors import ServerFailed
from dispatch.client.http import HTTPClient
from dispatch.entity import Page

T = TypeVar("T")
Read = Callable[[Any], T]


class Link:
    """Requests to one server, for one command."""

    def __init__(self, client: HTTPClient) -> None:
        self._client = client
        self.reason = ""
        """Why the command does what it does, for the server's audit records."""

    @property
    def url(self) -> str:
        return self._client.url

    async def get(self, path: str, read: Read[T], *, wait: float = 0.0, **query: Any) -> T:
        """What `read` makes of the document there."""
        return self.read(await self._client.ask("GET", path, query=query, wait=wait), read)

    async def page(self, path: str, read: Read[T], **query: Any) -> Page[T]:
        """A page of what `read` makes of the items there."""

        def pages(found: Any) -> Page[T]:
            if (following := found["next_cursor"]) is not None and following == query.get("cursor"):
                raise ValueError("the page after this one is this one")
            return Page([read(one) for one in found["items"]], following)

        return await self.get(path, pages, **query)

    async def all(self, path: str, read: Read[T], **query: Any) -> list[T]:
        """All items of a list that has no pages."""
        return await self.get(path, lambda found: [read(one) for one in found["items"]], **query)

    async def post(self, path: str, read: Read[T], body: dict[str, Any] | None = None, *, method: str = "POST") -> T:
        """What `read` makes of the answer to a change."""
        return self.read(await self._client.ask(method, path, body=body or {}), read)

    async def delete(self, path: str) -> None:
        """Deletes what is there."""
        await self._client.ask("DELETE", path, query={"reason": self.reason or None})

    def read(self, document: Any, read: Read[T]) -> T:
        """What `read` makes of a document. Raises ServerFailed where it makes nothing of it."""
        try:
            return read(document)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ServerFailed(
                f"{self.url} answers with what this version does not understand ({error!r}): "
                "it runs another version of Dispatch"
            ) from None


def part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def words(values: Sequence[Any]) -> list[str]:
    """Values as a query repeats them."""
    return [str(value) for value in values]


def given(**fields: Any) -> dict[str, Any]:
    """A body without what nobody said."""
    return {name: value for name, value in fields.items() if value is not None}
