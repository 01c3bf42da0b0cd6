"""The ledger of a PostgreSQL store: triggers in its schema, and what can be done to its server."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from servers.postgres import Server

from .sql_ledger import NOTE_CHANGE, NOTE_DELETION, SQLLedger

_WRITE_DOWN = f"""
CREATE TABLE fault_moves (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job TEXT, old TEXT, new TEXT, old_worker TEXT, worker TEXT,
  old_epoch BIGINT, epoch BIGINT, old_failures BIGINT, failures BIGINT, old_crashes BIGINT, crashes BIGINT, at BIGINT);
CREATE FUNCTION fault_moved() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
  BEGIN {NOTE_CHANGE} RETURN NULL; END $$;
CREATE FUNCTION fault_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
  BEGIN {NOTE_DELETION} RETURN NULL; END $$;
CREATE TRIGGER fault_moved AFTER UPDATE ON jobs FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.epoch IS DISTINCT FROM NEW.epoch) EXECUTE FUNCTION fault_moved();
CREATE TRIGGER fault_deleted AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION fault_deleted();
"""
_PATIENCE = 30.0


class PostgresLedger(SQLLedger):
    """Looks at one schema of a server that belongs to the run."""

    _TEXT = "convert_from({}, 'UTF8')"

    def __init__(self, server: Server, namespace: str = "faults") -> None:
        self.server = server
        self.namespace = namespace
        self.url = server.url
        self._connection: psycopg.Connection[Any] | None = None

    def write_down(self) -> None:
        """Makes the schema remember every state change from now on."""
        self._connected().execute(_WRITE_DOWN)

    def query(self, sql: str, *params: object) -> list[tuple[object, ...]]:
        """One look at the tables as they are now; again where the server was away."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._connected().execute(sql.replace("?", "%s"), params).fetchall()
            except psycopg.OperationalError:
                self.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def integrity(self) -> str:
        """Whether every job stands in the index that claims walk if and only if it is claimable: "ok"."""
        ((wrong,),) = self.query("SELECT count(*) FROM jobs WHERE (ready > 0) <> (state IN ('pending', 'retrying'))")
        return f"{wrong} rows are claimable and ended, or wait unseen" if wrong else "ok"

    def held_up(self) -> bool:
        """No process keeps the others from writing by standing still."""
        return False

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The server is away inside the block; it dies as in a crash."""
        self.server.stop(signal.SIGQUIT)
        yield
        self.server.start()

    def cut_connections(self) -> int:
        """Ends the sessions of all actors; answers how many."""
        own = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'dispatch %%'"
        return int(str(self.query(own)[0][0]))

    def deadlocks(self) -> int:
        """How many the server has resolved."""
        return int(str(self.query("SELECT sum(deadlocks) FROM pg_stat_database")[0][0]))

    def close(self) -> None:
        """Disconnects."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            options = f"-c search_path={self.namespace}"
            self._connection = psycopg.connect(self.server.url, autocommit=True, options=options, connect_timeout=5)
        return self._connection
