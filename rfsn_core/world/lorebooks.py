"""Lorebooks of character cards and SillyTavern's World Info, as facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from rfsn_core.world.facts import Fact
from rfsn_core.world.placeholders import Names, as_data
from rfsn_core.world.report import Report

LOGIC = ("any", "not_all", "not_any", "all")
"""SillyTavern's `selectiveLogic` by number."""
KEPT_ONLY = {
    "excludeRecursion": "recursion", "preventRecursion": "recursion", "delayUntilRecursion": "recursion",
    "characterFilter": "the filter by character", "scanDepth": "the scan depth", "scan_depth": "the scan depth",
    "token_budget": "the token budget", "recursive_scanning": "recursion", "priority": "the priority",
    "groupOverride": "the override in a group",
}  # fmt: skip
"""Field → what it is, of which RFSN has nothing alike."""
_DECORATOR = re.compile(r"^@@@?([a-z_]+)[ \t]*(.*)$")


def entries_of(book: Any) -> list[Mapping[str, Any]] | None:
    """Return the entries of a lorebook in any of its forms; None when it is none."""
    if not isinstance(book, Mapping):
        return None
    if book.get("spec") == "lorebook_v3":
        return entries_of(book.get("data"))
    entries = book.get("entries")
    if isinstance(entries, Mapping):
        entries = list(entries.values())
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return None
    return entries


def facts_of(book: Mapping[str, Any], names: Names, report: Report) -> list[dict[str, Any]]:
    """Return the facts of a lorebook, as a world's files have them."""
    entries = entries_of(book) or []
    for name in KEPT_ONLY.keys() & book.keys():
        if book[name]:
            report.keep(KEPT_ONLY[name])
    facts = []
    for number, entry in enumerate(entries, 1):
        fact = _fact(entry, names, report, str(_either(entry, "comment", "name") or f"entry {number}"))
        if fact is not None:
            facts.append(fact)
    return facts


def _either(entry: Mapping[str, Any], *keys: str) -> Any:
    """Return the first of some fields that is there; also from SillyTavern's extensions of a card's book."""
    extensions = entry.get("extensions")
    for table in (entry, extensions if isinstance(extensions, Mapping) else {}):
        for key in keys:
            if table.get(key) is not None:
                return table[key]
    return None


def _fact(entry: Mapping[str, Any], names: Names, report: Report, label: str) -> dict[str, Any] | None:
    if entry.get("enabled") is False or entry.get("disable") is True:
        report.keep("entries that are switched off")
        return None
    decorators, content = _decorated(str(entry.get("content") or ""))
    text = " ".join(as_data(content, names).split())
    if not text or "dont_activate" in decorators:
        report.keep("entries without content")
        return None
    keys = list(_keys(_either(entry, "keys", "key"), report, label, regex=entry.get("use_regex") is True))
    secondary = list(_keys(_either(entry, "secondary_keys", "keysecondary"), report, label))
    selective = entry.get("selective") is not False and bool(secondary)
    values: dict[str, Any] = {
        "text": text,
        "keys": keys,
        "secondary": secondary if selective else [],
        "logic": _logic(entry) if selective else "any",
        "constant": entry.get("constant") is True or "activate" in decorators,
        "match_case": _either(entry, "case_sensitive", "caseSensitive") is True,
        "whole_words": _either(entry, "match_whole_words", "matchWholeWords") is not False,
        "order": _number(_either(entry, "insertion_order", "order"), 100),
        "probability": _probability(entry),
        "group": str(_either(entry, "group") or "").split(",")[0].strip(),
        "group_weight": float(_number(_either(entry, "group_weight", "groupWeight"), 100)),
        **{name: max(0, _number(_either(entry, name), 0)) for name in ("sticky", "cooldown", "delay")},
    }
    for name in KEPT_ONLY.keys() & entry.keys():
        if entry[name]:
            report.keep(KEPT_ONLY[name])
    if decorators:
        report.ignore(f"decorators of '{label}'")
    if not keys and not values["constant"]:
        report.note(f"'{label}' has no keys: it is found by its own words")
    try:
        fact = Fact.model_validate(values)
    except ValidationError as error:
        report.ignore(f"'{label}': {error.errors()[0]['msg']}")
        return None
    report.map("lore")
    return fact.model_dump(exclude_defaults=True)


def _decorated(content: str) -> tuple[dict[str, str], str]:
    """Return the decorators at the beginning of a text, and the rest."""
    decorators: dict[str, str] = {}
    lines = content.splitlines()
    while lines and (match := _DECORATOR.match(lines[0].strip())):
        decorators[match[1]] = match[2]
        lines.pop(0)
    return decorators, "\n".join(lines)


def _keys(value: Any, report: Report, label: str, *, regex: bool = False) -> Iterator[str]:
    """Yield keys; a pattern that is broken, or could run without end, never matches and is left out."""
    for key in value if isinstance(value, list) else str(value or "").split(","):
        text = str(key).strip()
        if not text:
            continue
        if regex and not text.startswith("/"):
            text = f"/{text}/i"
        try:
            Fact(text="x", keys=[text])
        except ValidationError as error:
            report.ignore(f"a key of '{label}': {error.errors()[0]['msg']}")
        else:
            yield text


def _logic(entry: Mapping[str, Any]) -> str:
    number = _number(_either(entry, "selectiveLogic", "selective_logic"), 0)
    return LOGIC[number] if 0 <= number < len(LOGIC) else "any"


def _probability(entry: Mapping[str, Any]) -> float:
    if _either(entry, "useProbability") is False:
        return 100.0
    return float(min(100, max(0, _number(_either(entry, "probability"), 100))))


def _number(value: Any, default: int) -> int:
    try:
        return default if isinstance(value, bool) or value is None else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default
