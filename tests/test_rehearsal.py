"""What the worker could not read back as it was given is refused at the door, not found in the dead letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Json, PlainSerializer, computed_field, field_validator

from dispatch.calls import Signature
from dispatch.errors import InvalidArguments
from dispatch.rehearsal import may_change


class Number(Enum):
    THREE = 3


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field
    def twice(self) -> int:
        return self.a * 2


class Growing(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def _grow(cls, text: str) -> str:
        return f"{text}!"


class Leaving(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def _leave(cls, a: int) -> int:
        raise SystemExit(a)


@dataclasses.dataclass
class Late:
    a: int
    b: int = dataclasses.field(init=False, default=5)


def of(hint: Any) -> Signature:
    def work(x: Any) -> Any: ...

    work.__annotations__ = {"x": hint, "return": Any}
    return Signature(work, name="work")


def door(hint: Any, value: Any) -> Any:
    signature = of(hint)
    _, keywords = signature.load(signature.dump(signature.validate([value], {})))
    return keywords["x"]


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (dict[tuple[int, int], str], {(1, 2): "a"}, "could not read again"),
        (dict[Number, int], {Number.THREE: 1}, "could not read again"),
        (Strict, Strict(a=1), "could not read again"),
        (Late, Late(1), "could not read again"),
        (Json, '{"a": 1}', "could not read again"),
        (Annotated[int, PlainSerializer(lambda value: f"n{value}")], 1, "could not read again"),
        (Growing, Growing(text="x"), "would reach the worker as"),
        (Annotated[int, AfterValidator(lambda value: value + 1)], 1, "would reach the worker as 3"),
        (bytes | str, "aGk=", "would reach the worker as b'hi'"),
        (str | bytes, b"hi", "would reach the worker as 'aGk='"),
    ],
)
def test_what_would_be_read_otherwise_is_refused(hint: Any, value: Any, said: str) -> None:
    with pytest.raises(InvalidArguments, match=said):
        door(hint, value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int | str, "1"),
        (str | Path, Path("a/b")),
        (Path | str, "a/b"),
        (UUID | str, str(UUID(int=1))),
        (date | str, "2026-01-01"),
        (list[int | str], ["1", 1]),
        (Sequence[int], (1, 2)),
        (Sequence[datetime | None], [None, datetime(2026, 1, 1)]),
        (dict[date, int], {date(2026, 1, 1): 1}),
        (str, "1" * 5000),
        (Annotated[str, AfterValidator(str.strip)], " a "),
    ],
)
def test_what_differs_in_its_type_alone_is_accepted(hint: Any, value: Any) -> None:
    assert str(door(hint, value)).strip() == str(list(value) if isinstance(value, tuple) else value).strip()


def test_an_integer_too_long_for_json_readers_is_refused() -> None:
    longest = 10**4299
    assert door(int, longest) == longest
    for hint, value in ((int, longest * 10), (list[int], [-longest * 10])):
        with pytest.raises(InvalidArguments, match="more than 4,300 digits"):
            door(hint, value)
    with pytest.raises(InvalidArguments, match="a int that cannot be shown"):
        door(str, longest * 10)


def test_a_signature_of_plain_types_is_not_read_twice() -> None:
    class Plain(BaseModel):
        a: int
        b: list[str] = []
        c: dict[str, float] | None = None

    assert not may_change(of(Plain).arguments.core_schema)
    assert may_change(of(Growing).arguments.core_schema)


def test_an_iterator_is_not_used_up_by_the_check() -> None:
    assert list(door(Iterable[int | str], iter([1, "2"]))) == [1, "2"]


def test_a_validator_that_leaves_the_program_does_not_take_the_worker_with_it() -> None:
    with pytest.raises(InvalidArguments, match=r"raised SystemExit\(3\)"):
        of(Leaving).load(b'{"x": {"a": 3}}')


def test_a_coroutine_that_nobody_awaited_is_told_as_such() -> None:
    async def inner() -> int:
        return 1

    with pytest.raises(TypeError, match="returned a coroutine that nobody awaited"):
        of(int).dump_result(inner())


def test_a_result_that_no_reader_accepts_is_refused() -> None:
    with pytest.raises(TypeError, match="more than 4,300 digits"):
        of(int).dump_result(10**4300)
