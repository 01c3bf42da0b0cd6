"""Channels that people subscribe to: which event types each consists of, and which events of these it lets through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.errors import InvalidArguments
from dispatch.streams.model import CRON_EVENTS, EVENT_TYPES, JOB_EVENTS, WORKFLOW_EVENTS

_WIDE = {"jobs": JOB_EVENTS, "workflows": WORKFLOW_EVENTS, "crons": CRON_EVENTS, "firehose": EVENT_TYPES}
_NARROW = {
    "job": (JOB_EVENTS, "job_id"),
    "workflow": (WORKFLOW_EVENTS, "run_id"),
    "queue": (JOB_EVENTS, "queue"),
}
_SUBJECT = {"job": "job_id", "workflow": "run_id", "cron": "entry_name"}


@dataclass(frozen=True, slots=True)
class Topic:
    """A channel by name: its event types and which of their events it is about."""

    name: str
    types: frozenset[str]
    field: str = ""
    value: str = ""
    """Only events whose `field` in the data is this; no field: all."""

    def wants(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Whether an event of that type with these data belongs to the channel."""
        return kind in self.types and (not self.field or data.get(self.field) == self.value)


def topic_of(channel: str) -> Topic:
    """The channel of that name; InvalidArguments when there is none.

    Channels are `job:<id>`, `workflow:<run id>`, `queue:<name>`, `jobs`, `workflows`, `crons`, `firehose` (all that
    stores tell of), and every event type, such as `job.failed` or one that a program publishes.

    >>> sorted(topic_of("crons").types)
    ['cron.fired']
    """
    if channel in _WIDE:
        return Topic(channel, frozenset(_WIDE[channel]))
    kind, separator, value = channel.partition(":")
    if separator and value and kind in _NARROW:
        types, field = _NARROW[kind]
        return Topic(channel, frozenset(types), field, value)
    if "." in channel and not separator:
        return Topic(channel, frozenset((channel,)))
    raise InvalidArguments(
        f"there is no channel {channel!r}: subscribe to job:<id>, workflow:<run id>, queue:<name>, jobs, workflows, "
        "crons, firehose or an event type such as job.failed"
    )


def about(kind: str, data: Mapping[str, Any]) -> str:
    """What an event is about, as Event.topic says it."""
    noun = kind.partition(".")[0]
    field = _SUBJECT.get(noun)
    value = data.get(field) if field is not None else None
    return "" if value is None else f"{noun}:{value}"
