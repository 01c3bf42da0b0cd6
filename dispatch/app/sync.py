"""An app's services for synchronous code."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from dispatch.portal import refuse_in_loop, run_on

if TYPE_CHECKING:
    from dispatch.app.dispatcher import Dispatch


class SyncApp:
    """An app's services with every coroutine turned into a blocking call."""

    def __init__(self, app: Dispatch) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        service = getattr(self._app, name)
        return _Blocking(self._app, service)


class _Blocking:
    def __init__(self, app: Dispatch, service: object) -> None:
        self._app = app
        self._service = service

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._service, name)
        if not inspect.iscoroutinefunction(verb):
            return verb

        @functools.wraps(verb)
        def call(*args: Any, **kwargs: Any) -> Any:
            refuse_in_loop()
            return run_on(self._app.loop, lambda: verb(*args, **kwargs)).result()

        return call
