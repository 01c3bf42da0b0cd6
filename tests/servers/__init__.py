"""Servers for tests: one that the environment names, else one of a wheel, else one of the system; else a skip."""
