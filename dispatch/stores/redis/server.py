"""What a server must be like before jobs are trusted to it."""

from __future__ import annotations

from dispatch.errors import ConfigError, StoreUnreachable

OLDEST = (7, 0)


def facts_of(info: bytes | str) -> dict[str, str]:
    """The lines of an INFO reply."""
    text = info.decode() if isinstance(info, bytes) else info
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def told(facts: dict[str, str]) -> dict[str, str]:
    """What people should know of it."""
    valkey = facts.get("valkey_version")
    return {
        "server": f"Valkey {valkey}" if valkey else f"Redis {facts.get('redis_version', '?')}",
        "maxmemory_policy": facts.get("maxmemory_policy", "noeviction"),
        **{name: facts[name] for name in ("used_memory", "maxmemory") if name in facts},
        "appendonly": "yes" if facts.get("aof_enabled") == "1" else "no",
    }


def check(facts: dict[str, str], url: str, *, allow_eviction: bool) -> None:
    """Refuses a server that is too old, part of a cluster, or that would throw jobs away.

    Raises:
        StoreUnreachable: the server cannot be used as it is.
        ConfigError: it may evict keys.
    """
    version = facts.get("valkey_version") or facts.get("redis_version") or "0"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if "valkey_version" not in facts and numbers < OLDEST:
        raise StoreUnreachable(f"{url}: this is Redis {version}; 7.0 or newer is needed, or any Valkey")
    if facts.get("redis_mode", "standalone") == "cluster":
        raise StoreUnreachable(
            f"{url}: the server runs in cluster mode, which this store does not speak to; use one without it"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and not allow_eviction:
        raise ConfigError(
            f"{url}: maxmemory-policy is {policy}: the server would silently throw jobs away when its memory is full. "
            "Set `maxmemory-policy noeviction` (CONFIG SET maxmemory-policy noeviction), use a server of its own, or "
            "accept the loss with allow_eviction = true in [redis]"
        )
