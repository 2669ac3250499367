"""Files that people write: text, TOML, JSON and YAML, with the line of each key.

A problem is told with file, line and what to do about it, because the readers are modders and not programmers.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]
Lines = dict[Key, int]


LARGEST = 4_000_000
"""Bytes of a file."""
LARGEST_WITH_LINES = 200_000
"""Characters of a JSON file up to which its lines are found out, which takes far longer than reading it."""
LARGEST_YAML = 500_000
"""Characters of a YAML file, whose parser is slow."""
DEEPEST = 50
"""Levels of lists and tables inside each other."""
MOST_PARTS = 200_000
"""Keys and values of a file, each alias of YAML counted as what it stands for."""


class DocumentError(ValueError):
    """A file cannot be read. The message is one sentence that begins with the file, and says what to do."""


class Document:
    """A parsed file: its values, and the line of each key."""

    def __init__(self, path: Path | None, values: dict[str, Any], lines: Mapping[Key, int], text: str = "") -> None:
        self.path, self.values = path, values
        self._lines, self._text = lines, text

    def where(self, key: Sequence[str | int], word: str = "") -> str:
        """Return `file, line 3: rendering.provider`, with the line of the nearest key that has one.

        :param word: stands in the key's value, perhaps some lines further down.
        """
        dotted = ".".join(str(part) for part in key)
        for length in range(len(key), 0, -1):
            if line := self._lines.get(tuple(key[:length])):
                below = enumerate(self._text.splitlines()[line - 1 :], line) if word else ()
                line = next((number for number, text in below if word in text), line)
                return f"{self.path}, line {line}: {dotted}"
        return f"{self.path}: {dotted}"


def read_text(path: Path) -> str:
    """Return a text file as UTF-8, with or without a byte order mark. Raises DocumentError that names the encoding."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: cannot be read: {getattr(error, 'strerror', '') or error}") from error
    if len(data) > LARGEST:
        raise DocumentError(f"{path}: is larger than {LARGEST / 1e6:g} MB; divide it into several files")
    if encoding := _foreign_encoding(data):
        raise DocumentError(f"{path}: is saved as {encoding}; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}), probably saved as ANSI"
            " (Windows-1252); save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _foreign_encoding(data: bytes) -> str:
    """Return the name of an encoding that is surely not UTF-8; empty if it may be."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    start = data[:1000]
    if b"\0" not in start:
        return ""
    every_second = max(start[0::2].count(0), start[1::2].count(0))
    return "UTF-16" if every_second > len(start) // 4 else "binary data"


def read_document(path: Path) -> Document:
    """Parse a file by its ending: .toml, .json, .yaml or .yml. Raises DocumentError."""
    parser = _PARSERS.get(path.suffix.lower())
    if parser is None:
        hint = f"; call it '{path.stem}'" if Path(path.stem).suffix.lower() in _PARSERS else ""
        raise DocumentError(f"{path}: must be a .toml, .json or .yaml file{hint}")
    text = read_text(path)
    values, lines = parser(path, text)
    if problem := _shape_problem(values):
        raise DocumentError(f"{path}: cannot be used: {problem}")
    if not isinstance(values, dict):
        raise DocumentError(f"{path}: must be a table of settings, not {type(values).__name__}")
    return Document(path, values, lines, text)


def _shape_problem(values: Any) -> str:
    """Return why a file's values are too deep or too many; empty if they are not."""
    waiting = [(values, 1)]
    parts = 0
    while waiting:
        value, level = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        parts += len(inside)
        if level > DEEPEST and inside:
            return f"more than {DEEPEST} lists and tables inside each other"
        if parts > MOST_PARTS:
            return f"more than {MOST_PARTS} values"
        waiting += [(item, level + 1) for item in inside]
    return ""


# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────


_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST}}}""")


def _toml(path: Path, text: str) -> tuple[Any, Lines]:
    if _LONG_KEY.search(text):  # tomllib takes the square of its parts
        raise DocumentError(f"{path}: cannot be used: a key of more than {DEEPEST} parts")
    try:
        return tomllib.loads(text), _toml_lines(text)
    except (RecursionError, MemoryError) as error:
        raise DocumentError(f"{path}: cannot be parsed: too deeply nested") from error
    except tomllib.TOMLDecodeError as error:
        rows = text.splitlines() or [""]
        message, _, place = str(error).rpartition(" (at ")
        numbers = re.findall(r"\d+", place)
        line, column = (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (len(rows), len(rows[-1]))
        hint = _toml_hint(rows[min(line, len(rows)) - 1], message)
        raise DocumentError(
            f"{path}, line {line}: cannot be parsed: not valid TOML: {message} (column {column}){hint}"
        ) from error
    except ValueError as error:  # such as a number of 5000 digits
        raise DocumentError(f"{path}: cannot be parsed: {error}") from error


def _toml_hint(line: str, message: str) -> str:
    """Return what is probably meant by a line that is not valid TOML."""
    key, equals, value = line.partition("=")
    if "\\" in line and ('"' in value or "hex value" in message or "\\" in message):
        return ". A \\ means something special between double quotes: write 'C:\\folder' in single quotes, or use /"
    if quotes := re.search("[“”„‘’«»]", line):
        return f'. {quotes[0]} is not a quotation mark of TOML; use a straight one: "'
    if equals and re.match(r"\s*[A-Za-z_]", value):
        return f'. A text needs quotes: {key.strip()} = "{value.split("#")[0].strip()}"'
    if not equals and ":" in line and not line.lstrip().startswith("["):
        return ". TOML writes key = value, with an equals sign"
    return ""


_TOML_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=\s*(.*)""")
_TOML_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")


def _toml_lines(text: str) -> Lines:
    """Return key → line of TOML as it is usually written; tomllib itself gives no lines."""
    lines: Lines = {}
    table: Key = ()
    counts: dict[Key, int] = {}
    open_quotes = ""
    for number, line in enumerate(text.splitlines(), 1):
        if open_quotes:
            if open_quotes in line:
                open_quotes = ""
            continue
        if match := _TOML_TABLE.match(line):
            table = _resolve(_split_key(match[2]), counts)
            if match[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif match := _TOML_KEY.match(line):
            key = (*table, *_split_key(match[1]))
            for length in range(len(table) + 1, len(key) + 1):
                lines.setdefault(key[:length], number)
            for quotes in ('"""', "'''"):
                if match[2].startswith(quotes) and match[2].count(quotes) % 2:
                    open_quotes = quotes
    return lines


def _resolve(names: tuple[str, ...], counts: Mapping[Key, int]) -> Key:
    """Return a table's key, with the index of the newest entry for each list of tables on the way."""
    key: Key = ()
    for position, name in enumerate(names):
        key = (*key, name)
        if key in counts and position < len(names) - 1:
            key = (*key, counts[key])
    return key


def _split_key(key: str) -> tuple[str, ...]:
    parts = re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)\s*\.?""", key)
    return tuple(part.strip().strip("\"'") for part in parts)


# ── JSON and YAML ────────────────────────────────────────────────────────────────────────────────


def _json(path: Path, text: str) -> tuple[Any, Lines]:
    try:
        values = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}"
        raise DocumentError(f"{place}: cannot be parsed: not valid JSON: {error.msg} (column {error.colno})") from error
    except ValueError as error:  # such as a number of 5000 digits
        raise DocumentError(f"{path}: cannot be parsed: {error}") from error
    except RecursionError as error:
        raise DocumentError(f"{path}: cannot be parsed: not valid JSON: too deeply nested") from error
    if len(text) > LARGEST_WITH_LINES:
        return values, {}
    try:
        # JSON is nearly YAML, whose parser knows the lines; a tab, which YAML refuses, can only be white space here.
        node = yaml.compose(text.replace("\t", " "), yaml.SafeLoader)
        return values, {} if _node_problem(node) else _yaml_lines(node)
    except (yaml.YAMLError, RecursionError, ValueError):
        return values, {}


def _yaml(path: Path, text: str) -> tuple[Any, Lines]:
    if len(text) > LARGEST_YAML:
        raise DocumentError(f"{path}: cannot be used: YAML of more than {LARGEST_YAML / 1e6:g} MB; TOML may be larger")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if problem := _node_problem(node):
            raise DocumentError(f"{path}: cannot be used: {problem}")
        values = loader.construct_document(node) if node is not None else None
        return values or {}, _yaml_lines(node)
    except DocumentError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else f"{path}"
        message = " ".join(str(getattr(error, "problem", "") or error or "too deeply nested").split())
        hint = ". YAML allows no tabs before a key: use spaces" if "\\t" in message else ""
        raise DocumentError(f"{place}: cannot be parsed: not valid YAML: {message}{hint}") from error
    finally:
        loader.dispose()


def _node_problem(root: Any) -> str:
    """Return why a parsed file is too deep or too large; empty if it is not.

    An alias is walked as often as it is used, since that is what building the values, or walking them, would do.
    """
    waiting = [(root, 1)]
    parts = 0
    while waiting:
        node, level = waiting.pop()
        inside = node.value if isinstance(node, yaml.CollectionNode) else []
        parts += len(inside)
        if level > DEEPEST and inside:
            return f"more than {DEEPEST} lists and tables inside each other, or an alias inside itself"
        if parts > MOST_PARTS:
            return f"more than {MOST_PARTS} values, each alias counted as what it stands for"
        for item in inside:
            waiting += [(part, level + 1) for part in item] if isinstance(item, tuple) else [(item, level + 1)]
    return ""


def _yaml_lines(node: Any, prefix: Key = ()) -> Lines:
    """Return key → line of a parsed file, which `_node_problem` has found small enough."""
    lines: Lines = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*prefix, str(key.value))
            lines[path] = key.start_mark.line + 1
            lines.update(_yaml_lines(value, path))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*prefix, index)] = value.start_mark.line + 1
            lines.update(_yaml_lines(value, (*prefix, index)))
    return lines


_PARSERS: dict[str, Callable[[Path, str], tuple[Any, Lines]]] = {
    ".toml": _toml, ".json": _json, ".yaml": _yaml, ".yml": _yaml,
}  # fmt: skip
