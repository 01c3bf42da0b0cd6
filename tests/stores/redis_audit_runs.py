"""An audit of the runs in a Redis namespace: their indexes are rebuilt from rows, journals, waits and events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

Row = dict[str, str]
STRIDE = 12
ENDED = "CFX"


def pair(a: str, b: str) -> str:
    return f"{len(a)}:{a}{b}"


def tenant_of(row: Row) -> str:
    app, org = row.get("ap", ""), row.get("og", "")
    return f"{app}/{org}" if app or org else ""


def expect_runs(index: defaultdict[str, dict[str, Any]], stored: dict[str, Any], rows: dict[str, Row]) -> set[str]:
    """Adds the indexes that runs ask for; answers the keys that are rows of runs themselves."""
    runs: dict[str, Row] = {key[2:]: row for key, row in stored.items() if key.startswith("f:")}
    free = {f"f:{run_id}" for run_id in runs} | {"fa"}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for run_id, run in runs.items():
        _state(index, counts, run_id, run)
        _driver(rows, run_id, run)
        free |= _own(index, stored, run_id, run)
        index["fi"][run_id] = None
        assert run["n"] in stored["fa"], f"the name of {run_id} is unknown"
    for tenant, found in counts.items():
        index[f"fm:{tenant}"] = {field: str(count) for field, count in found.items()}
    for id_, row in rows.items():
        if "ri" in row and "sp" in row and row["st"] in "PTR":
            index[f"fg:{row['ri']}"][id_] = None
    _events(index, stored)
    return free


def _state(
    index: defaultdict[str, dict[str, Any]], counts: defaultdict[str, Counter[str]], run_id: str, run: Row
) -> None:
    tenant, state = tenant_of(run), run["st"]
    index[f"fs:{state}:{run['n']}"][run_id] = None
    counts[tenant][state + run["n"]] += 1
    if tenant:
        index[f"ft:{state}:{tenant}"][run_id] = None
    if state in ENDED:
        index[f"fz:{state}"][run_id] = float(run["fi"])
    if "pa" in run:
        index[f"fk:{run['pa']}"][run_id] = None
        if state not in ENDED:
            index[f"fu:{run['pa']}"][run_id] = None


def _driver(rows: dict[str, Row], run_id: str, run: Row) -> None:
    driver = rows.get(f"job_{run_id[4:]}")
    if driver is None:
        return  # it is still to be loaded
    assert (driver["k"], driver["ri"], driver["n"]) == ("workflow", run_id, f"{run['n']}@{run['v']}")
    if run["st"] in ENDED or driver["st"] in ENDED:
        assert driver["st"] == run["st"], f"{run_id} is {run['st']}, but its driver is {driver['st']}"
    if "pk" in run:
        assert driver["st"] == "P", f"{run_id} is parked, but its driver is {driver['st']}"
    if run["st"] == "B":
        assert "as" in driver, f"{run_id} is blocked, but its driver is not set aside"


def _own(index: defaultdict[str, dict[str, Any]], stored: dict[str, Any], run_id: str, run: Row) -> set[str]:
    journal = stored.get(f"fj:{run_id}") or []
    names = [journal[at + 1] for at in range(0, len(journal), STRIDE)]
    index[f"fn:{run_id}"] = {name: str(place) for place, name in enumerate(names, 1)}
    index[f"fc:{run_id}"] = {journal[at + 9]: None for at in range(0, len(journal), STRIDE) if journal[at + 9]}
    for name, stored_wait in (stored.get(f"fw:{run_id}") or {}).items():
        assert name not in names, f"{run_id} waits for {name}, which is recorded"
        assert run["st"] not in ENDED, f"{run_id} has ended and still waits for {name}"
        wanted = json.loads(stored_wait.split("|", 2)[2].encode("latin1"))
        for event in wanted["e"]:
            channel = _channel(_latin(event), _latin(wanted["k"]) if "k" in wanted else None, tenant_of(run))
            index[f"fv:{channel}"][pair(run_id, name)] = None
    groups = {f"fo:{pair(run_id, str(number))}" for number in range(1, len(run.get("go", "")) + 1)}
    for key in groups:
        ended = set(stored.get(f"fr:{run_id}") or {})
        assert not ended & set(stored.get(key) or {}), f"{key} waits for children that have ended"
    return {f"{family}:{run_id}" for family in ("fj", "fw", "fr")} | groups


def _channel(name: str, key: str | None, tenant: str) -> str:
    return pair(tenant, pair(name, "" if key is None else f"={key}"))


def _latin(text: str) -> str:
    return text.encode().decode("latin1")


def _events(index: defaultdict[str, dict[str, Any]], stored: dict[str, Any]) -> None:
    for key, event in stored.items():
        family, _, id_ = key.partition(":")
        if family != "e":
            continue
        created = float(event["c"])
        if "ri" not in event:
            index[f"ec:{_channel(event['n'], event.get('key'), tenant_of(event))}"][id_] = created
            continue
        index[f"et:{event['ri']}"][id_] = None
        if id_ not in (stored.get(f"fc:{event['ri']}") or {}):
            index[f"em:{pair(event['ri'], event['n'])}"][id_] = created
