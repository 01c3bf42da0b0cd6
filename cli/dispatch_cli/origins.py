"""How near to the command line a value of the configuration was said."""

from __future__ import annotations


def nearness(origin: str) -> int:
    """The higher, the nearer: a flag, the environment, a profile, the file, the default.

    >>> nearness("flag") > nearness("env DISPATCH_URL") > nearness("file /app/dispatch.toml (profiles.live)")
    True
    >>> nearness("file /app/dispatch.toml (profiles.live)") > nearness("file /app/dispatch.toml") > nearness("default")
    True
    """
    if origin.startswith("file "):
        return 2 if "profiles." in origin.rpartition(" (")[2] else 1
    return 4 if origin == "flag" else 3 if origin.startswith("env ") else 0
