"""`dispatch plugin list`: what is plugged into this configuration."""

from __future__ import annotations

import typer

from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

app = noun("See which plugins are loaded, and which hooks they take.", examples=("dispatch plugin list",))

COLUMNS = (Column("plugin", "name"), Column("state", "state"), Column("origin", "origin"), Column("hooks", "hooks"))


@verb(
    app,
    "list",
    local="it tells which plugins are loaded here",
    storeless=True,
    examples=("dispatch plugin list", "dispatch plugin list --json"),
)
def list_plugins(ctx: typer.Context) -> None:
    """List the plugins that this configuration loads, with their hooks, and those it disables. No store is opened."""
    from dispatch.app.plugged import manager_of

    session = session_of(ctx)
    config = session.config
    session.find_own_modules()
    plugins = manager_of(config)
    plugins.load_entry_points()
    installed = {*plugins.names}
    plugins.load(config.plugins)
    documents = [
        {
            "name": name,
            "state": "loaded",
            "origin": "installed distribution" if name in installed else "`plugins` of the configuration",
            "hooks": plugins.hooks_of(name),
        }
        for name in plugins.names
    ]
    documents += [
        {"name": name, "state": "disabled", "origin": "`disabled_plugins` of the configuration", "hooks": []}
        for name in config.disabled_plugins
    ]
    session.out.rows(documents, COLUMNS, empty="no plugin is loaded; `plugins` in dispatch.toml names some")
