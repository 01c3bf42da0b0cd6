"""An app's services for synchronous code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handle import SyncJobHandle
from dispatch.portal import run_sync

if TYPE_CHECKING:
    from dispatch.app.dispatcher import Dispatch

P = ParamSpec("P")
R = TypeVar("R")


class SyncApp:
    """An app's services with every coroutine turned into a blocking call; SyncInAsync where a loop is running."""

    def __init__(self, app: Dispatch) -> None:
        self._app = app

    def enqueue(self, definition: JobDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncJobHandle[R]:
        """As Dispatch.enqueue, blocking."""
        handle: SyncJobHandle[R] = self._app.enqueue_blocking([definition.call(*args, **kwargs)])[0]
        return handle

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._app, name)
        return _blocking(self._app, found) if callable(found) else _Blocking(self._app, found)


class _Blocking:
    """A service's verbs, blocking."""

    def __init__(self, app: Dispatch, service: object) -> None:
        self._app = app
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return _blocking(self._app, getattr(self._service, name))


def _blocking(app: Dispatch, verb: Any) -> Any:
    if inspect.isasyncgenfunction(verb):
        return functools.wraps(verb)(functools.partial(_each, app, verb))
    if not inspect.iscoroutinefunction(verb):
        return _plain(app, verb)

    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run_sync(app.loop, lambda: verb(*args, **kwargs))

    return call


def _plain(app: Dispatch, verb: Any) -> Any:
    """The function itself, but a block to be entered by `async with` is entered by `with`."""

    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = verb(*args, **kwargs)
        return _block(app, answer) if isinstance(answer, AbstractAsyncContextManager) else answer

    return call


@contextmanager
def _block(app: Dispatch, inner: AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    """The block with its ends on the app's loop; what it holds is used on the caller's thread."""
    held = run_sync(app.loop, inner.__aenter__)
    try:
        yield held
    except BaseException as error:
        failed = error
        if not run_sync(app.loop, lambda: inner.__aexit__(type(failed), failed, failed.__traceback__)):
            raise
    else:
        run_sync(app.loop, lambda: inner.__aexit__(None, None, None))


def _each(app: Dispatch, verb: Callable[..., AsyncIterator[Any]], *args: Any, **kwargs: Any) -> Iterator[Any]:
    items = verb(*args, **kwargs)
    end = object()
    while (item := run_sync(app.loop, lambda: anext(items, end))) is not end:
        yield item
