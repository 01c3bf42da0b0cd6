"""Watches a project's files, for `dispatch run --reload` and `dispatch dev`."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

from dispatch.errors import MissingExtra


def watcher(what: str = "--reload") -> AsyncIterator[str]:
    """Yields a name whenever Python or TOML files below the current folder have changed.

    what: the command or option that needs it, for the error.

    Raises:
        MissingExtra: watchfiles is not installed.
    """
    if importlib.util.find_spec("watchfiles") is None:
        raise MissingExtra(f"{what} needs watchfiles, which is not installed: pip install 'dispatch-tasks[reload]'")
    return _names(Path.cwd())


async def _names(here: Path) -> AsyncIterator[str]:
    from watchfiles import PythonFilter, awatch

    async for changes in awatch(here, watch_filter=PythonFilter(extra_extensions=(".toml",))):
        first = min(path for _, path in changes)
        yield str(Path(first).relative_to(here)) if Path(first).is_relative_to(here) else first
