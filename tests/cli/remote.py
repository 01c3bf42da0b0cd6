"""A server of a folder's store, on a thread of this process; and what may differ between --url and --store."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dispatch import Dispatch
from dispatch.access import EVERYTHING
from dispatch.api.server import served
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope

_ID = re.compile(r"([a-z]{3,4})_[0-7][0-9a-hjkmnp-tv-z]{25}")
_LENGTH = re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b")
_LATELY = timedelta(minutes=15)
WHO = frozenset(("by", "created_by", "disabled_by", "who"))
"""The person at the terminal here, the key there."""
OWN = frozenset(("store", "key", "completed_per_second", "failed_per_second"))
"""What each way has its own of."""


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    url: str
    key: str
    make_key: Any
    """Makes another key: `make_key("job:read", scope=Scope("shop", "t-1"))`."""


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Serving]:
    """Serves the store in a folder, until the block ends."""
    ready: threading.Event = threading.Event()
    held: dict[str, Any] = {}

    async def serve() -> None:
        stopped = asyncio.Event()
        held["loop"], held["stopped"] = asyncio.get_running_loop(), stopped
        async with (
            Dispatch(f"sqlite:///{folder}/dispatch.db", registry=Registry(), **options) as app,
            served(app, host="127.0.0.1", port=0) as (host, port),
        ):

            def make_key(*scopes: str, scope: Scope = NO_SCOPE) -> str:
                made = app.keys.create("tester", scopes=scopes, scope=scope)
                return asyncio.run_coroutine_threadsafe(made, held["loop"]).result(60).token

            token = (await app.keys.create("tester", scopes=[EVERYTHING])).token
            held["serving"] = Serving(f"http://{host}:{port}", token, make_key)
            ready.set()
            await stopped.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            held["error"] = error
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(120), "the server does not start"
        assert "error" not in held, held["error"]
        yield held["serving"]
    finally:
        if "stopped" in held and thread.is_alive():
            held["loop"].call_soon_threadsafe(held["stopped"].set)
        thread.join(120)


def differences(here: Any, there: Any, at: str = "", key: str = "") -> Iterator[str]:
    """Where two documents differ in what is not just made, or the doing of somebody else."""
    if here == there or key in WHO | OWN:
        return
    if isinstance(here, dict) and isinstance(there, dict) and [*here] == [*there]:
        for name in here:
            yield from differences(here[name], there[name], f"{at}.{name}", name)
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for place, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from differences(one, other, f"{at}[{place}]", key)
    elif not (isinstance(here, str) and isinstance(there, str) and _alike(here, there)):
        yield f"{at}: {here!r} here, {there!r} there"


def _alike(here: str, there: str) -> bool:
    timeless = [_LENGTH.sub("a while", text) for text in (here, there)]
    return timeless[0] == timeless[1] or _kind(here) == _kind(there) is not None


def _kind(text: str) -> str | None:
    """What was made just now: an id of some kind, a moment."""
    if (found := _ID.fullmatch(text)) is not None:
        return found[1]
    if re.fullmatch(r"[0-9a-f]{16}", text):
        return "public id"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return "now" if moment.tzinfo is not None and abs(datetime.now(UTC) - moment) < _LATELY else None
