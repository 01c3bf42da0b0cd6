"""Dispatch inside a FastAPI or Starlette application: open while it runs, at hand in requests, its API mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from dispatch.app import Dispatch
from dispatch.backoff import Strategy
from dispatch.config import Config, load
from dispatch.errors import ConfigError, MissingExtra, NoOpenApp
from dispatch.jobs.handler import Middleware
from dispatch.registry import Registry
from dispatch.store import Store

try:
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"this integration needs {error.name}, which is not installed: pip install 'dispatch-tasks[server]'"
    ) from None

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from dispatch.api import API
    from dispatch.engine.engine import Engine

__all__ = ["DispatchExtension", "Lifespan", "dispatch_lifespan", "get_dispatch"]

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
"""What Starlette and FastAPI take as `lifespan=`."""
_STATE = "dispatch"


def dispatch_lifespan(
    app: Dispatch | None = None, *, worker: bool = False, inner: Callable[[Any], Any] | None = None
) -> Lifespan:
    """A lifespan that keeps an app open while the web application runs, so that its requests may enqueue.

    Args:
        app: what to open (default: `Dispatch()`, which reads the configuration).
        worker: run a worker inside of the web process, too, instead of `dispatch run` beside it.
        inner: the web application's own lifespan; it runs while the app is open.

    Raises:
        ConfigError: the configuration is wrong. When it starts, what `Dispatch.open` raises.

    >>> web = FastAPI(lifespan=dispatch_lifespan(Dispatch("sqlite:///dispatch.db")))  # doctest: +SKIP
    """
    dispatch = Dispatch() if app is None else app

    @asynccontextmanager
    async def lifespan(web: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with dispatch:
            if worker:
                await dispatch.start()
            async with nullcontext() if inner is None else inner(web) as state:
                yield {**(state or {}), _STATE: dispatch}

    return lifespan


async def get_dispatch(connection: HTTPConnection) -> Dispatch:
    """The app that the lifespan opened: a dependency for FastAPI, or called with the request in Starlette.

    Raises:
        NoOpenApp: this web application was started without that lifespan.

    >>> async def count(app: Annotated[Dispatch, Depends(get_dispatch)]): ...  # doctest: +SKIP
    """
    found = getattr(connection.state, _STATE, None)
    if found is None:
        raise NoOpenApp(
            "this web application has no open Dispatch app: give it lifespan=dispatch_lifespan(...), or "
            "DispatchExtension(...).install(web), and let the server run its lifespan"
        )
    return cast("Dispatch", found)


class DispatchExtension:
    """All of Dispatch in one web process: an app, a worker, and the HTTP API with the dashboard under a path.

    Args:
        store, config, registry, concurrency, queues, middleware, plugins, backoff: see Dispatch.
        path: where the API goes; it begins with "/".
        allowed_hosts: the Host names by which the API may be asked; see `dispatch.api.API`.
        worker: whether jobs run in this process; without it, `dispatch run` does that.
        disable_routes: mount no API.
        disable_migrate: leave the schema as it is; whatever uses a store that has an older one raises SchemaMismatch.

    Raises:
        ConfigError: the configuration is wrong, the path begins otherwise, or `disable_migrate` goes with a Store,
            which knows already what it does about its schema. MissingExtra: the API's packages are not installed.

    >>> web = FastAPI()  # doctest: +SKIP
    >>> DispatchExtension("sqlite:///dispatch.db").install(web)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        config: Config | None = None,
        registry: Registry | None = None,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[object] = (),
        backoff: Strategy | None = None,
        path: str = "/dispatch",
        allowed_hosts: tuple[str, ...] | None = None,
        worker: bool = True,
        disable_routes: bool = False,
        disable_migrate: bool = False,
    ) -> None:
        chosen = config or load().config
        if not path.startswith("/") or path.endswith("/"):
            raise ConfigError(f'path is {path!r}; write it as "/dispatch": a slash at its beginning, none at its end')
        if disable_migrate:
            if store is not None and not isinstance(store, str):
                raise ConfigError("disable_migrate goes with a store's URL; open your Store without migrating instead")
            chosen = chosen.model_copy(update={"migrate": "never"})
        self.app = Dispatch(
            chosen.store if store is None else store,
            config=chosen,
            registry=registry,
            concurrency=concurrency,
            queues=queues,
            middleware=middleware,
            plugins=plugins,
            backoff=backoff,
        )
        self.path = path
        self.api: API | None = None
        """What is mounted; None: nothing."""
        if not disable_routes:
            from dispatch.api import API

            self.api = API(self.app, allowed_hosts=allowed_hosts)
        self._worker = worker

    @property
    def engine(self) -> Engine | None:
        """The worker in this process while it runs."""
        return self.app.engine

    def install(self, web: Starlette) -> None:
        """Puts the app around the web application's own lifespan, and mounts the API; before the server starts."""
        router = web.router
        router.lifespan_context = self.lifespan(router.lifespan_context)
        if self.api is not None:
            web.mount(self.path, self.api.asgi(), name="dispatch")

    def lifespan(self, inner: Callable[[Any], Any] | None = None) -> Lifespan:
        """What `install` gives the web application as its lifespan, around `inner`."""
        opened = dispatch_lifespan(self.app, worker=self._worker, inner=inner)

        @asynccontextmanager
        async def lifespan(web: Any) -> AsyncIterator[Mapping[str, Any]]:
            async with opened(web) as state:
                try:
                    yield state
                finally:
                    if self.api is not None:
                        await self.api.end_streams()

        return lifespan
