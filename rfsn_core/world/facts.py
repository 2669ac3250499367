"""A fact as a world's author writes it, and the conditions under which it may be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from rfsn_core.contract.npc import TIERS, NpcState

LONGEST_PATTERN = 200
MOST_HEADING = 60
"""Characters of a heading at most that is a key."""
_NESTED = re.compile(r"\([^()]*[+*}][^()]*\)\s*[+*{]|\\[1-9]")


class Condition(BaseModel, extra="forbid"):
    """`when`: all that must hold before a fact may be told."""

    trust: float | None = Field(None, ge=0, le=1, description="Trust must be at least this.")
    affinity: float | None = Field(None, ge=-1, le=1, description="Affinity must be at least this.")
    fear: float | None = Field(None, ge=0, le=1, description="Fear must be at most this.")
    relationship: str = Field("", description="At least this: `rival`, `acquaintance`, `friend`, `ally`.")
    quest: bool | None = Field(None, description="Whether a quest must be active.")
    place: list[str] = Field([], description="The game's `location` must be one of these.")
    time: list[str] = Field([], description="The game's `time_of_day` must be one of these.")
    told: list[str] = Field([], description="Ids of facts that this NPC must have told the player before.")
    flags: list[str] = Field([], description="Names in the game's state, or its `flags`, that must be set.")
    unless: list[str] = Field([], description="Names that must not be set: the fact is no longer so.")

    @field_validator("relationship")
    @classmethod
    def _is_tier(cls, name: str) -> str:
        if name and name not in TIERS:
            raise ValueError(f"no relationship '{name}'; there are {', '.join(TIERS)}")
        return name

    def unmet(self, state: NpcState, game: Mapping[str, Any], told: Mapping[str, int]) -> str:
        """Return what does not hold, in words; empty when all does."""
        if self.trust is not None and state.trust < self.trust:
            return f"trust is {state.trust:.2f}, and {self.trust:g} is needed"
        if self.affinity is not None and state.affinity < self.affinity:
            return f"affinity is {state.affinity:.2f}, and {self.affinity:g} is needed"
        if self.fear is not None and state.fear > self.fear:
            return f"fear is {state.fear:.2f}, and at most {self.fear:g} is allowed"
        if self.relationship:
            now = state.relationship
            if now not in TIERS or TIERS.index(now) < TIERS.index(self.relationship):
                return f"the player is a {now}, and must be a {self.relationship}"
        if self.quest is not None and state.quest_active != self.quest:
            return "a quest must be active" if self.quest else "no quest may be active"
        for name, wanted in (("location", self.place), ("time_of_day", self.time)):
            if wanted and str(game.get(name, "")).casefold() not in {value.casefold() for value in wanted}:
                return f"the game's {name} must be {' or '.join(wanted)}"
        for fact in self.told:
            if fact not in told:
                return f"'{fact}' must be told first"
        for name in self.flags:
            if not _is_set(game, name):
                return f"the game must set '{name}'"
        for name in self.unless:
            if _is_set(game, name):
                return f"the game has set '{name}'"
        return ""


def _is_set(game: Mapping[str, Any], name: str) -> bool:
    if game.get(name):
        return True
    flags = game.get("flags")
    if isinstance(flags, Mapping):
        return bool(flags.get(name))
    return isinstance(flags, list | tuple | set) and name in flags


_PLACE = re.compile(
    r"((?:The )?(?:[a-z]+ (?:of )?)?[A-Z][\w'’-]*(?: [\w'’-]+){0,4}?) (?:is|stands|hangs|lies|sits|clings|was built)\b"
    r"(?=.*\b(?:a|an|the|in|on|at|over|below|above|between|by)\b)"
)
"""How a paragraph begins that says what a place is."""
_HERE = ("this place", "where am i", "where are we", "what town", "this town", "this village", "this city")


class Fact(BaseModel, extra="forbid"):
    """Something that can be known, in an NPC file's `knows` or a lore file's `[[facts]]`."""

    text: str = Field(min_length=1, description="The fact, in the words in which it is told.")
    id: str = Field("", description="Name of the fact, for `told`; by default made from its place.")
    keys: list[str] = Field([], description="Words, phrases or /patterns/ that call for it.")
    secondary: list[str] = Field([], description="More keys, of which `logic` says how many must be there, too.")
    logic: Literal["any", "all", "not_any", "not_all"] = Field("any", description="How `secondary` counts.")
    whole_words: bool = Field(True, description="Keys match whole words only.")
    match_case: bool = Field(False, description="Keys match upper and lower case as written.")
    constant: bool = Field(False, description="Always in a model's prompt, asked for or not.")
    when: Condition = Field(Condition(), description="When it may be told.")
    secret: bool = Field(False, description="Told in confidence: `confide`; before that at most hinted at.")
    hint: str = Field("", description="What is said about it while it may not be told.")
    again: str = Field("", description="What is said when it is asked for again.")
    importance: float = Field(0.5, ge=0, le=1, description="Which of two facts that fit is told first.")
    who: list[str] = Field([], description="Of lore: ids or tags of the NPCs who know it; empty: everybody.")
    order: int = Field(100, description="Place in the prompt: lower comes earlier.")
    probability: float = Field(100, ge=0, le=100, description="Per cent of the turns in which its keys work.")
    group: str = Field("", description="Of the facts of one group that match, one is taken.")
    group_weight: float = Field(100, ge=0, description="How likely it is taken among its group.")
    sticky: int = Field(0, ge=0, description="Turns for which it stays in the prompt after its keys matched.")
    cooldown: int = Field(0, ge=0, description="Turns for which its keys do not work after they matched.")
    delay: int = Field(0, ge=0, description="Turns of the conversation before its keys work.")

    @property
    def is_kept_back(self) -> bool:
        """Whether an NPC that may not tell it holds it back. Without a secret, it may just not be so yet."""
        when = self.when
        personal = when.trust is not None or when.affinity is not None or when.fear is not None or when.relationship
        return self.secret or bool(self.hint) or bool(personal)

    @field_validator("keys", "secondary")
    @classmethod
    def _patterns_are_safe(cls, keys: list[str]) -> list[str]:
        for key in keys:
            pattern(key, True, False)
        return keys

    @field_validator("text", "hint", "again")
    @classmethod
    def _on_one_line(cls, text: str) -> str:
        return " ".join(text.split())

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


def pattern(key: str, whole_words: bool, match_case: bool) -> re.Pattern[str]:
    """Return a key as a pattern. Raises ValueError for a pattern that is invalid or could run without end."""
    written = re.fullmatch(r"/(.+)/([a-z]*)", key, re.DOTALL)
    if written:
        source, flags = written[1], written[2]
        if len(source) > LONGEST_PATTERN:
            raise ValueError(f"the pattern {key[:40]}… is longer than {LONGEST_PATTERN} characters")
        if _NESTED.search(source):
            raise ValueError(f"the pattern {key} repeats a repetition, which can take very long; write it more simply")
        try:
            return re.compile(source, (re.IGNORECASE if "i" in flags else 0) | (re.DOTALL if "s" in flags else 0))
        except re.error as error:
            raise ValueError(f"the pattern {key} is broken: {error}") from error
    source = re.escape(key)
    if whole_words:
        source = rf"(?<!\w){source}(?!\w)"
    return re.compile(source, 0 if match_case else re.IGNORECASE)


def facts_of_page(name: str, page: str) -> Iterator[Fact]:
    """Yield a fact for each paragraph of a page of lore.

    The first paragraph answers what the page's heading names. When it says what a place is, and repeats the heading or
    begins with it, it also answers "what is this place?".
    """
    heading, first = "", True
    for number, paragraph in enumerate(re.split(r"\n\s*\n", page.strip()), 1):
        text = " ".join(paragraph.split())
        if text.startswith("#"):
            heading, first = text.lstrip("# ").strip(), True
        elif text:
            keys = [heading] if first and 0 < len(heading) <= MOST_HEADING else []
            if first and heading and (named := _PLACE.match(text)):
                keys += [*_HERE, *(f"this {word}" for word in re.findall(r"[a-z]{4,}", named[1].lower()))]
            yield Fact(text=text, id=f"{name}.{number}", importance=0.3, keys=keys)
            first = False
