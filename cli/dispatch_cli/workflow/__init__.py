"""`dispatch workflow`: its verbs by what they do, in the order its help page lists them."""

from dispatch_cli.workflow.base import app

# isort: split
from dispatch_cli.workflow import start  # noqa: F401 - each module adds its verbs to the app

# isort: split
from dispatch_cli.workflow import look  # noqa: F401

# isort: split
from dispatch_cli.workflow import timeline  # noqa: F401

# isort: split
from dispatch_cli.workflow import result  # noqa: F401

# isort: split
from dispatch_cli.workflow import signal  # noqa: F401

# isort: split
from dispatch_cli.workflow import change  # noqa: F401

# isort: split
from dispatch_cli.workflow import fork  # noqa: F401

__all__ = ["app"]
