"""Says what a cron entry calls, and when: from a call, from code, or by name with arguments as outsiders give them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from dispatch.cluster.model import Announcement
from dispatch.crons.definition import CronCall, CronDefinition, check_options
from dispatch.crons.model import CronSpec, Misfire, Overlap
from dispatch.crons.plan import options_of
from dispatch.errors import InvalidDefinition
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.named import named_job, named_payload
from dispatch.workflows.definition import WorkflowCall, build_run

_NO_KEY = 1.0
"""Seconds that an idempotency key is kept: the entry's jobs have none."""


@dataclass(frozen=True, slots=True)
class CronDefaults:
    """What holds for entries that do not say."""

    timezone: str = "UTC"
    misfire: Misfire = "once"
    jitter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When an entry ticks and what it does about late and overlapping ticks."""

    schedule: str
    timezone: str | None = None
    overlap: Overlap = "skip"
    misfire: Misfire | None = None
    misfire_window: float | None = None
    jitter: float | None = None

    def over(self, defaults: CronDefaults) -> dict[str, Any]:
        """As fields of a CronSpec."""
        return {
            "schedule": self.schedule,
            "timezone": defaults.timezone if self.timezone is None else self.timezone,
            "overlap": self.overlap,
            "misfire": defaults.misfire if self.misfire is None else self.misfire,
            "misfire_window": self.misfire_window,
            "jitter": defaults.jitter if self.jitter is None else self.jitter,
        }


def spec_of_call(name: str, timing: Timing, call: CronCall, *, scope: Scope, defaults: CronDefaults) -> CronSpec:
    """The spec of an entry that makes this call; the scope of the call's own options wins over `scope`."""
    owner = call.options.scope or scope
    if isinstance(call, WorkflowCall):
        made = call.new_run(scope=owner, idempotency_ttl=_NO_KEY).driver
        target: dict[str, Any] = {
            "target": call.definition.name,
            "kind": "workflow",
            "version": call.definition.version,
        }
    else:
        made = call.new_job(scope=owner, idempotency_ttl=_NO_KEY)
        target = {"target": made.name}
    return checked(CronSpec(name=name, **timing.over(defaults), **target, **_of_row(made)))


def spec_of_name(
    name: str,
    timing: Timing,
    target: str,
    arguments: Any,
    options: EnqueueOptions,
    *,
    announced: Announcement | None,
    scope: Scope,
    defaults: CronDefaults,
) -> CronSpec:
    """The spec of an entry that calls a job or workflow by its name, with arguments that fit what was announced."""
    if announced is not None and announced.kind == "workflow":
        made = build_run(
            name=target,
            version=announced.version,
            payload=named_payload(target, arguments, announced.schema),
            options=options.over(EnqueueOptions(**announced.options)),
            row=options,
            scope=scope,
            idempotency_ttl=_NO_KEY,
            default_queue=announced.queue,
        ).driver
        kind: dict[str, Any] = {"kind": "workflow", "version": announced.version}
    else:
        made = named_job(target, arguments, options, announced=announced, scope=scope, idempotency_ttl=_NO_KEY)
        kind = {}
    return checked(CronSpec(name=name, target=target, **timing.over(defaults), **kind, **_of_row(made)))


def specs_of(definitions: Iterable[CronDefinition], *, defaults: CronDefaults | None = None) -> dict[str, CronSpec]:
    """What code says of its cron entries, by hash; each call is made now."""
    chosen = defaults or CronDefaults()
    found = {}
    for definition in definitions:
        timing = Timing(
            schedule=definition.schedule,
            timezone=definition.timezone,
            overlap=definition.overlap,
            misfire=definition.misfire,
            misfire_window=definition.misfire_window,
            jitter=definition.jitter,
        )
        target = cast("Any", definition.target)
        call = definition.make_call() if definition.make_call is not None else target.call()
        spec = spec_of_call(definition.name, timing, call, scope=NO_SCOPE, defaults=chosen)
        found[spec.digest] = spec
    return found


def checked(spec: CronSpec) -> CronSpec:
    """The spec; InvalidDefinition unless its schedule and its options mean something."""
    check_options(spec.name, spec.schedule, spec.timezone, spec.overlap, spec.misfire)
    return spec


def changed(spec: CronSpec, changes: dict[str, Any]) -> CronSpec:
    """The spec with other values; InvalidDefinition when they mean nothing."""
    unknown = sorted({*changes} - {*CronSpec.__dataclass_fields__})
    if unknown:
        raise InvalidDefinition(f"{spec.name}: a cron entry has no {', '.join(unknown)}")
    return checked(replace(spec, **changes))


def _of_row(made: NewJob) -> dict[str, Any]:
    return {"payload": made.payload, "options": options_of(made), "scope": made.scope}
