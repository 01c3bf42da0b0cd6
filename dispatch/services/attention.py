"""What needs a person, a sentence each, with the command that helps."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.services.status import Status

_NAMED = 5
"""How many of a kind are named before they are only counted."""


def attention(found: Status) -> list[str]:
    """What needs a person, a sentence each, with the command that helps."""
    lines = [f"the store refuses writes: {found.refusal}"] if found.refusal else []
    if not found.live and found.unserved:
        lines.append("jobs wait and no worker is alive: start one with `dispatch run yourapp.tasks`")
    else:
        for info in found.unserved:
            name = info.config.name
            lines.append(f"jobs wait on queue {name!r}, which no live worker serves: `dispatch run … -q {name}`")
    for info in found.queues:
        name = info.config.name
        if info.pause is not None:
            by = f" by {info.pause.by}" if info.pause.by else ""
            why = f" ({info.pause.reason})" if info.pause.reason else ""
            lines.append(f"queue {name!r} is paused{by}{why}: `dispatch queue resume {name}`")
        if info.set_aside:
            what = "job of queue" if info.set_aside == 1 else "jobs of queue"
            lines.append(
                f"{info.set_aside} {what} {name!r} set aside: no live worker that serves it knows the name: "
                f"`dispatch job list --queue {name} --state pending,retrying`"
            )
    for info, places in found.full:
        name = info.config.name
        slots = "1 slot" if places == 1 else f"{places} slots"
        lines.append(
            f"jobs of queue {name!r} have been due for over a minute and all workers that serve it are full ({slots}): "
            "`dispatch job stats`, `dispatch worker list`"
        )
    blocked = sum(count for state, count in found.runs.items() if state == "blocked")
    if blocked:
        runs = "workflow run is" if blocked == 1 else "workflow runs are"
        lines.append(f"{blocked} {runs} blocked: `dispatch workflow list --state blocked` shows why")
    if found.dead_letters:
        letters = "dead letter waits" if found.dead_letters == 1 else "dead letters wait"
        lines.append(f"{found.dead_letters} {letters} for a decision: `dispatch dlq list --group`")
    return lines


def cron_attention(found: Status, missed: Mapping[str, int]) -> list[str]:
    """What needs a person about cron entries; many of a kind are one sentence."""
    lines = []
    if len(found.disabled) > _NAMED:
        lines.append(f"{len(found.disabled)} cron entries are disabled: `dispatch cron list --state disabled`")
    for entry in found.disabled if len(found.disabled) <= _NAMED else ():
        by = f" by {entry.disabled_by}" if entry.disabled_by else ""
        until = f" until {entry.disabled_until:%Y-%m-%d %H:%M} UTC" if entry.disabled_until else ""
        why = f" ({entry.disabled_reason})" if entry.disabled_reason else ""
        lines.append(f"cron {entry.name!r} is disabled{by}{until}{why}: `dispatch cron enable {entry.name}`")
    if found.orphaned:
        names = ", ".join(entry.name for entry in found.orphaned[:_NAMED])
        more = ", …" if len(found.orphaned) > _NAMED else ""
        lines.append(f"no live worker has the code of cron {names}{more}, which does not fire: `dispatch cron prune`")
    if found.overdue:
        names = ", ".join(entry.name for entry in found.overdue[:_NAMED])
        more = ", …" if len(found.overdue) > _NAMED else ""
        lines.append(f"cron {names}{more} should have fired: `dispatch leader show` says who fires")
    for name, count in list(missed.items())[:_NAMED]:
        ticks = "1 tick" if count == 1 else f"{count} ticks"
        lines.append(f"cron {name!r} missed {ticks} within a day: `dispatch cron history {name}`")
    return lines
