"""The commands that plugins bring: found only when they are wanted, kept from harming Dispatch's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dispatch_cli.settings import Settings

OWN = "dispatch_tasks-"
_ENTRY_POINTS = b"[dispatch]"


@dataclass(frozen=True)
class Found:
    """A noun that a plugin has added."""

    summary: str
    command: Any


def nouns(settings: Settings, own: frozenset[str]) -> dict[str, Found]:
    """The nouns of the plugins that this command line's configuration loads, beside our `own`.

    Raises what stops them from loading.
    """
    settings = _complete(settings)
    return _nouns(settings, own) if may_be_some(settings) else {}


def nouns_or_warning(settings: Settings, own: frozenset[str]) -> dict[str, Found]:
    """The same, for a list of what there is: what is wrong is told instead of raised."""
    try:
        return nouns(settings, own)
    except Exception as error:
        from dispatch.text import safe
        from dispatch_cli.failures import describe

        print(safe(f"warning: the commands of plugins are not listed: {describe(error)[0]}"), file=sys.stderr)
        return {}


def may_be_some(settings: Settings) -> bool:
    """Whether a look at the configuration is worth its time: something names plugins, or a distribution offers some."""
    if os.environ.get("DISPATCH_PLUGINS"):
        return True
    asked = settings.config or os.environ.get("DISPATCH_CONFIG")
    files = [Path(asked).expanduser()] if asked else [Path("dispatch.toml"), Path("pyproject.toml")]
    return any(map(_names_plugins, files)) or any(map(_offers_plugins, sys.path))


def _names_plugins(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    said = [line for line in lines if not line.lstrip().startswith("#")]
    ours = file.name != "pyproject.toml" or any(line.lstrip().startswith("[tool.dispatch") for line in said)
    return ours and any("plugin" in line for line in said)


def _offers_plugins(folder: str) -> bool:
    """Whether a distribution in that folder, other than Dispatch, has entry points for us: a text search is quick."""
    return any(_ENTRY_POINTS in text for text in _entry_points(folder or "."))


def _entry_points(folder: str) -> Iterator[bytes]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a hundred Path objects take longer than the reading
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")) and not name.startswith(OWN):
            try:
                with open(f"{folder}/{name}/entry_points.txt", "rb") as file:  # noqa: PTH123 - as above
                    yield file.read()
            except OSError:
                continue


def _complete(settings: Settings) -> Settings:
    """The settings with what of --config and --profile stands behind the noun, which nobody has understood yet."""
    given: dict[str, str] = {}
    options = {"--config": "config", "--profile": "profile", "-P": "profile"}
    words = settings.argv[: settings.argv.index("--")] if "--" in settings.argv else settings.argv
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options and (equals or place + 1 < len(words)):
            given[options[option]] = value if equals else words[place + 1]
    return Settings(config=given.get("config"), profile=given.get("profile")).over(settings)


@cache
def _nouns(settings: Settings, own: frozenset[str]) -> dict[str, Found]:
    from dispatch.app.plugged import plugins_of
    from dispatch.errors import InvalidPlugin
    from dispatch_cli.facade import Facade
    from dispatch_cli.session import Session

    session = Session(settings)
    session.find_own_modules()
    manager = plugins_of(session.config)
    found: dict[str, Found] = {}
    for name in manager.names:
        facade = Facade(name, taken=own | found.keys())
        try:
            manager.ask_one(name, "register_commands", cli=facade)
        except InvalidPlugin as error:
            session.tell(f"warning: {error}")
            continue
        found.update({noun: Found(summary, made()) for noun, (summary, made) in facade.nouns.items()})
    return found
