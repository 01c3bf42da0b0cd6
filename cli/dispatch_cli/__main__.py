"""The `dispatch` command, also as `python -m dispatch_cli`: light, so that Ctrl-C is told of even while it starts."""

import sys


def main() -> int:
    """Runs this process's command line and answers the exit code."""
    try:
        from dispatch_cli.main import main as command

        return command()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
