"""The verbs of a Store written once for every SQL dialect: plans of named statements, driven by an executor."""
