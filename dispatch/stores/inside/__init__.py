"""Jobs inside of the caller's own transaction: whose connection it is, and the plan of an enqueue run on it."""
