"""A dashboard that is served for real, and somebody who looks at it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dispatch import Dispatch
from dispatch.access import EVERYTHING, Identity
from dispatch.api.server import served
from dispatch.config import Config
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope
from dispatch.stores.memory import MemoryStore

T = TypeVar("T")
_GO = """address => {
    const path = (hash) => decodeURI(hash.split("?")[0] || "#/overview");
    if (path(address) !== path(location.hash)) document.getElementById("title").dataset.left = "yes";
    location.hash = address;
}"""
"""Goes to another page; the title of the one that is left is marked, so that nobody takes it for the new one's."""


@dataclass
class Place:
    """A served app; its loop runs in a thread of its own."""

    app: Dispatch
    loop: asyncio.AbstractEventLoop
    url: str
    seen: dict[str, Any] = field(default_factory=dict)

    def run(self, coroutine: Coroutine[Any, Any, T], within: float = 30) -> T:
        """What it answers, awaited on the app's loop for at most so many seconds."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(within)

    def login(self, *scopes: str, scope: Scope = NO_SCOPE) -> str:
        """A link that opens a session with these scopes (default: all)."""
        person = Identity("ada", "", frozenset(scopes or {EVERYTHING}), scope)
        return f"{self.url}/login?ticket={self.run(self.app.logins.ticket(person, 'login'))}"


@contextmanager
def placed(
    store: Any = None, *, config: Config | None = None, registry: Registry | None = None, plugins: Sequence[object] = ()
) -> Iterator[Place]:
    """A place with that store (default: an empty one in memory)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dashboard under test")
    thread.start()

    def run(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    async def begin() -> tuple[AsyncExitStack, Dispatch, str]:
        stack = AsyncExitStack()
        app = Dispatch(
            store or MemoryStore(), config=config or Config(), registry=registry or Registry(), plugins=plugins
        )
        await stack.enter_async_context(app)
        host, port = await stack.enter_async_context(served(app, host="127.0.0.1", port=0))
        return stack, app, f"http://{host}:{port}"

    stack, app, url = run(begin())
    try:
        yield Place(app, loop, url)
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Visit:
    """A page of the browser that remembers what went wrong on it."""

    def __init__(self, page: Any, place: Place) -> None:
        self.page = page
        self.place = place
        self.wrong: list[str] = []
        page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def go(self, address: str, title: str | None = None) -> Any:
        """Opens a page of the dashboard, and waits until it shows what it is about."""
        self.page.evaluate(_GO, f"#/{address}")
        self.page.locator("h1#title:not([data-left])").wait_for(timeout=10_000)
        if title is not None:
            self.page.locator("h1", has_text=title).wait_for(timeout=10_000)
        from playwright.sync_api import expect

        expect(self.page.get_by_text("Loading…")).to_have_count(0, timeout=10_000)
        return self.page

    def confirm(self, **fields: str) -> None:
        """Fills in the dialog and agrees."""
        dialog = self.page.get_by_role("dialog")
        for name, value in fields.items():
            dialog.locator(f"[name={name}]").fill(value)
        dialog.locator("button[type=submit]").click()
        dialog.wait_for(state="detached")

    def told(self, text: str) -> None:
        """Waits until the corner says so."""
        self.page.locator(".notes p", has_text=text).first.wait_for(timeout=10_000)


@contextmanager
def visiting(chromium: Any, place: Place, link: str | None = None, **options: Any) -> Iterator[Visit]:
    """Somebody who has logged in; nothing may go wrong on their pages."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", **options)
    try:
        visit = Visit(context.new_page(), place)
        visit.page.goto(link or place.login())
        visit.page.locator("h1").first.wait_for()
        yield visit
        assert visit.wrong == []
    finally:
        context.close()
