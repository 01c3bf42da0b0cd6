"""The probe: /healthz, /readyz, /metrics, /scale for whoever restarts, routes, graphs, scales. No key, any Host."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dispatch.api.listening import listen
from dispatch.api.metrics import CONTENT_TYPE
from dispatch.errors import ConfigError, MissingExtra, StoreError
from dispatch.services.scale import Demand

if TYPE_CHECKING:
    from starlette.applications import Starlette

_PATIENCE = 10.0
"""Seconds after which a connection is closed, whatever came of it."""
_CONNECTIONS = 100
"""So many at once; more are closed unanswered, so that they cannot use up what the process may open."""

Ask = Callable[[], Mapping[str, Any]]
"""Answers the health now: a document with `live` and `ready`, each true or false."""
Measure = Callable[[], bytes]
"""Answers the measurements now, as Prometheus reads them; MissingExtra or ConfigError say why there are none."""
Demanded = Callable[[int | None, Sequence[str]], Awaitable[Demand]]
"""Answers what the backlog calls for now, with workers of so many slots (None: of as many as here), of some queues."""
_MOST_SLOTS = 100_000


def probe_app(ask: Ask, measure: Measure | None = None, demand: Demanded | None = None) -> Starlette:
    """An ASGI application with GET /healthz (200 while `live`) and /readyz (200 while `ready`), else 503.

    The body is the whole document, as JSON. /metrics answers what `measure` does, or 404 and why there is nothing.
    /scale?queue=…&slots=… answers how many workers the backlog calls for, 503 when the store cannot say.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def route(path: str, key: str) -> Route:
        async def answer(request: Request) -> JSONResponse:
            found = ask()
            headers = {"Cache-Control": "no-store", "Connection": "close"}
            return JSONResponse(dict(found), status_code=200 if found[key] else 503, headers=headers)

        return Route(path, answer, methods=["GET"])

    async def metrics(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        try:
            if measure is None:
                raise ConfigError("/metrics is answered by a process of its own: run one without -p, or export by OTLP")
            return Response(measure(), media_type=CONTENT_TYPE, headers=headers)
        except (MissingExtra, ConfigError) as error:
            return Response(f"{error}\n", status_code=404, media_type="text/plain", headers=headers)

    async def scale(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        slots = request.query_params.get("slots")
        if demand is None:
            told = "/scale is answered by a process of its own: run one without -p, or `dispatch serve`\n"
            return Response(told, status_code=404, media_type="text/plain", headers=headers)
        if slots is not None and not (re.fullmatch("[0-9]{1,6}", slots) and 1 <= int(slots) <= _MOST_SLOTS):
            return Response("slots is a whole number from 1 on\n", 422, media_type="text/plain", headers=headers)
        try:
            found = await demand(None if slots is None else int(slots), request.query_params.getlist("queue"))
        except StoreError:
            return Response("the store does not answer\n", 503, media_type="text/plain", headers=headers)
        return JSONResponse(asdict(found), headers=headers)

    routes = [route("/healthz", "live"), route("/readyz", "ready"), Route("/metrics", metrics, methods=["GET"])]
    routes.append(Route("/scale", scale, methods=["GET"]))
    return Starlette(routes=routes)


@asynccontextmanager
async def probe(
    host: str, port: int, ask: Ask, measure: Measure | None = None, demand: Demanded | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serves the probe on this loop inside the block, so that a blocked loop does not answer; yields host and port.

    Args:
        host: a name or an address. port: 0 takes a free one.
        ask: asked at every request. measure: asked at every request of /metrics. demand: of /scale.

    Raises:
        MissingExtra: the server's packages are not installed.
        ConfigError: the address cannot be listened on.
    """
    try:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError as error:
        raise MissingExtra(
            f"the probe needs {error.name}, which is not installed: pip install 'dispatch-tasks[server]'"
        ) from None

    logger = logging.getLogger("dispatch.probe")
    logger.setLevel(logging.ERROR)  # garbage from whoever comes by is no news

    class Connection(H11Protocol):
        """One request, in good time."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.logger = logger
            self._cut = self.loop.call_later(_PATIENCE, transport.abort)
            if len(self.connections) > _CONNECTIONS:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cut.cancel()
            super().connection_lost(exc)

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals belong to the worker

    listening = listen(host, port, what="the probe")
    try:
        config = uvicorn.Config(
            probe_app(ask, measure, demand),
            http=Connection,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
        )
    except ImportError as error:
        listening.close()
        raise MissingExtra(
            f"the probe needs {error.name}, which is not installed: pip install 'dispatch-tasks[server]'"
        ) from None
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="dispatch probe")
    try:
        address = listening.getsockname()
        yield str(address[0]), int(address[1])
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait([task])
        listening.close()
