"""A route and what it takes: declared once with its scope, guarded before anything of the request is parsed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from dispatch.access import Identity
from dispatch.api.bodies import parsed, read_body
from dispatch.api.guard import ANYBODY, Ask, Guard, Rule, is_secure
from dispatch.api.problems import DOCUMENTED, Problem, problem_of, problem_response
from dispatch.config import Limits
from dispatch.ids import new_uuid
from dispatch.scope import use_scope
from dispatch.services.audit import acting_as

READING = ("GET", "HEAD", "OPTIONS")
NOBODY = Identity("anybody", "", frozenset())
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KEY = "dispatch.ask"
PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
"""The kind of every refusal; as a model on each route it would be compiled some hundred times."""
_logger = logging.getLogger("dispatch.api")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table of routes."""

    method: str
    path: str
    endpoint: Callable[..., Coroutine[Any, Any, Response]]
    scope: str
    """What a key needs; see Rule."""
    answers: Any = None
    """The type of the document it answers; None: no JSON."""
    status: int = 200
    shared: bool = False
    """Only for keys that are bound to no tenant."""
    changes: bool | None = None
    """Default: whatever is not read by GET."""
    ticket: bool = False
    """A one-use ticket may stand in the URL."""
    also: Mapping[int, str] = field(default_factory=dict)
    """Further statuses with what they mean."""
    media: str | None = None
    """The kind of answer, if it is no JSON."""

    @property
    def rule(self) -> Rule:
        """What it asks of whoever calls it."""
        changes = self.method not in READING if self.changes is None else self.changes
        return Rule(self.scope, self.shared, changes)


def asked(request: Request) -> Ask:
    """The request as the guard let it in."""
    found: Ask = request.scope[_KEY]
    return found


Asked = Annotated[Ask, Depends(asked)]


def request_id_of(headers: Headers) -> str:
    """The caller's own request id where it is a sane one, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_uuid().hex


def guarded(guard: Guard, rule: Rule | None, *, limits: Limits, ticket: bool = False) -> type[APIRoute]:
    """A class of routes that let in only whom the rule allows, and answer every error as a problem."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            path = self.path_format

            async def handle(request: Request) -> Response:
                spans = guard.app.telemetry.spans
                if spans is None:
                    return await answered(request)
                with spans.serving(request.method, path, request.headers) as told:
                    response = await answered(request)
                    told(response.status_code)
                    return response

            async def answered(request: Request) -> Response:
                request_id = request_id_of(request.headers)
                try:
                    response = await admitted(request, request_id, inner)
                except Exception as error:
                    problem = problem_of(error)
                    if problem.status >= 500:
                        known = problem.status == 503
                        _logger.warning("request %s: %r", request_id, error, exc_info=None if known else error)
                    response = problem_response(problem, request_id)
                response.headers["X-Request-Id"] = request_id
                return response

            return handle

    async def admitted(
        request: Request, request_id: str, inner: Callable[[Request], Coroutine[Any, Any, Response]]
    ) -> Response:
        if "%00" in request.scope.get("query_string", b"").decode("latin-1") or "\0" in request.scope["path"]:
            raise Problem(400, "invalid_request", "NUL characters make no sense in a URL")
        reading = request.method in READING
        if rule is not None and rule.scope == ANYBODY:
            identity, session = NOBODY, ""
        else:
            shown = request.query_params.get("ticket") if ticket else None
            identity, session = await guard.identify(request.scope, ticket=shown, expected_origin=not reading)
        guard.authorise(identity, rule)
        if not reading:
            await take_body(request, limits, json_always=bool(session))
        request.scope[_KEY] = Ask(
            guard.app,
            identity,
            request_id,
            by_session=bool(session),
            token=session,
            secure=is_secure(request.scope),
            streams=guard.streams,
            measure=guard.measure,
            read_only=guard.read_only,
            pages=guard.pages,
        )
        with use_scope(*identity.scope), acting_as(identity.who):
            return await inner(request)

    return Guarded


async def take_body(request: Request, limits: Limits, *, json_always: bool) -> None:
    """Reads the body within the limits, and parses it, before anything else sees it. Raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request.stream(), announced=request.headers.get("content-length"), most=limits.body)
    if (body or json_always) and kind != "application/json":
        raise Problem(400, "json_expected", "send JSON, with Content-Type: application/json")
    request._body = body
    if body:
        request._json = parsed(body, deepest=limits.depth)


def build(router: APIRouter, routes: Sequence[Route], guard: Guard, *, limits: Limits, described: bool = True) -> None:
    """Adds the routes to the router, each behind the guard.

    `described`: with the types of their answers, which are half the time that it takes and only for the document.
    """
    for route in routes:
        name = route.endpoint.__name__
        responses: dict[int | str, dict[str, Any]] = {
            status: {"description": text, "content": PROBLEM} for status, text in DOCUMENTED.items()
        }
        responses |= {status: {"description": text} for status, text in route.also.items()}
        if route.media is not None:
            responses[route.status] = {"description": "OK", "content": {route.media: {"schema": {"type": "string"}}}}
        router.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            response_model=route.answers if described else None,
            status_code=route.status,
            response_description=HTTPStatus(route.status).phrase,
            responses=responses,
            tags=[route.endpoint.__module__.rpartition(".")[2]],
            operation_id=f"{route.endpoint.__module__.rpartition('.')[2]}.{name}",
            summary=(route.endpoint.__doc__ or name).partition("\n")[0].rstrip("."),
            openapi_extra=_security(route),
            response_class=Response,
            route_class_override=guarded(guard, route.rule, limits=limits, ticket=route.ticket),
        )


def _security(route: Route) -> dict[str, Any]:
    if route.scope == ANYBODY:
        return {"security": []}
    return {"security": [{"key": []}, {"session": []}], "x-dispatch-scope": route.scope}
