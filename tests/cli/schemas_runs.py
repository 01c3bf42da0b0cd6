"""The JSON documents that commands about workflow runs and events promise, as JSON Schemas."""

from __future__ import annotations

from tests.cli.schema_parts import (
    COUNT,
    ERROR,
    JOB_ID,
    MAYBE_TEXT,
    MAYBE_TIME,
    RUN_STATES,
    SCOPE,
    SHORT_ERROR,
    TEXT,
    TIME,
    Schema,
    exactly,
    items,
    maybe,
)

RUN_ID: Schema = {"type": "string", "pattern": r"^run_[0-9a-z]{26}$"}
EVENT_ID: Schema = {"type": "string", "pattern": r"^evt_[0-9a-z]{26}$"}
RUN_STATE: Schema = {"enum": [*RUN_STATES]}
_RUN: dict[str, Schema] = {
    "id": RUN_ID,
    "name": TEXT,
    "version": COUNT,
    "state": RUN_STATE,
    "queue": TEXT,
    "created_at": TIME,
    "started_at": MAYBE_TIME,
    "finished_at": MAYBE_TIME,
    "wakes_at": MAYBE_TIME,
    "parent": maybe(RUN_ID),
    "step": MAYBE_TEXT,
    "forked_from": maybe(RUN_ID),
    "tags": {"type": "array", "items": TEXT},
    "scope": SCOPE,
    "reason": MAYBE_TEXT,
    "compensated": {"type": "boolean"},
    "compensation_failed": {"type": "boolean"},
}
RUN_SUMMARY = exactly(**_RUN, error=SHORT_ERROR)
RUN_LIST = items(exactly(**_RUN, error=SHORT_ERROR, why=MAYBE_TEXT), next_cursor=MAYBE_TEXT)
RUN_STARTED = exactly(**_RUN, error=SHORT_ERROR, created={"type": "boolean"})
RUN = exactly(
    **_RUN,
    held_up=MAYBE_TEXT,
    error=ERROR,
    updated_at=TIME,
    driver=JOB_ID,
    payload={},
    payload_text=MAYBE_TEXT,
    result={},
    result_text=MAYBE_TEXT,
    result_kept={"type": "boolean"},
    metadata={"type": "object"},
    checkpoints=COUNT,
    waits={
        "type": "array",
        "items": exactly(name=TEXT, events={"type": "array", "items": TEXT}, key=MAYBE_TEXT, deadline=MAYBE_TIME),
    },
    children={"type": "array", "items": exactly(step=TEXT, child=TEXT, state=TEXT, error=SHORT_ERROR)},
)
TIMELINE = items(
    exactly(
        id=TEXT,
        step_name=TEXT,
        kind={"enum": ["step", "value", "sleep", "wait", "child", "undo", "failure"]},
        state={"enum": ["recorded", "open", "completed", "failed", "cancelled"]},
        data={},
        data_text=MAYBE_TEXT,
        position=COUNT,
        attempt=COUNT,
        worker_id=MAYBE_TEXT,
        started_at=MAYBE_TIME,
        created_at=TIME,
        event_id=maybe(EVENT_ID),
        inherited={"type": "boolean"},
    )
)
RUN_DIFF = items(exactly(step_name=TEXT, left={}, right={}, left_kind=MAYBE_TEXT, right_kind=MAYBE_TEXT))
_OUTCOME = {"id": TEXT, "ok": {"type": "boolean"}, "outcome": TEXT, "detail": TEXT}
RUN_CHANGES = items(
    exactly(**_OUTCOME, state=TEXT, error={"type": "null"}),
    done=COUNT,
    refused=COUNT,
)
EVENT = exactly(
    id=EVENT_ID,
    name=TEXT,
    key=MAYBE_TEXT,
    run_id=maybe(RUN_ID),
    created_at=TIME,
    payload={},
    payload_text=MAYBE_TEXT,
    scope=SCOPE,
)
EVENT_LIST = items(EVENT, next_cursor=MAYBE_TEXT)
