"""The app that bare enqueues use where none is open."""

from __future__ import annotations

from dispatch.app.dispatcher import Dispatch
from dispatch.config import load
from dispatch.errors import NoOpenApp
from dispatch.portal import portal


async def open_implicit() -> Dispatch:
    """The app that bare enqueues use where none is open; NoOpenApp when the configuration says `auto_open = false`."""
    config = load().config
    if not config.auto_open:
        raise NoOpenApp(
            "no app is open and auto_open is false: open one with `async with Dispatch(...):`, or call a verb of an app"
        )
    app = Dispatch(config=config)
    await app.connect()
    try:
        await app.announce()
    except BaseException:
        await app.close()
        raise
    portal.at_exit(app.close)
    return app
