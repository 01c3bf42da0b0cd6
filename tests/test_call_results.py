"""Results of calls: written as JSON by their annotation, and read again as what they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from calling import (
    Address,
    Loose,
    Opaque,
    Order,
    Point,
    Renamed,
    of,
)
from pydantic import PlainSerializer


def gives_model() -> Order | None: ...
def gives_renamed() -> Renamed: ...  # type: ignore[empty-body]
def gives_bytes() -> bytes: ...  # type: ignore[empty-body]
def gives_int() -> int: ...  # type: ignore[empty-body]
def gives_point() -> Point: ...  # type: ignore[empty-body]
def unannotated(): ...  # type: ignore[no-untyped-def]
async def gives_later() -> UUID: ...  # type: ignore[empty-body]


ORDER = Order(id=1, address=Address(street="x"), when=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (gives_model, ORDER),
        (gives_model, None),
        (gives_renamed, Renamed.model_validate({"from": "me"})),
        (gives_bytes, b"\xff\x00"),
        (gives_point, Point(1.0)),
        (gives_later, UUID(int=3)),
        (unannotated, {"a": [1, 2.5, "x", None]}),
    ],
)
def test_results_come_back_as_the_annotated_type(function: Callable[..., Any], value: Any) -> None:
    signature = of(function)
    back = signature.load_result(signature.dump_result(value))
    assert back == value
    assert type(back) is type(value)


def test_a_result_that_differs_from_its_annotation_is_kept_all_the_same() -> None:
    signature = of(gives_int)
    assert signature.load_result(signature.dump_result("seven")) == "seven"
    assert signature.load_result(signature.dump_result({"id": 1})) == {"id": 1}


def test_an_unannotated_result_may_be_a_model() -> None:
    signature = of(unannotated)
    assert signature.load_result(signature.dump_result(Address(street="x"))) == {"street": "x", "zip": None}


@pytest.mark.parametrize(
    ("annotation", "written"),
    [
        (None, b"null"),
        (Any, b"null"),
        (int, b"null"),
        (int | None, b"null"),
        (Annotated[None, PlainSerializer(lambda _: "nothing")], b'"nothing"'),
        (Annotated[int | None, PlainSerializer(lambda _: 0)], b"0"),
    ],
    ids=["none", "any", "other", "optional", "none-serialized", "optional-serialized"],
)
def test_no_result_is_written_as_the_annotation_writes_it(annotation: Any, written: bytes) -> None:
    def function() -> None: ...

    function.__annotations__["return"] = annotation
    assert of(function).dump_result(None) == written


def circular() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize("function", [unannotated, gives_int, gives_point])
@pytest.mark.parametrize("value", [object(), Opaque(), circular(), "\ud800", {1: Opaque()}], ids=type)
def test_a_result_that_json_cannot_hold_is_a_type_error(function: Callable[..., Any], value: Any) -> None:
    with pytest.raises(TypeError, match=r"the result of .* cannot be stored as JSON"):
        of(function).dump_result(value)


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": Point(math.nan)}, Loose(value=math.nan), {math.nan: 1}])
def test_a_result_with_nan_inside_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="holds NaN or an infinity"):
        of(unannotated).dump_result(value)
