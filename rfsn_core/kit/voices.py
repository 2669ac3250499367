"""Voices that an NPC's file names and the engine does not have: another voice speaks, and the log says so once."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence

LIMIT = 1000
"""Names that are remembered at most: files change, and a server runs for a long time."""


def nearest_voices(name: str, names: Sequence[str], otherwise: str) -> str:
    """Return a hint with the names that were probably meant; `otherwise` when none is near."""
    close = difflib.get_close_matches(name, names, 3, 0.4)
    return f"Nearest: {', '.join(close)}" if close else otherwise


class UnknownVoices:
    """The names of voices that the engine does not have, each logged once."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def report(self, name: str, instead: str, hint: str) -> None:
        """Log, the first time, that `instead` speaks in place of `name`."""
        if name not in self._names and len(self._names) < LIMIT:
            self._names.add(name)
            self._log.warning("no voice '%.80s': %s speaks instead. %s", name, instead, hint)
