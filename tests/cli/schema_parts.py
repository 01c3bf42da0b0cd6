"""Parts of JSON Schemas: words, numbers, times and ids, and how documents are put together."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
MAYBE_TIME: Schema = {"anyOf": [TIME, {"type": "null"}]}
JOB_ID: Schema = {"type": "string", "pattern": r"^job_[0-9a-z]{26}$"}
LETTER_ID: Schema = {"type": "string", "pattern": r"^dlq_[0-9a-z]{26}$"}
STATE: Schema = {"enum": ["pending", "running", "retrying", "completed", "failed", "cancelled"]}

RUN_STATES = ("pending", "running", "waiting", "compensating", "completed", "failed", "cancelled", "blocked")


def exactly(**properties: Schema) -> Schema:
    """An object with these fields, all of them, and no other."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def items(of: Schema, **more: Schema) -> Schema:
    """A list document."""
    return exactly(items={"type": "array", "items": of}, **more)


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


SCOPE = maybe(exactly(app_id=TEXT, org_id=TEXT))
SHORT_ERROR = maybe(exactly(type=TEXT, message=TEXT))
ERROR = maybe(exactly(type=TEXT, message=TEXT, traceback=MAYBE_TEXT))
