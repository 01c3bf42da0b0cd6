"""Dispatch inside a Flask application: open wherever its context is, and its context around every job."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch import current
from dispatch.app import Dispatch
from dispatch.app.stores import app_store_of
from dispatch.backoff import Strategy
from dispatch.config import Config, load
from dispatch.errors import ConfigError, MissingExtra, NoOpenApp
from dispatch.jobs.handler import Middleware, Next
from dispatch.jobs.model import Job
from dispatch.portal import portal, run_on
from dispatch.registry import Registry
from dispatch.store import Store

try:
    from flask import appcontext_pushed
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"this integration needs {error.name}, which is not installed: pip install 'dispatch-tasks[flask]'"
    ) from None

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskDispatch"]

_all: weakref.WeakSet[FlaskDispatch] = weakref.WeakSet()


class FlaskDispatch(Dispatch):
    """An app that a Flask application opens by itself, and whose jobs run in that application's context.

    Args:
        web: the Flask application; or call `init_app` later, in your factory.
        store, config, registry, concurrency, queues, middleware, plugins, backoff: see Dispatch; the store is by
            default the configured one.

    Raises:
        ConfigError: the configuration is wrong.

    >>> queue = FlaskDispatch(store="sqlite:///dispatch.db")  # doctest: +SKIP
    >>> queue.init_app(web)  # doctest: +SKIP
    """

    def __init__(
        self,
        web: Flask | None = None,
        *,
        store: str | Store | None = None,
        config: Config | None = None,
        registry: Registry | None = None,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[object] = (),
        backoff: Strategy | None = None,
    ) -> None:
        chosen = config or load().config
        self._web: Flask | None = None
        super().__init__(
            chosen.store if store is None else store,
            config=chosen,
            registry=registry,
            concurrency=concurrency,
            queues=queues,
            middleware=[self._in_context, *middleware],
            plugins=plugins,
            backoff=backoff,
        )
        self._left_behind: list[Store] = []
        _all.add(self)
        if web is not None:
            self.init_app(web)

    def init_app(self, web: Flask) -> None:
        """Connects to a Flask application: its contexts open the app, its jobs run in one; `web.extensions` has it."""
        self._web = web
        web.extensions["dispatch"] = self
        appcontext_pushed.connect(self._pushed, web)

    def _pushed(self, sender: Any, **signal: Any) -> None:
        """Opens the app on the background loop, unless this process has an open one: a test's, a worker's, this."""
        try:
            if current.open_app() is not None:
                return
        except NoOpenApp:  # several, so that one more would help nobody
            return
        run_on(portal.loop, self.open).result()
        portal.at_exit(self.close)

    async def _in_context(self, job: Job, call_next: Next) -> Any:
        if self._web is None:
            raise ConfigError(
                "no Flask application has this app: call init_app(web) in the module that `dispatch run` imports"
            )
        with self._web.app_context():
            return await call_next(job)

    def _begin_anew(self) -> None:
        """In a forked child: what the parent has opened stays the parent's; the next context opens it for us."""
        if self._loop is None or self._url is None:
            return
        self._left_behind.append(self.store)  # its connections must not be closed here
        self.store = app_store_of(self.config, self._url, schemes=self._extensions.schemes)
        self._take(self.store)
        self._loop = self._life = self.engine = None


def _after_fork() -> None:
    for app in list(_all):
        app._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
