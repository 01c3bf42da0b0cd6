"""A command's way to the configuration and the store: read once, opened late, closed always."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import typer

from dispatch.lazily import lazily
from dispatch.text import safe
from dispatch_cli.failures import STORE, CommandError
from dispatch_cli.render import Output
from dispatch_cli.settings import Settings, settings_of

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.client.http import HTTPClient
    from dispatch.config import Config, LoadedConfig
    from dispatch.registry import Registry
    from dispatch.store import Store
    from dispatch_cli.admin import Admin

T = TypeVar("T")
_SESSION = "dispatch_cli.session"


@dataclass
class Session:
    """What one run of a command works with."""

    settings: Settings

    @lazily
    def out(self) -> Output:
        """Where data goes."""
        return Output(self.settings)

    @lazily
    def loaded(self) -> LoadedConfig:
        """The configuration; its warnings are told once."""
        from dispatch.config import load

        loaded = load(
            file=self.settings.config,
            profile=self.settings.profile,
            overrides={
                "store": self.settings.store,
                "url": self.settings.server_url,
                "api_key_file": self.settings.api_key_file,
            },
        )
        for warning in loaded.warnings:
            self.tell(f"warning: {warning}")
        return loaded

    @property
    def config(self) -> Config:
        """The configuration's values."""
        return self.loaded.config

    @property
    def store_url(self) -> str:
        """The store as it may be shown."""
        from dispatch.config import mask_url

        return mask_url(self.config.store)

    @lazily
    def server(self) -> str | None:
        """The server to be asked instead of the store: whichever of the two was named nearer to the command."""
        from dispatch_cli.origins import nearness

        if self.settings.store and self.settings.server_url:
            raise CommandError("--store opens a store, --url asks a server: keep one of them")
        url = self.config.url
        origins = self.loaded.origins
        return url if url and nearness(origins["url"]) >= nearness(origins["store"]) else None

    @property
    def place(self) -> str:
        """Where things are looked after: the server, or the store as it may be shown."""
        from dispatch.config import mask_url

        return self.store_url if self.server is None else mask_url(self.server)

    @property
    def tables(self) -> frozenset[str]:
        """The queues that [queue.NAME] limits here; a server has a configuration of its own."""
        return frozenset(self.config.queue if self.server is None else ())

    def store_file(self, url: str | None = None) -> Path | None:
        """The file of the configured SQLite store, or of the one at `url`; None for other kinds and refused URLs."""
        prefix, _, rest = (self.config.store if url is None else url).partition(":///")
        is_file = (
            prefix in ("sqlite", "sqlalchemy+sqlite+aiosqlite") and rest and rest != ":memory:" and "?" not in rest
        )
        return Path(unquote(rest)) if is_file else None

    def missing_file(self, url: str | None = None) -> Path | None:
        """The file of a SQLite store that is not there; opening the store would create it."""
        path = self.store_file(url)
        return path if path is not None and not path.exists() else None

    def must_exist(self, url: str | None = None) -> None:
        """Ends the command with 6 when there is no store yet: what only looks must not make one."""
        missing = self.missing_file(url)
        if missing is not None:
            raise _no_store(str(missing))

    async def must_be_made(self) -> None:
        """As `must_exist` for an empty file and a server without a store, which opening the app would make one."""
        file = self.store_file()
        if file is not None:
            if file.is_file() and file.stat().st_size == 0:
                raise _no_store(str(file))
            return
        async with self.bare_store() as store:
            if not (await store.schema()).current:
                raise _no_store(self.store_url)

    def tell(self, text: str) -> None:
        """Says something to the person, on stderr."""
        print(safe(text), file=sys.stderr, flush=True)

    def find_own_modules(self) -> None:
        """Lets a project's own plugins be imported, as `python -m` does."""
        if self.config.plugins and "" not in sys.path:
            sys.path.insert(0, "")

    @asynccontextmanager
    async def app(
        self, *, registry: Registry | None = None, plugins: tuple[object, ...] = ()
    ) -> AsyncIterator[Dispatch]:
        """The open app on the configured store; by default it knows no definitions but what others have announced."""
        self.must_have_store()
        from dispatch import Dispatch
        from dispatch.registry import Registry

        chosen = Registry() if registry is None else registry
        self.find_own_modules()
        async with Dispatch(config=self.config, registry=chosen, plugins=list(plugins)) as app:
            yield app

    @contextmanager
    def implicit_app(self) -> Iterator[None]:
        """Inside, code that enqueues without an open app does so on this session's store."""
        from dispatch import Dispatch, current
        from dispatch.errors import NoOpenApp
        from dispatch.portal import portal, run_sync

        opened: list[Dispatch] = []

        async def opener() -> Dispatch:
            if not self.config.auto_open:
                raise NoOpenApp("the job enqueues, but no app is open and auto_open is false")
            app = Dispatch(config=self.config)
            await app.connect()
            opened.append(app)
            return app

        before = current._opener
        current.install_opener(opener)
        try:
            yield
        finally:
            current._opener = before
            for app in opened:
                run_sync(portal.loop, app.close)

    @asynccontextmanager
    async def bare_store(self, url: str | None = None, *, migrate: str = "never") -> AsyncIterator[Store]:
        """The configured store, or the one at `url`, alone, opened whatever its schema is."""
        if url is None:
            self.must_have_store()
        from dispatch.app.stores import store_of

        self.find_own_modules()
        store = store_of(self.config, self.config.store if url is None else url, migrate=migrate)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def on_app(
        self,
        act: Callable[[Dispatch], Awaitable[T]],
        *,
        create: bool = False,
        through: Callable[[HTTPClient], Awaitable[T]] | None = None,
    ) -> T:
        """Opens the app, awaits `act(app)`, closes the app; without `create` the store must be there already.

        Where a server was named, awaits `through` on a client of it instead; without `through` the command ends with 2.
        """
        if self.server is not None and through is not None:
            from dispatch_cli.remote.asking import ask_server

            return asyncio.run(ask_server(self, self.server, through))
        self.must_have_store()
        if not create:
            self.must_exist()

        async def run() -> T:
            if not create:
                await self.must_be_made()
            async with self.app() as app:
                return await act(app)

        return asyncio.run(run())

    def administer(self, act: Callable[[Admin], Awaitable[T]], *, create: bool = False) -> T:
        """Awaits `act` on the server that was named, else on the store, which without `create` must be there."""

        async def on_store(app: Dispatch) -> T:
            from dispatch_cli.local import LocalAdmin

            return await act(LocalAdmin(app, self.store_url))

        async def on_server(client: HTTPClient) -> T:
            from dispatch_cli.remote import RemoteAdmin

            return await act(RemoteAdmin(client))

        return self.on_app(on_store, create=create, through=on_server)

    def must_have_store(self) -> None:
        """Ends the command with 2 when a server was named, which is no store."""
        if self.server is not None:
            raise CommandError(
                f"this works on a store only, and {self.place} is a server",
                hint="leave out --url, or name the store with --store",
            )


def _no_store(place: str) -> CommandError:
    return CommandError(
        f"there is no store at {place}",
        code="store_unreachable",
        exit_code=STORE,
        hint="is this the right folder? --store or dispatch.toml name another one; "
        "`dispatch run` and `dispatch store init` create it",
    )


def session_of(ctx: typer.Context) -> Session:
    """The session of this command."""
    settings = settings_of(ctx)
    held = ctx.meta.get(_SESSION)
    if not isinstance(held, Session) or held.settings is not settings:
        held = ctx.meta[_SESSION] = Session(settings)
    return held


def must_be_here(ctx: typer.Context, why: str, *, storeless: bool) -> None:
    """Ends a command that cannot be done through a server, where one was named: for `storeless` ones by --url alone."""
    session = session_of(ctx)
    server = session.settings.server_url if storeless else session.server
    if server is not None:
        from dispatch.config import mask_url

        raise CommandError(
            f"`{ctx.command_path}` cannot be done through a server ({mask_url(server)}): {why}",
            code="local_only",
            hint="leave out --url" if storeless or session.settings.server_url else "--store names the store it is for",
        )
