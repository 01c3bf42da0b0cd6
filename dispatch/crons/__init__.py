"""Cron: definition, model and store protocol."""

from dispatch.crons.definition import CronDefinition
from dispatch.crons.model import CronEntry, ListOptions, Tick
from dispatch.crons.store import CronStore

__all__ = ["CronDefinition", "CronEntry", "CronStore", "ListOptions", "Tick"]
