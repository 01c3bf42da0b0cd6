"""Faults of the feed: over any store, in the memory store, in SQLite's triggers and in Redis's scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from mutants import Fault, Verb
from mutants_memory import _around, _constant
from mutants_redis import _lua
from mutants_sqlite import _sql

from dispatch.stores.memory import data as memory_data
from dispatch.stores.memory import finish, journal
from dispatch.stores.memory.stream_log import StreamLog
from dispatch.streams import EVENT_TYPES, StreamEntry

_HERE = ("feed", "feed_runs")
_fresh = count()


def _read(change: Callable[[list[StreamEntry]], list[StreamEntry]]) -> dict[str, Verb]:
    """Readers get something else than what is kept."""

    async def read_after(stream: Any, channels: Any, position: int, **options: Any) -> Any:
        page = await stream.read_after(channels, position, **options)
        return replace(page, entries=change(page.entries))

    return {"stream.read_after": read_after}


async def _finish_stale_too(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    """A stale report ends the job all the same."""
    rows = [await jobs.get(said.job_id) for said in transitions]
    for said, row in zip(transitions, rows, strict=True):
        if row is not None and row.worker_id is not None and row.epoch != said.epoch:
            await jobs.finish(row.worker_id, [replace(said, epoch=row.epoch)])
    return await jobs.finish(worker_id, transitions)


async def _listen_to_all(stream: Any, channels: Any, listener: str, **options: Any) -> None:
    await stream.listen(EVENT_TYPES, listener, **options)


FEED = (
    Fault("dead letters are not told", "", _HERE, _read(lambda entries: [e for e in entries if e.type != "job.dlq"])),
    Fault("every event twice", "", _HERE, _read(lambda entries: [e for entry in entries for e in (entry, entry)])),
    Fault("no event has a tenant", "I31", _HERE, _read(lambda entries: [replace(e, tenant="") for e in entries])),
    Fault("the feed turned round", "", _HERE, _read(lambda entries: entries[::-1])),
    Fault(
        "an id for each reader",
        "",
        _HERE,
        _read(lambda entries: [replace(e, id=f"{e.id.rpartition(':')[0]}:{next(_fresh)}") for e in entries]),
    ),
    Fault("no step is told", "", _HERE, _read(lambda entries: [e for e in entries if "step" not in e.type])),
    Fault("no start is told", "", _HERE, _read(lambda entries: [e for e in entries if "started" not in e.type])),
    Fault("no tick is told", "", _HERE, _read(lambda entries: [e for e in entries if "cron" not in e.type])),
    Fault("a stale report is told", "I4", _HERE, {"jobs.finish": _finish_stale_too}),
    Fault("everything is kept for whoever listens", "", _HERE, {"stream.listen": _listen_to_all}),
)


def _always(true: Any) -> Any:
    return lambda log, channel, now: True


def _told_by_kind(true: Any) -> Any:
    """Deliveries are told as jobs are."""

    def tell(log: Any, kind: str, row: Any, now: Any, **options: Any) -> None:
        true(log, kind, replace(row, kind="job"), now, **options)

    return tell


FEED_MEMORY = (
    Fault("told although nobody listens", "", _HERE, plant=_around(StreamLog, "heard", _always)),
    Fault("no retry is told", "", _HERE, plant=_around(finish, "tell_retry", _constant(None))),
    Fault("no end of a run is told", "", _HERE, plant=_around(finish, "tell_run_ended", _constant(None))),
    Fault("no checkpoint is told", "", _HERE, plant=_around(journal, "tell_step", _constant(None))),
    Fault("deliveries are told", "", _HERE, plant=_around(memory_data, "tell_job", _told_by_kind)),
)

FEED_SQLITE = (
    _sql("deliveries are told", "", "feed", ("tell_jobs_changed", "NEW.kind = 'job' AND", "")),
    _sql("what counts nothing is told", "", "feed", ("tell_jobs_changed", "NEW.failures > OLD.failures OR", "1 OR")),
    _sql("leases do not end", "", "feed", ("tell_jobs_changed", "AND until > NEW.updated_at)", ")")),
    _sql("the lapsed listen on", "", "feed", ("tell_jobs_added", "AND until > NEW.updated_at)", ")")),
    _sql("copies are told", "", "feed_runs", ("tell_steps_recorded", "NEW.inherited = 0\n  AND", "")),
    _sql("runs begin with each claim", "", "feed_runs", ("tell_runs_changed", "WHEN OLD.started_at IS NULL", "WHEN 1")),
    _sql("skipped ticks are told", "", "feed_runs", ("tell_crons_fired", "NEW.outcome = 'fired'\n  AND", "")),
    _sql("loaded rows are told", "", "feed", ("hush", "until = -until", "until = until")),
)

FEED_REDIS = (
    _lua("nobody needs to listen", "", "feed", "finish", "return lease_end ~= nil and", "return true or"),
    _lua("deliveries are told", "", "feed", "finish", "(row.k or 'job') ~= 'job' or", "false or"),
    _lua(
        "snoozes are told",
        "",
        "feed",
        "finish",
        "    if verdict == 'R' then\n      tell_retry",
        "    if true then\n      tell_retry",
    ),
    _lua("one alone is told to nobody", "", "feed", "enqueue_now", "key, P .. 'yh')", "key)"),
    _lua("the short way is not told", "", "feed", "finish", "if told then", "if false then"),
    _lua("skipped ticks are told", "", "feed_runs", "cron_fire", "if outcome == 'fired' then", "if true then"),
    _lua("runs begin with each claim", "", "feed_runs", "claim", "local first = not run.sa", "local first = true"),
)
