"""Serves the dashboard: the pages at /, to whoever has no session the one to log in, and their files."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from dispatch.api.dashboard.assets import Asset, site
from dispatch.api.guard import PLAIN_COOKIE, SECURE_COOKIE, Guard, is_secure, session_of
from dispatch.api.problems import Problem, problem_response
from dispatch.api.routing import request_id_of
from dispatch.errors import StoreError

_FILES = "/static/"
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_READING = ("GET", "HEAD")


class Dashboard:
    """An ASGI application for the paths that it `serves`; its files hold no data, so anybody may have them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    @staticmethod
    def serves(path: str) -> bool:
        """Whether that path is the dashboard's."""
        return path in ("", "/") or path.startswith(_FILES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        await (await self._answer(scope, path))(scope, receive, send)

    async def _answer(self, scope: Scope, path: str) -> Response:
        headers = Headers(scope=scope)
        if scope["method"] not in _READING:
            wrong = Problem(405, "method_not_allowed", "pages are only read", headers={"Allow": "GET, HEAD"})
            return problem_response(wrong, request_id_of(headers))
        if not path:
            return RedirectResponse(f"{scope.get('root_path', '')}/")
        if path.startswith(_FILES):
            version, _, name = path.removeprefix(_FILES).partition("/")
            found = site().assets.get(name) if version == site().version else None
            if found is None:
                return problem_response(Problem(404, "no_such_route", "Not Found"), request_id_of(headers))
            return _sent(found, headers, {"Cache-Control": _FOR_EVER})
        return await self._page(scope, headers)

    async def _page(self, scope: Scope, headers: Headers) -> Response:
        """One of the two pages. A link on another site brings no SameSite cookie; from a page of ours one does."""
        shown = session_of(headers, secure=is_secure(scope))
        known = False
        if shown is not None:
            try:
                known = await self._guard.app.logins.session(shown) is not None
            except StoreError:
                known = True
        if shown is None and headers.get("sec-fetch-site") == "cross-site":
            late = "?link=used" if scope["query_string"] == b"link=used" else ""
            return Response(media_type="text/html", headers={"Refresh": f"0; url=./{late}"})
        page = site().pages["index.html" if known else "login.html"]
        response = _sent(
            page, headers, {"Cache-Control": _ASK_AGAIN, "Content-Security-Policy": site().policy, "Vary": "Cookie"}
        )
        if shown is not None and not known:
            response.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
            response.delete_cookie(PLAIN_COOKIE, path="/", httponly=True, samesite="strict")
        return response


def _sent(asset: Asset, headers: Headers, more: dict[str, str]) -> Response:
    vary = ", ".join(filter(None, ("Accept-Encoding", more.get("Vary"))))
    known = {**more, "ETag": asset.tag, "Vary": vary}
    asked = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
    if asset.tag in asked:
        return Response(status_code=304, headers=known)
    packed = "gzip" in headers.get("accept-encoding", "")
    if packed:
        known["Content-Encoding"] = "gzip"
    return Response(asset.packed if packed else asset.body, media_type=asset.kind, headers=known)
