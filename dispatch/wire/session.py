"""One client on a WebSocket: it proves who it is, then asks and listens, as fast as it reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dispatch import access
from dispatch.access import Identity
from dispatch.clock import utc_now
from dispatch.ids import new_public_id
from dispatch.text import iso
from dispatch.wire.codecs import CODECS, Codec, JSONCodec
from dispatch.wire.frames import Frame, FrameType
from dispatch.wire.handler import WireHandler, response, taken
from dispatch.wire.params import Auth, Subscribe, Unsubscribe
from dispatch.wire.refusals import UNAUTHENTICATED, Refusal, encoded
from dispatch.wire.subscriptions import Subscriptions

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

AUTH_WITHIN = 5.0
_SLOWEST_SEND = 30.0
"""Seconds after which a client that does not read is dropped."""
_AT_ONCE = 16
"""Requests of one client that are worked on at the same time."""
_LOOK_AGAIN = 30.0
"""Seconds between two looks whether the key is still valid."""
_POLICY, _TOO_BIG = 1008, 1009

Prove = Callable[[str], Awaitable[Identity | None]]
"""Finds out who holds a token, or, without one, whose browser it is."""


class Session:
    """Serves one WebSocket from the handshake to the end.

    Args:
        socket: not yet accepted. prove: finds out who is there.
        largest, deepest: bytes and levels of a frame.
    """

    def __init__(
        self,
        socket: WebSocket,
        handler: WireHandler,
        *,
        prove: Prove,
        largest: int,
        deepest: int,
        logger: logging.Logger,
        look_again: float = _LOOK_AGAIN,
    ) -> None:
        self._socket = socket
        self._handler = handler
        self._prove = prove
        self._limits = {"largest": largest, "deepest": deepest}
        self._codec: Codec = JSONCodec(**self._limits)
        self._logger = logger
        self._look_again = look_again
        self._sending = asyncio.Lock()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Returns once the client has gone, or was sent away."""
        await self._socket.accept()
        try:
            async with asyncio.timeout(AUTH_WITHIN):
                found = await self._authenticate()
        except TimeoutError:
            await self._close(_POLICY, f"no auth frame within {AUTH_WITHIN:g} s")
            return
        if found is None:
            return
        identity, token = found
        subscriptions = Subscriptions(self._handler.app, identity, self._send, logger=self._logger)
        watch = asyncio.create_task(self._watch(token), name="dispatch wire key")
        try:
            while (frame := await self._receive()) is not None:
                if frame.credits:
                    subscriptions.credits.grant(frame.credits)
                if frame.type in (FrameType.PONG, FrameType.RESPONSE):
                    continue
                await self._room.acquire()
                task = asyncio.create_task(self._answer(frame, identity, subscriptions))
                self._tasks.add(task)
                task.add_done_callback(self._done)
        finally:
            watch.cancel()
            await self._drop_answers()
            await subscriptions.close()

    async def _authenticate(self) -> tuple[Identity, str] | None:
        frame = await self._receive()
        if frame is None:
            return None
        try:
            if frame.type != FrameType.REQUEST or frame.method != "auth":
                raise Refusal(401, "the first frame is a request with the method auth")
            given = taken(frame, Auth)
            token = given.token or frame.token
            codec = CODECS.get(given.format)
            if codec is None:
                raise Refusal(400, f"there is no format {given.format!r}; there are json and msgpack")
            identity = await self._prove(token)
            if identity is None:
                raise Refusal(401, UNAUTHENTICATED)
        except Exception as error:
            await self._send(self._handler.refused(frame, error))
            await self._close(_POLICY, "not authenticated")
            return None
        await self._send(response(frame, {"format": codec.name, "session_id": f"ses_{new_public_id()}"}))
        self._codec = codec(**self._limits)
        return identity, token

    async def _answer(self, frame: Frame, identity: Identity, subscriptions: Subscriptions) -> None:
        try:
            match frame.method if frame.type == FrameType.REQUEST else "":
                case "subscribe":
                    answer = response(frame, await self._subscribe(frame, identity, subscriptions))
                case "unsubscribe":
                    answer = response(frame, await self._unsubscribe(frame, subscriptions))
                case "auth":
                    raise Refusal(409, "this connection has proven who it is; open another one for another key")
                case _:
                    answer = await self._handler.handle(frame, identity)
        except Exception as error:
            answer = self._handler.refused(frame, error)
        await self._send(answer)

    async def _subscribe(self, frame: Frame, identity: Identity, subscriptions: Subscriptions) -> Any:
        self._handler.authorise(frame, identity, access.SUBSCRIBE)
        given = taken(frame, Subscribe)
        if given.credits is not None:
            subscriptions.credits.grant(given.credits)
        subscription_id, after = await subscriptions.add(given.channel, after=given.after)
        return {"channel": given.channel, "subscription_id": subscription_id, "status": "subscribed", "after": after}

    async def _unsubscribe(self, frame: Frame, subscriptions: Subscriptions) -> Any:
        given = taken(frame, Unsubscribe)
        ended = await subscriptions.remove(channel=given.channel, subscription_id=given.subscription_id)
        if ended is None:
            raise Refusal(404, "there is no such subscription on this connection")
        return {"channel": ended[0], "subscription_id": ended[1], "status": "unsubscribed"}

    async def _receive(self) -> Frame | None:
        """The next frame; None once the client has gone or was sent away for what it sent."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            data = message.get("bytes")
            if data is None:
                data = message.get("text") or ""
            try:
                return self._codec.decode(data)
            except ValueError as error:
                refusal = self._handler.refused(Frame(type=FrameType.ERROR), error)
                await self._send(refusal)
                if refusal.error is not None and refusal.error.code == 413:
                    await self._close(_TOO_BIG, "a frame was too large")
                    return None

    async def _send(self, frame: Frame) -> None:
        frame.ts = iso(utc_now())
        data = encoded(self._codec, frame)
        try:
            async with asyncio.timeout(_SLOWEST_SEND), self._sending:
                if self._codec.binary:
                    await self._socket.send_bytes(data)
                else:
                    await self._socket.send_text(data.decode())
        except TimeoutError:
            await self._close(_POLICY, "too slow a reader")
            raise

    async def _watch(self, token: str) -> None:
        """A key that was revoked, or is over, ends its connections too."""
        while True:
            await asyncio.sleep(self._look_again)
            try:
                if await self._prove(token) is None:
                    await self._close(_POLICY, "the key is no longer valid")
                    return
            except Exception as error:  # the store may be down for a while
                self._logger.debug("could not look at a key: %r", error)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._socket.close(code, reason)
        except RuntimeError:  # it is closed already
            return

    async def _drop_answers(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            self._logger.debug("the client went while it was answered: %r", task.exception())
