"""One plugin's function for one hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.plugins.containing import Outcome

OWN = ("dispatch", "dispatch_cli", "dispatch_relay", "dispatch_k8s")
"""Packages whose plain functions are known to be quick."""
_NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Implementation:
    plugin: str
    hook: str
    function: Callable[..., Any]
    names: tuple[str, ...]
    """The hook's arguments that the function takes."""
    waits: bool
    """Whether it is a coroutine function."""
    trusted: bool
    """Whether it is our own, and so may run on the event loop although it is a plain function."""

    def outcome(self, arguments: Mapping[str, Any]) -> Outcome:
        """Calls it so, whatever it raises; a coroutine function answers what is to be awaited."""
        try:
            value = self.call(arguments)
            return _NOTHING if value is None else Outcome(value)
        except BaseException as error:
            return Outcome(error=error)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Calls it with those of the hook's arguments that it takes."""
        if len(self.names) == 1:
            (name,) = self.names
            return self.function(**{name: arguments[name]})
        return self.function(**{name: arguments[name] for name in self.names})
