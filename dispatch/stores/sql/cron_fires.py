"""How entries fire in a SQL store: some in one transaction, each while its entry is what was read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from dispatch.clock import from_micros, micros
from dispatch.crons.model import NEWER_TICK, Fire, Fired, NewTick, Tick
from dispatch.crons.settle import tick_of
from dispatch.entity import Reply
from dispatch.ids import CronID, JobID
from dispatch.stores.sql import unique
from dispatch.stores.sql.changes import cancel
from dispatch.stores.sql.cron_rows import TICK, tick_from, tick_row
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.plan import Each, Lock, Many, Plan, Rows
from dispatch.stores.sql.rows import names_text
from dispatch.stores.sql.workflow_changes import cancel as cancel_run
from dispatch.stores.sql.workflow_journal import create
from dispatch.workflows.model import driven_by

_FIRES_AT_ONCE = 20
_TICKS_AT_ONCE = 200
"""What one transaction writes, so that it is over soon."""
_ADVANCE = ("id", "revision", "expected", "next_fire_at", "now")


def in_batches(fires: Sequence[Fire]) -> Iterator[list[Fire]]:
    """The fires in order, some at a time; no entry is twice in one batch."""
    batch: list[Fire] = []
    ticks = 0
    for fire in fires:
        ticks += len(fire.ticks)
        full = len(batch) == _FIRES_AT_ONCE or ticks > _TICKS_AT_ONCE
        if batch and (full or any(other.entry_id == fire.entry_id for other in batch)):
            yield batch
            batch, ticks = [], len(fire.ticks)
        batch.append(fire)
    if batch:
        yield batch


def fire_all(fires: Sequence[Fire], now: int) -> Plan[list[Fired]]:
    """The plan of CronStore.fire, for entries that differ."""
    ids = names_text(sorted(fire.entry_id for fire in fires))
    yield Lock("lock_crons_of", {"ids": ids})
    counts = yield Each("advance_cron", _ADVANCE, [_advance(fire, now) for fire in fires])
    there = {id_ for (id_,) in (yield Rows("crons_there", {"ids": ids}))} if not all(counts) else set[str]()
    moved = [fire for fire, count in zip(fires, counts, strict=True) if count]
    written = iter((yield from write_ticks([(fire.entry_id, new) for fire in moved for new in fire.ticks], now)))
    answers = []
    for fire, count in zip(fires, counts, strict=True):
        if count:
            answers.append(Fired(Reply.APPLIED, [next(written) for _ in fire.ticks]))
        else:
            answers.append(Fired(Reply.CONFLICT if fire.entry_id in there else Reply.MISSING))
    latest = []
    for fire, answer in zip(fires, answers, strict=True):
        fired = [micros(tick.scheduled_at) for tick in answer.ticks if tick.outcome == "fired"]
        if fired:
            latest.append((str(fire.entry_id), max(fired)))
    yield Many("note_cron_fired", ("id", "fired_at"), latest)
    return answers


def write_ticks(news: Sequence[tuple[CronID, NewTick]], now: int) -> Plan[list[Tick]]:
    """The ticks as they stand: earlier ones of the same moments, or the new ones with what they made."""
    places = [(str(entry_id), micros(new.scheduled_at)) for entry_id, new in news]
    rows = (yield Rows("cron_ticks_at", {"places": json.dumps(places)})) if places else []
    standing = {(tick.entry_id, tick.scheduled_at): tick for tick in map(tick_from, rows)}
    fresh: dict[tuple[CronID, datetime], NewTick] = {}
    for entry_id, new in news:
        if (entry_id, new.scheduled_at) not in standing:
            fresh.setdefault((entry_id, new.scheduled_at), new)
    made = yield from _make([*fresh.values()], now)
    written = [
        tick_of(entry_id, new, id_, from_micros(now))
        for ((entry_id, _), new), id_ in zip(fresh.items(), made, strict=True)
    ]
    yield Many("insert_cron_tick", TICK, [tick_row(tick) for tick in written])
    standing |= {(tick.entry_id, tick.scheduled_at): tick for tick in written}
    return [standing[entry_id, new.scheduled_at] for entry_id, new in news]


def _advance(fire: Fire, now: int) -> tuple[str | int | None, ...]:
    expected, following = (None if at is None else micros(at) for at in (fire.expected, fire.next_fire_at))
    return str(fire.entry_id), fire.revision, expected, following, now


def _make(news: Sequence[NewTick], now: int) -> Plan[list[JobID | None]]:
    """The jobs and drivers that the ticks make; None where one makes none, or the overlap rule keeps it out."""
    jobs = [new.job for new in news if new.job is not None and not new.cancel_old]
    answers = iter((yield from enqueue(jobs, now))) if jobs else iter(())
    made: list[JobID | None] = []
    for new in news:
        if new.cancel_old:
            yield from _cancel_old(new, now)
        if new.run is not None:
            (run,) = yield from create([new.run], now, line_up=True)
            made.append(new.run.driver.id if run.created else None)
        elif new.job is not None:
            answer = (yield from enqueue([new.job], now))[0] if new.cancel_old else next(answers)
            made.append(answer.id if answer.created else None)
        else:
            made.append(None)
    return made


def _cancel_old(new: NewTick, now: int) -> Plan[None]:
    """Asks the job or run that holds the entry's key to stop."""
    made = new.job if new.run is None else new.run.driver
    if made is None or made.unique is None:
        return
    holder = yield from unique.holder(made.unique.key, now)
    if holder is not None and holder.live:
        asked = yield from cancel_run(driven_by(holder.job_id), None, NEWER_TICK, now)
        if asked.reply is Reply.MISSING:
            yield from cancel(holder.job_id, None, NEWER_TICK, now)
