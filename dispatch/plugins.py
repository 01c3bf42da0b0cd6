"""Plugins of one app: registering and finding them, and calling their hooks without letting one of them do harm."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

import pluggy

from dispatch import hookspecs
from dispatch.errors import DiscoveryError, InvalidPlugin

OWN_DISTRIBUTION = "dispatch-tasks"
SLOW = 0.1
"""Seconds of event loop that a hook may take before it is named in the log."""

_IGNORED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class _Implementation:
    plugin: str
    hook: str
    function: Callable[..., Any]
    names: tuple[str, ...]
    """The hook's arguments that the function takes."""


class PluginManager:
    """The plugins of one app.

    Args:
        disabled: names that are never registered, whoever asks for them.
        settings: what [plugin.NAME] holds, given to a plugin's class as keyword arguments when `load` makes it.
        hook_timeout: seconds that an asynchronous hook may take.
        logger: told about every hook that fails (default: `dispatch.plugins`).
    """

    def __init__(
        self,
        *,
        disabled: Collection[str] = (),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        hook_timeout: float = 5.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self._disabled = frozenset(disabled)
        self._settings = settings or {}
        self._hook_timeout = hook_timeout
        self._logger = logger or logging.getLogger("dispatch.plugins")
        self._manager = pluggy.PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._hooks = _specified()
        self._implementations: dict[str, tuple[_Implementation, ...]] = dict.fromkeys(self._hooks, ())
        self._loaded_classes: set[type] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> list[str]:
        """The names of the registered plugins, in the order they came."""
        return [name for name, plugin in self._manager.list_name_plugin() if plugin is not None]

    def hooks_of(self, name: str) -> list[str]:
        """The hooks that a registered plugin implements, in the order of the specification."""
        return [hook for hook, found in self._implementations.items() if any(one.plugin == name for one in found)]

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Adds a plugin: a module or an object with `@hookimpl` functions. Returns its name.

        Without a `name` it is called after its module, or after the class of the object (`module.Class`, the second
        one `module.Class#2`). The same plugin again changes nothing; a disabled name answers None.

        Raises:
            InvalidPlugin: it implements an unknown hook or takes an unknown argument, or another plugin has the name.
        """
        for known, registered in self._manager.list_name_plugin():
            if registered is plugin:
                return known
        wanted = name or _own_name(plugin)
        if wanted in self._disabled:
            return None
        if name is None:
            wanted = self._free(wanted)
        elif self._manager.has_plugin(name):
            raise InvalidPlugin(f"the name {name!r} is taken by another plugin; register this one under its own name")
        self._check(plugin, wanted)
        try:
            self._manager.register(plugin, wanted)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise InvalidPlugin(f"plugin {wanted!r} cannot be registered: {error}") from error
        self._implementations = {hook: self._collected(hook) for hook in self._hooks}
        return wanted

    def load(self, names: Iterable[str]) -> None:
        """Imports and registers plugins by name: of an entry point in group `dispatch`, or `package.module`, or
        `package.module:object`. A class is called with its settings. A name loads once; disabled ones do not.

        Raises:
            DiscoveryError: there is no such plugin, or importing it failed.
            InvalidPlugin: see `register`.
        """
        wanted = list(names)
        if not wanted:
            return  # looking for entry points reads a file of every installed distribution
        available = {entry.name: entry for entry in entry_points(group=hookspecs.GROUP)}
        for name in wanted:
            self._load(name, available.get(name), available)

    def load_entry_points(self) -> None:
        """Registers what other installed distributions offer in group `dispatch`; our own only load by `load`.

        Raises:
            DiscoveryError: importing one failed; `disabled_plugins` switches it off.
            InvalidPlugin: see `register`.
        """
        for entry in entry_points(group=hookspecs.GROUP):
            if entry.dist is None or re.sub(r"[-_.]+", "-", entry.dist.name).lower() != OWN_DISTRIBUTION:
                self._load(entry.name, entry, {})

    def has(self, hook: str) -> bool:
        """Whether anybody implements the hook, so that its arguments are worth building."""
        return bool(self._implementations[hook])

    async def notify(self, hook: str, /, **arguments: Any) -> None:
        """Calls every implementation of a lifecycle hook, one after the other; failures are logged, never raised."""
        for implementation in self._implementations[hook]:
            await self._call(implementation, arguments)

    async def collect(self, hook: str, /, **arguments: Any) -> list[Any]:
        """What the implementations of a hook return, in their order, without None.

        Failures are logged and left out; those of `register_*` hooks, which something was meant to rest on, are raised
        as InvalidPlugin.
        """
        results = [await self._call(implementation, arguments) for implementation in self._implementations[hook]]
        return [result for result in results if result is not None]

    def background(self, hook: str, /, **arguments: Any) -> None:
        """Calls `notify` in a task of its own, which `drain` waits for; does nothing when nobody implements the hook.

        Two such calls may overlap: an asynchronous `job_completed` can begin before a slow `job_started` has ended.
        """
        if self._implementations[hook]:
            task = asyncio.get_running_loop().create_task(self.notify(hook, **arguments), name=f"dispatch hook {hook}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout: float) -> int:
        """Waits up to `timeout` seconds for background calls, cancels the rest and returns how many those were."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (pending := self._pending()) and loop.time() < deadline:
            await asyncio.wait(pending, timeout=deadline - loop.time())
        for task in pending:
            self._logger.warning("%s was still running after %g s and was cancelled", task.get_name(), timeout)
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=SLOW)
        return len(pending)

    def _pending(self) -> set[asyncio.Task[None]]:
        return {task for task in self._tasks if task is not asyncio.current_task()}

    def _load(self, name: str, entry: EntryPoint | None, available: Collection[str]) -> None:
        if name in self._disabled or self._manager.has_plugin(name):
            return
        plugin = _imported(name, entry, available)
        settings = self._settings.get(name, {})
        if not inspect.isclass(plugin):
            if settings:
                raise InvalidPlugin(f"plugin {name!r} is no class, so it takes no settings; remove [plugin.{name}]")
            self.register(plugin, name)
        elif plugin not in self._loaded_classes:
            self._loaded_classes.add(plugin)
            try:
                made = plugin(**settings)
            except TypeError as error:
                raise InvalidPlugin(f"plugin {name!r} does not take what [plugin.{name}] says: {error}") from error
            self.register(made, name)

    def _free(self, name: str) -> str:
        taken, number, candidate = set(self.names), 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        return candidate

    def _check(self, plugin: object, name: str) -> None:
        """Raises InvalidPlugin unless every marked function of the plugin fits a hook, and at least one is marked."""
        if inspect.isclass(plugin):
            raise InvalidPlugin(f"plugin {name!r} is a class; register an instance of it: {plugin.__name__}()")
        marked = 0
        for attribute in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                continue
            marked += 1
            hook = options.get("specname") or attribute
            if hook in self._hooks:
                self._check_function(getattr(plugin, attribute), hook, name)
            elif not options.get("optionalhook"):
                raise InvalidPlugin(
                    f"plugin {name!r} implements {hook!r}, which is no hook; {_nearest(hook, self._hooks)}"
                )
        if not marked:
            raise InvalidPlugin(
                f"plugin {name!r} implements no hook, so nothing would ever call it; put @dispatch.hookimpl above the "
                f"functions that are hooks"
            )

    def _check_function(self, function: Callable[..., Any], hook: str, name: str) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidPlugin(
                f"plugin {name!r}: {hook} is a generator, but hooks are told what has happened and cannot wrap it; "
                "a middleware can (register_middleware)"
            )
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in _IGNORED:
                continue
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise InvalidPlugin(f"plugin {name!r}: {hook} takes {parameter.name!r} by position only; drop the `/`")
            if parameter.name not in self._hooks[hook]:
                raise InvalidPlugin(
                    f"plugin {name!r}: {hook} has no argument {parameter.name!r}; "
                    + (_nearest(parameter.name, self._hooks[hook]) if self._hooks[hook] else "it has none at all")
                )

    def _collected(self, hook: str) -> tuple[_Implementation, ...]:
        """The hook's implementations in the order pluggy calls them: the last registered first, tryfirst before all."""
        found = getattr(self._manager.hook, hook).get_hookimpls()
        return tuple(
            _Implementation(impl.plugin_name, hook, impl.function, _taken(impl.function, self._hooks[hook]))
            for impl in reversed(found)
        )

    async def _call(self, implementation: _Implementation, arguments: dict[str, Any]) -> Any:
        limit: asyncio.Timeout | None = None
        started = time.perf_counter()
        try:
            result = implementation.function(**{name: arguments[name] for name in implementation.names})
            if time.perf_counter() - started > SLOW:
                self._warn_slow(implementation, time.perf_counter() - started)
            if inspect.isawaitable(result):
                async with asyncio.timeout(self._hook_timeout) as limit:
                    result = await result
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._fail(implementation, error, timed_out=False)
        except BaseException as error:
            self._fail(implementation, error, timed_out=limit is not None and limit.expired())
        else:
            return result
        return None

    def _warn_slow(self, implementation: _Implementation, elapsed: float) -> None:
        self._logger.warning(
            "plugin %r: its %s held the event loop for %.3f s, and every job with it; make it `async` and await",
            implementation.plugin,
            implementation.hook,
            elapsed,
        )

    def _fail(self, implementation: _Implementation, error: BaseException, *, timed_out: bool) -> None:
        what = f"took longer than {self._hook_timeout:g} s" if timed_out else f"raised {type(error).__name__}"
        if implementation.hook.startswith("register_"):
            raise InvalidPlugin(
                f"plugin {implementation.plugin!r}: its {implementation.hook} {what}: {error}; fix it, or switch the "
                f"plugin off with disabled_plugins"
            ) from error
        self._logger.error(
            "plugin %r: its %s %s; the job is not affected",
            implementation.plugin,
            implementation.hook,
            what,
            exc_info=error,
        )


def _specified() -> dict[str, tuple[str, ...]]:
    """Every hook with the names of its arguments."""
    return {
        name: tuple(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if hasattr(function, f"{hookspecs.GROUP}_spec")
    }


def _taken(function: Callable[..., Any], offered: tuple[str, ...]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return offered
    return tuple(name for name in offered if name in parameters)


def _own_name(plugin: object) -> str:
    if inspect.ismodule(plugin):
        return plugin.__name__
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def _imported(name: str, entry: EntryPoint | None, available: Collection[str]) -> Any:
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
        offered = f" of distribution {entry.dist.name!r}" if entry and entry.dist else ""
        raise DiscoveryError(
            f"plugin {name!r}{offered} cannot be imported: {type(error).__name__}: {error}{_place(error)}; fix it, or "
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


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
