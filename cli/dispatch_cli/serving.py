"""The HTTP API beside what a command does: served inside a block, and told of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatch import Dispatch


@asynccontextmanager
async def http(
    app: Dispatch, host: str, port: int, *, measure: Callable[[], bytes] | None = None
) -> AsyncIterator[None]:
    """Serves the app's API inside the block, and tells where; on this machine with a link to log in by."""
    from dispatch.api.listening import is_loopback
    from dispatch.api.server import login_link, served
    from dispatch_cli import banner

    async with served(app, host=host, port=port, measure=measure) as bound:
        banner.announce_http(*bound)
        if is_loopback(bound[0]):
            banner.announce_login(await login_link(app, *bound))
        yield


@asynccontextmanager
async def api_at(app: Dispatch, text: str | None, *, measure: Callable[[], bytes] | None = None) -> AsyncIterator[None]:
    """As `http` at the address in `text`; without one nothing is served."""
    if text is None:
        yield
        return
    from dispatch_cli.probing import address_of

    async with http(app, *address_of(text, option="--http"), measure=measure):
        yield
