"""Plays workflow runs: claims become activations, activations become what the store is told."""
