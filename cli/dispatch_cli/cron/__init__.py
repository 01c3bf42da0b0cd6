"""`dispatch cron`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.cron.base import app

# isort: split
from dispatch_cli.cron import look  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.cron import plan  # noqa: F401

# isort: split
from dispatch_cli.cron import switch  # noqa: F401

# isort: split
from dispatch_cli.cron import make  # noqa: F401

# isort: split
from dispatch_cli.cron import remove  # noqa: F401

__all__ = ["app"]
