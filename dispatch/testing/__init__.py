"""Tools for testing with Dispatch; nothing here is imported until it is asked for by its own name."""
