"""`dispatch event`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.event.base import app

# isort: split
from dispatch_cli.event import publish  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.event import look  # noqa: F401

# isort: split
from dispatch_cli.event import tail  # noqa: F401

__all__ = ["app"]
