"""The built-in gates: `rules`, patterns for what is certain, and `ngrams`, a trained model for the rest.

Violence in the story passes; real harm does not. docs/gating.md says how much of it is found.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from rfsn_core.contract.errors import ConfigError
from rfsn_core.contract.gating import FLAGS, HARD_FLAGS, Gate, Utterance, Verdict
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, Offer, Provider
from rfsn_core.defaults import second_opinion
from rfsn_core.defaults.gate_model import BLOCK, FILE, FLAG_OF, SUSPICIOUS, GateModel, Reading
from rfsn_core.defaults.gate_patterns import Flag, RuleSet, built_in, of_world
from rfsn_core.kit.folding import Folding, fold

LONGEST = 8000
"""Characters of a text that are judged; a longer one is refused."""
TOO_LONG = Verdict("block", ("too_long",), risk=1.0)
_CARD = re.compile(r"(?<![\d.,-])(?:\d{13,19}|(?:\d{4}[ -]){3}\d{1,7}|3[47]\d{2}[ -]\d{6}[ -]\d{5})(?![\d.,-]\d|\d)")
_SPACELESS = re.compile("[぀-ヿ㐀-鿿]{4}")
_QUARRY = re.compile(
    r"\b(?:kill|slay|murder|behead|burn|poison|stab|hunt|trap|destroy|fight|stop)(?:s|ed|ing)? (?:\w+ ){0,2}(?:"
    r"trolls?|dragons?|drakes?|wyrms?|ghouls?|ghosts?|vampires?|werewol(?:f|ves)|wol(?:f|ves)|lich(?:es)?|giants?|demons?|"
    r"devils?|wraiths?|zombies?|skeletons?|undead|goblins?|orcs?|ogres?|spiders?|beasts?|monsters?|bears?|basilisks?|golems?|"
    r"mutants?|aliens?|robots?|droids?|rats?|boars?|deer|bandits?|pirates?|raiders?|smugglers?|necromancers?|sorcerers?|"
    r"draugr|harp(?:y|ies)|krakens?|hydras?|imps?|slimes?|witch(?:es)?)\b"
)
"""Requests to kill what is killed in games. The model learned them as requests about people."""
_HARMLESS = "find the road"
"""What the model reads in their place."""


class LevelSettings(BaseModel, extra="forbid"):
    """What the built-in gates have in common."""

    levels: dict[Flag, float] = Field({}, description="Flag → risk from which a text is blocked, 0…1, instead of 0.7.")
    approve: list[Flag] = Field([], description="Flags that ask for approval instead of blocking.")
    off: list[Flag] = Field([], description="Flags that are switched off.")

    @field_validator("off")
    @classmethod
    def _soft(cls, flags: list[str]) -> list[str]:
        for flag in HARD_FLAGS.intersection(flags):
            raise ValueError(f"'{flag}' cannot be switched off; nor can {', '.join(sorted(HARD_FLAGS - {flag}))}")
        return flags

    @field_validator("levels")
    @classmethod
    def _sensible(cls, levels: dict[str, float]) -> dict[str, float]:
        for flag, level in levels.items():
            if not 0 < level <= 1:
                raise ValueError(f"'{flag}' is {level}, not in 0…1")
            if flag in HARD_FLAGS and level > BLOCK:
                raise ValueError(f"'{flag}' is blocked from {BLOCK} at the latest")
        return levels

    def verdict(self, risks: dict[str, float], evidence: tuple[str, ...], block: float = BLOCK) -> Verdict:
        """Return the verdict on a text.

        :param risks: flag → risk.
        :param block: the risk from which a flag without a level of its own blocks.
        """
        risks = {flag: risk for flag, risk in risks.items() if flag not in self.off}
        stopped = [flag for flag, risk in risks.items() if risk >= self.levels.get(flag, block)]
        risk = max(risks.values(), default=0.0)
        if not stopped:
            suspected = tuple(flag for flag in FLAGS if risks.get(flag, 0.0) >= SUSPICIOUS)
            return Verdict("allow", suspected, risk=risk, evidence=evidence if suspected else ())
        ranked = tuple(sorted(stopped, key=lambda flag: FLAGS.index(flag) if flag in FLAGS else -1))
        kind = "needs_approval" if set(self.approve).issuperset(stopped) else "block"
        return Verdict(kind, ranked, risk=max(risk, BLOCK), evidence=evidence)


class RuleSettings(LevelSettings):
    """`[gating.rules]`."""

    threshold: float = Field(BLOCK, gt=0, le=1, description="Block a text whose risk reaches this, 0…1.")
    words: list[str] = Field([], description="Words or phrases of your own to block: whole words, in any case.")


class Rules:
    """The gate of patterns.

    :param host: its world's `gate/*.toml` are further rules. Raises ConfigError for one that is wrong.
    """

    def __init__(self, settings: RuleSettings, host: Host | None = None) -> None:
        self._settings = settings
        self._rules = RuleSet((*built_in(), *(of_world(host.world_dir / "gate") if host else ())))
        words = "|".join(re.escape(fold(word).plain) for word in settings.words)
        self._words = re.compile(f"(?<!\\w)(?:{words})(?!\\w)") if words else None

    async def start(self) -> None:
        """Compile the patterns that most texts need; those of other languages follow with their first text."""
        await asyncio.to_thread(self._rules.compile, "en")

    async def check(self, utterance: Utterance) -> Verdict:
        """Block, or ask for approval, when any flag's risk reaches its level."""
        if len(utterance.text) > LONGEST:
            return TOO_LONG
        text = f"{utterance.before} {utterance.text}" if utterance.before else utterance.text
        folding = fold(text[-LONGEST:])
        risks: dict[str, float] = {}
        evidence: list[str] = []
        for rule, part in self._rules.matches(folding):
            for flag in (rule.flag, *rule.also):
                risks[flag] = max(risks.get(flag, 0.0), rule.risk)
            evidence.append(f"rule {rule.flag} ({rule.language}): {part!r}")
        if card := _card(folding.plain):
            risks["personal_info_request"] = 0.95
            evidence.append(f"a card number: {card!r}")
        if self._words is not None and any(self._words.search(form) for form in folding.forms):
            risks["blocked_word"] = 1.0
            evidence.append("a word of [gating.rules] words")
        if folding.disguises and evidence:
            evidence.append(_read_as(folding))
        return self._settings.verdict(risks, tuple(evidence), self._settings.threshold)


def _read_as(folding: Folding) -> str:
    return f"read as {folding.squeezed or folding.collapsed or folding.folded!r} ({', '.join(folding.disguises)})"


def _is_short(text: str) -> bool:
    """Return whether a text has fewer than three words."""
    return text.count(" ") < 2 and not _SPACELESS.search(text)


def _card(text: str) -> str:
    """Return a card number in a text: its check digit is right, and it begins as those of the large issuers."""
    for match in _CARD.finditer(text):
        digits = [int(character) for character in match.group() if character.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
        if digits[0] in (2, 3, 4, 5, 6) and len(set(digits)) > 1 and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0:
            return match.group()
    return ""


class NgramSettings(LevelSettings):
    """`[gating.ngrams]`."""

    world: Literal["fantasy", "modern"] = Field(
        "fantasy",
        description="`modern`: talk of today is normal in this game, so more of it passes, and more harm too.",
    )
    model: str = Field("", description="File of a model that `training/gate/train.py` wrote, instead of the built-in.")


class Ngrams:
    """The gate of a trained model: it knows how harm is worded, also in words that no rule has."""

    def __init__(self, settings: NgramSettings, host: Host | None = None) -> None:
        self._settings = settings
        self._path = host.world_dir / settings.model if host and settings.model else Path(settings.model or FILE)
        self._model: GateModel | None = None

    async def start(self) -> None:
        """Read the model. Raises ConfigError for a file that is no model."""
        try:
            self._model = await asyncio.to_thread(GateModel.load, self._path)
        except (OSError, ValueError) as error:  # both name the file
            hint = "training/gate/train.py writes such files"
            raise ConfigError([f"[gating.ngrams] model: {error}; {hint}"]) from error

    @property
    def model(self) -> GateModel:
        """The weights."""
        if self._model is None:
            self._model = GateModel.load(self._path)
        return self._model

    def read(self, text: str, before: str = "") -> Reading:
        """Return what the model says of a text, in the form and part that it finds worst."""
        forms = list(fold(text).forms)
        if before:
            forms.append(fold(f"{before} {text}").folded)
        if self._settings.world == "fantasy":
            forms = [_QUARRY.sub(_HARMLESS, form) for form in forms]
        return max(map(self.model.read, forms), key=lambda reading: reading.score)

    async def check(self, utterance: Utterance) -> Verdict:
        """Block when the model's risk reaches the level of its topic."""
        if len(utterance.text) > LONGEST:
            return TOO_LONG
        reading = self.read(utterance.text, utterance.before)
        risk = self.model.risk(reading.score, utterance.side, self._settings.world)
        if _is_short(reading.part):
            risk = min(risk, BLOCK - 0.01)  # too little to go by: rules block what is certain
        if risk < SUSPICIOUS:
            return Verdict("allow", risk=risk)
        grams = ", ".join(f"{gram!r} {weight:+.1f}" for gram, weight in self.model.heaviest(reading.part))
        evidence = (f"n-grams of {reading.topic} in {reading.part!r}: {grams}",)
        return self._settings.verdict({FLAG_OF[reading.topic]: risk}, evidence)


@hookimpl
def rfsn_gating() -> Iterable[Offer[Gate]]:
    """Offer the built-in defaults."""
    yield Provider.of("rules", Rules, RuleSettings, "patterns for real-world harm, in ten languages")
    yield Provider.of("ngrams", Ngrams, NgramSettings, "a trained model for real-world harm, 140 KB")
    yield second_opinion.OFFER
