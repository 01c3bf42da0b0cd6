"""Things as JSON documents with stable fields: the same behind every door; docs/cli.md lists them."""
