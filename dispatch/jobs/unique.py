"""What a definition's functions of the arguments (a unique rule, a concurrency key) make of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.jobs.base import Definition
from dispatch.jobs.options import EnqueueOptions


class Keyed(Definition):
    """A definition whose options may hold functions of a call's arguments."""

    settings: EnqueueOptions

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        super().__init__(function, name=name)
        self._names_of_rules: dict[int, list[str]] = {}
        """Of the functions in the definition's options, by id(): the arguments each takes."""

    def unique_value(self, options: EnqueueOptions, arguments: Mapping[str, Any]) -> object:
        """What the unique rule makes of these arguments; None when it is no function."""
        return self._value(options.unique, arguments, "unique rule")

    def concurrency_value(self, options: EnqueueOptions, arguments: Mapping[str, Any]) -> object:
        """What the key of the concurrency limit makes of these arguments; None when it is no function."""
        limit = options.concurrency
        return None if limit is None else self._value(limit.key, arguments, "concurrency key")

    def _learn(self, settings: EnqueueOptions) -> None:
        """Matches the functions in the definition's own options with its arguments, once."""
        if callable(settings.unique):
            self._names_of_rules[id(settings.unique)] = self._match(settings.unique, "unique rule")
        if settings.concurrency is not None and callable(settings.concurrency.key):
            key = settings.concurrency.key
            self._names_of_rules[id(key)] = self._match(key, "concurrency key")

    def _value(self, rule: object, arguments: Mapping[str, Any], what: str) -> object:
        if not callable(rule):
            return None
        names = self._names_of_rules.get(id(rule))
        if names is None:
            names = self._match(rule, what)
        defaults = self.signature.defaults
        value = rule(*(arguments[name] if name in arguments else defaults.get(name) for name in names))
        if value is None:
            raise InvalidArguments(f"{self.name}: the {what} returned None for these arguments; return a value")
        return value

    def _match(self, rule: Callable[..., object], what: str) -> list[str]:
        wanted = list(inspect.signature(rule).parameters)
        if all(name in self.signature.names for name in wanted):
            return wanted
        if len(wanted) <= len(self.signature.names):
            return self.signature.names[: len(wanted)]
        raise InvalidDefinition(f"{self.name}: the {what} takes {len(wanted)} arguments, the {self.kind} fewer")
