"""What a plan asks of MySQL, statement by statement: nothing is answered by an UPDATE there, so that some take two."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from dispatch.stores.mysql_statements import Statement, arranged
from dispatch.stores.sql.enqueue import PLAIN_COLUMNS
from dispatch.stores.sql.plan import Do, Each, Lock, Many, Plan, Rows, Step

T = TypeVar("T")


class Ask(NamedTuple):
    """One statement, or with `many` the same one for many rows of values in one round trip."""

    text: str
    values: Mapping[str, Any]
    wants: Literal["rows", "count", "counts", "nothing"]
    """What is answered: rows as tuples, how many were changed, that for each row of `many`, or only that it is done."""
    many: Sequence[Mapping[str, Any]] = ()


def asks(plan: Plan[T], statements: Mapping[str, Statement]) -> Generator[Ask, Any, T]:
    """Drives the plan."""
    own = {"transaction": secrets.token_hex(8)}
    answer: Any = None
    try:
        while True:
            step = _unfolded(plan.send(answer))
            statement = statements[step.name]
            if isinstance(step, Rows | Lock):
                answer = yield from _one(statement, {**step.params, **own}, "rows")
            elif isinstance(step, Do):
                answer = yield from _one(statement, {**step.params, **own}, "count")
            else:
                rows = [{**arranged(step.columns, row), **own} for row in step.rows]
                counts: list[int] = yield from _all(statement, rows)
                answer = counts if isinstance(step, Each) else sum(counts)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        plan.close()


def _one(statement: Statement, params: Mapping[str, Any], wants: Literal["rows", "count"]) -> Generator[Ask, Any, Any]:
    *before, _ = statement.texts
    for part, text in enumerate(before):
        rows = yield Ask(text, statement.bound(part, params), "rows")
        params = {**params, "found": tuple(row[0] for row in rows)}
    last = len(before)
    return (yield Ask(statement.texts[last], statement.bound(last, params), wants))


def _all(statement: Statement, rows: Sequence[Mapping[str, Any]]) -> Generator[Ask, Any, list[int]]:
    text, *others = statement.texts
    if others or len(rows) == 1:
        counts: list[int] = []
        for row in rows:
            count: int = yield from _one(statement, row, "count")
            counts.append(count)
        return counts
    if not rows:
        return []
    answered: list[int] = yield Ask(text, {}, "counts", [statement.bound(0, row) for row in rows])
    return answered


def _unfolded(step: Step) -> Step:
    """The same step, but rows that were given as one JSON object as rows: here they are sent as text in any case."""
    if step.name != "insert_alike_jobs" or not isinstance(step, Do):
        return step
    shared = [step.params[name] for name in PLAIN_COLUMNS[1:-1]]
    payloads: dict[str, str] = json.loads(step.params["payloads"])
    return Many("insert_plain_job", PLAIN_COLUMNS, [(id_, *shared, text.encode()) for id_, text in payloads.items()])
