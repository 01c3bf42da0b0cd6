"""The plugins that a configuration names, loaded, and what they bring to be asked for at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from dispatch.config import Config
from dispatch.errors import ConfigError, InvalidPlugin
from dispatch.plugins import PluginManager
from dispatch.store import Store


def manager_of(config: Config, *, logger: logging.Logger | None = None) -> PluginManager:
    """A manager that obeys the configuration, still empty."""
    return PluginManager(disabled=config.disabled_plugins, settings=config.plugin, logger=logger)


def load_into(manager: PluginManager, config: Config) -> None:
    """Loads what other distributions offer, then what the configuration names.

    Raises:
        DiscoveryError: a plugin is not there or cannot be imported. InvalidPlugin: it is none.
        ConfigError: a [plugin.NAME] is wrong, or belongs to no plugin.
    """
    manager.load_entry_points()
    manager.load(config.plugins)
    unused = set(config.plugin) - set(manager.names) - set(config.disabled_plugins)
    if unused:
        raise ConfigError(f"[plugin.{min(unused)}] configures a plugin that is not loaded; name it in `plugins`")


def plugins_of(config: Config) -> PluginManager:
    """The plugins that the configuration loads. Raises as `load_into`."""
    manager = manager_of(config)
    load_into(manager, config)
    return manager


def schemes_of(manager: PluginManager) -> Mapping[str, Callable[..., Store]]:
    """The makers of stores that plugins bring, by scheme. Raises InvalidPlugin: an answer is no mapping of makers."""
    found: dict[str, Callable[..., Store]] = {}
    for name, answer in manager.ask("register_stores"):
        if not isinstance(answer, Mapping) or not all(callable(make) for make in answer.values()):
            raise InvalidPlugin(f"plugin {name!r}: its register_stores answers {answer!r}; return {{scheme: maker}}")
        for scheme, make in answer.items():
            found.setdefault(scheme, make)
    return found


def sections_of(config: Config) -> dict[str, dict[str, Any]]:
    """[plugin.NAME] of the plugins that have a model for it, as plain JSON values, defaults included.

    Raises as `load_into`, but for sections that belong to no plugin.
    """
    manager = manager_of(config)
    manager.load_entry_points()
    manager.load(config.plugins)
    return {name: section.model_dump(mode="json") for name, section in manager.sections.items()}
