"""What is served over HTTP: the API of an app, and the probe of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch.errors import MissingExtra

if TYPE_CHECKING:
    from dispatch.api.application import API

__all__ = ["API"]


def __getattr__(name: str) -> Any:
    """`API` is imported when it is used: a probe needs no FastAPI."""
    if name != "API":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from dispatch.api.application import API
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "starlette"):
            raise
        raise MissingExtra(
            f"the HTTP API needs {error.name}, which is not installed: pip install 'dispatch-tasks[server]'"
        ) from None
    return API
