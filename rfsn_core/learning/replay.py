"""Makes a logged decision again: from its own numbers, and from the NPC's state under the rules of a world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from rfsn_core.contract.actions import SafetyRule
from rfsn_core.contract.npc import NpcState
from rfsn_core.learning.records import DecisionRecord
from rfsn_core.world.actions import Actions
from rfsn_core.world.candidates import Candidates, candidates
from rfsn_core.world.decision import only_action
from rfsn_core.world.files import World
from rfsn_core.world.scoring import Weights, score_actions, score_styles

CLOSE = 1e-6
"""Difference of two scores that are the same."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What decisions follow from, besides the situation."""

    world: World
    actions: Actions
    safety: Sequence[SafetyRule]
    weights: Weights


def own_differences(record: DecisionRecord) -> Iterator[str]:
    """Yield where a record contradicts itself: its choice is not what its probabilities and its draw lead to."""
    for slot in (record.action, record.style):
        if slot.repeated() != slot.chosen:
            yield f"{record.decision_id}: the log says {slot.chosen}, its numbers say {slot.repeated()}"


def differences(record: DecisionRecord, rules: Rules) -> Iterator[str]:
    """Yield where a decision comes out differently when its candidates and their scores are computed again."""
    npc = rules.world.npcs.get(record.npc)
    if npc is None:
        yield f"{record.decision_id}: this world has no NPC '{record.npc}'"
        return
    try:
        state = NpcState.from_plain(record.state)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        yield f"{record.decision_id}: its state cannot be read: {error}"
        return
    situation = record.situation(state, npc.nature.temperament)
    if record.forced_by.startswith("gate:"):
        options = Candidates({only_action(record.forced_by.removeprefix("gate:")): ""}, {}, forced_by=record.forced_by)
    else:
        options = candidates(situation, rules.actions, rules.safety, record.changes)
    if missing := [name for name in record.action.arms if name not in rules.actions]:
        yield f"{record.decision_id}: this world has no action {missing[0]}"
        return
    if list(options.reasons) != record.action.arms or options.forced_by != record.forced_by:
        yield f"{record.decision_id}: the log says {', '.join(record.action.arms)}; now: {', '.join(options.reasons)}"
        return
    if options.vetoes != record.vetoes:
        yield f"{record.decision_id}: the log has other vetoes than the rules give"
    scores = score_actions(situation, options, rules.actions, rules.weights, npc.file.actions)
    for name, prior in zip(record.action.arms, record.action.priors, strict=True):
        if abs(scores[name].total - prior) > CLOSE:
            yield f"{record.decision_id}: the log says {prior:+.4f} for {name}; now: {scores[name].total:+.4f}"
            return
    styles = score_styles(situation, rules.actions[record.action.chosen].tone, npc.file.styles)
    if any(abs(styles.get(name, prior + 1) - prior) > CLOSE
           for name, prior in zip(record.style.arms, record.style.priors, strict=True)):  # fmt: skip
        yield f"{record.decision_id}: the log has other scores of styles than the rules give"
