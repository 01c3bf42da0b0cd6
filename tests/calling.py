"""Types that arguments and results have, and how a test sends them to JSON and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, field_serializer

from dispatch.calls import Signature
from dispatch.errors import InvalidArguments


class Colour(Enum):
    RED = "red"


class Address(BaseModel):
    street: str
    zip: str | None = None


class Order(BaseModel):
    id: int
    address: Address
    when: datetime


class Renamed(BaseModel):
    sender: str = Field(alias="from")


class Asymmetric(BaseModel):
    number: int = Field(validation_alias="in", serialization_alias="out")


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime


class Loose(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    value: float


class Strings(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    value: float


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class HoldsSecret(BaseModel):
    password: SecretStr


class SecretTree(BaseModel):
    children: list[SecretTree] = []
    key: Optional[SecretBytes] = None  # noqa: UP045


class Revealed(BaseModel):
    password: SecretStr

    @field_serializer("password")
    def _reveal(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Forgetful(BaseModel):
    kept: int
    lost: int = Field(exclude=True)


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Pair(NamedTuple):
    left: int
    right: str


class Opaque:
    pass


def of(function: Callable[..., Any]) -> Signature:
    return Signature(function, name=getattr(function, "__name__", "call"))


def there_and_back(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    signature = of(function)
    return signature.load(signature.dump(signature.validate(args, kwargs)))


def refusal(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(InvalidArguments) as caught:
        signature = of(function)
        signature.dump(signature.validate(args, kwargs))
    return str(caught.value)
