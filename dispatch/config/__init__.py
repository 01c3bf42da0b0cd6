"""The configuration: its keys (`Config`), where their values come from (`load`), how they are shown (`masked`)."""

from dispatch.config.example import example_toml, write_example
from dispatch.config.load import LoadedConfig, load
from dispatch.config.model import Config, Limits, Log, QueueTable, Retention, Server, SQLite
from dispatch.config.units import format_duration, format_size, parse_duration, parse_size
from dispatch.masking import mask_url, mask_value, masked

__all__ = [
    "Config",
    "Limits",
    "LoadedConfig",
    "Log",
    "QueueTable",
    "Retention",
    "SQLite",
    "Server",
    "example_toml",
    "format_duration",
    "format_size",
    "load",
    "mask_url",
    "mask_value",
    "masked",
    "parse_duration",
    "parse_size",
    "write_example",
]
