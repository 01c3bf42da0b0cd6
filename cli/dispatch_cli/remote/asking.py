"""Does what a command asks at a server, with the API key that was given for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from dispatch.client.errors import Unauthenticated
from dispatch.client.http import HTTPClient, checked_url
from dispatch_cli.failures import AUTHENTICATION, CommandError
from dispatch_cli.origins import nearness

if TYPE_CHECKING:
    from dispatch_cli.session import Session

T = TypeVar("T")
_HERE = ("localhost", "127.0.0.1", "::1")


async def ask_server(session: Session, url: str, act: Callable[[HTTPClient], Awaitable[T]]) -> T:
    """Awaits `act` on a client of the server. Raises CommandError when it does not know the key."""
    key = key_of(session)
    checked_url(url)
    if key and urlsplit(url).scheme.lower() == "http" and urlsplit(url).hostname not in _HERE:
        session.tell(f"warning: the API key goes to {url} over plain HTTP, for everybody on the way to read; use https")
    try:
        async with HTTPClient(url, token=key) as client:
            return await act(client)
    except Unauthenticated:
        raise CommandError(
            f"{url} wants an API key that it knows" if key else f"{url} wants an API key",
            code="unauthenticated",
            exit_code=AUTHENTICATION,
            hint="the one given was revoked, has expired or is of another server; `dispatch apikey create` makes one"
            if key
            else "put it into DISPATCH_API_KEY, or into a file named by --api-key-file",
        ) from None


def key_of(session: Session) -> str:
    """The API key as configured; "" without one."""
    config, origins = session.config, session.loaded.origins
    if config.api_key_file is None:
        return config.api_key or ""
    nearer = nearness(origins["api_key"]) - nearness(origins["api_key_file"]) if config.api_key else -1
    if nearer == 0:
        raise CommandError("api_key and api_key_file are both given: keep one of the two")
    return (config.api_key or "") if nearer > 0 else _read(Path(config.api_key_file), session)


def _read(path: Path, session: Session) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
        open_to_others = path.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the API key cannot be read from {path}: {error}") from None
    if not key:
        raise CommandError(f"there is no API key in {path}: the file is empty")
    if open_to_others:
        session.tell(f"warning: others on this machine can read the API key in {path}: chmod 600 {path}")
    return key
