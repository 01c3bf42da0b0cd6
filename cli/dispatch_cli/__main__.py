"""`python -m dispatch_cli` is the `dispatch` command."""

import sys

from dispatch_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
