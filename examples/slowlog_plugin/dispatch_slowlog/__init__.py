"""A log of slow and failed jobs: a middleware times them, a hook hears of failures, a command shows both.

Configured, where the defaults do not suit, in dispatch.toml:

    [plugin.slowlog]
    path = "/var/log/dispatch-slow.jsonl"
    threshold = 0.5
"""

from dispatch_slowlog.plugin import SlowLog

__all__ = ["SlowLog"]
