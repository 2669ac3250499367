"""Keys and passwords, which must not stand in any text that leaves the program: logs, events, answers, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

SECRET_NAME = re.compile(r"(^|_)(key|token|secret|password|webhook)$")
"""Names of settings that hold a secret."""
SHORTEST = 4
"""Characters; a shorter secret is no secret, and is part of many words."""
_URL_PASSWORD = re.compile(r"(\w://[^/@\s:'\"]*:)([^/@\s]+)(@)")


class Secrets:
    """The secrets that this process knows. They stay: an error may tell of settings that were replaced."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def remember(self, values: Iterable[str]) -> None:
        """Hide these values, too, from now on."""
        known = set(self._values)
        for value in values:
            escaped = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
            known.update(text for text in (value, *escaped) if len(text) >= SHORTEST)
        self._values = tuple(sorted(known, key=len, reverse=True))

    def clear(self) -> None:
        """Forget all keys: for tests, which share a process."""
        self._values = ()

    def redact(self, text: str) -> str:
        """Return the text with stars in place of each secret, as many as it has bytes: the length stays the same."""
        for value in self._values:
            if value in text:
                text = text.replace(value, _stars(value))
        return _URL_PASSWORD.sub(lambda match: match[1] + _stars(match[2]) + match[3], text) if "://" in text else text


def _stars(value: str) -> str:
    return "*" * len(value.encode("utf-8", "surrogatepass"))


SECRETS = Secrets()
"""Those of this process."""


def secrets_in(values: Any, name: str = "") -> Iterator[str]:
    """Yield the secrets among nested settings: keys by their name, and the passwords in URLs."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from secrets_in(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from secrets_in(value, name)
    elif isinstance(values, str):
        if SECRET_NAME.search(name):
            yield from (values, values.strip())
        for match in _URL_PASSWORD.finditer(values):
            yield from (match[2], unquote(match[2]))


def stripped(values: Any, name: str = "") -> Any:
    """Return nested settings without the white space around keys and URLs, which comes from files and copying."""
    if isinstance(values, Mapping):
        return {key: stripped(value, str(key)) for key, value in values.items()}
    if isinstance(values, list):
        return [stripped(value, name) for value in values]
    if isinstance(values, str) and (SECRET_NAME.search(name) or "://" in values):
        return values.strip()
    return values
