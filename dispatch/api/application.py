"""The HTTP API of an app: a router to include, an ASGI application to serve or mount, its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from dispatch.access import SCOPES, Identity
from dispatch.api.dashboard import Dashboard
from dispatch.api.guard import HOLDER, PLAIN_COOKIE, Guard, Rule
from dispatch.api.problems import Problem, problem_of, problem_response, problem_schemas, reply
from dispatch.api.routing import READING, Asked, Route, build, guarded, request_id_of
from dispatch.api.shield import Shield
from dispatch.api.table import ROUTES
from dispatch.errors import InvalidPlugin
from dispatch.lazily import lazily
from dispatch.wire.refusals import Refusal

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.hookspecs import Routes
    from dispatch.wire.server import WireServer

_ABOUT = (
    "Look after jobs, workflows, crons and dead letters. Every request shows an API key "
    "(`Authorization: Bearer dk_…`); a key sees its tenant's things only."
)


class API:
    """The HTTP API of an app, which has to be open while it serves.

    Args:
        app: whose API it is.
        allowed_hosts: names that clients may call it by, besides those of this machine; "*" for any
            (default: `[server] allowed_hosts` and `host`).
        read_only: refuse whatever changes something (default: `[server] read_only`).
        measure: answers the app's measurements, for /metrics (see `dispatch.api.metrics`).
        dashboard: whether `asgi()` serves the pages at / (default: unless `[server] disable_dashboard`).

    >>> api = API(app)  # doctest: +SKIP
    >>> website.mount("/ops", api.asgi())  # doctest: +SKIP
    """

    def __init__(
        self,
        app: Dispatch,
        *,
        allowed_hosts: tuple[str, ...] | None = None,
        read_only: bool | None = None,
        measure: Callable[[], bytes] | None = None,
        dashboard: bool | None = None,
    ) -> None:
        server = app.config.server
        hosts = (*server.allowed_hosts, server.host) if allowed_hosts is None else allowed_hosts
        self.app = app
        self.guard = Guard(
            app,
            allowed_hosts=tuple(hosts),
            read_only=server.read_only if read_only is None else read_only,
            measure=measure,
        )
        shown = not server.disable_dashboard if dashboard is None else dashboard
        self.dashboard = Dashboard(self.guard) if shown else None
        self.guard.pages = shown
        self._limits = app.config.limits

    @lazily
    def router(self) -> APIRouter:
        """All routes, for an application of your own, which then answers for Host names and response headers.

        Routes of plugins are among them once the app is open. Raises InvalidPlugin.
        """
        return self._routes(described=True)

    def asgi(self) -> ASGIApp:
        """An ASGI application with all routes and the protection around them; it is built at its first request."""
        return Shield(_Doors(self), guard=self.guard)

    def prepare(self) -> None:
        """Builds the routes now, which takes a moment, instead of at the first request. Raises InvalidPlugin."""
        _ = self._fast

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document; it is made when it is first asked for, which takes a moment."""
        return self._document

    async def end_streams(self) -> None:
        """Ends the event streams that are open, as a server does that stops."""
        for subscription in list(self.guard.streams):
            await subscription.close()

    @lazily
    def wire(self) -> WireServer:
        """The wire protocol, for the same keys, and for the sessions of browsers."""
        from dispatch.wire.server import WireServer

        async def browser(scope: Any, ticket: str | None) -> Identity | None:
            try:
                return (await self.guard.identify(scope, ticket=ticket, expected_origin=ticket is None))[0]
            except Problem as problem:
                if problem.status != 401:
                    raise Refusal(problem.status, problem.message) from None
                return None

        return WireServer(
            self.app,
            browser=browser,
            read_only=self.guard.read_only,
            largest=self._limits.frame,
            deepest=self._limits.depth,
        )

    @lazily
    def _fast(self) -> FastAPI:
        """What serves: its routes answer with what is written already, so what they answer is compiled for nobody."""
        return self._holding(self._routes(described=False))

    @lazily
    def _document(self) -> dict[str, Any]:
        document = self._holding(self.router).openapi()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(problem_schemas())
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": f"Scopes: {' '.join(SCOPES)}"},
            "session": {"type": "apiKey", "in": "cookie", "name": PLAIN_COOKIE},
        }
        return document

    def _holding(self, router: APIRouter) -> FastAPI:
        """An application with these routes and the one of the document."""
        fast = FastAPI(title="Dispatch", version=_version(), description=_ABOUT, openapi_url=None, docs_url=None)
        fast.router.routes.extend(router.routes)

        async def openapi(ask: Asked) -> Response:
            """Get this document."""
            return reply(self.openapi())

        described = APIRouter()
        route = Route("GET", "/openapi.json", openapi, HOLDER, dict[str, Any])
        build(described, [route], self.guard, limits=self._limits)
        fast.router.routes.extend(described.routes)
        fast.add_exception_handler(HTTPException, _answer)
        return fast

    def _routes(self, *, described: bool) -> APIRouter:
        router = APIRouter()
        build(router, ROUTES, self.guard, limits=self._limits, described=described)
        for name, routes in self._brought:
            self._add(router, name, routes)
        return router

    @lazily
    def _brought(self) -> list[tuple[str, Routes]]:
        """The routes of plugins."""
        return list(self.app.plugins.ask("register_routes", app=self.app))

    def _add(self, router: APIRouter, plugin: str, routes: Routes) -> None:
        for found in routes.router.routes:
            if not isinstance(found, APIRoute):
                raise InvalidPlugin(f"plugin {plugin!r}: register_routes brings {found!r}, which is no plain API route")
            for method in sorted(found.methods or ()):
                needed = routes.scopes.get((method, found.path))
                rule = None if needed is None else Rule(needed, changes=method not in READING)
                router.add_api_route(
                    f"/v1{found.path}",
                    found.endpoint,
                    methods=[method],
                    response_model=found.response_model,
                    status_code=found.status_code,
                    tags=found.tags or [plugin],
                    dependencies=found.dependencies,
                    summary=found.summary,
                    description=found.description,
                    responses=found.responses,
                    operation_id=f"{plugin}.{method.lower()}.{found.name}",
                    route_class_override=guarded(self.guard, rule, limits=self._limits),
                )


class _Doors:
    """The routes, under /dwp the wire protocol, and at / the dashboard; built when somebody asks: the plugins are
    loaded by then."""

    def __init__(self, api: API) -> None:
        self._api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        pages = self._api.dashboard
        if path == "/dwp" or path.startswith("/dwp/"):
            await self._api.wire(scope, receive, send)
        elif pages is not None and scope["type"] == "http" and pages.serves(path):
            await pages(scope, receive, send)
        else:
            await self._api._fast(scope, receive, send)


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(problem_of(error), request_id_of(request.headers))


def _version() -> str:
    try:
        return version("dispatch-tasks")
    except PackageNotFoundError:
        return "0"
