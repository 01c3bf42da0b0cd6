"""The wire protocol as an ASGI application: WebSocket /dwp, server-sent events /dwp/sse, plain requests /dwp/rpc."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from dispatch import access
from dispatch.access import Identity
from dispatch.clock import utc_now
from dispatch.errors import InvalidArguments
from dispatch.services.attempts import Failures
from dispatch.text import iso
from dispatch.wire.authenticator import Authenticator, StoredKeys
from dispatch.wire.codecs import DEEPEST, LARGEST, Codec, JSONCodec, MsgpackCodec
from dispatch.wire.frames import Frame, FrameType
from dispatch.wire.handler import WireHandler
from dispatch.wire.refusals import UNAUTHENTICATED, Refusal, encoded, refusal_of
from dispatch.wire.session import Session
from dispatch.wire.subscriptions import Subscriptions

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from dispatch import Dispatch

_BEAT = 15.0
_MOST_WAITING = 1000
_MOST_CHANNELS = 10
Browser = Callable[["Scope", "str | None"], Awaitable[Identity | None]]
"""Whose session's cookie, or one-use ticket, a connection bears."""


class WireServer:
    """Serves the wire protocol; mount it where paths end in /dwp, /dwp/sse and /dwp/rpc.

    Args:
        app: an open app.
        authenticator: who holds which token (default: the API keys of the app's store).
        browser: finds out whose session or ticket it is, where browsers may come in (default: they may not).
        admit: raises for a connection that must not come in at all, such as by its Host (default: a page of another
            origin is refused).
        read_only: whether what changes something is refused.
        largest, deepest: bytes and levels of a frame.
    """

    def __init__(
        self,
        app: Dispatch,
        *,
        authenticator: Authenticator | None = None,
        browser: Browser | None = None,
        admit: Callable[[Scope], None] | None = None,
        read_only: bool = False,
        largest: int = LARGEST,
        deepest: int = DEEPEST,
        failures: Failures | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._logger = logger or logging.getLogger("dispatch.wire")
        self.handler = WireHandler(app, read_only=read_only, logger=self._logger)
        self._authenticator = authenticator or StoredKeys(app)
        self._browser = browser
        self._admit = admit or refuse_other_origins
        self._largest, self._deepest = largest, deepest
        self._failures = failures or Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        path = str(scope["path"]).rstrip("/")
        if scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send), path)
            return
        request = Request(scope, receive)
        try:
            self._admit(scope)
            if path.endswith("/dwp/rpc"):
                response = await self._rpc(request)
            elif path.endswith("/dwp/sse"):
                response = await self._sse(request)
            else:
                raise Refusal(404, "here are /dwp (WebSocket), /dwp/sse and /dwp/rpc")
        except Exception as error:
            frame = self.handler.refused(Frame(type=FrameType.REQUEST), error)
            response = _answer(frame, JSONCodec())
        await response(scope, receive, send)

    async def _websocket(self, socket: WebSocket, path: str) -> None:
        try:
            self._admit(socket.scope)
            if not path.endswith("/dwp"):
                raise Refusal(404, "the WebSocket is /dwp")
        except Exception as error:
            await socket.close(1008, refusal_of(error).message[:100])
            return
        session = Session(
            socket,
            self.handler,
            prove=lambda token: self._who(socket.scope, token),
            largest=self._largest,
            deepest=self._deepest,
            logger=self._logger,
        )
        await session.serve()

    async def _rpc(self, request: Request) -> Response:
        if request.method != "POST":
            raise Refusal(405, "POST a frame")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "application/msgpack"):
            raise Refusal(400, "send a frame as application/json or application/msgpack")
        codec: Codec = (MsgpackCodec if kind == "application/msgpack" else JSONCodec)(
            largest=self._largest, deepest=self._deepest
        )
        frame = codec.decode(await self._body(request))
        token = bearer_of(request.headers) or frame.token
        identity = await self._who(request.scope, token)
        if identity is None:
            return _answer(self.handler.refused(frame, Refusal(401, UNAUTHENTICATED)), codec)
        return _answer(await self.handler.handle(frame, identity), codec)

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._largest:
                raise Refusal(413, f"the frame is larger than {self._largest:,} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def _sse(self, request: Request) -> Response:
        if request.method != "GET":
            raise Refusal(405, "GET the stream")
        query = request.query_params
        channels = query.getlist("channel")
        if not 1 <= len(channels) <= _MOST_CHANNELS:
            raise Refusal(400, f"say what to listen to: ?channel=jobs, up to {_MOST_CHANNELS} of them")
        resume = request.headers.get("last-event-id") or query.get("after")
        if resume is not None and not (resume.isascii() and resume.isdigit() and len(resume) < 19):
            raise InvalidArguments("after, or Last-Event-ID, is the `after` of the last event that was seen")
        identity = await self._who(request.scope, bearer_of(request.headers) or "", ticket=query.get("ticket"))
        if identity is None:
            raise Refusal(401, UNAUTHENTICATED)
        if not identity.may(access.SUBSCRIBE):
            raise Refusal(403, f"this key lacks the scope {access.SUBSCRIBE}")
        waiting: asyncio.Queue[Frame] = asyncio.Queue(_MOST_WAITING)
        subscriptions = Subscriptions(self.handler.app, identity, waiting.put, logger=self._logger)
        try:
            for channel in channels:
                await subscriptions.add(channel, after=None if resume is None else int(resume))
        except BaseException:
            await subscriptions.close()
            raise
        return StreamingResponse(
            _events(waiting, subscriptions),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _who(self, scope: Scope, token: str, *, ticket: str | None = None) -> Identity | None:
        """Who that is. Raises Refusal (429) after too many failures from there."""
        address = str((scope.get("client") or ("unknown",))[0])
        if self._failures.wait(address):
            raise Refusal(429, "too many failed attempts; wait a while")
        if token:
            found = await self._authenticator.authenticate(token)
        elif self._browser is not None:
            found = await self._browser(scope, ticket)
        else:
            found = None
        if found is None and (token or ticket):
            self._failures.failed(address)
        return found


async def _events(waiting: asyncio.Queue[Frame], subscriptions: Subscriptions) -> AsyncIterator[bytes]:
    codec = JSONCodec()
    try:
        yield b"retry: 1000\n\n"
        while True:
            try:
                async with asyncio.timeout(_BEAT):
                    frame = await waiting.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            frame.ts = iso(utc_now())
            yield b"id: %d\ndata: %s\n\n" % (frame.body["after"], codec.encode(frame))
    finally:
        await subscriptions.close()


def _answer(frame: Frame, codec: Codec) -> Response:
    frame.ts = iso(utc_now())
    status = 200 if frame.error is None else frame.error.code
    return Response(
        encoded(codec, frame),
        status_code=status,
        media_type="application/msgpack" if codec.binary else "application/json",
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )


def bearer_of(headers: Headers) -> str:
    """The token of an Authorization header; "" without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refuse_other_origins(scope: Scope) -> None:
    """Raises Refusal (403) for what a page of another origin asks for."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Refusal(403, "a page of another origin may not come in here")
