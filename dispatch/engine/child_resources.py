"""Enters the @lifespan functions once in a worker subprocess and leaves them at its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager

from dispatch.registry import Lifespan, Registry

_Request = tuple[list[tuple[tuple[str, str], Lifespan]], "asyncio.Future[None]"]


class Resources:
    """Holds the lifespans open in one task, since some resources must be left by the task that entered them."""

    def __init__(self) -> None:
        self._entered: dict[tuple[str, str], object] = {}
        self._requests: asyncio.Queue[_Request | None] = asyncio.Queue()
        self._holder: asyncio.Task[None] | None = None

    def ready(self, registry: Registry) -> bool:
        """Whether all lifespans of the registry are entered."""
        return registry.lifespans.keys() <= self._entered.keys()

    def of(self, registry: Registry) -> list[object]:
        """What the registry's lifespans yielded."""
        return [self._entered[key] for key in registry.lifespans]

    async def enter(self, registry: Registry) -> None:
        """Enters those lifespans of the registry that are not; one that fails raises here and closes all others."""
        if self._holder is None:
            self._holder = asyncio.create_task(self._hold(), name="dispatch lifespans")
        missing = [(key, lifespan) for key, lifespan in registry.lifespans.items() if key not in self._entered]
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests.put_nowait((missing, entered))
        await entered

    async def close(self) -> None:
        """Leaves all of them, newest first; an error in one is logged."""
        if self._holder is not None:
            self._requests.put_nowait(None)
            await self._holder

    async def _hold(self) -> None:
        failed: tuple[asyncio.Future[None], BaseException] | None = None
        try:
            async with AsyncExitStack() as stack:
                while failed is None and (request := await self._requests.get()) is not None:
                    missing, entered = request
                    try:
                        for key, lifespan in missing:
                            self._entered[key] = await stack.enter_async_context(asynccontextmanager(lifespan)())
                    except BaseException as error:
                        failed = (entered, error)
                    else:
                        entered.set_result(None)
        except Exception:
            logging.getLogger("dispatch.engine").exception("leaving the @lifespan functions of a worker subprocess")
        if failed is not None:
            failed[0].set_exception(_plain(failed[1]))


def _plain(error: BaseException) -> Exception:
    """SystemExit and its like as an error that a future can carry."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"a @lifespan function raised {type(error).__name__}({error})")
    wrapped.__cause__ = error
    return wrapped
