"""Routes about API keys, audit records, plugins and this server itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import ADMIN
from dispatch.api.guard import HOLDER
from dispatch.api.params import (
    DEFAULT_LIMIT,
    TENANT,
    Body,
    Cursor,
    Items,
    KeyIDText,
    Limit,
    Listed,
    Reason,
    WhyInURL,
    listed,
    page_size,
    scope_named,
)
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.clock import LONGEST
from dispatch.documents.overview import APIKeyDocument, AuditDocument, apikey_document, audit_document
from dispatch.services.keys import checked_scopes


class KeyBody(Body):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    scopes: list[str] = Field(min_length=1, max_length=20)
    tenant: Annotated[str, Field(pattern=TENANT)] | None = Field(None, description="app/org: it sees only theirs.")
    expires_in: Annotated[float, Field(gt=0, le=LONGEST)] | None = Field(None, description="Seconds.")
    reason: Reason = ""


class NewKeyDocument(APIKeyDocument):
    """A key with its token, which is never shown again."""

    key: str


class PluginDocument(TypedDict):
    """A plugin."""

    name: str
    hooks: list[str]


class VersionDocument(TypedDict):
    """What answers here."""

    dispatch: str
    environment: str
    read_only: bool


async def list_keys(ask: Asked, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """List the API keys that are valid, by public id."""
    page = await ask.app.keys.list(limit=page_size(ask, limit), cursor=cursor)
    return reply(listed(page, [apikey_document(key) for key in page.items]))


async def create_key(ask: Asked, body: KeyBody) -> Response:
    """Make an API key; it can be allowed no more than the key that asks."""
    scopes = checked_scopes(body.scopes)
    beyond = [scope for scope in scopes if not ask.identity.may(scope)]
    if beyond:
        raise Problem(403, "forbidden", f"this key lacks what it would give away: {' '.join(beyond)}")
    made = await ask.app.keys.create(
        body.name,
        scopes=scopes,
        scope=scope_named(body.tenant),
        expires_in=body.expires_in,
        by=ask.identity.who,
        reason=body.reason,
    )
    return reply({**apikey_document(made.key), "key": made.token}, status=201)


async def revoke_key(ask: Asked, key_id: KeyIDText, reason: WhyInURL = "") -> Response:
    """End an API key at once and for good, with the sessions opened with it."""
    await ask.app.keys.revoke(key_id, reason=reason)
    return Response(status_code=204)


async def audit(ask: Asked, limit: Annotated[int, Query(ge=1, le=500)] = DEFAULT_LIMIT) -> Response:
    """List who changed what, newest first."""
    return reply({"items": [audit_document(record) for record in await ask.app.audit.list(limit=limit)]})


async def plugins(ask: Asked) -> Response:
    """List the plugins that this server has loaded, with their hooks."""
    manager = ask.app.plugins
    return reply({"items": [{"name": name, "hooks": list(manager.hooks_of(name))} for name in manager.names]})


async def about(ask: Asked) -> Response:
    """Say what answers here, and how its pages show themselves."""
    environment = ask.app.config.server.environment
    try:
        found = version("dispatch-tasks")
    except PackageNotFoundError:
        found = "unknown"
    return reply({"dispatch": found, "environment": environment, "read_only": ask.read_only})


ROUTES = (
    Route("GET", "/v1/apikeys", list_keys, ADMIN, Listed[APIKeyDocument], shared=True),
    Route("POST", "/v1/apikeys", create_key, ADMIN, NewKeyDocument, status=201, shared=True),
    Route("DELETE", "/v1/apikeys/{key_id}", revoke_key, ADMIN, status=204, shared=True),
    Route("GET", "/v1/audit", audit, ADMIN, Items[AuditDocument], shared=True),
    Route("GET", "/v1/plugins", plugins, ADMIN, Items[PluginDocument], shared=True),
    Route("GET", "/v1/version", about, HOLDER, VersionDocument),
)
