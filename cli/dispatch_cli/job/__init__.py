"""`dispatch job`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.job.base import app

# isort: split
from dispatch_cli.job import enqueue  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.job import look  # noqa: F401

# isort: split
from dispatch_cli.job import change, wait  # noqa: F401

# isort: split
from dispatch_cli.job import watch  # noqa: F401

# isort: split
from dispatch_cli.job import stats  # noqa: F401

__all__ = ["app"]
