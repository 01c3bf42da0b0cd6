"""What stands in a Django project's settings, as Dispatch reads it: DISPATCH, and the database that holds the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from django.core.exceptions import ImproperlyConfigured

from dispatch.config.model import is_key, unknown_key


def variables(given: Mapping[str, Any]) -> dict[str, str]:
    """The DISPATCH_* variables that a DISPATCH setting stands for; its keys are those of dispatch.toml.

    Raises:
        ImproperlyConfigured: a key that there is none of, or a value that is no JSON.

    >>> variables({"store": "sqlite:///jobs.db", "concurrency": 4, "queue": {"mailers": {"max_concurrency": 2}}})
    {'DISPATCH_STORE': 'sqlite:///jobs.db', 'DISPATCH_CONCURRENCY': '4', \
'DISPATCH_QUEUE': '{"mailers": {"max_concurrency": 2}}'}
    """
    found: dict[str, str] = {}
    for name, value in given.items():
        if not is_key((name,)):
            raise ImproperlyConfigured(unknown_key((name,), " (settings.DISPATCH)"))
        try:
            found[f"DISPATCH_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
        except TypeError as error:
            raise ImproperlyConfigured(
                f"settings.DISPATCH[{name!r}]: {error}; write durations as text, such as '30s'"
            ) from None
    return found


def store_url(database: Mapping[str, Any]) -> str:
    """The URL of a store in the database that an entry of DATABASES describes, so that jobs commit with your rows.

    Args:
        database: such as `DATABASES["default"]`, of the engine sqlite3 or postgresql.

    Raises:
        ImproperlyConfigured: another engine, or a database that is not named here.

    >>> store_url({"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "web", "HOST": "db"})
    'postgresql://web@db/shop'
    """
    engine, name = str(database.get("ENGINE", "")), str(database.get("NAME") or "")
    kind = engine.rpartition(".")[2]
    if kind not in ("sqlite3", "postgresql"):
        raise ImproperlyConfigured(
            f"a store cannot share a database of the engine {engine!r} with Django: write its URL, such as "
            "redis://localhost, into settings.DISPATCH['store']"
        )
    if not name or name == ":memory:" or name.startswith("file:"):
        raise ImproperlyConfigured(f"the database is called {name!r}: a store needs one that other processes find, too")
    if kind == "sqlite3":
        return f"sqlite:///{quote(name)}"
    user, password = database.get("USER") or "", database.get("PASSWORD") or ""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + ("@" if user else "")
    host, port, options = str(database.get("HOST") or ""), database.get("PORT") or "", database.get("OPTIONS") or {}
    query = {name: options[name] for name in ("sslmode", "sslrootcert") if name in options}
    if host.startswith("/"):
        query["host"], host = host, ""
        query |= {"port": port} if port else {}
        port = ""
    place = host + (f":{port}" if port else "")
    return f"postgresql://{login}{place}/{quote(name, safe='')}" + (f"?{urlencode(query)}" if query else "")
