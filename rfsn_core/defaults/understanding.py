"""`signals`: certain cases by rules, the rest by a small linear model that was trained on player lines.

What the rules take for certain: silence, a bare "?", keyboard mashing, pasted code. What the model is not sure of is
heard as a statement, or as a question where the text asks, and moves no feelings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, Field

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.understanding import Entity, Understander, Understanding, UnderstandingContext
from rfsn_core.defaults.signal_model import SignalModel, fold
from rfsn_core.kit.words import content_words, language_of

_ACT = re.compile(r"\*([^*\n]{1,300})\*")
_EMOTE = re.compile(r"^\s*/(?:me|emote)\s+(.{1,300})$", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CODE = re.compile(
    r"^\s*[{\[<].*[}\]>]\s*$|</?\w+>|;\s*$|\b(?:select|drop)\b.+\b(?:from|table)\b", re.IGNORECASE | re.DOTALL
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertz", "azerty")
_VOWEL = re.compile(r"[aeiouyаеёиоуыэюяąęóäöüàâéèêëîïôûùœ]")

_QUESTIONS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)"))
    for kind, *patterns in (
        (
            "how_much",
            r"how (?:much|many)|wh?at(?:'s| is| does)? (?:the |your |it )?(?:price|cost|costs)",
            "wie ?viele?|was kostet|combien|cuanto|cuantos|quanto|quanti|сколько|ile kosztuje|ile|多少|几|いくら",
        ),
        (
            "where",
            r"where'?s?|whereabouts|wheres|which way|how do i (?:get|find)",
            "wo|wohin|woher|ou est|ou|donde|adonde|dove|onde|где|куда|gdzie|dokad|哪里|在哪|どこ",
        ),
        ("when", r"when'?s?|what time|how long", "wann|quand|cuando|quando|когда|kiedy|什么时候|いつ"),
        (
            "why",
            r"why|how come|what for",
            "warum|wieso|weshalb|pourquoi|por que|perche|porque|почему|зачем|dlaczego|为什么|なぜ|どうして",
        ),
        ("who", r"who'?s?|whos|whose|whom", "wer|wem|wen|qui|quien|quienes|chi|quem|кто|kto|谁|だれ|誰"),
        ("which", r"which", "welche[rsn]?|quel|quelle|cual|quale|qual|какой|какая|ktory|哪个|どれ|どの"),
        ("what", r"what'?s?|whats|wat", "was|que|quoi|qu'est-ce que|cosa|che|o que|что|co|什么|何|なに|なん"),
        ("how", r"how'?s?|hows", "wie|comment|como|come|как|jak|怎么|どう"),
    )
)
_YES_NO = re.compile(
    r"^(?:so |and |but |well |hey |tell me )*(?:do|does|did|are|is|was|were|am|have|has|had|can|could|will|would|should"
    r"|shall|may|isn't|aren't|don't|doesn't|didn't|won't|can't|any|u)\b"
)
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
ALIKE = 0.6
"""Share of words, of both together, from which a line is like an example of the world."""
OFFERS = frozenset({"offer", "request", "help", "help_grudging", "help_eager"})
"""What an NPC may have done last so that "yes" accepts and "no" refuses."""


def sentiment(text: str, signal: str) -> float:
    """Return how friendly the words are, -1…1: by the signal, and by friendly and unfriendly words."""
    words = [word.lower() for word in _WORD.findall(text)]
    good = sum(word in _POSITIVE for word in words)
    bad = sum(word in _NEGATIVE for word in words)
    tone = (good - bad) / (good + bad + 1)
    return round(max(-1.0, min(1.0, _FEELING.get(signal, 0.0) + 0.4 * tone)), 3)


def question_kind(text: str) -> str:
    """Return the kind of a question, by its first question word; empty when nothing is asked."""
    folded = fold(text)
    first: tuple[int, str] | None = None
    for kind, pattern in _QUESTIONS:
        match = pattern.search(folded)
        if match and (first is None or match.start() < first[0]):
            first = (match.start(), kind)
    if first and (first[0] < 40 or "?" in text):
        return first[1]
    if _YES_NO.search(folded) or "?" in text or "？" in text:
        return "yes_no"
    return ""


def entities(text: str, names: Mapping[str, Entity]) -> tuple[Entity, ...]:
    """Return what the text names, in order, each once. The longest name wins."""
    words = fold(text).replace("'s", " ").split()
    words = [word.strip(".,;:!?\"'()*…") for word in words]
    named: dict[tuple[str, str], Entity] = {}
    at = 0
    while at < len(words):
        for length in range(min(5, len(words) - at), 0, -1):
            entity = names.get(" ".join(words[at : at + length]))
            if entity is not None:
                named.setdefault((entity.kind, entity.id), entity)
                at += length - 1
                break
        at += 1
    return tuple(named.values())


def is_gibberish(words: Sequence[str]) -> bool:
    """Whether every word looks typed at random: no vowels, keyboard rows, or one letter again and again."""
    long = [word for word in words if len(word) > 3]
    return bool(long) and all(_is_mash(word) for word in long) and sum(map(len, long)) * 2 > sum(map(len, words))


def _is_mash(word: str) -> bool:
    word = fold(word)
    if not word.isascii():
        return False
    if len(set(word)) <= 2 and len(word) > 4:
        return True
    if not _VOWEL.search(word) and len(word) > 4:
        return True
    runs = {row[i : i + 4] for row in _ROWS for i in range(len(row) - 3)}
    covered = sum(word[i : i + 4] in runs for i in range(len(word) - 3))
    return covered * 4 >= len(word) or bool(re.search(r"[bcdfghjklmnpqrstvwxz]{6,}", word))


class Settings(BaseModel, extra="forbid"):
    """`[understanding.signals]`."""

    sure: float = Field(0.34, ge=0, le=1, description="Probability from which the model is believed.")


class Signals:
    """The opened provider."""

    def __init__(self, settings: Settings) -> None:
        self._sure = settings.sure
        self._model = SignalModel.load()
        self._examples: tuple[Mapping[str, str], dict[str, str]] = ({}, {})

    def understand(self, text: str, context: UnderstandingContext) -> Understanding:
        """Return what the text means."""
        acts = tuple(act.strip() for act in _ACT.findall(text))
        words = _ACT.sub(" ", text).strip()
        if emote := _EMOTE.match(words):
            acts, words = (*acts, emote[1].strip()), ""
        signal, confidence, alternatives, source = self._signal(text, words, acts, context.examples)
        question = question_kind(words) if signal in ("question", "request", "smalltalk", "help") else ""
        if signal == "question" and not question:
            question = "yes_no"
        if context.last_action in OFFERS and signal in ("agree", "disagree"):
            signal, source = ("accept" if signal == "agree" else "refuse"), "context"
        return Understanding(
            signal=signal,
            confidence=round(confidence, 3),
            alternatives=alternatives,
            source=source,
            words=words,
            acts=acts,
            topics=content_words(words),
            entities=entities(text, context.names),
            question=question,
            language=language_of(words),
            sentiment=sentiment(text, signal),
        )

    def _signal(
        self, text: str, words: str, acts: tuple[str, ...], examples: Mapping[str, str]
    ) -> tuple[str, float, tuple[tuple[str, float], ...], str]:
        """Return (signal, confidence, alternatives, source)."""
        if examples and (nearest := self._nearest(text, examples)):
            return *nearest, (), "examples"
        found = _WORD.findall(words)
        if not found and not acts:
            if "?" in words:
                return ("question" if words.count("?") == len(words) <= 2 else "unclear"), 1.0, (), "rule"
            return ("unclear" if re.search(r"[^\s.…]", words) else "ignore"), 1.0, (), "rule"
        if not acts and (_CODE.search(words) or is_gibberish(found)):
            return "unclear", 1.0, (), "rule"
        likely = list(self._model.probabilities(text).items())
        (signal, confidence), rest = likely[0], tuple((name, round(share, 3)) for name, share in likely[1:3])
        if confidence >= self._sure:
            return signal, confidence, rest, "model"
        asks = "?" in words or "？" in words or _YES_NO.search(fold(words))
        unsure = "question" if asks else "statement"
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


def _shared(one: set[str], two: set[str]) -> float:
    return len(one & two) / len(one | two) if one or two else 0.0


def _key(text: str) -> str:
    return " ".join(_WORD.findall(fold(text)))


@hookimpl
def rfsn_understanding() -> Iterable[Offer[Understander]]:
    """Offer the built-in default."""
    yield Provider.of("signals", Signals, Settings, "rules and a small model that was trained on player lines")
