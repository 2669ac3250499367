"""What an NPC says without a model: a moment that calls for its own words, an answer from its file, or a fact with
something before and after it.
"""

from __future__ import annotations

import re

from rfsn_core.defaults import hearing, remarks
from rfsn_core.defaults.answers import Answers
from rfsn_core.defaults.lines import pools
from rfsn_core.defaults.questions import asks_yes_no
from rfsn_core.kit.words import content_words
from rfsn_core.world import subject
from rfsn_core.world.decision import CLOSED, FIERCE

_SOFT_SIGNALS = frozenset(
    "statement smalltalk question agree disagree accept refuse request offer help compliment apologize unclear greet"
    " thanks command ignore flee".split()
)
_KIND_ACTS = frozenset({"greet", "farewell", "offer", "thanks", "apologize", "help", "accept", "compliment"})
_SECRETIVE = re.compile(
    r"(?:between (?:us|you)|do not tell|promise|listen|i will tell|i tell you|you did not)", re.IGNORECASE
)
"""How a secret begins that needs no introduction."""
_OF_ITSELF = re.compile(r"\b(?:I|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself|[Ww]e|[Oo]ur|us)\b")
_QUIET = frozenset({"statement", "smalltalk", "agree", "disagree", "accept", "refuse", "compliment"})
_ALWAYS = frozenset({"condolence", "joking", "laugh", "gives_up", "presence", "trust_me"})
"""Moments that count whatever the signal is."""
_BARGAINS = frozenset({"haggle", "buys"})
"""Moments that count in an offer or a request, too, unless a fact answers it that was not told."""
_REMARKS = frozenset({"statement", "smalltalk", "compliment", "disagree"})
"""Signals of which what is said matters more than the signal."""
_WHATEVER_THE_SIGNAL = frozenset({"performs", "romance", "proposal", "owed", "accused", "guess", "brings_news"})
"""The same, of what `remarks.said` returns."""
_ASKS_POINT = frozenset({"why", "how", "when"})
"""Kinds of questions that a fact about the same person or thing does not answer."""
LONGEST_ASIDE = 300
"""Characters of what is said with a fact that does not answer the question, at most."""
_CARING = frozenset({"help", "help_eager", "help_grudging", "inquire", "acknowledge", "offer", "unsure"})
_OFF_THE_TRACK = frozenset(
    {
        *(("accept", signal) for signal in ("apologize", "thanks")),
        *(("acknowledge", signal) for signal in ("thanks", "compliment", "accept", "refuse", "greet", "apologize")),
        *(("inquire", signal) for signal in ("greet", "ignore", "insult", "threaten", "refuse", "agree", "disagree")),
        *(("refuse", signal) for signal in ("apologize", "question")),
        ("refuse_polite", "question"),
        ("offer", "thanks"),
        ("disagree", "insult"),
    }
)
"""(action, signal) for which an author's lines for the action in general rarely fit."""


class Composer(Answers):
    """The words of one turn."""

    def line(self) -> str:
        """Return what the NPC says."""
        return (
            self._grave()
            or self.own(self.prompt.action, for_signal=True)
            or self._moment()
            or self.answer()
            or self._told()
            or self._plain()
            or "Hm."
        )

    # ── what calls for its own words ─────────────────────────────────────────────────────────────

    def _grave(self) -> str:
        """Return what is said to a player in despair, to one who curses, and to what the gate stopped."""
        violent = self.signal in ("insult", "threaten", "attack", "command")
        if reason := self.prompt.stopped_by:
            if reason == "self_harm" and violent:
                return self.say("curse")
            return self.first(f"stopped.{reason}", "stopped")
        if hearing.is_crisis(self.words):
            return self.say("crisis")
        if hearing.is_curse(self.words) and self.prompt.action not in FIERCE:
            return self.say("curse")
        return ""

    def _moment(self) -> str:
        prompt = self.prompt
        if prompt.occasion and prompt.action not in FIERCE:
            other = "occasion.other" if prompt.action in ("acknowledge", "inquire") else ""
            return self.first(f"occasion.{prompt.occasion}", other)
        if prompt.action in FIERCE or prompt.action == "stern_warning":
            return ""
        acting = self.understanding.acts and not self.understanding.words
        if acting and self.signal not in _KIND_ACTS:
            return self.first(f"act.{self.signal}", "act") if not self.fact else ""
        if self.signal not in _SOFT_SIGNALS:
            return ""
        if hearing.asks_to_repeat(self.words) and prompt.avoid:
            return f"{self.say('repeat')} {prompt.avoid[-1]}"
        if name := self.values["said_name"]:
            known = prompt.player_name.casefold() == name.casefold()
            return self.say("introduced.again" if known else "introduced")
        if self._is_foreign():
            return self.say("foreign")
        if prompt.action not in CLOSED and (line := self._heard()):
            return line
        if self.signal == "unclear" and not hearing.asks_on(self.words):
            return (self.own(prompt.action) if self.chance(0.3) else "") or self.say("unclear")
        if hearing.is_injury(self.words) and prompt.action in _CARING:
            injury = (self.own("help") if self.voice != "cold" else "") or self.say("injury")
            return f"{injury} {self.fact}" if self.fact and self.fact not in self.past else injury
        return ""

    def _heard(self) -> str:
        """Return the words for what the player's words show besides the signal."""
        moment = hearing.moment(self.words)
        if moment in _ALWAYS:
            return self.say(moment)
        if moment == "helping":
            return "" if self.fact else self.answer_to("advice")
        if moment == "praise" and hearing.is_about_npc(self.words):
            moment = "acknowledge.compliment"
        bargains = moment in _BARGAINS and self.fact in self.past and self.signal not in ("question", "smalltalk")
        if moment and (self.signal in _QUIET or bargains) and not self._fresh_fact():
            return self.say(moment)
        return "" if moment else self._remarked()

    def _remarked(self) -> str:
        """Return the words for what a remark is about."""
        remark = remarks.said(self.words)
        quiet = self.signal in _REMARKS and not self.understanding.question
        asked = self.fact and self.signal in ("question", "request")
        if not remark or asked or not (quiet or remark in _WHATEVER_THE_SIGNAL) or self._fresh_fact():
            return ""
        return self._fresh(f"said.{remark}")

    def _is_foreign(self) -> bool:
        foreign, own = self.understanding.language, str(self.prompt.persona.get("language", "en"))
        if foreign == "en" or self.signal in ("greet", "farewell", "thanks") or self.fact:
            return False
        return foreign != own

    # ── facts ────────────────────────────────────────────────────────────────────────────────────

    def _told(self) -> str:
        """Return the fact that the decision is about, with what goes around it; empty when nothing is told."""
        prompt, known = self.prompt, self.prompt.known
        if prompt.action == "hint":
            return known.hint if known.hint not in self.past else ""
        if prompt.action == "refer":
            return self.referral()
        if prompt.action in ("deflect", "refuse_polite") and known.hint and known.hint not in self.past:
            return known.hint
        if prompt.action in CLOSED:
            return ""
        leads_on = hearing.asks_on(self.words)
        if leads_on and (more := self._leads_on(leads_on)):
            return more
        if not self.fact:
            return ""
        if prompt.action == "confide":
            secretive = _SECRETIVE.match(self.fact) or self.fact in self.past
            lead = self.say("lead.confide") if not secretive and self.chance(0.5) else ""
            return f"{lead} {self.fact}".strip()
        if self._misses():
            return self.unsure()
        if self._off_the_point():
            return self._aside()
        if self.fact in self.past and (line := self._put_aside(self.words)):
            return line
        asked = self.signal in ("question", "request", "help", "command", "smalltalk", "offer", "unclear")
        if asked or prompt.action == "explain":
            return self.with_fact(self.fact, reply=self._before())
        return self._fresh_fact()

    def _misses(self) -> bool:
        """Whether the fact only shares a word with a question about the NPC itself, or about the player's fate."""
        known = self.prompt.known
        if known.keyed or self.signal != "question":
            return False
        if about := subject.about_npc(self.words):
            return about == "accused" or known.fact not in self.prompt.facts or not _OF_ITSELF.search(known.fact)
        return subject.about_player(self.words)

    def _off_the_point(self) -> bool:
        """Whether the fact is about the same, but does not answer the question."""
        question, known = self.understanding.question, self.prompt.known
        if self.signal != "question":
            return False
        if question == "yes_no":
            return known.aside and asks_yes_no(self.words.lower().replace("'", "").split())
        if question in _ASKS_POINT and known.aside:
            return True
        carried = not set(self.understanding.topics) & set(content_words(self.fact, "en"))
        return question in _ASKS_POINT and carried and not known.keyed and self.fact in self.past

    def _aside(self) -> str:
        """Return what is said where a fact is about the same, but does not answer the question."""
        line = self.unsure()
        if self.fact in self.past or len(self.fact) + len(line) > LONGEST_ASIDE:
            return line
        return f"{self.say('lead.aside')} {self.fact}"

    def _fresh_fact(self) -> str:
        """Return the fact, when a mere statement calls for it: it was not told yet, and is about the same."""
        known, topics = self.prompt.known, set(self.understanding.topics)
        if known.told or self.fact in self.past or self.signal not in ("statement", "smalltalk", "agree", "disagree"):
            return ""
        shared = topics & set(content_words(self.fact, "en"))
        close = known.fact in self.prompt.facts and bool(shared) and len(shared) >= (1 if len(topics) < 3 else 2)
        return self.fact if known.keyed or close else ""

    def _before(self) -> str:
        """Return what an action that is more than an answer adds: "All right." before the price."""
        if self.prompt.action in ("accept", "agree", "help_grudging", "agree_reluctant") and self.signal != "question":
            return self._action_line()
        return ""

    def _leads_on(self, how: str) -> str:
        """Return what follows on the last fact."""
        known = self.prompt.known
        told = known.told or self.fact in self.past
        if self.fact and not told:
            return self.with_fact(self.fact)
        fresh = self.another_fact()
        if fresh:
            lead = self.say("lead.more") if how == "more" else ""
            return f"{lead} {fresh}".strip()
        if not self.fact and not self.prompt.state.get("topic"):
            return ""
        return self.say("enough" if how == "more" else "why")

    # ── without a fact ───────────────────────────────────────────────────────────────────────────

    def _plain(self) -> str:
        action = self.prompt.action
        asked = self.signal in ("question", "request") or bool(self.understanding.question)
        if action == "unsure" or (action in ("explain", "confide") and asked):
            return self.unsure()
        return self._action_line()

    def _action_line(self) -> str:
        action, signal = self.prompt.action, self.signal
        if (action, signal) == ("accept", "request") and remarks.asked(self.words) == "permitted":
            return self.say("asked.permitted")
        if (action, signal) in _OFF_THE_TRACK and (line := self.say(f"{action}.{signal}")):
            return line
        if own := self.own(action):
            return own
        plain = str(self.prompt.persona.get("plain_action", action))
        if action == "greet" and self.prompt.state.get("turns", 0):
            return self.say("greet.again")
        if action in ("acknowledge", "inquire") and signal in ("statement", "agree", "disagree", "help"):
            keys = [f"{action}.{signal}", action, f"{action}.thing"]
            if signal != "statement" and f"{action}.{signal}" in pools() and self.chance(0.75):
                keys = keys[:1]
            line = self.say(*keys)
            if action == "acknowledge" and "?" not in line and self.chance(0.12 + 0.3 * max(0.0, self.curiosity)):
                back = self.say("inquire")
                line = line if back in self.past else f"{line} {back}"
            return line
        return self.first(f"{action}.{signal}", f"{plain}.{signal}", action, plain)
