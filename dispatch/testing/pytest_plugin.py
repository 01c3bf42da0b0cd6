"""The pytest plugin: fixtures with a memory app, and no implicit app in tests that do not ask for it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import TYPE_CHECKING, cast

import pytest

from dispatch import current
from dispatch.errors import NoOpenApp
from dispatch.portal import run_on

if TYPE_CHECKING:
    from dispatch.app import Dispatch
    from dispatch.registry import Registry
    from dispatch.testing import SyncMemoryApp

MARKER = "dispatch_store"
_CLOSING = 10.0
_opener = pytest.StashKey[Callable[[], Awaitable[current.AppPort]] | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, switches the implicit app off, and chooses the asynchronous fixture that fits."""
    config.addinivalue_line(
        "markers", f"{MARKER}: code under test may open Dispatch's implicit app on the configured store"
    )
    config.stash[_opener] = current.install_opener(_refuse)
    manager = config.pluginmanager
    loaded = [name for name in ("pytest_asyncio.plugin", "anyio.pytest_plugin") if _is_loaded(manager, name)]
    fixture = {"pytest_asyncio.plugin": "asyncio_fixture", "anyio.pytest_plugin": "anyio_fixture"}
    manager.import_plugin(f"dispatch.testing.{fixture[loaded[0]] if loaded else 'no_async_fixture'}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leaves the implicit app as it was."""
    if _opener in config.stash:
        current.install_opener(config.stash[_opener])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Switches the implicit app on for a marked test."""
    if item.get_closest_marker(MARKER) is None:
        return (yield)
    refusing = current.install_opener(item.config.stash[_opener])
    try:
        return (yield)
    finally:
        current.install_opener(refusing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Closes the implicit app that a marked test has opened, so that the next test does not meet it."""
    yield
    app = current.implicit_app()
    if app is not None:
        run_on(app.loop, cast("Dispatch", app).close).result(_CLOSING)


@pytest.fixture
def dispatch_registry() -> Registry:
    """The registry that `dispatch_app` and `dispatch_app_sync` run: the default one. Override it to give your own."""
    from dispatch.registry import default_registry

    return default_registry


@pytest.fixture
def dispatch_app_sync(dispatch_registry: Registry) -> Iterator[SyncMemoryApp]:
    """A memory app for synchronous tests: `send_email.sync.enqueue(...)`, then `dispatch_app_sync.run_until_idle()`."""
    from dispatch.testing import MemoryApp

    with MemoryApp(dispatch_registry) as app:
        yield app.sync


async def _refuse() -> current.AppPort:
    raise NoOpenApp(
        "no app is open, and in tests Dispatch opens none by itself, so that no test writes into a real store. Take "
        "the fixture dispatch_app (dispatch_app_sync in a synchronous test), open an app around the call (`async with "
        f"dispatch.testing.app():`), or mark a test that means the configured store with @pytest.mark.{MARKER}"
    )


def _is_loaded(manager: pytest.PytestPluginManager, name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and manager.is_registered(module)
