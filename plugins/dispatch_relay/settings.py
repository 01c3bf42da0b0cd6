"""[plugin.relay] of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dispatch.config.units import Interval
from dispatch.masking import masked
from dispatch_relay.addresses import Allowed
from dispatch_relay.endpoint import (
    CONCURRENCY,
    checked_events,
    checked_headers,
    checked_name,
    checked_url,
    must_be_allowed,
    parsed_rate,
)
from dispatch_relay.errors import InvalidEndpoint
from dispatch_relay.signing import checked_secret

T = TypeVar("T")
RETRY_SCHEDULE = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""The pauses between the attempts, three days in all."""


def checking(check: Callable[[T], T]) -> Callable[[T], T]:
    """The check for pydantic, which wants ValueErrors."""

    def checked(value: T) -> T:
        try:
            return check(value)
        except InvalidEndpoint as error:
            raise ValueError(str(error)) from None

    return checked


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return masked(self).items()


class EndpointTable(_Table):
    """`[plugin.relay.endpoints.NAME]`: one endpoint."""

    url: str
    secret: str
    events: list[str] = ["*"]
    tenant: str | None = None
    headers: dict[str, str] = {}
    rate: float | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] = CONCURRENCY

    _secret = field_validator("secret")(checking(checked_secret))
    _events = field_validator("events")(checking(checked_events))
    _headers = field_validator("headers")(checking(checked_headers))
    _rate = field_validator("rate", mode="before")(checking(parsed_rate))


class RelaySettings(_Table):
    """`[plugin.relay]`."""

    enabled_events: list[str] = ["*"]
    allow_http: bool = False
    allow_hosts: list[str] = []
    retry_schedule: Annotated[list[Interval], Field(min_length=1, max_length=50)] = list(RETRY_SCHEDULE)
    endpoints: dict[str, EndpointTable] = {}

    _known = field_validator("enabled_events")(checking(checked_events))

    @model_validator(mode="after")
    def _reachable(self) -> RelaySettings:
        allowed = Allowed(self.allow_hosts)
        for name, table in self.endpoints.items():
            try:
                checked_name(name)
                must_be_allowed(checked_url(table.url, allow_http=self.allow_http), allowed)
            except InvalidEndpoint as error:
                raise ValueError(f"endpoints.{name}: {error}") from None
        return self
