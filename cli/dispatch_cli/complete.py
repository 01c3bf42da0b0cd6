"""Completion with live values: queues, job names and ids out of the store, in the time that a key press has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import typer

from dispatch_cli.settings import Settings

if TYPE_CHECKING:
    from dispatch.stores.sqlite_names import Named
    from dispatch_cli.session import Session

Completer = Callable[[typer.Context, str], list[str]]

_PATIENCE = 1.0
"""Seconds for a store that has to be opened."""
_MOST = 100
_ELSEWHERE = ("DISPATCH_URL", "DISPATCH_CONFIG", "DISPATCH_PROFILE", "DISPATCH_STORE_FILE")
"""Variables by which the store's URL may stand where only the whole configuration finds it."""


def values_of(named: Named) -> Completer:
    """Completes with what the store has of that kind."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        settings = ctx.obj if isinstance(ctx.obj, Settings) else Settings()
        try:
            return found(settings, named, incomplete)
        except Exception:  # a broken configuration or store is for the command itself to complain about
            return []

    return complete


def words_of(words: Iterable[str]) -> Completer:
    """Completes with some of a few words."""
    known = list(words)

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return complete


queues, names, workers = values_of("queue"), values_of("name"), values_of("worker")
letters, jobs, crons = values_of("letter"), values_of("job"), values_of("cron")
runs, workflows = values_of("run"), values_of("workflow")


def found(settings: Settings, named: Named, prefix: str) -> list[str]:
    """What the store of these settings has, beginning with `prefix`."""
    url = _quick_url(settings)
    if url is None:
        from dispatch_cli.session import Session

        session = Session(settings)
        if session.server is not None:
            import asyncio

            return asyncio.run(_asked(session, named, prefix))
        url = session.config.store
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from dispatch.stores.sqlite_names import names_in

        return names_in(Path(unquote(rest.removeprefix("/"))), named, prefix)
    if scheme == "memory":
        return []
    import asyncio

    from dispatch_cli.session import Session

    return asyncio.run(_asked(Session(settings), named, prefix))


def _quick_url(settings: Settings) -> str | None:
    """The store's URL where it stands in plain sight; None: only the whole configuration knows."""
    if (
        settings.config
        or settings.profile
        or settings.server_url
        or any(variable in os.environ for variable in _ELSEWHERE)
    ):
        return None
    given = settings.store or os.environ.get("DISPATCH_STORE")
    if given is None and Path("dispatch.toml").is_file():
        import tomllib

        said = tomllib.loads(Path("dispatch.toml").read_text(encoding="utf-8"))
        if "url" in said:
            return None
        given = said.get("store")
    elif given is None and Path("pyproject.toml").is_file():
        return None
    if given is None:
        return "sqlite:///dispatch.db"
    return None if given.startswith("env:") else given


async def _asked(session: Session, named: Named, prefix: str) -> list[str]:
    """What any store answers when it is opened for this, or a server."""
    import asyncio

    async with asyncio.timeout(_PATIENCE):
        if session.server is not None:
            from dispatch_cli.remote import RemoteAdmin
            from dispatch_cli.remote.asking import ask_server

            values: list[str] = await ask_server(
                session, session.server, lambda client: _ASK[named](RemoteAdmin(client))
            )
        else:
            async with session.bare_store() as store:
                values = await _ASK[named](store)
    return [value for value in values if value.startswith(prefix)][:_MOST]


async def _queues(store: Any) -> list[str]:
    named = {definition.queue for definition in await store.cluster.definitions()}
    return sorted({info.config.name for info in await store.queues.list()} | named)


async def _names(store: Any) -> list[str]:
    return sorted({found.name for found in await store.cluster.definitions() if found.kind == "job"})


async def _workers(store: Any) -> list[str]:
    return [str(worker.id) for worker in await store.cluster.list(live=True)]


async def _crons(store: Any) -> list[str]:
    from dispatch.crons.model import ListOptions

    return sorted({entry.name for entry in (await store.crons.list(ListOptions(limit=500))).items})


async def _letters(store: Any) -> list[str]:
    from dispatch.dlq.model import ListOptions

    return [str(entry.id) for entry in (await store.dlq.list(ListOptions(limit=_MOST))).items]


async def _jobs(store: Any) -> list[str]:
    from dispatch.jobs.model import ListOptions

    return [str(job.id) for job in (await store.jobs.list(ListOptions(limit=_MOST))).items]


async def _runs(store: Any) -> list[str]:
    from dispatch.workflows.model import ListOptions

    return [str(run.id) for run in (await store.workflows.list(ListOptions(limit=_MOST))).items]


async def _workflows(store: Any) -> list[str]:
    return sorted({found.name for found in await store.cluster.definitions() if found.kind == "workflow"})


_ASK: dict[Named, Any] = {
    "queue": _queues,
    "name": _names,
    "worker": _workers,
    "letter": _letters,
    "job": _jobs,
    "cron": _crons,
    "run": _runs,
    "workflow": _workflows,
}
