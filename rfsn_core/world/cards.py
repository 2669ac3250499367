"""Character Cards V1 to V3 as NPC files, and back. What a card says is data: nothing in it becomes an instruction."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rfsn_core.contract.errors import UserError
from rfsn_core.world.file_models import NpcFile
from rfsn_core.world.lines import problem
from rfsn_core.world.lorebooks import entries_of, facts_of
from rfsn_core.world.placeholders import Names, as_data, as_line
from rfsn_core.world.report import Report

V1 = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
"""The fields of version 1, all at the top."""
KEPT = {
    "system_prompt": "the system prompt", "post_history_instructions": "instructions after the history",
    "creator_notes": "the creator's notes", "creator_notes_multilingual": "the creator's notes",
    "creator": "the creator", "character_version": "the version", "assets": "pictures and other assets",
    "source": "the source", "group_only_greetings": "greetings for groups", "extensions": "extensions",
}  # fmt: skip
"""Field → what it is; kept for export, and never shown to a model."""
MOST_EXAMPLE = 1500
"""Characters of the examples that become a part of the persona."""
LABELS = ("", "Character: ", "Situation: ")


def is_card(values: Any) -> bool:
    """Return whether JSON is a character card."""
    if not isinstance(values, Mapping):
        return False
    data = values.get("data")
    if str(values.get("spec", "")).startswith("chara_card") and isinstance(data, Mapping):
        return True
    return isinstance(values.get("name"), str) and any(values.get(key) for key in V1[1:5]) and "entries" not in values


def data_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a card of any version."""
    data = card.get("data")
    return data if isinstance(data, Mapping) else card


def npc_values(card: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Return what the NPC's file says. Raises UserError when the card has no name."""
    data = data_of(card)
    name = " ".join(str(data.get("name") or "").split())
    if not name:
        raise UserError("the card has no name")
    spec = str(card.get("spec_version", "1.0"))
    if spec[:1] not in "123":
        report.note(f"version {spec} is newer than RFSN knows")
    names = Names(" ".join(str(data.get("nickname") or name).split()))
    values: dict[str, Any] = {"name": name, "persona": _persona(data, names, report)}
    if greetings := list(_greetings(data, names, report)):
        values["lines"] = {"greet": greetings}
    tags = data.get("tags")
    if isinstance(tags, list) and (labels := [str(tag).strip() for tag in tags if str(tag).strip()]):
        values["tags"] = labels
        report.map("tags")
    book = data.get("character_book")
    if isinstance(book, Mapping) and entries_of(book) and (facts := facts_of(book, names, report)):
        values["knows"] = facts
    for key, what in KEPT.items():
        if data.get(key):
            report.keep(what)
    return NpcFile.model_validate(values).model_dump(exclude_defaults=True, exclude_unset=True)


def _persona(data: Mapping[str, Any], names: Names, report: Report) -> str:
    parts = []
    for key, label in zip(("description", "personality", "scenario"), LABELS, strict=True):
        if text := as_data(str(data.get(key) or ""), names).strip():
            parts.append(label + text)
            report.map(key)
    examples = list(_examples(str(data.get("mes_example") or ""), names))
    if examples:
        kept: list[str] = []
        for example in examples:
            if sum(map(len, kept)) + len(example) > MOST_EXAMPLE:
                report.note("the examples were cut")
                break
            kept.append(example)
        parts.append("Way of speaking:\n" + "\n".join(f"- {example}" for example in kept))
        report.map("examples")
    return "\n\n".join(parts)


def _examples(text: str, names: Names) -> Iterator[str]:
    """Yield what the character says in the example dialogues."""
    speaker = re.compile(r"^\s*(?:\{\{char\}\}|<char>|<bot>)\s*:\s*(.+)$", re.IGNORECASE)
    for line in text.splitlines():
        if match := speaker.match(line):
            yield as_data(match[1], names).strip()


def _greetings(data: Mapping[str, Any], names: Names, report: Report) -> Iterator[str]:
    others = data.get("alternate_greetings")
    for text in (data.get("first_mes"), *(others if isinstance(others, list) else ())):
        line = as_line(str(text or ""), names).strip()
        if not line:
            continue
        if found := problem(line):
            report.ignore(f"a greeting: {found}")
            continue
        report.map("greetings")
        yield line


def card_of(values: Mapping[str, Any], original: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an NPC's file as a card. Of one that was imported, all that the author did not change is as it was."""
    card: dict[str, Any] = copy.deepcopy(dict(original)) if original else {}
    # A card of version 1 has its fields at the top; they stay there, too, for old readers.
    data = card.setdefault("data", {key: value for key, value in card.items() if key not in ("spec", "spec_version")})
    before = npc_values(card, Report()) if original else {}
    for key in V1:
        data.setdefault(key, "")
    data.setdefault("alternate_greetings", [])
    data.setdefault("extensions", {})
    for key in ("system_prompt", "post_history_instructions", "creator_notes", "creator", "character_version"):
        data.setdefault(key, "")
    data.setdefault("tags", [])
    data.setdefault("group_only_greetings", [])
    if values.get("name") != before.get("name"):
        data["name"] = values["name"]
    if values.get("persona", "") != before.get("persona", ""):
        data |= {"description": values.get("persona", ""), "personality": "", "scenario": "", "mes_example": ""}
    greets = _greets(values)
    if greets != _greets(before):
        data["first_mes"] = greets[0] if greets else ""
        data["alternate_greetings"] = greets[1:]
    if values.get("tags", []) != before.get("tags", []):
        data["tags"] = list(values.get("tags", []))
    if values.get("knows", []) != before.get("knows", []):
        data["character_book"] = {"entries": [_entry(fact) for fact in values.get("knows", [])], "extensions": {}}
    card["spec"], card["spec_version"] = "chara_card_v3", "3.0"
    if original and "spec" not in original:
        for key in V1:
            card[key] = data[key]
    return card


def _greets(values: Mapping[str, Any]) -> list[str]:
    greet = values.get("lines", {}).get("greet", [])
    texts = [text for lines in greet.values() for text in lines] if isinstance(greet, Mapping) else list(greet)
    return [text.replace("{{ player }}", "{{user}}").replace("{{ name }}", "{{char}}") for text in texts]


def _entry(fact: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "keys": list(fact.get("keys", [])), "secondary_keys": list(fact.get("secondary", [])),
        "selective": bool(fact.get("secondary")), "content": fact["text"], "enabled": True,
        "constant": bool(fact.get("constant")), "insertion_order": fact.get("order", 100),
        "case_sensitive": bool(fact.get("match_case")), "use_regex": False, "extensions": {},
    }  # fmt: skip
