"""Serves the HTTP API on this loop; elsewhere than on this machine only when there is an API key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from dispatch.access import EVERYTHING, Identity
from dispatch.api import API
from dispatch.api.listening import is_loopback, listen, url_of
from dispatch.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from dispatch import Dispatch

LINK_SECONDS = 300.0
"""How long a login link may be used, once."""
_PATIENCE = 3
"""Seconds that requests under way have when the server stops."""
_CONNECTIONS = 2000


@asynccontextmanager
async def served(
    app: Dispatch, *, host: str, port: int, measure: Callable[[], bytes] | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serves the API of an open app inside the block; yields host and port.

    Args:
        host: a name or an address; one that other machines reach needs an API key in the store.
        port: 0 takes a free one. measure: see API.

    Raises:
        MissingExtra: the server's packages are not installed.
        ConfigError: the address cannot be listened on, or has to have a key.
    """
    api = API(app, allowed_hosts=(*app.config.server.allowed_hosts, host), measure=measure)
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra(
            f"the HTTP API needs {error.name}, which is not installed: pip install 'dispatch-tasks[server]'"
        ) from None
    if not is_loopback(host) and not await app.keys.exists():
        raise ConfigError(
            f"{host}:{port} can be reached from other machines, and there is no API key: make one with "
            "`dispatch apikey create --scope '*'`, or serve on 127.0.0.1"
        )

    api.prepare()

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals belong to the command

    listening = listen(host, port, what="the HTTP API")
    config = uvicorn.Config(
        api.asgi(),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_PATIENCE,
        ws_per_message_deflate=False,
        ws_max_size=app.config.limits.frame,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="dispatch http")
    try:
        address = listening.getsockname()
        yield str(address[0]), int(address[1])
    finally:
        server.should_exit = True
        await api.end_streams()
        await asyncio.wait([task])
        listening.close()


async def login_link(app: Dispatch, host: str, port: int) -> str:
    """A link that opens one session, once, for whoever sits at this terminal."""
    person = Identity("the terminal", "", frozenset({EVERYTHING}))
    ticket = await app.logins.ticket(person, "login", expires_in=LINK_SECONDS)
    return f"{url_of(host, port)}/login?ticket={ticket}"
