"""Which registry the targets of a command line mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch_cli.failures import DISCOVERY, CommandError

if TYPE_CHECKING:
    from dispatch.registry import Registry


def registry_of(objects: Sequence[Any]) -> Registry:
    """The registry that `module:object` targets name (a Registry, or a Dispatch app's); else what `@job` fills."""
    from dispatch.app import Dispatch
    from dispatch.registry import Registry, default_registry

    found: list[Registry] = []
    for object_ in objects:
        registry = object_.registry if isinstance(object_, Dispatch) else object_
        if not isinstance(registry, Registry):
            raise CommandError(
                f"{object_!r} is neither a Registry nor a Dispatch app",
                code="discovery_error",
                exit_code=DISCOVERY,
                hint="name the module alone (myapp.tasks) to serve what @job has put into the default registry",
            )
        if registry not in found:
            found.append(registry)
    if len(found) > 1:
        raise CommandError("the targets name several registries; one worker serves one", exit_code=DISCOVERY)
    return found[0] if found else default_registry
