"""A decision in words: one sentence that says why, then what was said, understood, known and felt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rfsn_core.contract.understanding import ASKS

if TYPE_CHECKING:
    from rfsn_core.learning.explanation import Explanation
    from rfsn_core.learning.records import DecisionRecord

SOURCES = {
    "rule": "a rule",
    "model": "the model",
    "examples": "the world's signals.toml",
    "context": "what the NPC did before",
}
"""What decides a signal, in words."""
_TELLING = {
    "confide": "confided",
    "hint": "hinted at",
    "refer": "sent the player to {owner} for",
    "explain": "told",
}


def why_words(record: DecisionRecord) -> str:
    """Return one sentence that says why the NPC did what it did."""
    chosen, told = record.action.chosen, record.explanation
    signal = _article(record.signal)
    did = f"{record.npc.capitalize()} chose {chosen}"
    if record.forced_by.startswith("gate:"):
        reason = record.forced_by.removeprefix("gate:").replace("_", " ")
        return f"{did}, because the gate stopped what the player said: {reason}."
    if record.forced_by:
        return f"{did}, because the rule {record.forced_by.replace('_', ' ')} left no choice."
    if told is None:
        return f"{did}, because {record.reasons[record.action.index]}."
    cause = f"the player's words were {signal}"
    if record.occasion:
        cause = f"of '{record.occasion}': it spoke first"
    return f"{did}, because {cause}{_about_knowledge(chosen, told)}{_learned(record)}{_runner_up(record)}."


def _about_knowledge(action: str, told: Explanation) -> str:
    """Return what the knowledge had to do with it, as the rest of a sentence."""
    if told.fact is not None and action == "refer":
        return f" and {told.fact.owner or 'somebody else'} knows the answer"
    if told.fact is not None:
        return f" and fact '{told.fact.id}' answers them"
    if told.withheld and not told.answers:
        return f" and fact '{told.withheld[0].id}' may not be told: {told.withheld[0].unmet or 'it is a secret'}"
    if told.asks:
        return f" that ask for {ASKS.get(told.asks, told.asks)}"
    if told.elsewhere and not told.answers:
        return f" and only {told.elsewhere[0]} knows the answer"
    return ""


def _learned(record: DecisionRecord) -> str:
    """Return what learning had to do with it, as the rest of a sentence."""
    trial, slot = record.trial, record.action
    if trial is not None and trial.acts == "default":
        other = f"; the learned choice was {trial.other}" if trial.other != slot.chosen else ""
        return f", and the default policy acted ({trial.why}){other}"
    favourite = slot.arms[max(range(len(slot.arms)), key=slot.priors.__getitem__)]
    learned = slot.parts.get("learned")
    if learned is None or favourite == slot.chosen or slot.draw is None:
        return ""
    gain = learned[slot.index] - learned[slot.arms.index(favourite)]
    return f", and what was learned speaks for it over {favourite} by {gain:.2f}" if gain > 0 else ""


def _runner_up(record: DecisionRecord) -> str:
    """Return which action came second and by how much; empty when there was no other."""
    slot = record.action
    if record.trial is not None and record.trial.acts == "default":
        return ""
    others = sorted((score, arm) for arm, score in zip(slot.arms, slot.scores, strict=True) if arm != slot.chosen)
    if not others:
        return ""
    score, arm = others[-1]
    behind = slot.scores[slot.index] - score
    if behind < 0:
        return f"; {arm} scored higher by {-behind:.2f}, but chance chose"
    return f"; {arm} came second, {behind:.2f} behind"


def details(record: DecisionRecord) -> Iterator[tuple[str, str]]:
    """Yield (label, words): what was said, understood, known and felt."""
    told = record.explanation
    if told is None:
        return
    yield "Player", f"“{told.player_text}”" if told.player_text else "(said nothing, or was stopped by the gate)"
    yield "NPC", f"“{told.npc_text}”" if told.npc_text else "(nothing)"
    yield "Understood", "; ".join(_understood(record, told))
    yield "Knew", "; ".join(_known(record.action.chosen, told))
    yield "Felt", "; ".join(_felt(record.signal, told))


def _understood(record: DecisionRecord, told: Explanation) -> Iterator[str]:
    source = {"game": "by the game"}.get(told.source, f"by {SOURCES.get(told.source, told.source)}")
    yield f"{record.signal}, {told.confidence:.0%} sure, {source}"
    if told.alternatives:
        yield "or " + ", ".join(f"{name} {share:.0%}" for name, share in told.alternatives)
    if told.acts:
        yield "does " + ", ".join(told.acts)
    if told.question:
        yield f"asks {told.question.replace('_', ' ')}"
    if told.asks:
        yield f"asks for {ASKS.get(told.asks, told.asks)}"
    if told.topics:
        yield "about " + ", ".join(told.topics)
    if told.names:
        yield "names " + ", ".join(told.names)


def _known(action: str, told: Explanation) -> Iterator[str]:
    if told.fact is not None:
        verb = _TELLING.get(action, "used").format(owner=told.fact.owner or "somebody else")
        again = ", which the player had heard before" if told.fact.told else ""
        yield f"{verb} '{told.fact.id}': “{told.fact.text}”{again}"
    for fact in told.withheld:
        yield f"kept back '{fact.id}': {fact.unmet or 'it is a secret'}"
    if told.fact is None and told.answers:
        yield f"{told.answers} fact{'s' * (told.answers > 1)} would have answered"
    if told.elsewhere:
        yield "known to " + ", ".join(told.elsewhere)
    if told.fact is None and not told.withheld and not told.answers and not told.elsewhere:
        yield "nothing about it"


def _felt(signal: str, told: Explanation) -> Iterator[str]:
    if not told.after:
        yield "nothing changed"
        return
    for name in ("affinity", "trust", "fear", "mood", "relationship"):
        if name in told.after:
            yield f"{name} {_value(told.before[name])} → {_value(told.after[name])}"
    moved = any(name in told.heard for name in ("affinity", "trust", "fear"))
    yield f"because of {_article(signal)} and the time that passed" if moved else "by the NPC's own answer"
    for name, feeling in (("regard", "affinity"), ("faith", "trust")):
        lasting = told.after.get(name, told.before[name])
        if lasting:
            yield f"of {feeling}, {float(lasting):+.3f} lasts ({name})"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _article(noun: str) -> str:
    if noun in ("smalltalk", "thanks"):
        return noun
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
