"""What the verbs of `dispatch worker` share: the noun and the id in its examples."""

from __future__ import annotations

from dispatch_cli.shell import noun

EXAMPLE = "wkr_01k9ztq5m1c3p6t9x2b4g7j0ne"

app = noun(
    "Look at worker processes, and ask them to finish and stop.",
    examples=("dispatch worker list", f"dispatch worker drain {EXAMPLE}"),
)
