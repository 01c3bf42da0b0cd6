"""Real processes that are killed, stopped and cut off, and a checker that proves what became of every job."""
