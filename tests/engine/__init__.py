"""The engine: its loops, its pure decisions, its subprocesses."""
