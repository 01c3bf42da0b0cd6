"""Other arguments for the replay of a dead letter: all of them, or some places in those it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatch.dlq.model import DLQEntry
from dispatch.errors import InvalidArguments
from dispatch.masking import MASK, is_secret
from dispatch.services.forks import with_value
from dispatch.services.named import named_payload


@dataclass(frozen=True, slots=True)
class Edit:
    """What the new job is to carry instead.

    >>> Edit(sets={"amount": 3}).words
    'edited: amount'
    """

    arguments: Any = None
    """All arguments: an object (by parameter name) or a list (by position); None: those of the dead letter."""
    sets: Mapping[str, Any] = field(default_factory=dict)
    """Then these: `{"customer.email": "ada@example.com"}`, a path into them to its new value."""

    @property
    def words(self) -> str:
        """What was edited, for the audit record; no values, which may be secrets."""
        return "edited: " + ", ".join(["all arguments"] * (self.arguments is not None) + [*self.sets])

    def payload(self, entry: DLQEntry, schema: dict[str, Any] | None) -> bytes:
        """The arguments as JSON by parameter name. A secret that was shown as "***" and left so stays what it was.

        Raises InvalidArguments: they do not fit the schema that was announced, or a path leads nowhere.
        """
        held: Any = None
        try:
            held = json.loads(entry.payload)
        except ValueError:
            if self.arguments is None:
                raise InvalidArguments(
                    f"what {entry.id} carries is no JSON, so nothing in it can be edited: give all arguments"
                ) from None
        arguments = held if self.arguments is None else unmasked(self.arguments, held)
        for path, value in self.sets.items():
            arguments = with_value(arguments, path, value, path)
        return named_payload(entry.job_name, arguments, schema)


def unmasked(shown: Any, held: Any, key: str = "") -> Any:
    """A document as somebody edited it, with what was masked for them as it is held.

    >>> unmasked({"to": "ada", "token": "***"}, {"to": "bob", "token": "s3cret"})
    {'to': 'ada', 'token': 's3cret'}
    """
    if shown == MASK and held and is_secret(key):
        return held
    if isinstance(shown, dict):
        inside = held if isinstance(held, dict) else {}
        return {name: unmasked(value, inside.get(name), name) for name, value in shown.items()}
    if isinstance(shown, list) and isinstance(held, list) and len(shown) == len(held):
        return [unmasked(one, other, key) for one, other in zip(shown, held, strict=True)]
    return shown
