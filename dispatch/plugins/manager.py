"""The plugins of one app: registers them, and calls their hooks without letting one of them do harm."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Collection, Coroutine, Iterable, Mapping, Set
from concurrent.futures import Future
from contextvars import Context, copy_context
from importlib.metadata import EntryPoint
from typing import Any

import pluggy
from pydantic import BaseModel

from dispatch import hookspecs
from dispatch.clock import boot_seconds
from dispatch.errors import ConfigError, InvalidPlugin, MissingExtra
from dispatch.plugins.containing import Outcome, callers, contained, drop
from dispatch.plugins.finding import imported, is_own, offered
from dispatch.plugins.fitting import check, own_name, specified, taken
from dispatch.plugins.implementation import OWN, Implementation, picking
from dispatch.plugins.lane import Lane
from dispatch.plugins.sections import section_of

AT_ONCE, MOST_WAITING = 100, 10_000
"""Calls of asynchronous hooks that run at once, and that wait for their turn."""
_REPEAT = 10.0
_LOOK = 0.005
SLOW = 0.1
"""Seconds of event loop that a hook may take before it is named in the log."""


class PluginManager:
    """The plugins of one app.

    Args:
        disabled: names that are never registered, whoever asks for them.
        settings: what [plugin.NAME] holds, given to a plugin's class as keyword arguments when `load` makes it; parsed
            by the model of its `register_config`, if it has one.
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
        self._hooks = specified()
        self._implementations: dict[str, tuple[Implementation, ...]] = dict.fromkeys(self._hooks, ())
        self.implemented: Set[str] = frozenset()
        """The hooks that somebody implements."""
        self._loaded_classes: set[type] = set()
        self.sections: dict[str, BaseModel] = {}
        """[plugin.NAME] as the plugins that have a model for it read it, defaults included."""
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[Context, str, dict[str, Any]]] = deque()
        self._left_out = 0
        self._told_at = float("-inf")

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
        wanted = name or own_name(plugin)
        if wanted in self._disabled:
            return None
        if name is None:
            wanted = self._free(wanted)
        elif self._manager.has_plugin(name):
            raise InvalidPlugin(f"the name {name!r} is taken by another plugin; register this one under its own name")
        check(plugin, wanted, hooks=self._hooks, manager=self._manager)
        try:
            self._manager.register(plugin, wanted)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise InvalidPlugin(f"plugin {wanted!r} cannot be registered: {error}") from error
        self._implementations = {hook: self._collected(hook) for hook in self._hooks}
        self.implemented = {hook for hook, found in self._implementations.items() if found}
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
        available = {entry.name: entry for entry in offered()}
        for name in wanted:
            self._load(name, available.get(name), available)

    def load_entry_points(self) -> None:
        """Registers what other installed distributions offer in group `dispatch`; our own only load by `load`.

        Raises:
            DiscoveryError: importing one failed; `disabled_plugins` switches it off.
            InvalidPlugin: see `register`.
        """
        for entry in offered():
            if not is_own(entry):
                self._load(entry.name, entry, {})

    def has(self, hook: str) -> bool:
        """Whether anybody implements the hook, so that its arguments are worth building."""
        return bool(self._implementations[hook])

    def needs_loop(self, hook: str) -> bool:
        """Whether `background` of the hook has to be called on an event loop: others than our own implement it."""
        return any(one.waits or not one.trusted for one in self._implementations[hook])

    async def notify(self, hook: str, /, **arguments: Any) -> None:
        """Calls every implementation of a lifecycle hook, one after the other; failures are logged, never raised."""
        for implementation in self._implementations[hook]:
            await self._call(implementation, arguments)

    async def _notify_waiting(self, hook: str, arguments: dict[str, Any]) -> None:
        for implementation in self._implementations[hook]:
            if implementation.waits:
                await self._call(implementation, arguments)

    async def collect(self, hook: str, /, **arguments: Any) -> list[Any]:
        """What the implementations of a hook return, in their order, without None.

        Failures are logged and left out; those of `register_*` hooks, which something was meant to rest on, are raised
        as InvalidPlugin.
        """
        return [answer for _, answer in await self.answers(hook, **arguments)]

    async def answers(self, hook: str, /, **arguments: Any) -> list[tuple[str, Any]]:
        """As `collect`, each with the name of the plugin."""
        found = [(one.plugin, await self._call(one, arguments)) for one in self._implementations[hook]]
        return [(plugin, answer) for plugin, answer in found if answer is not None]

    def complain(self, plugin: str, hook: str, what: str) -> None:
        """Logs what is wrong with an answer of a plugin."""
        self._logger.error("plugin %r: its %s answered what cannot be used; %s", plugin, hook, what)

    def ask(self, hook: str, /, **arguments: Any) -> list[tuple[str, Any]]:
        """What the plugins answer to a hook of `hookspecs.ASKED_AT_ONCE`, each with its name, in their order.

        Raises:
            InvalidPlugin: one of them raised.
        """
        found = [(one.plugin, self._ask(one, arguments)) for one in self._implementations[hook]]
        return [(name, answer) for name, answer in found if answer is not None]

    def ask_one(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        """What one plugin answers to such a hook; None when it does not implement it. Raises InvalidPlugin."""
        mine = [one for one in self._implementations[hook] if one.plugin == plugin]
        return self._ask(mine[0], arguments) if mine else None

    def background(self, hook: str, /, **arguments: Any) -> None:
        """Tells of a lifecycle hook without waiting; `drain` does. The plain functions of a plugin run on a thread of
        its own, one after the other in the order in which they were told of; coroutines run in a task.

        Calls of coroutines begin in that order too, but two may overlap: an asynchronous `job_completed` can begin
        before a slow `job_started` has ended. Beyond AT_ONCE tasks the calls wait for their turn; beyond MOST_WAITING
        they are left out, and that is logged.
        """
        waiting = False
        for one in self._implementations[hook]:
            if one.waits:
                waiting = True
            elif not one.trusted:
                self._hand_over(one, arguments)
            elif (value := self._told(one, one.outcome(arguments))) is not None and inspect.isawaitable(value):
                self._begin(self._wait_for(one, value), hook)
        if not waiting:
            return
        if len(self._tasks) < AT_ONCE:
            self._begin(self._notify_waiting(hook, arguments), hook)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append((copy_context(), hook, arguments))
        else:
            self._leave_out(hook)

    def _hand_over(self, one: Implementation, arguments: dict[str, Any]) -> None:
        """Calls a plain function on its plugin's thread."""
        loop = asyncio.get_running_loop()
        answer = self._submit(one, arguments)
        if answer is None:
            self._leave_out(one.hook)
            return

        def ended(found: Future[Outcome]) -> None:
            value = self._told(one, found.result())
            if inspect.isawaitable(value):
                loop.call_soon_threadsafe(self._begin, self._wait_for(one, value), one.hook)

        answer.add_done_callback(ended)

    def _submit(self, one: Implementation, arguments: dict[str, Any]) -> Future[Outcome] | None:
        lane = self._lanes.get(one.plugin)
        if lane is None:
            lane = self._lanes[one.plugin] = Lane(f"dispatch plugin {one.plugin}", most=MOST_WAITING)
        if lane.stuck_for > self._hook_timeout:
            return None
        return lane.submit(lambda: one.outcome(arguments))

    def _begin(self, work: Coroutine[Any, Any, None], hook: str, context: Context | None = None) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=f"dispatch hook {hook}", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and len(self._tasks) < AT_ONCE:
            context, hook, arguments = self._waiting.popleft()
            self._begin(self._notify_waiting(hook, arguments), hook, context)

    def _leave_out(self, hook: str) -> None:
        self._left_out += 1
        now = boot_seconds()
        if now - self._told_at >= _REPEAT:
            self._told_at = now
            text = "%d calls of hooks were left out (now %s): %d wait already, since plugins hang or do not keep up: %s"
            slow = sorted({one.plugin for one in self._implementations[hook] if not one.trusted})
            self._logger.error(text, self._left_out, hook, len(self._waiting), ", ".join(slow))

    async def drain(self, timeout: float) -> int:
        """Waits up to `timeout` seconds for background calls, cancels the rest and returns how many those were."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (pending := self._pending()) or self._on_threads():
            if loop.time() >= deadline:
                break
            if pending:
                await asyncio.wait(pending, timeout=min(_LOOK, deadline - loop.time()))
            else:
                await asyncio.sleep(_LOOK)
            await asyncio.sleep(0)  # what threads have answered begins now
        waiting = len(self._waiting) + self._on_threads()
        self._waiting.clear()
        if waiting:
            self._logger.warning("%d calls of hooks still waited for their turn and were left out", waiting)
        for task in pending:
            self._logger.warning("%s was still running after %g s and was cancelled", task.get_name(), timeout)
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=SLOW)
        return len(pending) + waiting

    def _on_threads(self) -> int:
        return sum(lane.pending for lane in self._lanes.values())

    def _pending(self) -> set[asyncio.Task[None]]:
        return self._tasks - callers() - {asyncio.current_task()}

    def _load(self, name: str, entry: EntryPoint | None, available: Collection[str]) -> None:
        if name in self._disabled or self._manager.has_plugin(name):
            return
        plugin = imported(name, entry, available)
        settings = self._settings.get(name, {})
        if not inspect.isclass(plugin):
            if settings:
                raise InvalidPlugin(f"plugin {name!r} is no class, so it takes no settings; remove [plugin.{name}]")
            self.register(plugin, name)
        elif plugin not in self._loaded_classes:
            self._loaded_classes.add(plugin)
            self.register(self._made(plugin, name, settings), name)

    def _made(self, plugin: type, name: str, given: Mapping[str, Any]) -> object:
        section = section_of(plugin, name, given, manager=self._manager)
        if section is not None:
            self.sections[name] = section
            given = dict(section)
        try:
            return plugin(**given)
        except TypeError as error:
            raise InvalidPlugin(f"plugin {name!r} does not take what [plugin.{name}] says: {error}") from error
        except (ConfigError, InvalidPlugin, MissingExtra):
            raise
        except (Exception, SystemExit) as error:
            raise InvalidPlugin(f"plugin {name!r} cannot be made: {type(error).__name__}: {error}") from error

    def _free(self, name: str) -> str:
        taken, number, candidate = set(self.names), 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        return candidate

    def _collected(self, hook: str) -> tuple[Implementation, ...]:
        """The hook's implementations in the order pluggy calls them: the last registered first, tryfirst before all."""
        found = getattr(self._manager.hook, hook).get_hookimpls()
        return tuple(
            Implementation(
                *(impl.plugin_name, hook, picking(impl.function, taken(impl.function, self._hooks[hook]))),
                waits=inspect.iscoroutinefunction(impl.function),
                trusted=(impl.function.__module__ or "").partition(".")[0] in OWN,
            )
            for impl in reversed(found)
        )

    def _ask(self, implementation: Implementation, arguments: dict[str, Any]) -> Any:
        try:
            return implementation.call(arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._fail(implementation, error, timed_out=False)

    def _on_the_loop(self, implementation: Implementation, arguments: dict[str, Any]) -> Outcome:
        started = time.perf_counter()
        outcome = implementation.outcome(arguments)
        elapsed = time.perf_counter() - started
        if elapsed > SLOW and not implementation.hook.startswith("register_"):  # those come before any job
            self._warn_slow(implementation, elapsed)
        return outcome

    async def _wait_for(self, implementation: Implementation, result: Awaitable[Any]) -> None:
        """Awaits what a plain function has answered, as that of a coroutine function."""
        self._told(implementation, await contained(result, limit=self._hook_timeout))

    async def _call(self, implementation: Implementation, arguments: dict[str, Any]) -> Any:
        if implementation.waits or implementation.trusted or implementation.hook.startswith("register_"):
            outcome = self._on_the_loop(implementation, arguments)
        else:
            outcome = await self._on_its_thread(implementation, arguments)
        if inspect.isawaitable(outcome.value):
            outcome = await contained(outcome.value, limit=self._hook_timeout)
        return self._told(implementation, outcome)

    def _told(self, implementation: Implementation, outcome: Outcome) -> Any:
        """The value of a call; logs what it raised instead."""
        if outcome.error is None:
            return outcome.value
        self._fail(implementation, outcome.error, timed_out=outcome.late, tenacious=outcome.tenacious)
        return None

    async def _on_its_thread(self, implementation: Implementation, arguments: dict[str, Any]) -> Outcome:
        answer = self._submit(implementation, arguments)
        if answer is None:
            message = f"the thread of the plugin {implementation.plugin!r} is stuck in an earlier call"
            return Outcome(error=TimeoutError(message))
        try:
            async with asyncio.timeout(self._hook_timeout):
                return await asyncio.wrap_future(answer)
        except TimeoutError as error:
            answer.add_done_callback(drop)
            return Outcome(error=error, late=True)

    def _warn_slow(self, one: Implementation, elapsed: float) -> None:
        text = "plugin %r: its %s held the event loop for %.3f s, and every job with it; make it `async` and await"
        self._logger.warning(text, one.plugin, one.hook, elapsed)

    def _fail(
        self, implementation: Implementation, error: BaseException, *, timed_out: bool, tenacious: bool = False
    ) -> None:
        what = f"took longer than {self._hook_timeout:g} s" if timed_out else f"raised {type(error).__name__}"
        if tenacious:
            what += ", went on when it was cancelled, and was ended"
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
