"""How many runs of a concurrency key were open at once, from the changes of their states; how a store notes those."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping

from dispatch.workflows import RunState

from .fleet import Scene

BEGUN = (RunState.RUNNING, RunState.WAITING, RunState.BLOCKED)
_SQLITE = """
CREATE TABLE noted (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, state TEXT);
CREATE TRIGGER noted_runs AFTER UPDATE OF state ON runs WHEN NEW.state <> OLD.state
BEGIN INSERT INTO noted (id, state) VALUES (NEW.id, NEW.state); END;
"""
_POSTGRES = """
SET search_path TO "{0}";
CREATE TABLE noted (number BIGINT GENERATED ALWAYS AS IDENTITY, id TEXT, state TEXT);
CREATE FUNCTION note_run() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO "{0}".noted (id, state) VALUES (NEW.id, NEW.state); RETURN NULL; END $$;
CREATE TRIGGER noted_runs AFTER UPDATE OF state ON runs FOR EACH ROW WHEN (NEW.state <> OLD.state)
  EXECUTE FUNCTION note_run();
"""


class Places:
    """Counts the places that runs hold; one that is cancelled before its first start holds none."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        """Key → how many of its runs were open at most."""
        self._begun: set[str] = set()
        self._open: dict[str, str] = {}

    def note(self, changes: Iterable[tuple[str, str, RunState]]) -> None:
        """Runs, their keys and their new states: what one transaction has changed."""
        for run_id, key, state in changes:
            if state in BEGUN:
                self._begun.add(run_id)
            if not state.terminal and run_id in self._begun:
                self._open[run_id] = key
            else:
                self._open.pop(run_id, None)
        self.most |= Counter(self._open.values())


def most_open(changes: Iterable[tuple[str, str]], keys: Mapping[str, str]) -> Counter[str]:
    """How many runs of each key were open at most, by the changes in their order and the keys of the runs."""
    places = Places()
    for run_id, state in changes:
        if run_id in keys:
            places.note([(run_id, keys[run_id], RunState(state))])
    return places.most


async def note_states(scene: Scene) -> None:
    """Makes an SQL store note every change of a run's state, in the order of their transactions."""
    if scene.url.startswith("sqlite"):
        connection = sqlite3.connect(scene.folder / "runs.db", timeout=30)
        connection.executescript(_SQLITE)
        connection.close()
    elif scene.url.startswith("postgres"):
        import asyncpg

        server = await asyncpg.connect(scene.url)
        await server.execute(_POSTGRES.format(scene.namespace))
        await server.close()


async def noted_states(scene: Scene) -> list[tuple[str, str]]:
    """Run and new state of every change; none on Redis."""
    select = "SELECT id, state FROM {}noted ORDER BY number"
    if scene.url.startswith("sqlite"):
        connection = sqlite3.connect(scene.folder / "runs.db", timeout=30)
        rows = connection.execute(select.format("")).fetchall()
        connection.close()
        return rows
    if not scene.url.startswith("postgres"):
        return []
    import asyncpg

    server = await asyncpg.connect(scene.url)
    found = await server.fetch(select.format(f'"{scene.namespace}".'))
    await server.close()
    return [(row["id"], row["state"]) for row in found]
