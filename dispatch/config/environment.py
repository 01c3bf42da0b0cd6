"""Reads DISPATCH_* variables: which key each one sets, and its text as a list or table where the key wants one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dispatch.config.model import LISTS, is_key, keys_of, nearest
from dispatch.errors import ConfigError

PREFIX = "DISPATCH_"
RESERVED = "DISPATCH_TEST_"
STORE_FILE = "DISPATCH_STORE_FILE"
_NOT_KEYS = {"DISPATCH_CONFIG", "DISPATCH_PROFILE", STORE_FILE}


def read_environment(env: Mapping[str, str], folder: Path, warnings: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (variable, the nested table it stands for), whole tables before single keys; empty ones count as unset."""
    variables = {name: text for name, text in env.items() if name.startswith(PREFIX) and text}
    if STORE_FILE in variables:
        if "DISPATCH_STORE" in variables:
            raise ConfigError(f"DISPATCH_STORE and {STORE_FILE} are both set: keep one of the two")
        yield STORE_FILE, {"store": _read_secret(folder / variables[STORE_FILE])}
    for name in sorted(variables, key=lambda name: (name.count("__"), name)):
        if name in _NOT_KEYS or name.startswith(RESERVED):
            continue
        key = _key(name)
        if is_key(key):
            yield name, _nested(key, _value(name, key, variables[name]))
        else:
            table = key[:-1] if keys_of(key[:-1]) else ()
            known = [PREFIX + "__".join((*table, last)).upper() for last in keys_of(table)]
            warnings.append(f"{name} is ignored, there is no such key: {nearest(name, known)}")


def _key(name: str) -> tuple[str, ...]:
    """DISPATCH_QUEUE__MAILERS__RATE_LIMIT → ("queue", "mailers", "rate_limit"); a name in mixed case stays as it is."""
    parts = name.removeprefix(PREFIX).split("__")
    return tuple(part.lower() if part.isupper() else part for part in parts)


def _value(name: str, key: tuple[str, ...], text: str) -> Any:
    if keys_of(key) or key in {("queue",), ("plugin",)} or (key[0] == "plugin" and len(key) == 2):
        value = _json(text)
        if not isinstance(value, dict):
            raise ConfigError(f"{name} stands for a table: write a JSON object, or one key as {name}__KEY")
        return value
    if key[0] in LISTS:
        if not text.lstrip().startswith("["):
            return [item.strip() for item in text.split(",") if item.strip()]
        value = _json(text)
        if not isinstance(value, list):
            raise ConfigError(f'{name} is not a JSON list: write ["a", "b"] or a,b')
        return value
    if key[0] == "plugin":
        value = _json(text)
        return text if value is None else value
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _nested(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = key
    return {first: _nested(tuple(rest), value) if rest else value}


def _read_secret(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{STORE_FILE} names {path}, which cannot be read: {error}") from None
    if not text:
        raise ConfigError(f"{STORE_FILE} names {path}, which is empty: write the store's URL into it")
    return text
