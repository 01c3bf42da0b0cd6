"""One plugin's function for one hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from dispatch.plugins.containing import Outcome

OWN = ("dispatch", "dispatch_cli", "dispatch_relay", "dispatch_k8s")
"""Packages whose plain functions are known to be quick."""
_NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Implementation:
    plugin: str
    hook: str
    call: Callable[[Mapping[str, Any]], Any]
    """Calls its function, given all arguments of the hook."""
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


def picking(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """What calls a function with those of a hook's arguments that it takes, of these names."""
    parameters = signature(function, follow_wrapped=False).parameters  # of what is called, not of what it wraps
    if len(names) == 1 and [one.kind for one in parameters.values()] == [Parameter.POSITIONAL_OR_KEYWORD]:
        (name,) = names
        return lambda arguments: function(arguments[name])  # a third of the time, and most take the job alone
    return lambda arguments: function(**{name: arguments[name] for name in names})
