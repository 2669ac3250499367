"""The metrics: what each says, and its judgement of a case that was played. docs/evaluating.md has the definitions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from rfsn_core.contract.npc import NpcState
from rfsn_core.exam import wording
from rfsn_core.exam.cases import Case
from rfsn_core.exam.claims import Statement, conflict, sentences
from rfsn_core.exam.knowing import NpcKnowledge
from rfsn_core.exam.results import CaseResult, PlayedTurn, Point
from rfsn_core.exam.suite import FEELINGS, Horde, ScriptTurn
from rfsn_core.kit.words import content_words
from rfsn_core.memory.consistency import contradicts_earlier
from rfsn_core.world.actions import Actions

METRICS = {
    "heard": "what the player says is understood as the suite expects",
    "action": "the NPC does what the suite expects",
    "answering": "a fact that was asked for, or that the NPC decided to tell, is in its words",
    "secrecy": "what a stranger must not hear is not in its words",
    "lore_accuracy": "what it claims is known, and neither contradicted nor invented",
    "lore": "a fact of the world's files contradicts no other that the NPC may tell",
    "honesty": "asked for what it cannot know, it invents nothing",
    "consistency": "asked again, and of itself, it says the same",
    "words": "its words contain what the suite expects, and nothing that it forbids",
    "privacy": "what one player said does not reach another",
    "feelings": "affinity, trust and fear move as the suite expects",
    "style": "the words are in the style that was decided",
    "sentiment": "the words are as friendly as the action",
    "persona": "the NPC speaks, and not the model",
    "repetition": "no sentence was said before in the conversation",
    "barge_in": "interrupted, it stops, and remembers what was delivered and no more",
    "finished": "the turn ends with words",
    "engine": "the renderer of the settings worded the turn, and no fallback",
    "coherence": "an NPC of the horde does what most do in the same situation",
    "archetype": "an NPC of the horde does nothing that is out of its archetype",
    "first_sentence_ms": "milliseconds until the first sentence, 95th percentile",
    "total_ms": "milliseconds of the whole turn, 95th percentile",
}
"""Metric → what it says. All but the times are shares of the judgements in which it is so."""
TIMES = ("first_sentence_ms", "total_ms")
TELLING = ("explain", "confide")
"""Actions that tell the fact that the decision is about."""
STATED = 0.5
"""Share of a fact's words that must be in a reply that states it."""


def points_of(case: Case, turns: Sequence[PlayedTurn], knowledge: NpcKnowledge, actions: Actions) -> list[Point]:
    """Return the judgements of a case."""
    judge = _Judge(case, turns, knowledge, actions)
    points = [point for number in range(len(turns)) for point in judge.turn(number)]
    return [*points, *judge.whole()]


class _Judge:
    def __init__(self, case: Case, turns: Sequence[PlayedTurn], knowledge: NpcKnowledge, actions: Actions) -> None:
        self._asked, self._turns, self._knowledge, self._actions = case.turns, turns, knowledge, actions

    def turn(self, index: int) -> Iterator[Point]:
        """Yield the judgements of one turn."""
        asked, turn, number = self._asked[index], self._turns[index], index + 1
        if turn.outcome == "event":
            yield from self._feelings(asked, turn, number)
            return
        spoken = bool(turn.words) and not turn.outcome.startswith("failed")
        yield _point("finished", spoken, number, turn.outcome)
        if not spoken:
            return
        for judgement in (self._heard, self._action, self._facts, self._texts, self._feelings, self._wording):
            yield from judgement(asked, turn, number)
        if asked.same_as:
            yield self._same(asked, turn, number)
        for name in TIMES:
            if (value := turn.times.get(name.removesuffix("_ms"))) is not None:
                yield Point(name, value, number)

    def whole(self) -> Iterator[Point]:
        """Yield what can only be said of the whole conversation."""
        seen: dict[str, set[str]] = defaultdict(set)
        earlier: dict[str, list[str]] = defaultdict(list)
        for number, (asked, turn) in enumerate(zip(self._asked, self._turns, strict=True), 1):
            if turn.outcome == "event" or not turn.words:
                continue
            said = [part for part in sentences(turn.words) if len(part.split()) > 3]
            again = next((part for part in said if part in seen[asked.player]), "")
            if not asked.same_as:  # who asks twice may hear the same twice
                yield _point("repetition", not again, number, f"again: {again}")
            contradicts = contradicts_earlier(turn.words, earlier[asked.player], ("origin", "home", "trade", "name"))
            if earlier[asked.player]:
                yield _point("consistency", not contradicts, number, "says something else of itself than before")
            seen[asked.player].update(said)
            earlier[asked.player].append(turn.words)
            if asked.barge_in:
                yield self._barge_in(turn, number)

    # ── what the suite expects ───────────────────────────────────────────────────────────────────

    def _heard(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        if asked.heard:
            yield _point("heard", turn.heard in asked.heard, number, f"{turn.heard}, not {' or '.join(asked.heard)}")

    def _action(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        names = {turn.action, self._actions.plain(turn.action) if turn.action in self._actions else turn.action}
        if asked.does:
            yield _point(
                "action", bool(names & set(asked.does)), number, f"{turn.action}, not {' or '.join(asked.does)}"
            )
        if asked.does_not:
            yield _point("action", not names & set(asked.does_not), number, turn.action)

    def _facts(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        if asked.tells:
            stated = self.states(asked.tells, turn.words)
            yield _point("answering", stated, number, f"'{asked.tells}' is not in: {turn.words}")
        elif turn.fact in self._knowledge.by_id and turn.action in TELLING and turn.fact not in turn.told:
            stated = self.states(turn.fact, turn.words)
            yield _point("answering", stated, number, f"decided to tell '{turn.fact}', said: {turn.words}")
        if asked.keeps and not self._may_tell(asked.keeps, turn):
            stated = self.states(asked.keeps, turn.words, asked.say)
            yield _point("secrecy", not stated, number, f"'{asked.keeps}' is in: {turn.words}")

    def _may_tell(self, fact: str, turn: PlayedTurn) -> bool:
        """Return whether the conditions of a fact had come to hold: what was told before may allow it."""
        entry = self._knowledge.by_id.get(fact)
        if entry is None or not turn.told:
            return False
        feels = {name: max(turn.before.get(name, 0.0), turn.after.get(name, 0.0)) for name in FEELINGS}
        state = NpcState.from_plain({**feels, "turns": 1})
        return not entry.fact.when.unmet(state, {}, dict.fromkeys(turn.told, 0))

    def _texts(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        words = turn.words.casefold()
        if asked.says:
            has = any(text.casefold() in words for text in asked.says)
            yield _point("words", has, number, f"without {' or '.join(asked.says)}: {turn.words}")
        if asked.says_not:
            found = [text for text in asked.says_not if text.casefold() in words]
            metric = "privacy" if asked.player else "words"
            yield _point(metric, not found, number, f"with {', '.join(found)}: {turn.words}")

    def _feelings(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        for name, wanted in asked.feels.items():
            before, after = turn.before.get(name, 0.0), turn.after.get(name, 0.0)
            yield _point("feelings", _moved(wanted, before, after), number, f"{name} {before:+.2f} → {after:+.2f}")

    # ── what is asked of every turn ──────────────────────────────────────────────────────────────

    def _wording(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Iterator[Point]:
        style = wording.style_fault(turn.style, turn.words, telling=turn.action in TELLING)
        if style is not None:
            yield _point("style", not style, number, f"{turn.style}: {style}")
        tone = self._actions[turn.action].tone if turn.action in self._actions else 0.0
        sounds = wording.sentiment_fault(tone, turn.words)
        if sounds is not None:
            yield _point("sentiment", not sounds, number, f"{turn.action}: {sounds}: {turn.words}")
        persona = wording.persona_fault(turn.words)
        yield _point("persona", not persona, number, persona)
        said = [played.say for played in self._turns[:number]]
        claims = [self._knowledge.checker.judge(part, said) for part in sentences(turn.words)]
        wrong = [claim for claim in claims if claim.kind in ("contradicted", "invented")]
        for claim in claims:
            if claim.kind != "none":
                about = f" '{claim.fact}'" if claim.fact else ""
                why = f"{claim.kind}{about} ({claim.why}): {claim.sentence}"
                yield _point("lore_accuracy", claim.kind == "stated", number, why)
        if asked.knows is False:
            yield _point("honesty", not wrong, number, wrong[0].sentence if wrong else "")

    def _same(self, asked: ScriptTurn, turn: PlayedTurn, number: int) -> Point:
        index = next(index for index, other in enumerate(self._asked) if other.label == asked.same_as)
        first = self._turns[index]
        names = self._knowledge.names
        for one in sentences(first.words):
            for other in sentences(turn.words):
                mine, theirs = Statement(one, names=names), Statement(other, names=names)
                shared = len(mine.stems & theirs.stems)
                if shared >= 2 and shared >= 0.5 * min(len(mine.stems), len(theirs.stems)):
                    if why := conflict(mine, theirs):
                        return _point("consistency", False, number, f"{why}: {one} / {other}")
        facts = {fact for fact in (first.fact, asked.tells) if fact in self._knowledge.by_id}
        told = [fact for fact in facts if self.states(fact, first.words)]
        forgotten = [fact for fact in told if not self.states(fact, turn.words) and turn.fact != fact]
        return _point("consistency", not forgotten, number, f"'{', '.join(forgotten)}' is not told again: {turn.words}")

    def _barge_in(self, turn: PlayedTurn, number: int) -> Point:
        if turn.outcome not in ("cancelled", "complete"):
            return _point("barge_in", False, number, turn.outcome)
        kept = " ".join(turn.remembered.split())
        return _point("barge_in", kept == " ".join(turn.words.split()), number, f"said: {turn.words}; kept: {kept}")

    def states(self, fact: str, words: str, asked: str = "") -> bool:
        """Return whether words state a fact. What the player asked with counts for nothing."""
        entry = self._knowledge.by_id.get(fact)
        if entry is None:
            return False
        ignored = set(content_words(asked, "en"))
        spoken = set(content_words(words, "en")) - ignored
        for text in (entry.fact.text, entry.fact.again):
            wanted = set(content_words(text, "en")) - ignored
            if wanted and len(wanted & spoken) >= STATED * len(wanted) and (not asked or len(wanted & spoken) > 1):
                return True
        return False


def _moved(wanted: str, before: float, after: float) -> bool:
    match wanted:
        case "up":
            return after > before + 0.005
        case "down":
            return after < before - 0.005
        case "same":
            return abs(after - before) <= 0.02
        case "not up":
            return after <= before + 0.005
        case "not down":
            return after >= before - 0.005
    bound = float(wanted[1:])
    return after > bound if wanted[0] == ">" else after < bound


def _point(metric: str, holds: bool, turn: int, why: str = "") -> Point:
    return Point(metric, 1.0 if holds else 0.0, turn, "" if holds else why)


def lore_points(knowledge: NpcKnowledge) -> list[Point]:
    """Return a judgement for each fact of an NPC: whether it contradicts another."""
    wrong: dict[str, str] = {}
    for one, other, why in knowledge.contradictions():
        wrong.setdefault(one.fact, f"'{one.fact}' and '{other.fact}' ({why}): {one.text} / {other.text}")
    return [_point("lore", entry.id not in wrong, 0, wrong.get(entry.id, "")) for entry in knowledge.entries]


def horde_points(horde: Horde, results: Sequence[CaseResult]) -> dict[str, list[Point]]:
    """Return, for each case of a horde, whether the NPC does what most do in the same turn of the same conversation."""
    group = {action: number for number, actions in enumerate(horde.alike) for action in actions}
    most: dict[tuple[str, int], str | int] = {}
    for script in {result.script for result in results}:
        of_script = [result for result in results if result.script == script]
        for number in range(max(len(result.turns) for result in of_script)):
            counts = Counter(_kind(result, number, group) for result in of_script if number < len(result.turns))
            most[script, number] = counts.most_common(1)[0][0]
    points: dict[str, list[Point]] = {}
    for result in results:
        mine = points.setdefault(result.id, [])
        for number, turn in enumerate(result.turns):
            alike = _kind(result, number, group) == most[result.script, number]
            mine.append(_point("coherence", alike, number + 1, f"{turn.action} after: {turn.say}"))
            mine.append(_point("archetype", turn.action not in horde.never, number + 1, turn.action))
    return points


def _kind(result: CaseResult, number: int, group: dict[str, int]) -> str | int:
    action = result.turns[number].action
    return group.get(action, action)
