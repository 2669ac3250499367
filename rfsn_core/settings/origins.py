"""Patterns of `server.origins`: which web pages, besides our own, may use the server."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATTERN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+", re.IGNORECASE)


def check_origins(patterns: list[str]) -> list[str]:
    """Return the patterns. Raises ValueError for one that is none, or that lets every page in."""
    for pattern in patterns:
        if pattern == "null":
            continue
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"'{pattern}' is not an origin, such as https://host, chrome-extension://* or null")
        if re.fullmatch(r"https?://[*.:]*", pattern, re.IGNORECASE):
            raise ValueError(f"'{pattern}' would let every web page in; name a host, as in https://*.example.com")
    return patterns


def is_listed(origin: str, patterns: Iterable[str]) -> bool:
    """Return whether an origin matches one of the patterns, in which `*` stands for any characters but `/`.

    `null`, which pages from files and sandboxed frames have in common, matches only itself.
    """
    for pattern in patterns:
        if pattern == origin:
            return True
        if "*" in pattern and re.fullmatch("[^/]*".join(map(re.escape, pattern.split("*"))), origin, re.IGNORECASE):
            return True
    return False
