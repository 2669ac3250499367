"""Logged decisions, decided again: under today's rules, weights and NPC files, or in a slightly different situation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState, standing
from rfsn_core.contract.storage import Scope
from rfsn_core.learning.records import DecisionRecord, Slot
from rfsn_core.world.actions import Actions
from rfsn_core.world.decision import Decider, Deliberation
from rfsn_core.world.files import Npc, World
from rfsn_core.world.trial import Trial

STEP = 0.02
"""Between two values of a feeling that are tried."""
BOUNDS = {"affinity": (-1.0, 1.0), "trust": (0.0, 1.0), "fear": (0.0, 1.0)}
FACTORS = (0.0, 0.5, 1.5, 2.0)
"""By which each weight is multiplied in turn."""


class _Hooks(Protocol):
    def changes(self, situation: Situation, actions: Actions) -> Any:
        """Return what plugins change of the candidates."""


class Present(Protocol):
    """What decides today: a runtime."""

    @property
    def world(self) -> World:
        """The NPC files."""

    @property
    def decider(self) -> Decider:
        """The rules, weights and policy."""

    @property
    def hooks(self) -> _Hooks:
        """The plugins."""


@dataclass(frozen=True)
class Flip:
    """The nearest change of one thing that changes what the NPC does."""

    what: str
    """`affinity`, `rule no_greeting`, `weight fit`, …"""
    was: float | None
    would: float | None
    """The value from which on it does something else; None for a rule, which is left out."""
    action: str
    """What it does then."""

    @property
    def words(self) -> str:
        """The flip as half a sentence."""
        if self.would is None or self.was is None:
            return f"{self.action} without the {self.what}"
        return f"{self.action} at {self.what} {self.would:.2f} (it was {self.was:.2f})"


class Hindsight:
    """Decides again.

    :param present: a runtime.
    """

    def __init__(self, present: Present) -> None:
        self._world, self._hooks = present.world, present.hooks
        self._decider = replace(present.decider, explore=False)

    def npc(self, record: DecisionRecord) -> Npc | None:
        """Return the NPC of a decision; None when the world does not have it any more."""
        return self._world.npcs.get(record.npc)

    def situation(self, record: DecisionRecord, npc: Npc) -> Situation:
        """Return what a logged decision was made on, with the NPC's temperament of today."""
        known: dict[str, Any] = {name: record.state[name] for name in record.state if name in _STATE}
        return record.situation(NpcState.from_plain(known), npc.nature.temperament)

    def decide(
        self, situation: Situation, npc: Npc, scope: Scope, *, forced_by: str = "", acts: str = "learned",
        decider: Decider | None = None,
    ) -> Deliberation:  # fmt: skip
        """Decide in a situation, without chance.

        :param forced_by: what left one choice, when it was the gate.
        :param acts: whether the policy that learns decides, or the default.
        """
        decider = decider or self._decider
        return decider.decide(
            situation,
            npc,
            scope,
            "hindsight",
            stopped_by=forced_by.removeprefix("gate:") if forced_by.startswith("gate:") else "",
            changes=self._hooks.changes(situation, decider.actions),
            trial=Trial(acts="default") if acts == "default" else None,
        )

    def again(self, record: DecisionRecord, npc: Npc) -> Deliberation:
        """Decide a logged decision again."""
        scope = Scope(record.save, record.npc, record.player)
        acts = record.trial.acts if record.trial else "learned"
        return self.decide(self.situation(record, npc), npc, scope, forced_by=record.forced_by, acts=acts)

    # ── what would change it ─────────────────────────────────────────────────────────────────────

    def flips(self, situation: Situation, npc: Npc, scope: Scope, acts: str = "learned") -> Iterator[Flip]:
        """Yield the nearest changes that lead to another action: of each feeling, each weight, and each rule."""
        now = self.decide(situation, npc, scope, acts=acts)
        chosen = now.event.action
        for name in BOUNDS:
            yield from self._feeling(name, situation, npc, scope, acts, chosen)
        for rule in {*now.options.vetoes.values(), now.event.forced_by} - {""}:
            rules = tuple(one for one in self._decider.rules if one.name != rule)
            other = self.decide(situation, npc, scope, acts=acts, decider=replace(self._decider, rules=rules))
            if other.event.action != chosen:
                yield Flip(f"rule {rule}", None, None, other.event.action)
        weights = self._decider.weights
        for name, value in weights.model_dump().items():
            for factor in sorted(FACTORS, key=lambda factor: abs(factor - 1)):
                changed = replace(self._decider, weights=weights.model_copy(update={name: value * factor}))
                other = self.decide(situation, npc, scope, acts=acts, decider=changed)
                if other.event.action != chosen:
                    yield Flip(f"weight {name}", value, value * factor, other.event.action)
                    break

    def _feeling(
        self, name: str, situation: Situation, npc: Npc, scope: Scope, acts: str, chosen: str
    ) -> Iterator[Flip]:
        low, high = BOUNDS[name]
        was = float(getattr(situation.state, name))
        for direction in (-1, 1):
            for step in range(1, int((high - low) / STEP) + 1):
                value = round((round(was / STEP) + direction * step) * STEP, 4)
                if not low <= value <= high:
                    break
                state = with_feelings(situation.state, {name: value})
                other = self.decide(replace(situation, state=state), npc, scope, acts=acts)
                if other.event.action != chosen:
                    yield Flip(name, was, value, other.event.action)
                    break


_STATE = frozenset(NpcState.__struct_fields__)


def with_feelings(state: NpcState, feelings: Mapping[str, float]) -> NpcState:
    """Return the state with other feelings, and the relationship that belongs to them."""
    changed = msgspec.structs.replace(state, **feelings)
    if "affinity" in feelings:
        changed = msgspec.structs.replace(changed, standing=standing(changed.affinity))
    return changed


def expected(record: DecisionRecord) -> tuple[str, str]:
    """Return the action and style that a logged decision would have had without chance. The style is empty where that
    is not known, because chance chose another action."""
    if record.forced_by or (record.trial is not None and record.trial.acts == "default"):
        return record.action.chosen, record.style.chosen
    action, style = _best(record.action), _best(record.style)
    return action, style if action == record.action.chosen else ""


def _best(slot: Slot) -> str:
    return slot.arms[max(range(len(slot.arms)), key=slot.scores.__getitem__)]
