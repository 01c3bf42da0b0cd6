"""`dispatch version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from dispatch_cli.session import session_of
from dispatch_cli.shell import single

_PARTS = ("typer", "rich", "pydantic", "pluggy", "aiosqlite", "croniter")


@single(
    local="it tells the versions that are installed here",
    storeless=True,
    examples=("dispatch version", "dispatch version --json"),
)
def app(ctx: typer.Context) -> None:
    """Show the versions of Dispatch and what it runs on."""
    from dispatch.stores.sqlite import library_version

    document = {
        "dispatch": version_of("dispatch-tasks"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": library_version(),
        **{name: version_of(name) for name in _PARTS},
    }
    session_of(ctx).out.record(document, fields=list(document.items()))


def version_of(distribution: str) -> str:
    """The version of an installed distribution, in words where it is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown (not installed as a distribution)"
