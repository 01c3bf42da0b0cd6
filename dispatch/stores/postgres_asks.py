"""What a plan asks of PostgreSQL, statement by statement, for whichever driver puts the questions."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from dispatch.stores.sql.plan import Do, Each, Lock, Plan, Rows, Step
from dispatch.stores.sql.statements import Statement

T = TypeVar("T")

_FREE = frozenset(
    ("error_type", "error_message", "error_traceback", "reason", "note", "by", "disabled_reason", "disabled_by")
)
"""Parameters that hold what people or programs wrote for people."""


class Ask(NamedTuple):
    """One statement with `$1`, `$2` … for its values."""

    text: str
    values: list[Any]
    wants: Literal["rows", "count", "nothing"]
    """What is answered: rows as tuples, how many were changed, or only that it is done."""


def asks(plan: Plan[T], statements: Mapping[str, Statement]) -> Generator[Ask, Any, T]:
    """Drives the plan; a statement for many rows takes them all at once, a list for each column."""
    answer: Any = None
    try:
        while True:
            step: Step = plan.send(answer)
            statement = statements[step.name]
            if isinstance(step, Rows | Lock):
                answer = yield Ask(statement.text, _bound(statement, step.params), "rows")
            elif isinstance(step, Do):
                answer = yield Ask(statement.text, _bound(statement, step.params), "count")
            elif not step.rows:
                answer = [] if isinstance(step, Each) else 0
            else:
                columns = dict(zip(step.columns, zip(*step.rows, strict=True), strict=True))
                values = _bound(statement, columns)
                if isinstance(step, Each):
                    numbers = yield Ask(statement.text, values, "rows")
                    answer = [0] * len(step.rows)
                    for (number,) in numbers:
                        answer[number - 1] = 1
                else:
                    answer = yield Ask(statement.text, values, "count")
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        plan.close()


def _bound(statement: Statement, params: Mapping[str, Any]) -> list[Any]:
    """The values of a statement's parameters; zero bytes, which no text can hold, are spelled out in prose."""
    values = [params[name] for name in statement.names]
    for place, name in enumerate(statement.names):
        if name in _FREE:
            values[place] = _without_zero(values[place])
    return values


def _without_zero(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\\x00") if "\0" in value else value
    return [_without_zero(each) for each in value] if isinstance(value, tuple) else value
