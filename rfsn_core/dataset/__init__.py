"""Data sets for adapters: examples from the log, filtered, split by player, and written with a card."""
