"""Finds plugins by name: entry points of installed distributions, and modules that can be imported."""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

from dispatch.errors import DiscoveryError
from dispatch.hookspecs import GROUP

OWN_DISTRIBUTION = "dispatch-tasks"


def offered() -> tuple[EntryPoint, ...]:
    """What installed distributions offer; it reads a file of every one of them."""
    return tuple(entry_points(group=GROUP))


def is_own(entry: EntryPoint) -> bool:
    """Whether it comes with Dispatch itself."""
    return entry.dist is not None and re.sub(r"[-_.]+", "-", entry.dist.name).lower() == OWN_DISTRIBUTION


def imported(name: str, entry: EntryPoint | None, available: Collection[str]) -> Any:
    """The module or object behind an entry point, or behind `package.module` or `package.module:object`.

    Raises DiscoveryError, which names the distribution, the file and the way out.
    """
    module, path = (entry.module, entry.attr) if entry else name.partition(":")[::2]
    try:
        found = import_module(module)
        return attrgetter(path)(found) if path else found
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if entry is None and missing and f"{module}.".startswith(f"{missing}."):
            offers = f"installed plugins: {', '.join(sorted(available))}" if available else "no plugin is installed"
            raise DiscoveryError(
                f"there is no plugin {name!r}: no installed distribution offers one of that name ({offers}), and no "
                f"module {missing!r} can be imported; install it, or correct the name in `plugins`"
            ) from error
        from_ = f" of distribution {entry.dist.name!r}" if entry and entry.dist else ""
        raise DiscoveryError(
            f"plugin {name!r}{from_} cannot be imported: {type(error).__name__}: {error}{_place(error)}; fix it, or "
            f"switch it off with disabled_plugins = [{name!r}]"
        ) from error


def _place(error: BaseException) -> str:
    """Where in the plugin's own code an import failed; '' when it did not get that far."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<frozen ")
        and "importlib" not in frame.filename
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
