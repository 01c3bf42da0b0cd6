"""`dispatch dlq`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.dlq.base import app

# isort: split
from dispatch_cli.dlq import look  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.dlq import decide  # noqa: F401

__all__ = ["app"]
