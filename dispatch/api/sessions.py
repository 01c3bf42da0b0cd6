"""Routes by which browsers come in: tickets for streams, sessions, the one-use login link."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from typing_extensions import TypedDict

from dispatch.access import SUBSCRIBE
from dispatch.api.guard import ANYBODY, HOLDER, PLAIN_COOKIE, SECURE_COOKIE, Ask
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.services.logins import SESSION_SECONDS, TICKET_SECONDS

_TOO_LATE = (
    "this link was used before, or is too old: `dispatch serve` prints another one when it starts; a key serves too"
)


class TicketDocument(TypedDict):
    """A ticket for a URL, good once."""

    ticket: str
    expires_in: float


class WhoDocument(TypedDict):
    """Who asks."""

    name: str
    scopes: list[str]
    tenant: str | None
    session: bool


async def ticket(ask: Asked) -> Response:
    """Get a ticket that opens one stream within 30 seconds: ?ticket=…"""
    made = await ask.app.logins.ticket(ask.identity, "stream")
    return reply({"ticket": made, "expires_in": TICKET_SECONDS}, status=201)


async def who(ask: Asked) -> Response:
    """Say whose key or session this is."""
    return reply(_who(ask))


async def open_session(ask: Asked) -> Response:
    """Turn a key into a session: a cookie that pages of this server send."""
    if ask.by_session:
        return reply(_who(ask), status=201)
    response = reply({**_who(ask), "session": True}, status=201)
    await _give_session(ask, response)
    return response


async def close_session(ask: Asked) -> Response:
    """End the session."""
    if ask.token:
        await ask.app.logins.close_session(ask.token)
    response = Response(status_code=204)
    response.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    if not ask.secure:
        response.delete_cookie(PLAIN_COOKIE, path="/", httponly=True, samesite="strict")
    return response


async def login(ask: Asked, request: Request, ticket: str = "") -> Response:
    """Turn a one-use login link into a session; a browser that comes too late is led to the page to log in."""
    identity = await ask.app.logins.redeem(ticket, "login")
    if identity is None:
        if ask.pages and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"{request.scope.get('root_path', '')}/?link=used", status_code=303)
        raise Problem(401, "unauthenticated", _TOO_LATE)
    home = "/" if ask.pages else "/v1/session"
    response = RedirectResponse(f"{request.scope.get('root_path', '')}{home}", status_code=303)
    await _give_session(Ask(ask.app, identity, ask.request_id, secure=ask.secure), response)
    return response


async def _give_session(ask: Ask, response: Response) -> None:
    token = await ask.app.logins.open_session(ask.identity)
    response.set_cookie(
        SECURE_COOKIE if ask.secure else PLAIN_COOKIE,
        token,
        max_age=int(SESSION_SECONDS),
        path="/",
        secure=ask.secure,
        httponly=True,
        samesite="strict",
    )


def _who(ask: Ask) -> WhoDocument:
    identity = ask.identity
    return {
        "name": identity.name,
        "scopes": sorted(identity.scopes),
        "tenant": identity.scope.tenant or None,
        "session": ask.by_session,
    }


ROUTES = (
    Route("POST", "/v1/tickets", ticket, SUBSCRIBE, TicketDocument, status=201, changes=False),
    Route("GET", "/v1/session", who, HOLDER, WhoDocument),
    Route("POST", "/v1/session", open_session, HOLDER, WhoDocument, status=201, changes=False),
    Route("DELETE", "/v1/session", close_session, HOLDER, status=204, changes=False),
    Route("GET", "/login", login, ANYBODY, status=303, also={303: "Logged in; the session's cookie is set."}),
)
