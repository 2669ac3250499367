"""A voice that an NPC's file names and the engine lacks: no reason for silence, but one to say so, once."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence

MOST = 1000
"""Names that are remembered: files change, and a process lives long."""


def nearest(name: str, names: Sequence[str], otherwise: str) -> str:
    """The names that were probably meant; `otherwise` when none is near."""
    close = difflib.get_close_matches(name, names, 3, 0.4)
    return f"Nearest: {', '.join(close)}" if close else otherwise


class Unknown:
    """The names that were told already."""

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._told = log, set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self._told

    def tell(self, name: str, instead: str, hint: str) -> None:
        """That `instead` speaks for `name`."""
        if name not in self._told and len(self._told) < MOST:
            self._told.add(name)
            self._log.warning("no voice '%.80s': %s speaks instead. %s", name, instead, hint)
