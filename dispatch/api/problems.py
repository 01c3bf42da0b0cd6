"""What clients are told when something goes wrong: a status, a code, a message, a request id; nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch import errors
from dispatch.errors import code_of

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.NotFound, 404),
    (errors.JobPurged, 404),
    (errors.PayloadTooLarge, 413),
    (errors.DuplicateName, 409),
    (errors.DataRejected, 422),
    (errors.NoOpenApp, 503),
    (errors.UsageError, 422),
    (errors.Conflict, 409),
    (errors.LeadershipLost, 409),
    (errors.ResultError, 409),
    (errors.StoreError, 503),
)
"""The first class that fits decides; anything else is our own mistake: 500."""
DOCUMENTED: dict[int, str] = {
    400: "The request cannot be read: no JSON, an unknown host, a header that makes no sense.",
    401: "No valid key, ticket or session; the same for whatever cause.",
    403: "The key may not do that, or the request comes from another site.",
    404: "There is no such thing for this key.",
    409: "Its present state, or something else, does not allow that.",
    413: "The body, the arguments or a payload are too large, or nested too deep.",
    422: "A value makes no sense; `details` names the field.",
    429: "Too many failures to say who one is; `Retry-After` has seconds.",
    503: "The store does not answer; try again.",
}
_STORE = "the store cannot do that now; try again in a moment"
_INTERNAL = "something went wrong inside; the log of the server has it under this request id"


class Detail(TypedDict):
    """What is wrong with one field."""

    field: str
    message: str


class ProblemBody(TypedDict):
    """What went wrong."""

    code: str
    message: str
    request_id: str
    details: list[Detail]


class ProblemDocument(TypedDict):
    """The body of every answer that is not a success."""

    error: ProblemBody


def problem_schemas() -> dict[str, Any]:
    """The JSON Schemas of a refusal and its parts, as an OpenAPI document holds them."""
    whole = TypeAdapter(ProblemDocument).json_schema(ref_template="#/components/schemas/{model}")
    return {**whole.pop("$defs", {}), "ProblemDocument": whole}


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = list(details)
        self.headers = dict(headers or {})


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to whoever asked; status 500 for what nobody foresaw."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            details: list[Detail] = [
                {"field": ".".join(str(part) for part in found["loc"]), "message": str(found["msg"])}
                for found in error.errors()
            ]
            fields = ", ".join(dict.fromkeys(detail["field"] for detail in details[:5]))
            return Problem(422, "invalid_request", f"the request makes no sense: look at {fields}", details=details)
        case HTTPException(status_code=404, detail="Not Found"):
            return Problem(404, "no_such_route", "there is no such route; GET /openapi.json lists those there are")
        case HTTPException():
            code = {404: "no_such_route", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
            return Problem(error.status_code, code, str(error.detail), headers=error.headers)
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    if status == 503:
        return Problem(503, code_of(type(error)), _STORE, headers={"Retry-After": "1"})
    if status == 500:
        return Problem(500, "internal", _INTERNAL)
    return Problem(status, code_of(type(error)), str(error))


def problem_response(problem: Problem, request_id: str) -> Response:
    """The answer to whoever asked."""
    document: ProblemDocument = {
        "error": {
            "code": problem.code,
            "message": problem.message,
            "request_id": request_id,
            "details": problem.details,
        }
    }
    return reply(document, status=problem.status, headers=problem.headers)


def reply(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON document."""
    body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))
