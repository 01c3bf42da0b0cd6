"""What the outside may ask over HTTP."""
