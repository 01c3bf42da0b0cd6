"""Around everything that is served: only known Host names, headers that keep browsers strict, no error's inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.api.guard import Guard
from dispatch.api.problems import Problem, problem_response
from dispatch.api.routing import request_id_of

ANY_HOST = ("/healthz", "/readyz")
"""Whoever restarts processes calls them by their address; no data there."""
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries unless it says otherwise itself."""
_logger = logging.getLogger("dispatch.api")


class Shield:
    """ASGI middleware."""

    def __init__(self, inner: ASGIApp, *, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._problem(scope, headers)
        if scope["type"] == "websocket":
            if problem is None:
                await self._inner(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": problem.code})
            return
        await self._http(scope, receive, send, headers, problem)

    def _problem(self, scope: Scope, headers: Headers) -> Problem | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            if path not in ANY_HOST:
                self._guard.check_host(headers)
        except Problem as problem:
            return problem
        return None

    async def _http(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, problem: Problem | None
    ) -> None:
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                answered = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answered.setdefault(name, value)
            await send(message)

        request_id = request_id_of(headers)
        if problem is not None:
            await problem_response(problem, request_id)(scope, receive, sent)
            return
        try:
            await self._inner(scope, receive, sent)
        except Exception:
            _logger.exception("request %s", request_id)
            if begun:
                raise
            wrong = Problem(500, "internal", "something went wrong inside; the log has it under this request id")
            await problem_response(wrong, request_id)(scope, receive, sent)
