"""What a PostgreSQL URL and the names in it mean: checked before anything is opened."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dispatch.errors import ConfigError
from dispatch.masking import mask_url

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}", re.ASCII)
_VERIFIED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data is: how to connect, and the quoted schema that holds the tables."""

    dsn: str = field(repr=False)
    shown: str
    """The URL with its password masked."""
    namespace: str
    tls: bool
    """The URL asks for TLS and names no root certificate: the system's decide."""

    @property
    def schema(self) -> str:
        """The schema as SQL writes it."""
        return f'"{self.namespace}"'

    @property
    def channel(self) -> str:
        """The channel of wake-ups."""
        return f"dispatch:{self.namespace}"

    def connect_options(self) -> dict[str, Any]:
        """What the driver is told beside the URL."""
        return {"dsn": self.dsn, "ssl": ssl.create_default_context()} if self.tls else {"dsn": self.dsn}


def place(url: str, namespace: str) -> Place:
    """The place that a URL and a namespace name; ConfigError when they name none."""
    shown = mask_url(url)
    if not _NAME.fullmatch(namespace):
        raise ConfigError(
            f"namespace = {namespace!r}: on PostgreSQL it is the name of a schema: a letter or _, then letters, digits "
            "and _, at most 48"
        )
    if namespace.startswith("pg_"):
        raise ConfigError(f"namespace = {namespace!r}: PostgreSQL keeps names that begin with pg_ for itself")
    parts = urlsplit(url)
    if not parts.path.strip("/"):
        raise ConfigError(f"{shown} names no database; write postgresql://user@host/database")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    verified = given.get("sslmode", "") in _VERIFIED
    if verified:
        given["sslmode"] = "verify-full"
    query = urlencode(given)
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, query, ""))
    return Place(dsn, shown, namespace, tls=verified and "sslrootcert" not in given)
