"""`signals`: certain cases by rules, the rest by a small linear model that was trained on player lines.

What the rules take for certain: silence, a bare "?", keyboard mashing, pasted code. What the model is not sure of is
heard as a statement, or as a question where the text asks, and moves no feelings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel, Field

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.understanding import Entity, Understander, Understanding, UnderstandingContext
from rfsn_core.defaults.asks import asks
from rfsn_core.defaults.questions import asks_of_others, asks_of_the_past, asks_yes_no, question_kind
from rfsn_core.defaults.reactions import reaction
from rfsn_core.defaults.short_lines import signal_of
from rfsn_core.defaults.signal_model import MOST_CHARACTERS, built_in_model
from rfsn_core.defaults.translation import Translation, translate
from rfsn_core.kit.plain_text import fold, tokens
from rfsn_core.kit.words import content_words, language_of, words_of
from rfsn_core.world.subject import names_somebody

_ACT = re.compile(r"\*([^*\n]{1,300})\*")
_EMOTE = re.compile(r"^\s*/(?:me|emote)\s+(.{1,300})$", re.IGNORECASE | re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")
_OPENING = "{[<"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CODE = re.compile(
    r"^\s*[{\[<].*[}\]>]\s*$|</?\w+>|;\s*$|\b(?:select|drop)\b.+\b(?:from|table)\b", re.IGNORECASE | re.DOTALL
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertz", "azerty")
_VOWEL = re.compile(r"[aeiouyаеёиоуыэюяąęóäöüàâéèêëîïôûùœ]")
_POSITIVE = frozenset(
    "good great kind love like thanks thank wonderful beautiful nice friend happy glad please welcome well brave lovely"
    " excellent fine best dear honour honor trust peace sweet amazing cool awesome pretty delicious clever".split()
)
_NEGATIVE = frozenset(
    "bad hate ugly stupid fool idiot liar die kill hurt pathetic worthless coward scum awful terrible wrong angry"
    " damn filth enemy betray never disgusting useless stinking smelly dumb boring".split()
)
_FEELING = {
    "thanks": 0.4,
    "compliment": 0.5,
    "greet": 0.1,
    "apologize": 0.1,
    "accept": 0.2,
    "offer": 0.1,
    "insult": -0.6,
    "threaten": -0.6,
    "attack": -0.8,
    "betray": -0.6,
    "refuse": -0.1,
    "disagree": -0.1,
}
_FIRST = re.compile(r"[^\W_]{1,12}[,，、]")
_YES, _NO = frozenset("yes yeah yep yup aye".split()), frozenset("no nope nah nay".split())
ALIKE = 0.6
"""Share of words, of both together, from which a line is like an example of the world."""
ASKING = frozenset({"question", "request", "command", "smalltalk", "greet", "statement", "help", "offer", "unclear"})
"""What a player may do who asks for what every NPC can answer."""
UNCERTAIN = frozenset({"statement", "unclear", "question", "command", "smalltalk"})
ANSWERS = frozenset({"accept", "refuse", "agree", "disagree", "statement"})
"""What nobody does with a question that "yes" answers."""
UNSURE = 0.5
"""Probability under which what the words ask counts more than the model."""
JUDGEMENTS = ANSWERS | {"insult", "compliment", "betray", "thanks", "apologize", "help"}
"""What nobody does with a question about somebody else."""
OFFERS = frozenset({"offer", "request", "help", "help_grudging", "help_eager"})
"""What an NPC may have done last so that "yes" accepts and "no" refuses."""


def sentiment(words: Iterable[str], signal: str) -> float:
    """Return how friendly the words are, -1…1: by the signal, and by friendly and unfriendly words."""
    good = bad = 0
    for word in words:
        if word in _POSITIVE:
            good += 1
        elif word in _NEGATIVE:
            bad += 1
    tone = (good - bad) / (good + bad + 1)
    return round(max(-1.0, min(1.0, _FEELING.get(signal, 0.0) + 0.4 * tone)), 3)


class Names:
    """The names of a world, ready to be found in a text."""

    def __init__(self, names: Mapping[str, Entity]) -> None:
        self.names = names
        self._by_words = {tuple(fold(name).replace("'s", " ").split()): entity for name, entity in names.items()}
        self._longest: dict[str, int] = {}
        for words in self._by_words:
            if words:
                self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def find(self, folded: str) -> tuple[Entity, ...]:
        """Return what a folded text names, in order, each once. The longest name wins."""
        words = [word.strip(_EDGES) for word in folded.replace("'s", " ").split()] if self._longest else []
        if self._longest.keys().isdisjoint(words):
            return ()
        named: dict[tuple[str, str], Entity] = {}
        at = 0
        while at < len(words):
            for length in range(self._longest.get(words[at], 0), 0, -1):
                entity = self._by_words.get(tuple(words[at : at + length]))
                if entity is not None:
                    named.setdefault((entity.kind, entity.id), entity)
                    at += length - 1
                    break
            at += 1
        return tuple(named.values())


_EDGES = ".,;:!?\"'()*…¿¡-"


def is_code(text: str) -> bool:
    """Whether a text is markup, data or a database command that somebody pasted."""
    if text[0] in _OPENING or text[-1] == ";" or "<" in text or "select" in text.lower() or "drop" in text.lower():
        return bool(_CODE.search(text))
    return False


def is_gibberish(words: Sequence[str]) -> bool:
    """Whether every word looks typed at random: no vowels, keyboard rows, or one letter again and again."""
    long = [word for word in words if len(word) > 3]
    if not long or not _is_mash(long[0]):
        return False
    return all(map(_is_mash, long)) and sum(map(len, long)) * 2 > sum(map(len, words))


_LAUGH = re.compile(r"[hjx]?(?:[aeiou]{1,2}[hjx]{1,2})+[aeiou]{0,2}|(?:lo|xo)+l?|k+")
_RUNS = frozenset(row[i : i + 4] for row in _ROWS for i in range(len(row) - 3))


@lru_cache(maxsize=20_000)
def _is_mash(word: str) -> bool:
    word = fold(word)
    if not word.isascii():
        return False
    if len(set(word)) <= 2 and len(word) > 4:
        return not _LAUGH.fullmatch(word)
    if not _VOWEL.search(word) and len(word) > 4:
        return True
    covered = sum([word[i : i + 4] in _RUNS for i in range(len(word) - 3)])
    return covered * 4 >= len(word) or bool(re.search(r"[bcdfghjklmnpqrstvwxz]{6,}", word))


class Settings(BaseModel, extra="forbid"):
    """`[understanding.signals]`."""

    sure: float = Field(0.34, ge=0, le=1, description="Probability from which the model is believed.")


class _Line(NamedTuple):
    """A player's text, taken apart once."""

    text: str
    words: str
    """Without acts."""
    acts: tuple[str, ...]
    tokens: list[str]
    """Words and marks of all the text."""
    plain: list[str]
    """Plain words without acts."""
    split: list[str]
    """The words of the text without acts, as they are written."""
    asks: bool
    """Whether it has a question mark."""
    translation: Translation | None
    """In English words; None when it is English."""


def _line(text: str, folded: str) -> _Line:
    acts: tuple[str, ...] = ()
    words = text
    if "*" in text:
        acts = tuple([act.strip() for act in _ACT.findall(text)])
        words = _ACT.sub(" ", text)
    words = words.strip()
    if words[:1] == "/" and (emote := _EMOTE.match(words)):
        acts, words = (*acts, emote[1].strip()), ""
        marked = tokens(fold(f"*{emote[1]}*"))
    else:
        marked = tokens(folded)
    spoken = tokens(fold(words[:MOST_CHARACTERS])) if acts else marked
    plain = [token for token in spoken if token[0].isalnum()]
    asks = "?" in words or "？" in words
    return _Line(text, words, acts, marked, plain, words_of(words), asks, translate(marked))


class Signals:
    """The opened provider."""

    def __init__(self, settings: Settings) -> None:
        self._sure = settings.sure
        self._model = built_in_model()
        self._examples: tuple[Mapping[str, str], dict[str, str]] = ({}, {})
        self._names = Names({})

    def understand(self, text: str, context: UnderstandingContext) -> Understanding:
        """Return what the text means."""
        if self._names.names is not context.names:
            self._names = Names(context.names)
        folded = fold(text[:MOST_CHARACTERS])
        line = _line(text, folded)
        language = line.translation.language if line.translation else language_of(line.words, line.split)
        named = self._names.find(folded)
        if context.spoken_of and not any(entity.kind == "npc" for entity in named) and names_somebody(line.words):
            named = (*named, context.spoken_of)
        signal, confidence, alternatives, source = self._signal(line, context.examples)
        asked = asks(line.plain, language, named) if signal in ASKING else ""
        if asked and source == "model" and signal in UNCERTAIN and confidence < UNSURE:
            signal = "smalltalk" if asked == "mood" else "request" if asked == "joke" else "question"
        question = ""
        if signal in ("question", "request", "smalltalk", "help"):
            question = question_kind(line.plain, language, line.asks)
            if signal == "question" and not question:
                question = "yes_no"
        if context.last_action in OFFERS and signal in ("agree", "disagree"):
            signal, source = ("accept" if signal == "agree" else "refuse"), "context"
        return Understanding(
            signal=signal,
            confidence=round(confidence, 3),
            alternatives=alternatives,
            source=source,
            words=line.words,
            acts=line.acts,
            topics=content_words(line.words, language, line.split),
            entities=named,
            asks=asked,
            question=question,
            language=language,
            sentiment=sentiment(line.tokens, signal),
            reaction=reaction(line.plain),
        )

    def _signal(
        self, line: _Line, examples: Mapping[str, str]
    ) -> tuple[str, float, tuple[tuple[str, float], ...], str]:
        """Return (signal, confidence, alternatives, source)."""
        if examples and (nearest := self._nearest(line.text, examples)):
            return *nearest, (), "examples"
        words = line.words
        if not line.acts:
            if not _LETTER.search(words):
                if "?" in words:
                    return ("question" if words.count("?") == len(words) <= 2 else "unclear"), 1.0, (), "rule"
                return ("unclear" if re.search(r"[^\s.…]", words) else "ignore"), 1.0, (), "rule"
            if is_code(words) or is_gibberish(line.split):
                return "unclear", 1.0, (), "rule"
            if not line.asks and (short := signal_of(" ".join(line.plain))):
                return short, 0.97, (), "rule"
        likely = self._model.likeliest(line.tokens, line.translation)
        (signal, confidence), rest = likely[0], tuple([(name, round(share, 3)) for name, share in likely[1:]])
        if _asks_after_all(line, signal, confidence):
            return "question", confidence, ((signal, round(confidence, 3)), *rest[:1]), "model"
        if signal == "betray" and "heard" in line.plain:  # of others: nobody admits what they heard
            return "statement", confidence, ((signal, round(confidence, 3)), *rest[:1]), "model"
        if signal == "statement" and not line.asks and (answer := _answer(line)):
            return answer, confidence, ((signal, round(confidence, 3)), *rest[:1]), "model"
        if confidence >= self._sure:
            return signal, confidence, rest, "model"
        unsure = "question" if line.asks or asks_yes_no(line.plain) else "statement"
        return unsure, confidence, ((signal, round(confidence, 3)), *rest[:1]), "model"

    def _nearest(self, text: str, examples: Mapping[str, str]) -> tuple[str, float] | None:
        """Return the signal of the world's example that shares most words with the text, and how many it shares."""
        if self._examples[0] is not examples:
            self._examples = (examples, {_key(line): signal for line, signal in examples.items()})
        known, key = self._examples[1], _key(text)
        if key in known:
            return known[key], 1.0
        words = set(key.split())
        shared = {line: _shared(words, set(line.split())) for line in known}
        best = max(shared, key=lambda line: shared[line])
        return (known[best], round(shared[best], 3)) if shared[best] >= ALIKE else None


def _asks_after_all(line: _Line, signal: str, confidence: float) -> bool:
    """Whether a line that was heard as something else asks by its form."""
    if line.asks and signal in ANSWERS and asks_yes_no(line.plain):
        return True
    if line.asks and signal not in ("insult", "smalltalk") and asks_of_the_past(line.plain):
        return True
    return (signal in JUDGEMENTS or confidence < UNSURE) and asks_of_others(line.plain)


def _answer(line: _Line) -> str:
    """Return what a statement after "yes," or "no," does: it agrees or disagrees; empty for any other."""
    if not _FIRST.match(line.words):
        return ""
    first = (line.translation.words if line.translation else line.plain)[0]
    return "agree" if first in _YES else "disagree" if first in _NO else ""


def _shared(one: set[str], two: set[str]) -> float:
    return len(one & two) / len(one | two) if one or two else 0.0


def _key(text: str) -> str:
    return " ".join(_WORD.findall(fold(text)))


@hookimpl
def rfsn_understanding() -> Iterable[Offer[Understander]]:
    """Offer the built-in default."""
    yield Provider.of("signals", Signals, Settings, "rules and a small model that was trained on player lines")
