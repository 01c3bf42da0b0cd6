"""Other arguments for the replay of a dead letter: all of them, or some places in those it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatch.dlq.model import DLQEntry
from dispatch.errors import InvalidArguments
from dispatch.masking import MASK, mask_value
from dispatch.services.named import named_payload
from dispatch.services.places import missing, with_value

_TOLD = 500


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
    force: bool = False
    """Whether `sets` may also add fields that are not there and that no announced schema names."""

    @property
    def words(self) -> str:
        """What was edited, for the audit record, in at most some hundred letters; no values, which may be secrets."""
        whole = "edited: " + ", ".join(["all arguments"] * (self.arguments is not None) + [*self.sets])
        return whole if len(whole) <= _TOLD else f"{whole[:_TOLD]}…"

    def payload(self, entry: DLQEntry, schema: dict[str, Any] | None) -> bytes:
        """The arguments as JSON by parameter name. A secret that was shown as "***" and left so stays what it was.

        Raises InvalidArguments: they do not fit the schema that was announced, a path leads nowhere or to a field
        that is not there, or a "***" stands for a secret that is not known.
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
        slips: list[str] = []
        for path, value in self.sets.items():
            slips += filter(None, [missing(arguments, path, schema)])
            arguments = with_value(arguments, path, value, path)
        payload = named_payload(entry.job_name, arguments, schema)
        if slips and not self.force:
            raise InvalidArguments(
                f"{entry.job_name}: {' '.join(slips)} With force (--force on the command line) fields that are not "
                "there are added"
            )
        return payload


def unmasked(shown: Any, held: Any, key: str = "", path: str = "") -> Any:
    """A document as somebody edited it, with what was masked for them as it is held.

    Raises InvalidArguments for a mask where nothing is held that is shown so.

    >>> unmasked({"to": "ada", "token": "***"}, {"to": "bob", "token": "s3cret"})
    {'to': 'ada', 'token': 's3cret'}
    """
    if isinstance(shown, str) and MASK in shown:
        if shown == mask_value(key, held):
            return held
        if shown == mask_value(key, shown.replace(MASK, "x")):
            raise InvalidArguments(
                f"{path}: {MASK} is shown instead of a secret, and none is held there that is shown so: write it out"
            )
    if isinstance(shown, dict):
        inside = held if isinstance(held, dict) else {}
        return {name: unmasked(value, inside.get(name), name, _below(path, name)) for name, value in shown.items()}
    if isinstance(shown, list):
        beside = held if isinstance(held, list) and len(held) == len(shown) else [None] * len(shown)
        pairs = zip(shown, beside, strict=True)
        return [unmasked(one, other, key, _below(path, number)) for number, (one, other) in enumerate(pairs)]
    return shown


def _below(path: str, part: str | int) -> str:
    return f"{path}.{part}" if path else str(part)
