"""Whether a plugin's functions fit the hooks that they are named after."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

import pluggy

from dispatch import hookspecs
from dispatch.errors import InvalidPlugin

Hooks = Mapping[str, tuple[str, ...]]
"""Every hook with the names of its arguments."""

_IGNORED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def specified() -> Hooks:
    """The hooks that there are."""
    return {
        name: tuple(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if hasattr(function, f"{hookspecs.GROUP}_spec")
    }


def check(plugin: object, name: str, *, hooks: Hooks, manager: pluggy.PluginManager) -> None:
    """Raises InvalidPlugin unless every marked function of the plugin fits a hook, and at least one is marked."""
    if inspect.isclass(plugin):
        raise InvalidPlugin(f"plugin {name!r} is a class; register an instance of it: {plugin.__name__}()")
    marked = 0
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            continue
        marked += 1
        hook = options.get("specname") or attribute
        if hook in hooks:
            _check_function(getattr(plugin, attribute), hook, name, hooks)
        elif not options.get("optionalhook"):
            raise InvalidPlugin(f"plugin {name!r} implements {hook!r}, which is no hook; {nearest(hook, hooks)}")
    if not marked:
        raise InvalidPlugin(
            f"plugin {name!r} implements no hook, so nothing would ever call it; put @dispatch.hookimpl above the "
            f"functions that are hooks"
        )


def _check_function(function: Callable[..., Any], hook: str, name: str, hooks: Hooks) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidPlugin(
            f"plugin {name!r}: {hook} is a generator, but hooks are told what has happened and cannot wrap it; "
            "a middleware can (register_middleware)"
        )
    if hook in hookspecs.ASKED_AT_ONCE and inspect.iscoroutinefunction(function):
        raise InvalidPlugin(f"plugin {name!r}: {hook} is asked where nothing can be awaited; drop the `async`")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _IGNORED:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidPlugin(f"plugin {name!r}: {hook} takes {parameter.name!r} by position only; drop the `/`")
        if parameter.name not in hooks[hook]:
            raise InvalidPlugin(
                f"plugin {name!r}: {hook} has no argument {parameter.name!r}; "
                + (nearest(parameter.name, hooks[hook]) if hooks[hook] else "it has none at all")
            )


def taken(function: Callable[..., Any], offered: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a hook's arguments that a function takes."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return offered
    return tuple(name for name in offered if name in parameters)


def own_name(plugin: object) -> str:
    """What a plugin is called that nobody has named."""
    if inspect.ismodule(plugin):
        return plugin.__name__
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def nearest(name: str, known: Collection[str]) -> str:
    """What to say about a name that is none of those known."""
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
