"""How an NPC says something without a model: a line of its voice, or a fact with what goes before and after it."""

from __future__ import annotations

import re
from random import Random
from typing import Protocol

from rfsn_core.contract.rendering import Prompt
from rfsn_core.defaults import remarks
from rfsn_core.defaults.line_values import excerpt, values_of, voice_of
from rfsn_core.defaults.lines import pick, pools
from rfsn_core.world import subject

LONG_ENOUGH = 110
"""Characters from which nothing is added to a fact."""


_FATE = re.compile(r"\b(?:alive|dead|die[ds]?|live|buried|safe|did|took|got|went|happen\w*)\b", re.IGNORECASE)
"""What nobody tells of themselves: "He never told me" would be no answer."""


_KIN = re.compile(
    r"\b[Mm]y (?:\w+ )?(?:father|mother|son|daughter|brother|sister|wife|husband|grandfather|grandmother|child)\b"
)
"""Of people so near, "I do not know her as well as that" would be no answer."""


class Authored(Protocol):
    """Finds an author's line for an action that was not said lately; empty when there is none."""

    def __call__(self, action: str, *, for_signal: bool = False) -> str:
        """:param for_signal: only a line that is written for the player's signal."""


class Telling:
    """One NPC's way of saying things in one turn."""

    def __init__(self, prompt: Prompt, own: Authored) -> None:
        self.prompt, self.own = prompt, own
        self.understanding = prompt.understanding
        self.signal = prompt.understanding.signal
        self.random = Random(prompt.seed)
        self.past = "\n".join(prompt.avoid)
        self.voice = voice_of(prompt)
        self.words = prompt.understanding.words or ("" if prompt.understanding.acts else prompt.player_text)
        self.values = values_of(prompt)
        self.fact = excerpt(prompt.known.fact, prompt.understanding.topics)

    def say(self, *keys: str) -> str:
        """Return a line of these pools."""
        return pick(keys, self.voice, self.values, self.past, self.random)

    def first(self, *keys: str) -> str:
        """Return a line of the first of these pools that has one."""
        for key in keys:
            if key in pools() and (line := self.say(key)):
                return line
        return ""

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random.random() < probability

    @property
    def curiosity(self) -> float:
        """The NPC's curiosity, -1…1."""
        return float(self.prompt.persona.get("temperament", {}).get("curiosity", 0.0))

    def with_fact(self, whole: str, reply: str = "") -> str:
        """Return a fact with what goes before and after it; one that was told before is told as such.

        :param reply: what is said first.
        """
        fact = excerpt(whole, self.understanding.topics)
        times = self.past.count(fact)
        if times or (fact == self.fact and self.prompt.known.told and len(self.prompt.avoid) < 3):
            return self._told_before(fact, times)
        if reply:
            return f"{reply} {fact}"
        if self.understanding.asks or self.signal not in ("question", "request"):
            return fact
        if len(fact) > LONG_ENOUGH:
            return fact
        before = "" if "?" in fact[:40] else self._sometimes("lead", 0.1 if self.voice in ("terse", "cold") else 0.22)
        if before or "?" in fact or self.signal == "request":
            return f"{before} {fact}".strip()
        return f"{fact} {self._sometimes('hook', 0.15 + 0.2 * self.curiosity)}".strip()

    def _told_before(self, fact: str, times: int) -> str:
        again = self.prompt.known.again
        if fact == self.fact and again and again not in self.past:
            return again
        exact = self.understanding.question in ("when", "where", "how_much")
        if fact == self.fact and times >= 2 and not exact:
            return self.another_fact() or self.say("enough")
        return f"{self.say('told')} {fact}"

    def _sometimes(self, key: str, probability: float) -> str:
        """Return a line of a pool with this probability, if it was not said lately."""
        line = self.say(key) if self.chance(probability) else ""
        return "" if line in self.past else line

    def another_fact(self) -> str:
        """Return the next fact that fits and was not said lately."""
        facts = (excerpt(text, self.understanding.topics) for text in self.prompt.known.more)
        return next((fact for fact in facts if fact not in self.past), "")

    def referral(self) -> str:
        """Return who knows better."""
        known = self.prompt.known
        if not known.refer or known.refer == self.prompt.name or subject.about_npc(self.words):
            return self.unsure()
        return self.first("refer", "refer.plain")

    def unsure(self) -> str:
        """Return that the NPC does not know; of itself, that it would rather not say."""
        words = self.words
        personal = subject.about_npc(words)
        if personal == "accused":
            return self.say("personal.accused")
        if line := self._put_aside(words) or self._of_itself(words, personal):
            return line
        if subject.about_player(words):
            return self.say("unsure.player")
        somebody = subject.pronoun(words)
        distant = not _FATE.search(words) and not any(_KIN.search(fact) for fact in self.prompt.facts)
        if somebody and distant and self.chance(0.75) and (line := self._fresh(f"unsure.{somebody}")):
            return line
        if own := self.own("unsure") if self.chance(0.6) else "":
            return own
        kinds = [f"unsure.{self.understanding.question}"] * 3 if self.understanding.question else []
        return self.say("unsure", "unsure.thing", *kinds)

    def _put_aside(self, words: str) -> str:
        """Return the answer to a question that is answered, or put aside, in its own way; empty for others."""
        asked = remarks.asked(words)
        if not asked:
            return ""
        return self._fresh(f"asked.{asked}.game") or self._fresh(f"asked.{asked}")

    def _of_itself(self, words: str, personal: str) -> str:
        """Return what the NPC says of itself without a fact; empty when that was not asked."""
        if not subject.speaks_to_npc(words):
            return ""
        about = remarks.of_npc(words)
        if about and (line := self._fresh(f"about.{about}")):
            return line
        if self.values["my_thing"] and self.chance(0.7):
            return self.say("personal.thing")
        return self.first(f"personal.{personal}", "personal") if personal else ""

    def _fresh(self, key: str) -> str:
        """Return a line of a pool that was not said lately; empty when there is none."""
        line = self.say(key) if key in pools() else ""
        return "" if line in self.past else line
