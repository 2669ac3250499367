"""`rules`: six flags by patterns. Violence in the story passes; real harm does not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, Field, field_validator

from rfsn_core.contract.gating import Gate, Utterance, Verdict
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider


def _risk(risk: float, *alternatives: str) -> tuple[float, str]:
    return risk, "|".join(alternatives)


FLAGS: dict[str, tuple[tuple[float, str], ...]] = {
    "self_harm": (
        _risk(
            0.95,
            r"(?:kill|hurt|harm|cut|hang|end) (?:myself|my life)",
            r"suicid(?:e|al)|self.?harm|want to die (?:in real|irl)",
            r"(?:go|should|just) (?:kill|hang|cut) (?:yourself|urself)|kys",
        ),
    ),
    "harmful_content": (
        _risk(
            0.95,
            r"(?:build|make|making|cook|synthesi[sz]e) (?:a |an |some )?"
            r"(?:pipe ?bomb|bomb|explosives?|nerve gas|sarin|meth|ricin)",
        ),
        _risk(
            0.9,
            r"sexual(?:ly)? .{0,20}(?:child|minor|kid)",
            r"(?:child|minor|kid)s? .{0,20}(?:porn|sexual|nude)",
            r"n[i1]gg(?:er|a)|f[a4]gg[o0]t|k[i1]ke",
        ),
        _risk(0.8, r"school shooting|mass shooting|terror(?:ist)? attack"),
    ),
    "personal_info_request": (
        _risk(
            0.9,
            r"your (?:real |home |actual )?(?:phone number|e-?mail(?: address)?|home address|credit card)",
            r"your (?:real |home |actual )?(?:social security|password)",
            r"\b\d{3}-\d{2}-\d{4}\b|\b(?:\d[ -]?){13,16}\b",
        ),
        _risk(
            0.8,
            r"where do you (?:really )?live in real life|what(?:'s| is) your real (?:name|age)",
            r"send (?:me )?(?:a )?(?:nudes?|photo of yourself)",
        ),
    ),
    "manipulation": (
        _risk(
            0.9,
            r"(?:ignore|disregard|forget) (?:all |any )?(?:of )?(?:your |the |my )?"
            r"(?:(?:previous|prior|above|earlier) (?:instructions?|rules|prompts?|orders)|instructions|system prompt)",
        ),
        _risk(
            0.85,
            r"(?:system|developer) prompt|jailbreak",
            r"you are (?:now )?(?:dan|chatgpt|an ai|a language model)|as an ai(?: language model)?",
        ),
        _risk(0.8, r"pretend (?:that )?you (?:have no|are not bound by)|print your (?:instructions|prompt)"),
    ),
    "illegal_action": (
        _risk(
            0.85,
            r"(?:buy|sell|get) (?:real )?(?:cocaine|heroin|fentanyl|stolen (?:cards?|accounts?))|launder money",
            r"hack (?:into )?(?:an? |the )?(?:bank|account|server|e-?mail)",
        ),
        _risk(0.8, r"how (?:do i|to) (?:shoplift|steal a car|pick(?:pocket)? in real life)"),
    ),
    "aggression": (
        _risk(0.9, r"(?:find|come to) (?:you|your house) (?:in real life|irl)|i know where you live irl|dox+"),
        _risk(0.5, r"i(?:'ll| will) (?:kill|murder|hurt|stab) you"),
    ),
}
"""The (risk, pattern) pairs of each flag. Violence in the story (`I will kill you`) stays below the threshold."""

_COMPILED = {
    flag: tuple((risk, re.compile(f"(?<!\\w)(?:{pattern})(?!\\w)", re.IGNORECASE)) for risk, pattern in patterns)
    for flag, patterns in FLAGS.items()
}


class Settings(BaseModel, extra="forbid"):
    """`[gating.rules]`."""

    threshold: float = Field(0.7, gt=0, le=1, description="Block a text whose risk reaches this, 0…1.")
    approve: list[str] = Field([], description="Flags that ask for approval instead of blocking.")
    off: list[str] = Field([], description="Flags that are switched off.")
    words: list[str] = Field([], description="Words or phrases of your own to block: whole words, in any case.")

    @field_validator("approve", "off")
    @classmethod
    def _known(cls, flags: list[str]) -> list[str]:
        for flag in flags:
            if flag not in FLAGS:
                raise ValueError(f"no flag '{flag}'; flags: {', '.join(FLAGS)}")
        return flags


class Rules:
    """The gate: matches every text against the patterns that are switched on."""

    def __init__(self, settings: Settings) -> None:
        self._approve = frozenset(settings.approve)
        self._patterns = {
            flag: tuple(pattern for risk, pattern in patterns if risk >= settings.threshold)
            for flag, patterns in _COMPILED.items()
            if flag not in settings.off
        }
        words = "|".join(re.escape(word) for word in settings.words)
        self._words = re.compile(f"(?<!\\w)(?:{words})(?!\\w)", re.IGNORECASE) if words else None

    async def check(self, utterance: Utterance) -> Verdict:
        """Block, or ask for approval, when any flag's risk reaches the threshold."""
        text = utterance.text.replace("’", "'")
        flagged: tuple[str, ...] = ()
        for flag, patterns in self._patterns.items():
            for pattern in patterns:
                if pattern.search(text):
                    flagged += (flag,)
                    break
        if self._words is not None and self._words.search(text):
            flagged += ("blocked_word",)
        kind = "allow"
        if flagged:
            kind = "needs_approval" if self._approve.issuperset(flagged) else "block"
        return Verdict(kind, flagged)


@hookimpl
def rfsn_gating() -> Iterable[Offer[Gate]]:
    """Offer the built-in default."""
    yield Provider.of("rules", Rules, Settings, "patterns for real-world harm")
