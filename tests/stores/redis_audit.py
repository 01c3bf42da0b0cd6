"""An audit of a Redis namespace: every index is rebuilt from the rows and must be what stands there, key for key."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import redis
from redis_audit_runs import expect_runs

Row = dict[str, str]
Index = defaultdict[str, dict[str, Any]]
"""By key: the members, with a score where there is one."""

NEVER = "253402214400000000"
"""The time of runs that sleep until they are woken: they stand nowhere."""
ALONE = {"schema", "registrations", "cv", "leader", "definitions", "cc", "cw"}
"""Keys that no row accounts for."""
NOT_PLAIN = {"uk", "cr", "dl", "ap", "og", "ck", "sp", "re"}
"""Fields of a running row because of which more than it and its cell changes when it is completed."""
FAMILIES_ALONE = {"qs", "sl", "sc", "w", "ys", "yb", "yh", "yl", "y", "aw", "veto"}


def audit(url: str, namespace: str) -> None:
    """Fails when an index and the rows disagree, or a key is left over."""
    client = redis.Redis.from_url(url)
    prefix = f"{{{namespace}}}:"
    try:
        stored = {
            key.decode("latin1").removeprefix(prefix): _read(client, key) for key in client.scan_iter(prefix + "*")
        }
    finally:
        client.close()
    expected, free = _expected(stored)
    for key, content in expected.items():
        if content:
            assert key in stored, f"{key} is missing; it should hold {content}"
            found = stored.pop(key)
            assert _plain(found, content) == content, f"{key} holds {found}, but the rows say {content}"
    left = {
        key for key in stored if key not in ALONE and key not in free and key.partition(":")[0] not in FAMILIES_ALONE
    }
    assert not left, f"nobody accounts for {sorted(left)}"


def _read(client: Any, key: bytes) -> Any:
    match client.type(key):
        case b"hash":
            return {name.decode("latin1"): value.decode("latin1") for name, value in client.hgetall(key).items()}
        case b"zset":
            return {name.decode("latin1"): score for name, score in client.zrange(key, 0, -1, withscores=True)}
        case b"set":
            return {name.decode("latin1"): None for name in client.smembers(key)}
        case b"list":
            return [value.decode("latin1") for value in client.lrange(key, 0, -1)]
        case _:
            return None


def _plain(found: Any, content: dict[str, Any]) -> Any:
    """What was found, without scores where none are expected."""
    return (
        dict.fromkeys(found) if isinstance(found, dict) and all(value is None for value in content.values()) else found
    )


def pair(a: str, b: str) -> str:
    return f"{len(a)}:{a}{b}"


def stamp(micros: str) -> str:
    number = int(micros)
    return f"1{number:017d}" if number >= 0 else f"0{10**17 + number:017d}"


def _expected(stored: dict[str, Any]) -> tuple[Index, set[str]]:
    """The indexes that the rows ask for, and the keys that are rows themselves."""
    index: Index = defaultdict(dict)
    rows: dict[str, Row] = {key[2:]: row for key, row in stored.items() if key.startswith("j:")}
    free = {key for key in stored if key.startswith(("j:", "x:", "e:", "o:", "cr:", "ct:", "c:"))} | {"q"}
    free |= {key for key in stored if key.startswith("a:") and key[2:] in rows}
    tallies: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for id_, row in rows.items():
        _state(index, tallies, id_, row)
        _place(index, stored, id_, row)
        _keys(index, id_, row)
        for successor in json.loads(row.get("su", "[]")):
            assert rows[successor].get("b") == id_, f"{successor} stands in the successors of {id_}, but not behind it"
        if "b" in row:
            assert id_ in json.loads(rows[row["b"]]["su"]), f"{id_} waits behind {row['b']}, which does not know"
        assert row["q"] in stored["q"], f"the queue of {id_} is unknown"
        assert f"{row.get('k', 'job')}:{row['n']}" in stored[f"c:{row['q']}"], f"the cell of {id_} is unknown"
    for tenant, counts in tallies.items():
        index[f"n:{tenant}"] = {field: str(count) for field, count in counts.items()}
    index["nt"] = {field: str(count) for field, count in sum(tallies.values(), Counter()).items()}
    _unique(index, stored, rows)
    _others(index, stored)
    free |= expect_runs(index, stored, rows)
    return index, free


def _tenant(row: Row) -> str:
    app, org = row.get("ap", ""), row.get("og", "")
    return f"{app}/{org}" if app or org else ""


def _state(index: Index, tallies: defaultdict[str, Counter[str]], id_: str, row: Row) -> None:
    state, tenant = row["st"], _tenant(row)
    cell = f"{row.get('k', 'job')}:{pair(row['q'], row['n'])}"
    index[f"s:{state}:{cell}"][id_] = None
    if tenant:
        tallies[tenant][state + cell] += 1
        index[f"t:{state}:{tenant}"][id_] = None
    if state in "CFX" and row.get("k") != "workflow":
        index[f"z:{state}"][id_] = float(row["fi"])
    if state == "R":
        index[f"h:{row['w']}"][id_] = (
            f"{row.get('e', '0')}:{'' if NOT_PLAIN & row.keys() or row.get('k') == 'workflow' else cell}"
        )
        if "cr" in row:
            index[f"hc:{row['w']}"][id_] = None
        if tenant:
            index[f"tr:{pair(row['q'], tenant)}"][id_] = None


def _place(index: Index, stored: dict[str, Any], id_: str, row: Row) -> None:
    if row["st"] not in "PT" or "b" in row or row["r"] == NEVER:
        return
    queue, name, lane, score = row["q"], row["n"], row.get("l", ""), float(-int(row.get("o", "0")))
    member = stamp(row["r"]) + id_
    if "bl" in row:
        place = pair(queue, pair(lane, name))
        index[f"kz:{pair(row['ck'], place)}"][member] = score
        index[f"kb:{row['ck']}"][place] = None
        index["kk"][row["ck"]] = None
        index[f"bl:{queue}"][id_] = None
    elif "as" in row:
        index[f"as:{pair(queue, name)}"][member] = None
        index[f"an:{queue}"][name] = None
    elif int(row.get("x", "0")) >= 2:
        index[f"qq:{queue}"][member] = score
    elif member in (stored.get(f"d:{pair(queue, name)}") or ()):
        index[f"d:{pair(queue, name)}"][member] = None
        first = index[f"nx:{queue}"].get(name)
        index[f"nx:{queue}"][name] = min(float(row["r"]), float(row["r"]) if first is None else first)
    else:
        index[f"r:{pair(queue, pair(name, lane))}"][member] = score
        index[f"l:{pair(queue, name)}"][lane] = None
        index[f"rn:{queue}"][name] = None
        if "ck" in row and not _holds(row):
            index[f"kg:{pair(row['ck'], pair(queue, pair(lane, name)))}"][member] = score


def _keys(index: Index, id_: str, row: Row) -> None:
    if "ck" in row and row["st"] in "PTR":
        index[f"ku:{row['ck']}"][id_] = None
        if row["st"] == "R" or _holds(row):
            index[f"kr:{row['ck']}"][id_] = None


def _holds(row: Row) -> bool:
    """Whether it drives a run that has begun, which keeps its place while it waits."""
    return row.get("k") == "workflow" and "ri" in row and "sa" in row


def _unique(index: Index, stored: dict[str, Any], rows: dict[str, Row]) -> None:
    held = stored.get("u") or {}
    for key, value in held.items():
        live, until, id_ = value.split(":", 2)
        index["u"][key] = value
        index["uo"][key] = None
        if live == "1":
            assert rows[id_]["st"] in "PTR", f"{id_} holds {key!r}, but has ended"
            assert rows[id_]["uk"] == key
        elif until:
            index["ux"][key] = float(until)
    for id_, row in rows.items():
        undone = row.get("k") == "workflow" and "co" in stored.get(f"f:{row.get('ri')}", {})
        waits_for_key = row["st"] in "PT" and "uk" in row and "b" not in row and "sa" not in row and not undone
        if waits_for_key:
            assert held.get(row["uk"], "").endswith(f":{id_}"), f"{id_} waits without its key {row['uk']!r}"
    for field, value in (stored.get("i") or {}).items():
        length, _, both = field.partition(":")
        index["i"][field] = value
        index["ix"][field] = float(value.partition(":")[0])
        index["io"][f"{both[: int(length)]}\0{both[int(length) :]}"] = None
    keyed = {row["ck"]: None for row in rows.values() if "ck" in row and row["st"] in "PTR"}
    assert set(stored.get("km") or {}) == set(keyed), f"the maxima {stored.get('km')} are not those of {set(keyed)}"
    index["km"] = dict(stored.get("km") or {})


def _others(index: Index, stored: dict[str, Any]) -> None:
    for key, row in stored.items():
        family, _, rest = key.partition(":")
        match family:
            case "x":
                index[f"xs:{row['st']}"][rest] = None
                index["xa"][rest] = float(row["c"])
            case "e":
                index["ei"][rest] = None
                index[f"en:{row['n']}"][rest] = None
                index["ea"][rest] = float(row["c"])
            case "o":
                length, _, both = rest.partition(":")
                namespace, name = both[: int(length)], both[int(length) :]
                index[f"ok:{namespace}"][name] = None
                index["on"][namespace] = None
                if "ex" in row:
                    index["ox"][rest] = float(row["ex"])
            case "w":
                index["ws"][rest] = None
            case "cr":
                index["cs"][rest] = None
                spec = json.loads(row["spec"])
                app, org = spec["scope"]
                index["cn"][pair(f"{app}/{org}" if app or org else "", spec["name"])] = rest
            case "ct":
                for time, tick in row.items():
                    index[f"co:{rest}"][time] = None
                    index["ca"][f"{rest}:{time}"] = float(json.loads(tick)[1])
    if "cd" in stored:
        index["cd"] = {id_: score for id_, score in stored["cd"].items() if id_ in index["cs"]}
