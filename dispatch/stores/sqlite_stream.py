"""The stream part of the SQLite store: triggers that exist only while somebody listens."""

from __future__ import annotations

from dispatch.stores.sql.plan import Do, Plan, Rows
from dispatch.stores.sql.stream import SQLStream

_TOLD = ("jobs_added", "jobs_changed", "jobs_buried", "runs_changed", "steps_recorded", "crons_fired")


class SQLiteStream(SQLStream):
    """StreamStore over one SQLite file."""

    def _tell(self) -> Plan[None]:
        for what in _TOLD:
            yield Do(f"tell_{what}", {})

    def _keep_quiet(self) -> Plan[None]:
        if not (yield Rows("some_listener", {}))[0][0]:
            for what in _TOLD:
                yield Do(f"keep_{what}_quiet", {})
