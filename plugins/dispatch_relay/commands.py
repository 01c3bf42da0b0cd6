"""`dispatch webhook`: the commands that the relay adds to the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dispatch import Dispatch
from dispatch.clock import seconds
from dispatch.hookspecs import CLI, Noun
from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.documents import Webhooks
from dispatch_relay.endpoint import CONCURRENCY
from dispatch_relay.errors import InvalidEndpoint
from dispatch_relay.local import LocalWebhooks

if TYPE_CHECKING:
    from dispatch.client.http import HTTPClient
    from dispatch_relay.plugin import RelayExtension

T = TypeVar("T")
Act = Callable[[Webhooks], Awaitable[T]]

_DELIVERY = "job_01k9ztr0c2e6r9v1s8f0q5b4nd"
_ENDPOINT_COLUMNS = ("name", "state", "url", ("for", "events"), "tenant", "origin")
_DELIVERY_COLUMNS = ("id", "endpoint", "type", "state", "attempt", "status", "error", ("made", "created_at"))
_STATES = {str(state): state for state in JobState}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Confirm = Annotated[
    str | None, typer.Option("--confirm", metavar="NAME", help="Name the protected profile instead of being asked.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; write nothing.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit record.")]
OwnSecret = Annotated[
    str | None,
    typer.Option("--secret", metavar="whsec_…", envvar="WEBHOOK_SECRET", help="Your own; default: a fresh one."),
]


def add_commands(cli: CLI, relay: RelayExtension) -> None:
    """Adds the noun and its verbs."""
    noun = cli.noun(
        "webhook",
        "Send what happens to other systems: endpoints and deliveries.",
        examples=("dispatch webhook list", "dispatch webhook deliveries --state failed -o ids"),
    )

    def run(act: Act[T], *, create: bool = False) -> T:
        async def on_app(app: Dispatch) -> T:
            try:
                return await act(LocalWebhooks(relay.webhooks(app)))
            finally:
                await relay.shutdown()

        async def through(client: HTTPClient) -> T:
            from dispatch_relay.remote import RemoteWebhooks

            return await act(RemoteWebhooks(client))

        return cli.on_app(on_app, create=create, through=through)

    _looking(cli, noun, run)
    _changing(cli, noun, run)
    _sending(cli, noun, run)


def _looking(cli: CLI, noun: Noun, run: Callable[..., Any]) -> None:
    @noun.verb("list", examples=("dispatch webhook list", "dispatch webhook list --json"))
    def list_endpoints() -> None:
        """List the endpoints; their secrets are shown nowhere."""
        found = run(lambda webhooks: webhooks.list())
        cli.show(found, _ENDPOINT_COLUMNS, empty="no endpoints; `dispatch webhook add NAME URL` makes one")

    @noun.verb(
        "deliveries",
        examples=("dispatch webhook deliveries", "dispatch webhook deliveries --endpoint billing --state failed"),
    )
    def deliveries(
        endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="NAME", help="Only to this one.")] = None,
        state: Annotated[
            list[str] | None, typer.Option("--state", "-s", metavar="STATE", help=f"{', '.join(_STATES)}.")
        ] = None,
        limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    ) -> None:
        """List deliveries, newest first: each is one event on its way to one endpoint."""
        for word in state or ():
            if word not in _STATES:
                cli.fail(f"there is no state {word!r}", code="usage", exit_code=2, hint=f"choose {', '.join(_STATES)}")
        states = [_STATES[word] for word in state or ()]
        found = run(lambda webhooks: webhooks.deliveries(endpoint=endpoint, states=states, limit=limit))
        cli.show(found, _DELIVERY_COLUMNS, empty="no deliveries match")


def _changing(cli: CLI, noun: Noun, run: Callable[..., Any]) -> None:
    @noun.verb(
        "add",
        examples=(
            "dispatch webhook add billing https://example.com/hooks --event 'job.*'",
            "dispatch webhook add chat https://example.com/chat --event job.dlq --rate 30/m --dry-run",
        ),
    )
    def add(
        name: Name,
        url: Annotated[str, typer.Argument(metavar="URL", help="Where to: https://…")],
        event: Annotated[
            list[str] | None, typer.Option("--event", "-e", metavar="GLOB", help="Such as job.failed, 'workflow.*'.")
        ] = None,
        tenant: Annotated[
            str | None, typer.Option("--tenant", metavar="APP/ORG", help="Only events of this tenant.")
        ] = None,
        header: Annotated[
            list[str] | None, typer.Option("--header", "-H", metavar="K:V", help="A header to be sent along.")
        ] = None,
        rate: Annotated[str | None, typer.Option("--rate", metavar="N/s", help="At most so many: 10/s, 30/m.")] = None,
        concurrency: Annotated[
            int, typer.Option("--concurrency", min=1, max=1000, metavar="N", help="At most so many at once.")
        ] = CONCURRENCY,
        secret: OwnSecret = None,
        dry_run: DryRun = False,
    ) -> None:
        """Add an endpoint, which gets what happens from now on, and show its secret: this once."""
        headers = dict(_header_of(text) for text in header or ())
        added = run(
            lambda webhooks: webhooks.add(
                name,
                url,
                events=event or ("*",),
                secret=secret,
                tenant=tenant,
                headers=headers,
                rate=rate,
                concurrency=concurrency,
                dry_run=dry_run,
            ),
            create=not dry_run,
        )
        unserved = added.pop("unserved")
        cli.show(added, ("name", "url", "events", "tenant", "secret"), once=_secret_of(added))
        if not dry_run:
            cli.tell("the receiver verifies with this secret; it is not shown again")
        if unserved:
            cli.tell("warning: no live worker sends webhooks: `dispatch run TARGET -q relay` with the plugin relay")

    @noun.verb("rotate", examples=("dispatch webhook rotate billing", "dispatch webhook rotate billing --overlap 1h"))
    def rotate(
        name: Name,
        overlap: Annotated[
            str, typer.Option("--overlap", metavar="DURATION", help="How long the present one signs too.")
        ] = "24h",
        secret: OwnSecret = None,
        reason: Reason = "",
        dry_run: DryRun = False,
    ) -> None:
        """Give an endpoint a new secret, and show it: this once. The present one signs beside it for a day."""
        try:
            span = timedelta(seconds=seconds(overlap))
        except (ValueError, OverflowError) as error:
            cli.fail(f"--overlap: {error}", code="usage", exit_code=2)

        async def act(webhooks: Webhooks) -> dict[str, Any]:
            if dry_run:
                return {**(await webhooks.get(name)), "secret": None}
            return {**(await webhooks.rotate(name, secret=secret, overlap=span, reason=reason))}

        rotated = run(act)
        cli.show(rotated, ("name", "url", "secret", "old_secret_until"), once=_secret_of(rotated))

    @noun.verb("remove", examples=("dispatch webhook remove billing --yes",))
    def remove(
        name: Name, reason: Reason = "", yes: Yes = False, confirm: Confirm = None, dry_run: DryRun = False
    ) -> None:
        """Remove an endpoint; deliveries that still wait for it fail. Asks first."""
        endpoint = run(lambda webhooks: webhooks.get(name))
        if not dry_run:
            cli.confirm(f"remove the webhook endpoint {name!r}", yes=yes, profile=confirm)
            run(lambda webhooks: webhooks.remove(name, reason=reason))
        cli.show({**endpoint, "outcome": "would be removed" if dry_run else "removed"}, ("name", "outcome"))

    def switch(name: str, act: Act[Any], dry_run: bool) -> None:
        look: Act[Any] = lambda webhooks: webhooks.get(name)  # noqa: E731
        cli.show(run(look if dry_run else act), ("name", "state", "disabled_reason"))

    @noun.verb("disable", examples=("dispatch webhook disable billing --reason 'moves to another host'",))
    def disable(name: Name, reason: Reason = "", dry_run: DryRun = False) -> None:
        """Send nothing to an endpoint any more; what happens meanwhile is not sent later."""
        switch(name, lambda webhooks: webhooks.disable(name, reason=reason), dry_run)

    @noun.verb("enable", examples=("dispatch webhook enable billing", "dispatch webhook enable a --reason 'it moved'"))
    def enable(name: Name, reason: Reason = "", dry_run: DryRun = False) -> None:
        """Send an endpoint what happens from now on, also after it answered 410 Gone."""
        switch(name, lambda webhooks: webhooks.enable(name, reason=reason), dry_run)


def _sending(cli: CLI, noun: Noun, run: Callable[..., Any]) -> None:
    @noun.verb("test", examples=("dispatch webhook test billing",))
    def test(name: Name) -> None:
        """Send an event of type dispatch.test to an endpoint now; exit 1 unless it answers with 2xx."""
        tried = run(lambda webhooks: webhooks.test(name))
        cli.show({"id": name, **tried}, ("endpoint", "arrived", "status", "elapsed_ms", "message"))
        if not tried["arrived"]:
            raise typer.Exit(1)

    @noun.verb(
        "redeliver",
        examples=(
            f"dispatch webhook redeliver {_DELIVERY}",
            "dispatch webhook redeliver $(dispatch webhook deliveries --state failed -o ids)",
        ),
    )
    def redeliver(
        ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The deliveries' ids.")],
        reason: Reason = "",
        dry_run: DryRun = False,
    ) -> None:
        """Send webhooks again, each under its first webhook-id: failed ones as they are, arrived ones once more."""
        chosen = []
        for text in dict.fromkeys(ids):
            try:
                chosen.append(JobID.parse(text))
            except ValueError:
                cli.fail(
                    f"{text!r} is not the id of a delivery: {JobID.prefix}_ and 26 letters and digits",
                    code="usage",
                    exit_code=2,
                    hint="`dispatch webhook deliveries` shows the ids",
                )

        async def act(webhooks: Webhooks) -> list[dict[str, Any]]:
            rows = []
            for id_ in chosen:
                job_id = await webhooks.redeliver(id_, dry_run=dry_run, reason=reason)
                rows.append({"id": id_, "outcome": "would be sent" if dry_run else "queued", "job_id": job_id})
            return rows

        cli.show(run(act), ("id", "outcome", ("delivery", "job_id")))


def _secret_of(endpoint: Mapping[str, Any]) -> str:
    """A new secret in one line; nothing where there is none, as in a rehearsal."""
    secret = endpoint["secret"]
    return f"the secret of endpoint {endpoint['name']}: {secret}; keep it now, it is not shown again" if secret else ""


def _header_of(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise InvalidEndpoint(f"--header {name!r} has no colon: write 'X-Team: core'")
    return name.strip(), value.strip()
