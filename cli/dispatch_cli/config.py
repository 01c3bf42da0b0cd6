"""`dispatch config show | init`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch_cli import plugged
from dispatch_cli.consent import DryRun
from dispatch_cli.failures import CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import noun, verb

app = noun(
    "Show the configuration, or write a file to start from.",
    examples=("dispatch config show --origin", "dispatch config init"),
)


@verb(
    app,
    "show",
    local="it tells the configuration here",
    storeless=True,
    examples=("dispatch config show", "dispatch config show --origin", "dispatch config show --json"),
)
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
) -> None:
    """Show every key with the value that holds; secrets are masked."""
    from dispatch.config import masked

    session = session_of(ctx)
    loaded = session.loaded
    values = {**masked(loaded.config), "plugin": _sections(session)}
    if session.out.format == "json":
        document: dict[str, Any] = {
            "config": values,
            "file": str(loaded.file) if loaded.file else None,
            "profile": loaded.profile,
            "protected": loaded.protected,
        }
        session.out.json({**document, "origins": loaded.origins} if origin else document)
        return
    rows = [{"name": key, "value": value, "origin": loaded.origins.get(key, "default")} for key, value in _flat(values)]
    columns = (Column("key", "name"), Column("value", "value"))
    session.out.rows(rows, (*columns, Column("origin", "origin")) if origin else columns)


@verb(
    app,
    "init",
    local="it writes a file here",
    storeless=True,
    examples=("dispatch config init --dry-run", "dispatch config init other.toml"),
)
def init(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write; default: dispatch.toml.")] = Path(
        "dispatch.toml"
    ),
    dry_run: DryRun = False,
) -> None:
    """Write a configuration file with every key at its default; a file that is there is left alone."""
    from dispatch.config import example_toml, write_example

    session = session_of(ctx)
    if dry_run:
        if path.exists():
            raise CommandError(f"{path} exists and would be left alone: remove it first, or name another file")
        if session.out.format == "table":
            session.out.write(example_toml())
        else:
            session.out.record({"path": str(path), "text": example_toml()}, fields=())
        session.tell(f"nothing was written; this would be {path}")
        return
    written = write_example(path)
    session.out.record({"path": str(written)}, fields=[("path", written)])


def _sections(session: Session) -> dict[str, Any]:
    """[plugin.NAME], with the defaults of the plugins that have any, as far as they can be loaded."""
    from dispatch.config import mask_value
    from dispatch.errors import DiscoveryError, InvalidPlugin

    given: dict[str, Any] = dict(session.config.plugin)
    if plugged.may_be_some(session.settings):
        from dispatch.app.plugged import sections_of

        session.find_own_modules()
        try:
            given.update(sections_of(session.config))
        except (DiscoveryError, InvalidPlugin) as error:
            session.tell(f"warning: what plugins have to say is not shown: {error}")
    shown: dict[str, Any] = mask_value("plugin", given)
    return shown


def _flat(tree: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value
