"""The settings: their schema, sources and error messages."""
