"""Tests of what the outside may ask over HTTP."""
