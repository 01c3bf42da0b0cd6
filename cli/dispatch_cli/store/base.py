"""What the verbs of `dispatch store` share: the noun."""

from __future__ import annotations

from dispatch_cli.shell import noun

app = noun(
    "Create, migrate, look at, check, copy and prune the store.",
    examples=("dispatch store status", "dispatch store migrate --dry-run"),
)
