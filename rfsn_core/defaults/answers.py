"""What everybody can be asked, and answers from the NPC's file: its name, its trade, who somebody is, …"""

from __future__ import annotations

import re

from rfsn_core.defaults.line_values import mentions
from rfsn_core.defaults.telling import Telling
from rfsn_core.world import subject
from rfsn_core.world.decision import CLOSED

_TRADE = re.compile(
    r"\b(?:sells?|selling|for sale|to buy|goods|wares|in stock|second-hand)\b",
    re.IGNORECASE,
)
_PRICE = re.compile(
    r"\b(?:is|are|costs?|for|at|pay)(?: only| about)? (?:\d+|an?|half an?|[a-z]+(?:teen|ty)|one|two|three|four|five|six"
    r"|seven|eight|nine|ten|eleven|twelve)(?: hundred| thousand)? (?:coins?|coppers?|silvers?|gold|pen(?:ny|ce)|pennies"
    r"|credits?|crowns?|pounds?|dollars?|marks?|ducats?|shillings?|caps?|euros?|septims?|gil|rupees?|bits?|chips?)\b",
    re.IGNORECASE,
)
"""What a thing that is for sale has, when no fact speaks of the trade itself."""
_NEWS = re.compile(
    r"\b(?:work|job|needs? (?:somebody|someone|help)|looking for|missing|ask|find out|news|since|days? ago"
    r"|nights? now|lately|tonight|who ever|reward|stopped|moved|stolen|taken|vanished|disappeared|came home|lights?)\b",
    re.IGNORECASE,
)
_WEATHER = re.compile(
    r"\b(?:rain\w*|weather|storm\w*|snow\w*|winds?|windy|sun\w*|fog\w*|mist\w*|cold|clouds?|sky)\b", re.IGNORECASE
)
_FUN = re.compile(r"\b(?:riddles?|jokes?|songs?)\b", re.IGNORECASE)
_WORK = re.compile(
    r"\b(?:work|jobs?|looking for|needs? (?:somebody|someone|a)|ask the|reward|pays"
    r"|find out|want to know)\b",
    re.IGNORECASE,
)
_HIRED = re.compile(r"\b(?:work|jobs?|quests?|tasks?|help|hir(?:e|ing)|need)\b", re.IGNORECASE)
_NEXT = re.compile(r"\b(?:do|next|start|go|place|now)\b", re.IGNORECASE)
_ORIGIN = re.compile(
    r"\b(?:born|grew up|come from|came (?:here|from)|raised|as a (?:girl|boy|child)"
    r"|my (?:father|mother|people|home))\b",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"\b(?:keeps|lives|sleeps|sits|stands|drinks|at|in|by|on|across|behind|under|besides?|upstairs|next to)"
    r" (?:the|his|her|my|their)\b"
)
_LIKING = re.compile(r"\b(?:like|enjoy|love|hate|tired of|good at|proud of|happy with|sick of)\b", re.IGNORECASE)
_ABOUT = {
    "wares": _TRADE,
    "weather": _WEATHER,
    "joke": _FUN,
    "origin": _ORIGIN,
}
"""What is asked → what a fact must have to be the answer."""


class Answers(Telling):
    """Answers to what `Understanding.asks` names; `_asks_<name>` is the answer without a fact."""

    def answer(self) -> str:
        """Return the answer to what everybody can be asked; empty when nothing of the kind was asked."""
        asks = self.understanding.asks
        short = self.signal == "question" and len(self.words.split()) < 4
        if not asks and self.prompt.people and short and not subject.names_somebody(self.words):
            asks = "person"  # "and Pim?"
        if asks == "role" and _LIKING.search(self.words):
            return self._of_itself(self.words, "")  # "do you like your work?"
        if not asks or self.prompt.action in CLOSED or (self.prompt.action == "confide" and self.fact):
            return ""
        fact = self._fitting_fact(asks)
        answer = self.with_fact(fact) if fact else self.answer_to(asks)
        if answer and asks in ("name", "role", "mood") and not self.prompt.player_name and self.chance(0.6):
            hook = self.say("hook.name")
            return f"{answer} {hook}" if hook and hook not in self.past and "?" not in answer else answer
        return answer

    def answer_to(self, asks: str) -> str:
        """Return the answer without a fact."""
        make = getattr(self, f"_asks_{asks}", None)
        return str(make()) if make else ""

    def _fitting_fact(self, asks: str) -> str:
        """Return the fact that answers what everybody can be asked better than a built-in line."""
        known = self.prompt.known
        if known.keyed and self.fact:
            return self.fact  # its author meant it as the answer
        candidates = [text for text in (self.fact, *known.more) if text]
        if asks in ("person", "place_of", "opinion_of"):
            if not self.prompt.people:
                return self.fact
            person = mentions(self.prompt.people[0])
            fitting = [text for text in (*candidates, *self.prompt.facts) if person.search(text)]
            if asks == "place_of":
                fitting = [text for text in fitting if _WHERE.search(text)]
            elif asks == "opinion_of":
                fitting = [text for text in fitting if text not in self.past]
        elif about := _ABOUT.get(asks):
            if asks == "joke":
                fun = (text for text in (*candidates, *self.prompt.facts) if _FUN.search(text))
                return next((text for text in fun if text not in self.past), "")
            fitting = [text for text in (*candidates, *self.prompt.facts) if about.search(text)]
        else:
            return ""
        fresh = [text for text in fitting if text not in self.past]
        return fresh[0] if fresh else fitting[0] if fitting else ""

    def _asks_name(self) -> str:
        return self.say("asks.name")

    def _asks_role(self) -> str:
        return self.first("asks.role", "asks.role.plain")

    def _asks_mood(self) -> str:
        mood = self.prompt.state.get("mood", "calm")
        return self.first(f"asks.mood.{mood}", "asks.mood.calm")

    def _asks_origin(self) -> str:
        return self.say("asks.origin")

    def _asks_wares(self) -> str:
        priced = [text for text in self.prompt.facts if _PRICE.search(text)]
        fresh = [text for text in priced if text not in self.past]
        if priced and not self.own("offer"):
            return " ".join(fresh[:2]) or self.with_fact(priced[0])
        return self.own("offer") or self.first("asks.wares", "asks.wares.ask")

    def _asks_person(self) -> str:
        return self._about_person("person")

    def _asks_place_of(self) -> str:
        if not self.values.get("person") and self.prompt.known.refer:
            return self.referral()
        return self._about_person("place_of")

    def _asks_opinion_of(self) -> str:
        return self._about_person("opinion_of")

    def _asks_player_name(self) -> str:
        return self.first("asks.player_name", "asks.player_name.unknown")

    def _asks_player(self) -> str:
        known = self.prompt.state.get("turns", 0) > 2
        return self.first("asks.player", "asks.player.known" if known else "asks.player.stranger")

    def _asks_real(self) -> str:
        return self.say("asks.real")

    def _asks_joke(self) -> str:
        return self.say("asks.joke")

    def _asks_weather(self) -> str:
        return self.first("asks.weather.game", "asks.weather")

    def _asks_advice(self) -> str:
        hired = _HIRED.search(self.words)
        fitting = _WORK if hired or _NEXT.search(self.words) else _NEWS
        if self.fact and fitting.search(self.fact):
            return self.with_fact(self.fact)
        news = [text for text in self.prompt.facts if text not in self.past and fitting.search(text)]
        if news:
            return self.with_fact(news[0])
        return self.first("asks.advice.work" if hired else "asks.advice", "asks.advice.alone")

    def _about_person(self, asks: str) -> str:
        if not self.values.get("person"):
            return self.say(f"asks.{asks}.unknown")
        if self.prompt.people[0][0] == self.prompt.npc:
            return self.with_fact(self.fact) if self.fact else self.say(f"asks.{asks}.self")
        return self.first(f"asks.{asks}", f"asks.{asks}.near")
