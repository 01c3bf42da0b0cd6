"""What the verbs of `dispatch store` share: the noun, and whether there is a store to look at."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from dispatch_cli.failures import STORE, CommandError
from dispatch_cli.session import Session
from dispatch_cli.shell import noun

app = noun(
    "Create, migrate, look at, check, copy and prune the store.",
    examples=("dispatch store status", "dispatch store migrate --dry-run"),
)


def must_exist(session: Session, url: str | None = None) -> None:
    """Ends the command when the configured store, or the one at `url`, is a file that is not there."""
    missing = missing_file(session, url)
    if missing is not None:
        raise CommandError(
            f"there is no store at {missing}",
            code="store_unreachable",
            exit_code=STORE,
            hint="`dispatch store init` creates it; --store or the configuration name another one",
        )


def missing_file(session: Session, url: str | None = None) -> Path | None:
    """The file of a SQLite store that is not there; asking the store would create it."""
    path = file_of(session, url)
    return path if path is not None and not path.exists() else None


def file_of(session: Session, url: str | None = None) -> Path | None:
    """The file of a SQLite store (the configured one, or the one at `url`); None for other kinds."""
    scheme, _, rest = (session.config.store if url is None else url).partition("://")
    return Path(unquote(rest.removeprefix("/").partition("?")[0])) if scheme == "sqlite" else None
