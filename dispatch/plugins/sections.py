"""[plugin.NAME] of the configuration, checked against the model that the plugin gives for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dispatch.clock import seconds
from dispatch.errors import ConfigError, InvalidPlugin
from dispatch.masking import mask_value
from dispatch.plugins.fitting import nearest

HOOK = "register_config"


def section_of(plugin: type, name: str, given: Mapping[str, Any], *, manager: pluggy.PluginManager) -> BaseModel | None:
    """The section as the plugin's model reads it; None when the plugin has no model.

    Raises:
        ConfigError: a key is unknown, or a value is not what the model says.
        InvalidPlugin: the hook cannot be asked, or answers something else than a model.
    """
    if manager.parse_hookimpl_opts(plugin, HOOK) is None:
        return None
    model = _model_of(plugin, name)
    known = {field.alias or key for key, field in model.model_fields.items()} | set(model.model_fields)
    unknown = sorted(set(given) - known)
    if unknown and model.model_config.get("extra") != "allow":
        raise ConfigError(f"unknown key 'plugin.{name}.{unknown[0]}': {nearest(unknown[0], sorted(known))}")
    try:
        return model.model_validate(_durations_read(model, given))
    except ValidationError as error:
        raise ConfigError("\n".join(_line(name, detail) for detail in error.errors())) from None


def _durations_read(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The section with its durations read as everywhere in the configuration; pydantic itself reads no "30s"."""
    found = dict(given)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if field.annotation in (timedelta, timedelta | None) and isinstance(found.get(key), str):
            with suppress(ValueError):
                found[key] = timedelta(seconds=seconds(found[key]))
    return found


def _model_of(plugin: type, name: str) -> type[BaseModel]:
    try:
        model = getattr(plugin, HOOK)()
    except BaseException as error:
        raise InvalidPlugin(
            f"plugin {name!r}: its {HOOK} raised {type(error).__name__}: {error}; it is asked before there is an "
            "instance, so it is a staticmethod or classmethod without arguments"
        ) from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise InvalidPlugin(f"plugin {name!r}: its {HOOK} answers {model!r}; return a subclass of pydantic.BaseModel")
    return model


def _line(name: str, detail: ErrorDetails) -> str:
    path = ".".join(("plugin", name, *(str(part) for part in detail["loc"] if part != "[key]")))
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{path} is missing: {message}"
    if detail["type"] == "time_delta_parsing":
        message = 'is not a duration: write seconds (30, 0.4) or "400ms", "30s", "5m", "2h", "7d", "1h30m"'
    if detail["type"] == "extra_forbidden":
        return f"unknown key {path!r}"
    last = str(detail["loc"][-1]) if detail["loc"] else name
    return f"{path} = {mask_value(last, detail['input'])!r}: {message}"
