"""What an NPC may say truly, as statements for the checker of claims: facts, persona, lines, names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rfsn_core.exam.claims import Checker, Statement, contradictions, sentences
from rfsn_core.kit.words import content_words
from rfsn_core.world.entries import Entry
from rfsn_core.world.files import Npc, World

_TEMPLATE = re.compile(r"\{[{%].*?[}%]\}")


@dataclass(frozen=True)
class NpcKnowledge:
    """What one NPC of a world knows."""

    world: World
    npc: Npc

    @cached_property
    def entries(self) -> list[Entry]:
        """The facts that it knows: its own, and the lore that is for it."""
        names = {self.npc.id, *self.npc.file.tags}
        return [
            entry
            for entry in self.world.knowledge.entries
            if entry.owner == self.npc.id or (not entry.owner and (not entry.fact.who or names & set(entry.fact.who)))
        ]

    @cached_property
    def by_id(self) -> Mapping[str, Entry]:
        """The same, by id."""
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def names(self) -> frozenset[str]:
        """The stems of all names of the world."""
        people = {word for npc in self.world.npcs.values() for word in content_words(f"{npc.name} {npc.id}", "en")}
        titles = {word for npc in self.world.npcs.values() for word in content_words(npc.file.title, "en")}
        return (self.world.knowledge.proper | people) - titles

    @cached_property
    def facts(self) -> list[Statement]:
        """The sentences of its facts, with what is said when they are asked for again."""
        return [
            Statement(sentence, entry.id, self.names)
            for entry in self.entries
            for text in (entry.fact.text, entry.fact.again)
            for sentence in sentences(text)
        ]

    @cached_property
    def checker(self) -> Checker:
        """The checker of what it says. Facts that only others know are known to be true, too."""
        others = [
            Statement(sentence, "", self.names)
            for entry in self.world.knowledge.entries
            if entry.id not in self.by_id
            for sentence in sentences(entry.fact.text)
        ]
        written = [Statement(sentence, "", self.names) for text in self._written() for sentence in sentences(text)]
        return Checker([*self.facts, *others, *written], self.names)

    def _written(self) -> Iterator[str]:
        """Yield what else its author wrote."""
        file = self.npc.file
        yield from (file.persona, file.title, file.fallback, file.name)
        yield from (entry.fact.hint for entry in self.entries if entry.fact.hint)
        yield from (f"{npc.name}, {npc.file.title}." for npc in self.world.npcs.values())
        for lines in (file.lines, self.world.lines):
            for entry in lines.values():
                for texts in entry.values() if isinstance(entry, dict) else [entry]:
                    yield from (_TEMPLATE.sub("", text) for text in texts)

    def may_tell(self, entry: Entry) -> bool:
        """Return whether it may tell a fact to somebody it has just met, with nothing known of the game."""
        state = self.npc.initial
        return not entry.fact.secret and not entry.fact.when.unmet(state, {}, {})

    def keeps_from_strangers(self, entry: Entry) -> bool:
        """Return whether a stranger must not hear it."""
        return entry.fact.is_kept_back and bool(entry.fact.when.unmet(self.npc.initial, {}, {}))

    def contradictions(self) -> list[tuple[Statement, Statement, str]]:
        """Return the pairs of its facts that contradict each other and may be told at the same time."""
        return [pair for pair in contradictions(self.facts) if not self._exclude(pair[0].fact, pair[1].fact)]

    def _exclude(self, one: str, other: str) -> bool:
        """Return whether the conditions of two facts never hold together."""
        first, second = self.by_id[one].fact, self.by_id[other].fact
        flags = set(first.when.flags) & set(second.when.unless) or set(second.when.flags) & set(first.when.unless)
        places = first.when.place and second.when.place and not set(first.when.place) & set(second.when.place)
        times = first.when.time and second.when.time and not set(first.when.time) & set(second.when.time)
        return bool(flags or places or times)
