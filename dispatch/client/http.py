"""A server's HTTP API: requests with a key, and refusals as the errors that they are in-process."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from dispatch.client.errors import ConnectionLost, RequestTimeout, ServerFailed, refusal_of
from dispatch.errors import DispatchError, InvalidArguments, MissingExtra
from dispatch.masking import mask_url

if TYPE_CHECKING:
    import httpx2

_AT_ONCE = 16
_LARGEST = 64 << 20
"""Bytes of an answer at most."""
_OTHER_VERSION = ("no_such_route", "method_not_allowed")


class HTTPClient:
    """Asks a server's HTTP API; use it as a context manager, or close it.

    Args:
        url: `http://host:port`, with the path below which the API is mounted, if there is one.
        token: an API key (`dispatch apikey create`). timeout: seconds that connecting, and an answer, may take; an
            answer may have 64 MiB.

    Raises InvalidArguments, MissingExtra.

    >>> async with HTTPClient("http://127.0.0.1:8484", token="dk_…") as client:  # doctest: +SKIP
    ...     jobs = await client.ask("GET", "/v1/jobs", query={"state": ["failed"]})
    """

    def __init__(self, url: str, *, token: str = "", timeout: float = 10.0) -> None:
        self.url = checked_url(url)
        self._timeout = timeout
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra(
                f"asking a server needs {error.name}, which is not installed: pip install 'dispatch-tasks[client]'"
            ) from None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if not token.isascii() or not token.isprintable():
            raise InvalidArguments("this is no API key: it holds other than plain letters (dk_<public id>_<secret>)")
        limits = httpx2.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
        self._client = httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=timeout, limits=limits, follow_redirects=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections; idempotent."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        wait: float = 0.0,
    ) -> Any:
        """The document that a request is answered with; None for an answer without one.

        Args:
            path: such as "/v1/jobs". query: what is None is left out, a list stands for several values.
            body: a JSON value. wait: seconds that the server was asked to take its time with the answer.

        Raises what the service behind the route raises; ConnectionLost, RequestTimeout, Unauthenticated, Forbidden,
        TooManyRequests, ServerFailed.
        """
        import httpx2

        patience = httpx2.Timeout(self._timeout, read=self._timeout + wait)
        request = self._client.build_request(method, path, params=_given(query or {}), json=body, timeout=patience)
        try:
            async with asyncio.timeout(2 * self._timeout + wait):
                answer = await self._client.send(request, stream=True)
                content = await self._content(answer)
        except TimeoutError:
            raise self._lost(httpx2.ReadTimeout(""), method, path) from None
        except httpx2.RequestError as error:
            raise self._lost(error, method, path) from None
        if answer.is_success:
            return None if answer.status_code == 204 else self._document(answer, content)
        raise self._refusal(answer, content, method, path)

    async def _content(self, answer: httpx2.Response) -> bytes:
        content = bytearray()
        try:
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise ServerFailed(f"{self.url} answers with more than {_LARGEST >> 20} MiB: ask for less at once")
        finally:
            await answer.aclose()
        return bytes(content)

    def _lost(self, error: httpx2.RequestError, method: str, path: str) -> DispatchError:
        import httpx2

        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
            told = _certificate(error)
            why = f"its certificate is not trusted: {told}" if told else str(error) or type(error).__name__
            return ConnectionLost(f"{self.url} does not answer: {why}")
        if isinstance(error, httpx2.TimeoutException):
            done = "" if method == "GET" else "; it may or may not have been done"
            return RequestTimeout(f"{method} {path}: no answer from {self.url} in time{done}")
        done = "" if method == "GET" else "; what was asked for may or may not have been done"
        return ConnectionLost(f"the connection to {self.url} was lost before the answer to {method} {path} came{done}")

    def _document(self, answer: httpx2.Response, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._strange(answer) from None

    def _refusal(self, answer: httpx2.Response, content: bytes, method: str, path: str) -> DispatchError:
        if answer.has_redirect_location:
            return ServerFailed(f"{self.url} sends elsewhere, to {answer.headers.get('location')}: name that URL")
        try:
            error = json.loads(content)["error"]
            code, message = str(error["code"]), str(error["message"])
            fields = "; ".join(f"{one['field']}: {one['message']}" for one in error.get("details") or [])
        except (ValueError, TypeError, KeyError, RecursionError):
            return self._strange(answer)
        if code in _OTHER_VERSION:
            return ServerFailed(
                f"{self.url} knows no {method} {path}: it runs another version of Dispatch, or lacks a plugin"
            )
        if answer.status_code >= 500 and error.get("request_id"):
            message += f" (request {error['request_id']})"
        return refusal_of(answer.status_code, code, f"{message} ({fields})" if fields else message)

    def _strange(self, answer: httpx2.Response) -> ServerFailed:
        kind = answer.headers.get("content-type", "no content type")
        return ServerFailed(
            f"{self.url} answers {answer.status_code} with what Dispatch does not say ({kind}): is it a server of ours?"
        )


def checked_url(url: str) -> str:
    """The URL of a server, without a slash at its end; InvalidArguments for what is none.

    >>> checked_url("https://jobs.example.com/ops/")
    'https://jobs.example.com/ops'
    """
    try:
        parts = urlsplit(url)
        sane = parts.scheme.lower() in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        sane = False
        parts = urlsplit("")
    if not sane or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise InvalidArguments(f"{mask_url(url)!r} is no server's URL; give one such as http://127.0.0.1:8484")
    if parts.username is not None or parts.password is not None:
        raise InvalidArguments("the URL of a server holds no user or password: what it wants is an API key")
    return url.rstrip("/")


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    def text(value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value

    return {
        name: [text(one) for one in value] if isinstance(value, list | tuple) else text(value)
        for name, value in query.items()
        if value is not None
    }


def _certificate(error: BaseException) -> str:
    """What is wrong with the server's certificate; "" when that is not what stopped the connection."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message
        seen = seen.__cause__ or seen.__context__
    return ""
