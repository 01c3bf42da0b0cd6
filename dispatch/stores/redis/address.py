"""Where the server is: a store URL turned into what a connection is made with."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dispatch.errors import ConfigError
from dispatch.masking import mask_url

SCHEMES = ("redis", "rediss", "valkey", "valkeys", "redis+unix")
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_TLS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}


@dataclass(frozen=True, slots=True)
class Address:
    """A server and a database on it."""

    url: str
    """As given, its password masked."""
    kind: str
    """tcp, tls or unix."""
    options: Mapping[str, Any]
    """host, port or path; db; username, password; ssl_…"""


def parse(url: str) -> Address:
    """The address in a URL such as `redis://:secret@host:6379/0`, `rediss://…`, `redis+unix:///run/redis.sock?db=1`.

    Raises:
        ConfigError: the URL makes no sense.
    """
    shown = mask_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{shown}: {error}") from error
    options: dict[str, Any] = {}
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "redis+unix":
        if not parts.path.strip("/"):
            raise ConfigError(f"{shown} names no socket; write redis+unix:///run/redis/redis.sock?db=0")
        options.update(path=unquote(parts.path), db=_database(query.pop("db", "0"), shown))
        _refuse_rest(query, set(), shown)
        return Address(shown, "unix", options)
    options.update(
        host=unquote(parts.hostname or "localhost"),
        port=port or 6379,
        db=_database(query.pop("db", "") or parts.path.strip("/") or "0", shown),
    )
    tls = parts.scheme in ("rediss", "valkeys")
    _refuse_rest(query, _TLS if tls else set(), shown)
    options.update(query)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in ("1", "true", "yes")
    if options.get("ssl_cert_reqs", "required") not in _REQUIREMENTS:
        raise ConfigError(f"{shown}: ssl_cert_reqs is one of {', '.join(_REQUIREMENTS)}")
    return Address(shown, "tls" if tls else "tcp", options)


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """How a TLS connection with these options trusts the server and shows itself.

    Raises:
        ConfigError: a certificate or key cannot be read.
    """
    required = _REQUIREMENTS[options.get("ssl_cert_reqs", "required")]
    try:
        made = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        made.check_hostname = options.get("ssl_check_hostname", True) and required is not ssl.CERT_NONE
        made.verify_mode = required
        if "ssl_certfile" in options:
            made.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except OSError as error:
        raise ConfigError(f"the certificates of the TLS connection to the store cannot be read: {error}") from error
    return made


def _database(text: str, shown: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{shown}: {text!r} is no database; write its number, as in redis://localhost:6379/0")
    return int(text)


def _refuse_rest(query: Mapping[str, str], known: set[str], shown: str) -> None:
    wrong = sorted(query.keys() - known)
    if wrong:
        allowed = f"known here: {', '.join(sorted(known))}" if known else "this kind of URL takes none but db"
        raise ConfigError(f"{shown}: unknown parameter {wrong[0]!r}; {allowed}. Other settings stand in [redis]")
