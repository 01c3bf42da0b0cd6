"""An edit of a dead letter's arguments changes what is there; a field that is not there is most likely a slip."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter

from dispatch.clock import utc_now
from dispatch.dlq.model import DLQEntry, DLQState
from dispatch.errors import InvalidArguments
from dispatch.ids import DLQID, JobID
from dispatch.services.edits import Edit
from dispatch.services.named import named_payload

HELD = {"order": {"email": "a@b.c", "lines": [{"count": 1}]}, "note": "old"}


class Address(BaseModel):
    model_config = ConfigDict(extra="allow")

    street: str
    zip_code: str = ""


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str
    lines: list[dict[str, int]] = []
    address: Address | None = None


def letter(carried: Any = HELD) -> DLQEntry:
    now = utc_now()
    payload = json.dumps(carried).encode()
    return DLQEntry(DLQID.new(), now, now, JobID.new(), "ship", "default", DLQState.OPEN, "failed", None, payload)


def schema() -> dict[str, Any]:
    """As an app announces `ship(order: Order, note: str = "")`."""
    found = TypeAdapter(Order).json_schema(ref_template="#/$defs/{model}")
    parts = {"order": {"$ref": "#/$defs/Order"}, "note": {"type": "string", "default": ""}}
    definitions = {**found.pop("$defs"), "Order": found}
    return {"properties": parts, "required": ["order"], "additionalProperties": False, "$defs": definitions}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("order.emial", "'order.emial' is not there; did you mean 'order.email'?"),
        ("order.lines.0.cuont", "'order.lines.0.cuont' is not there; did you mean 'order.lines.0.count'?"),
        ("ntoe", "'ntoe' is not there; did you mean 'note'?"),
        ("order.phone", "'order.phone' is not there: order has email, lines."),
        ("tenant", "'tenant' is not there: it has order, note."),
    ],
)
def test_a_field_that_is_not_there_is_only_added_with_force(path: str, told: str) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(f"ship: {told} With force")):
        Edit(sets={path: 5}).payload(letter(), None)
    document = json.loads(Edit(sets={path: 5}, force=True).payload(letter(), None))
    *above, last = path.split(".")
    for part in above:
        document = document[int(part) if part.isdigit() else part]
    assert document[last] == 5


def test_every_slip_of_an_edit_is_told_at_once() -> None:
    with pytest.raises(InvalidArguments, match=r"'order\.emial' .* 'ntoe' .* With force"):
        Edit(sets={"order.emial": 1, "ntoe": 2}).payload(letter(), None)


def test_a_place_that_an_earlier_part_of_the_edit_has_made_is_there() -> None:
    edit = Edit(sets={"order": {"phone": "1"}, "order.phone": "2"})
    assert json.loads(edit.payload(letter(), None))["order"] == {"phone": "2"}
    with pytest.raises(InvalidArguments, match="order has phone"):
        Edit({"order": {"phone": "1"}}, {"order.email": "2"}).payload(letter(), None)


@pytest.mark.parametrize(
    ("carried", "path"),
    [
        ({"order": {"email": "a"}}, "note"),
        ({"order": {"email": "a", "address": {"street": "s"}}}, "order.address.zip_code"),
        ({"order": {"email": "a"}}, "order.address"),
    ],
    ids=["parameter", "through anyOf", "optional"],
)
def test_a_field_with_a_default_that_the_schema_names_needs_no_force(carried: dict[str, Any], path: str) -> None:
    value = {"street": "s"} if path.endswith("address") else "x"
    assert Edit(sets={path: value}).payload(letter(carried), schema())


def test_a_field_that_the_schema_allows_but_does_not_name_needs_force() -> None:
    carried = {"order": {"email": "a", "address": {"street": "s"}}}
    with pytest.raises(InvalidArguments, match=r"did you mean 'order\.address\.street'\?"):
        Edit(sets={"order.address.steret": "x"}).payload(letter(carried), schema())
    assert b"steret" in Edit(sets={"order.address.steret": "x"}, force=True).payload(letter(carried), schema())


TAGS = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    "tags",
    [
        *(TAGS, {"type": "object", "additionalProperties": True}, {"additionalProperties": {}}),
        *({"$ref": "#/$defs/Tags"}, {"anyOf": [TAGS, {"type": "null"}]}, {"allOf": [{"$ref": "#/$defs/Tags"}]}),
    ],
    ids=["dict[str, str]", "dict", "anything", "$ref", "optional", "allOf"],
)
@pytest.mark.parametrize("held", [{}, {"colour": "red"}], ids=["empty", "beside another"])
def test_where_the_schema_leaves_the_names_to_the_caller_any_is_taken(tags: dict[str, Any], held: Any) -> None:
    order = {"type": "object", "properties": {"tags": tags}}
    announced = {"properties": {"order": order}, "$defs": {"Tags": TAGS}}
    payload = Edit(sets={"order.tags.colours": "x"}).payload(letter({"order": {"tags": held}}), announced)
    assert json.loads(payload)["order"]["tags"] == {**held, "colours": "x"}


def test_a_name_far_from_those_of_a_model_with_extra_fields_is_taken() -> None:
    carried = {"order": {"email": "a", "address": {"street": "s"}}}
    assert Edit(sets={"order.address.floor": 3}).payload(letter(carried), schema())


def test_free_names_beside_a_model_leave_none_inside_of_it_free() -> None:
    keywords = {**schema(), "additionalProperties": TAGS}
    del keywords["$defs"]["Order"]["additionalProperties"]
    with pytest.raises(InvalidArguments, match=r"'order\.phone' is not there: order has email, lines, address"):
        Edit(sets={"order.phone": "1"}).payload(letter(), keywords)
    assert Edit(sets={"tags": {"a": "b"}}).payload(letter(), keywords)


@pytest.mark.parametrize("force", [False, True])
def test_what_the_schema_forbids_is_refused_in_its_words_force_or_not(force: bool) -> None:
    with pytest.raises(InvalidArguments, match=r"^ship: order: no field 'emial'; did you mean 'email'\?$"):
        Edit(sets={"order.emial": "x"}, force=force).payload(letter(), schema())
    with pytest.raises(InvalidArguments, match=r"^ship: no parameter 'ntoe'; did you mean 'note'\?$"):
        Edit(sets={"ntoe": "x"}, force=force).payload(letter(), schema())


def test_an_enqueue_by_name_names_the_nearest_field_of_a_model_too() -> None:
    with pytest.raises(InvalidArguments, match="order: no field 'emial'; did you mean 'email'"):
        named_payload("ship", {"order": {"email": "a", "emial": "b"}}, schema())


def test_a_long_document_is_not_told_whole() -> None:
    with pytest.raises(InvalidArguments, match=r"it has f0, .*, f11, …"):
        Edit(sets={"zzz": 1}).payload(letter({f"f{number}": 0 for number in range(40)}), None)
