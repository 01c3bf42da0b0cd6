"""`dispatch store`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.store.base import app

# isort: split
from dispatch_cli.store import schema  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.store import verify  # noqa: F401

# isort: split
from dispatch_cli.store import copy  # noqa: F401

# isort: split
from dispatch_cli.store import prune  # noqa: F401

__all__ = ["app"]
