"""The project and its one app."""
