"""Tables of regular expressions that are searched as one."""

from __future__ import annotations

import re


def any_of(*alternatives: str) -> re.Pattern[str]:
    """Return one pattern that finds any of several expressions, in upper and lower case."""
    return re.compile("|".join(f"(?:{text})" for text in alternatives), re.IGNORECASE)
