"""The stream part of the SQLite store: triggers that exist only while somebody listens."""

from __future__ import annotations

from dispatch.stores.sql.plan import Do, Plan, Rows
from dispatch.stores.sql.stream import SQLStream

_TELL = (
    "tell_jobs_added",
    "tell_jobs_changed",
    "tell_jobs_buried",
    "tell_runs_changed",
    "tell_steps_recorded",
    "tell_crons_fired",
)
_KEEP_QUIET = (
    "keep_jobs_added_quiet",
    "keep_jobs_changed_quiet",
    "keep_jobs_buried_quiet",
    "keep_runs_changed_quiet",
    "keep_steps_recorded_quiet",
    "keep_crons_fired_quiet",
)


class SQLiteStream(SQLStream):
    """StreamStore over one SQLite file."""

    def _tell(self) -> Plan[None]:
        for trigger in _TELL:
            yield Do(trigger, {})

    def _keep_quiet(self) -> Plan[None]:
        if not (yield Rows("some_listener", {}))[0][0]:
            for trigger in _KEEP_QUIET:
                yield Do(trigger, {})
