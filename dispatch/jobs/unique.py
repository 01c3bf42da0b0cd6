"""How a definition's `unique` rule makes its value of a call's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.jobs.base import Definition
from dispatch.jobs.options import EnqueueOptions


class Keyed(Definition):
    """A definition whose calls may be unique."""

    settings: EnqueueOptions
    _unique_names: list[str] | None = None

    def unique_value(self, options: EnqueueOptions, arguments: Mapping[str, object]) -> object:
        """What the unique rule makes of these arguments; None when it is no function."""
        rule = options.unique
        if not callable(rule):
            return None
        names = self._unique_names if rule is self.settings.unique else self._match_unique(rule)
        assert names is not None
        defaults = self.signature.defaults
        value = rule(*(arguments[name] if name in arguments else defaults.get(name) for name in names))
        if value is None:
            raise InvalidArguments(f"{self.name}: the unique rule returned None for these arguments; return a value")
        return value

    def _match_unique(self, rule: Callable[..., object]) -> list[str]:
        wanted = list(inspect.signature(rule).parameters)
        if all(name in self.signature.names for name in wanted):
            return wanted
        if len(wanted) <= len(self.signature.names):
            return self.signature.names[: len(wanted)]
        raise InvalidDefinition(f"{self.name}: the unique rule takes {len(wanted)} arguments, the {self.kind} fewer")
