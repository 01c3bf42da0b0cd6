"""Background jobs for Python: decorators, one command, any store."""
