"""The Idempotency-Key of requests that create something: the second one gets the first one's answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from starlette.responses import Response

from dispatch.api.guard import Ask
from dispatch.api.problems import Problem
from dispatch.errors import StoreError

NAMESPACE = "idempotency"
_UNDER_WAY = 60.0
"""Seconds after which a request that has given no answer counts as lost, and may be made again."""


async def once(
    ask: Ask, key: str | None, verb: str, body: BaseModel, act: Callable[[], Awaitable[Response]]
) -> Response:
    """Does `act`, or answers what it answered when it was done under this key before; without a key it just acts.

    The key is the tenant's own, for this verb. An act that is refused leaves the key free; one of which nobody knows
    whether it was done (the store did not answer, the server was stopped) leaves it taken for a minute.
    Raises Problem (409): the key was used for something else, or the first request is still under way.
    """  # fmt: skip
    if key is None:
        return await act()
    records = ask.app.store.records
    name = _digest(f"{ask.identity.scope.tenant}\0{verb}\0{key}")
    fingerprint = _digest(body.model_dump_json())
    claim = json.dumps({"fingerprint": fingerprint, "body": None}).encode()
    claimed = await records.put(NAMESPACE, name, claim, if_version=0, expires_in=_UNDER_WAY)
    if claimed is None:
        return _earlier(await records.get(NAMESPACE, name), fingerprint)
    try:
        response = await act()
    except Exception as error:
        if not isinstance(error, StoreError):  # else it may have been done: the key stays taken for a while
            await records.delete(NAMESPACE, name, if_version=claimed.version)
        raise
    answer = {"fingerprint": fingerprint, "status": response.status_code, "body": bytes(response.body).decode()}
    kept = ask.app.config.idempotency_ttl.total_seconds()
    await records.put(NAMESPACE, name, json.dumps(answer).encode(), if_version=claimed.version, expires_in=kept)
    return response


def _earlier(record: object, fingerprint: str) -> Response:
    value = getattr(record, "value", None)
    held = None if value is None else json.loads(value)
    if held is not None and held["fingerprint"] != fingerprint:
        raise Problem(409, "idempotency_mismatch", "this Idempotency-Key was used for another request")
    if held is None or held["body"] is None:
        raise Problem(409, "under_way", "the request with this Idempotency-Key is under way; try again in a moment")
    headers = {"Idempotency-Replayed": "true"}
    return Response(held["body"], status_code=held["status"], media_type="application/json", headers=headers)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
