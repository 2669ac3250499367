"""Writes TOML that people go on to edit: tables below their keys, long texts in several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def toml_text(values: Mapping[str, Any]) -> str:
    """Return nested tables as TOML. None is left out. Raises TypeError for what TOML has no word for."""
    return "\n".join(_table(values, ())).strip("\n") + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping) or _is_list_of_tables(value)}
    for key, value in values.items():
        if key not in tables and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in tables.items():
        name = ".".join(map(_key, (*path, key)))
        if isinstance(value, Mapping):
            yield from ("", f"[{name}]")
            yield from _table(value, (*path, key))
            continue
        for item in value:
            yield from ("", f"[[{name}]]")
            yield from _table(item, (*path, key))


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key, short=True)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        items = [_value(item) for item in value]
        if sum(map(len, items)) > 80:
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return f"[{', '.join(items)}]"
    raise TypeError(f"TOML has no word for {type(value).__name__}")


def _text(text: str, *, short: bool = False) -> str:
    """Return a string; one of several lines as such."""
    if not short:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if short or "\n" not in text:
        # JSON's escapes are TOML's, except that TOML wants U+007F escaped, too.
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
    escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
    escaped = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04X}", escaped)
    closing = "\\\n" if escaped.endswith('"') else ""
    return f'"""\n{escaped}{closing}"""'
