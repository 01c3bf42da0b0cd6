"""What the relay's tests share: an app with the relay on a store in memory, and a client that records what it sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dispatch_relay import RelayExtension, Undelivered, WebhookService
from dispatch_relay.addresses import Allowed
from dispatch_relay.sender import Answer, Sender

from dispatch.registry import Registry
from dispatch.testing import MemoryApp


@dataclass
class Sent:
    """One attempt."""

    url: str
    body: dict[str, Any]
    headers: dict[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Postbox(Sender):
    """Takes what is sent instead of the network; `answer` says what the endpoint says."""

    def __init__(self, answer: Callable[[Sent], Answer | int] = lambda _: 200) -> None:
        super().__init__(Allowed())
        self.sent: list[Sent] = []
        self.answer = answer
        self._came = asyncio.Event()

    async def reached(self, count: int, timeout: float = 10.0) -> None:
        """Waits for that many attempts."""
        async with asyncio.timeout(timeout):
            while len(self.sent) < count:
                self._came.clear()
                await self._came.wait()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        sent = Sent(url, json.loads(body), dict(headers), body)
        self.sent.append(sent)
        self._came.set()
        answer = self.answer(sent)
        if answer == 0:
            raise Undelivered(f"{url} could not be reached")
        return answer if isinstance(answer, Answer) else Answer(answer, "", 0.001)

    def types(self, url: str | None = None) -> list[str]:
        return [sent.body["type"].removeprefix("dispatch.") for sent in self.sent if url in (None, sent.url)]


@dataclass
class World:
    """An open app, its relay and its postbox."""

    app: MemoryApp
    relay: RelayExtension
    post: Postbox
    registry: Registry
    webhooks: WebhookService = field(init=False)

    def __post_init__(self) -> None:
        self.webhooks = self.relay.webhooks(self.app)


@asynccontextmanager
async def world(
    registry: Registry | None = None,
    *,
    answer: Callable[[Sent], Answer | int] = lambda _: 200,
    plugins: Sequence[object] = (),
    **settings: Any,
) -> AsyncIterator[World]:
    chosen = registry or Registry()
    post = Postbox(answer)
    relay = RelayExtension(sender=post, **settings)
    async with MemoryApp(chosen, plugins=[relay, *plugins]) as app:
        yield World(app, relay, post, chosen)
