"""`dispatch queue`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.queue.base import app

# isort: split
from dispatch_cli.queue import look  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.queue import pause  # noqa: F401

# isort: split
from dispatch_cli.queue import limit  # noqa: F401

# isort: split
from dispatch_cli.queue import purge  # noqa: F401

__all__ = ["app"]
