"""Jobs: the row, the definition, the store protocol and what handlers see."""
