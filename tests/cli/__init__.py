"""Tests of the dispatch command."""
