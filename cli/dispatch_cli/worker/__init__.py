"""`dispatch worker`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.worker.base import app

# isort: split
from dispatch_cli.worker import look  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.worker import drain  # noqa: F401

__all__ = ["app"]
