"""`linucb`: one model for all NPCs, and a small deviation for each.

The reward of an arm is its prior (the world model's score) + x·θ_arm (shared) + δ_npc,arm (the NPC's own). δ has the
prior N(0, τ²). Each part learns from what the other leaves over; their variances add up to the bound.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from rfsn_core import Arm, Context, Selection, Update, UpdateResult
from rfsn_policy_linucb import draw
from rfsn_policy_linucb.posterior import Features, Posterior

MAGIC = b"LINUCB2\n"
FORGET_EVERY = 100
"""Updates between two steps of forgetting."""
CAREFUL = 200
"""Updates after which caution has shrunk to 1/√2; a decision makes two."""
FEWEST_NPCS = 12
"""NPCs from which on what one differs in can be told from what all learn."""


class Settings(BaseModel, extra="forbid"):
    """`[selection.linucb]`."""

    caution: float = Field(
        0.3, ge=0, description="How much uncertainty repels, at the start, from leaving the world model's choice."
    )
    alpha: float = Field(
        0.5, ge=0, description="How much uncertainty attracts, where the world model has no favourite to leave."
    )
    ridge: float = Field(0.3, gt=0, description="Strength of the prior: higher learns slower, and steadier.")
    discount: float = Field(
        0.999,
        gt=0.5,
        le=1,
        description="Factor by which the weight of an observation shrinks with each update; 1: it never shrinks.",
    )
    floor: float = Field(
        0.005, ge=0, le=1, description="Probability shared by all candidates, so that logs can be used."
    )
    explore: str = Field(
        "bound", pattern="^(bound|softmax|thompson)$", description="How the rest is shared: see README."
    )
    temperature: float = Field(0.05, gt=0, description="Of softmax.")
    samples: int = Field(128, ge=8, le=4096, description="Of the Thompson table.")
    share: bool = Field(True, description="One model for all NPCs. False: each NPC learns alone, and slowly.")
    deviation: float = Field(
        0.3, ge=0, description="τ: how far one NPC may differ from all, from a dozen NPCs on. 0: not at all."
    )


def _within(shared: list[float], own: list[float], arms: Sequence[Arm]) -> list[float]:
    """Return the predicted rewards, within their range."""
    means = [learned + arm.prior for learned, arm in zip(shared, arms, strict=True)]
    if own:
        means = [mean + differs for mean, differs in zip(means, own, strict=True)]
    if -1.0 <= min(means) and max(means) <= 1.0:
        return means
    return [-1.0 if mean < -1.0 else 1.0 if mean > 1.0 else mean for mean in means]  # NaN stays NaN, and is refused


class LinUcb:
    """LinUCB with a model that all NPCs share and a deviation for each NPC."""

    version = "2"
    kind = "linucb"

    def __init__(self, settings: Settings, key: bytes) -> None:
        self._settings, self._key = settings, key
        self._models: dict[str, Posterior] = {}
        self._own: dict[str, dict[str, list[float]]] = {}  # model → "npc arm" → [precision, weighted sum]
        self._npcs: set[str] = set()
        """Of whom something was learned."""
        self._updates = 0

    # ── choosing ─────────────────────────────────────────────────────────────────────────────────

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Select nearly always the best arm; every candidate has some probability."""
        settings = self._settings
        shared, own, variances = self._learned(context, arms)
        widths = [math.sqrt(variance) for variance in variances]
        curiosity = [pull * width for pull, width in zip(self._pulls(arms), widths, strict=True)]
        scores = [mean + extra for mean, extra in zip(_within(shared, own, arms), curiosity, strict=True)]
        parts = {"learned": tuple(shared), "curiosity": tuple(curiosity)}
        if own:
            parts["npc"] = tuple(own)
        if not context.explore:
            best = draw.first_best(scores)
            return Selection(
                arms[best].name, tuple(float(i == best) for i in range(len(arms))), tuple(scores), None, parts
            )
        u = draw.uniform(self._key, context.decision_id, context.slot)
        if settings.explore == "softmax":
            shares = draw.softmax(scores, settings.temperature)
        elif settings.explore == "thompson":
            table = draw.uniform(self._key, context.decision_id, context.slot, "table")
            shares = draw.best_share(scores, [settings.alpha * width for width in widths], settings.samples, table)
        else:
            shares = draw.greedy(scores)
        propensities = draw.floored(shares, settings.floor)
        return Selection(arms[draw.choose(propensities, u)].name, tuple(propensities), tuple(scores), u, parts)

    def _pulls(self, arms: Sequence[Arm]) -> list[float]:
        """Return by how much the width of each arm attracts (above 0) or repels.

        The favourite of the world model is what a game gets without learning. Another arm must be better than it by a
        margin that shrinks with what is known of that arm, and with experience as a whole: at first rewards say little
        more than that the world model's scores are no rewards. Without a favourite there is nothing to lose, and what
        may be the best is tried.
        """
        priors = [arm.prior for arm in arms]
        least = max(priors) - draw.TIE
        if min(priors) >= least:
            attracts = self._settings.explore != "thompson"  # whose draws attract already
            return [self._settings.alpha * attracts] * len(arms)
        caution = self._settings.caution * math.sqrt(CAREFUL / (CAREFUL + self._updates))
        return [0.0 if prior >= least else -caution for prior in priors]

    def predict(self, context: Context, arms: Sequence[Arm]) -> tuple[list[float], list[float]]:
        """Return (means, variances) of arms in a context. Means are kept within the range of rewards."""
        shared, own, variances = self._learned(context, arms)
        return _within(shared, own, arms), variances

    def _learned(self, context: Context, arms: Sequence[Arm]) -> tuple[list[float], list[float], list[float]]:
        """Return (what all NPCs learned, what this one differs in, variances) of arms in a context. The second is empty
        while nothing can be said of one NPC."""
        x, name = Features(context.abstraction.features), self._name(context)
        model = self._model(name, len(x.full))
        known = model.arms
        rows = [known[arm.name] if arm.name in known else model.row(arm.name) for arm in arms]
        means, variances = model.predict(rows, x)
        own, spread = self._own.get(name), self._settings.deviation**2
        if not self._settings.share or len(self._npcs) < FEWEST_NPCS:
            own, spread = None, 0.0
        differs: list[float] = []
        if spread:
            differs = [0.0] * len(arms)
            for position, arm in enumerate(arms):
                mine = own.get(f"{context.npc}\x1f{arm.name}") if own else None
                if mine:
                    differs[position] = mine[1] / mine[0]
                variances[position] += 1 / mine[0] if mine else spread
        if min(variances) < 0.0:
            variances = [max(variance, 0.0) for variance in variances]  # a hair, from rounding
        return means, differs, variances

    # ── learning ─────────────────────────────────────────────────────────────────────────────────

    def update(self, update: Update) -> UpdateResult:
        """Learn from a reward; `Posterior.observe` bounds the step."""
        context, settings = update.context, self._settings
        most = 2 if update.again else 1  # from -1 to 1
        if not (-most <= update.reward <= most and math.isfinite(update.prior)):
            raise ValueError(f"a reward of {update.reward} on a prior of {update.prior}")
        if not 0 < update.propensity <= 1:
            raise ValueError(f"a propensity of {update.propensity}")
        if update.weight <= 0:
            return UpdateResult(0.0, 0.0)
        x, name = Features(context.abstraction.features), self._name(context)
        model = self._model(name, len(x.full))
        row = model.row(update.arm)
        self._npcs.add(context.npc)
        own = self._deviation(name, context.npc, update.arm)
        if update.again:
            size, weight = model.amend(row, x, update.reward, update.weight, update.max_step)
            if own is not None:
                own[1] += weight * update.reward
        else:
            target = update.reward - update.prior
            if own is None:
                size, weight = model.observe(row, x, target, update.weight, update.max_step)
            else:
                shared = model.mean(row, x)
                differs = own[1] / own[0] if len(self._npcs) >= FEWEST_NPCS else 0.0
                size, weight = model.observe(row, x, target - differs, update.weight, update.max_step)
                own[0] += weight
                own[1] += weight * (target - shared)
        self._updates += 1
        if settings.discount < 1 and self._updates % FORGET_EVERY == 0:
            self._forget(settings.discount**FORGET_EVERY)
        return UpdateResult(size, weight)

    def _forget(self, keep: float) -> None:
        for model in self._models.values():
            model.forget(keep)
        if self._settings.deviation:
            start = 1 / self._settings.deviation**2
            for arms in self._own.values():
                for own in arms.values():
                    own[0] = keep * own[0] + (1 - keep) * start
                    own[1] *= keep

    def _deviation(self, model: str, npc: str, arm: str) -> list[float] | None:
        if not self._settings.share or not self._settings.deviation:
            return None
        start = [1 / self._settings.deviation**2, 0.0]
        return self._own.setdefault(model, {}).setdefault(f"{npc}\x1f{arm}", start)

    def _name(self, context: Context) -> str:
        """Return a model's name for these rules: other rules make other features, and have a model of their own."""
        abstraction = context.abstraction
        name = f"{context.slot} {abstraction.version} {len(abstraction.features)}"
        return name if self._settings.share else f"{name} {context.npc}"

    def _model(self, name: str, dimension: int) -> Posterior:
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = Posterior(dimension, self._settings.ridge)
        return model

    # ── keeping ──────────────────────────────────────────────────────────────────────────────────

    def checkpoint(self) -> bytes:
        """Return a header as JSON, then for each model A (upper triangle) and b of its arms, as float64."""
        header: dict[str, Any] = {
            "kind": self.kind,
            "ridge": self._settings.ridge,
            "updates": self._updates,
            "models": [
                {
                    "name": name,
                    "dimension": model.dimension,
                    "arms": list(model.arms),
                    "n": model.n[: len(model.arms)].tolist(),
                }
                for name, model in self._models.items()
            ],
            "own": self._own,
        }
        body = io.BytesIO()
        for model in self._models.values():
            used, upper = len(model.arms), np.triu_indices(model.dimension)
            body.write(model.A[:used, upper[0], upper[1]].astype("<f8").tobytes())
            body.write(model.b[:used].astype("<f8").tobytes())
        head = json.dumps(header).encode()
        payload = len(head).to_bytes(8, "little") + head + body.getvalue()
        return MAGIC + hashlib.blake2b(payload, digest_size=16).digest() + payload

    def restore(self, checkpoint: bytes) -> None:
        """Restore a checkpoint. Raises ValueError, with nothing changed, for one that is foreign or damaged."""
        if not checkpoint:
            return
        if checkpoint[: len(MAGIC)] != MAGIC:
            raise ValueError("not a checkpoint of linucb")
        payload = checkpoint[len(MAGIC) + 16 :]
        if hashlib.blake2b(payload, digest_size=16).digest() != checkpoint[len(MAGIC) : len(MAGIC) + 16]:
            raise ValueError("a checkpoint of linucb that is cut short or damaged")
        size = int.from_bytes(payload[:8], "little")
        header = json.loads(payload[8 : 8 + size])
        if header["kind"] != self.kind:
            raise ValueError(f"a checkpoint of {header['kind']}, not of {self.kind}")
        numbers = np.frombuffer(payload[8 + size :], "<f8")
        models, place = {}, 0
        for entry in header["models"]:
            model = Posterior(entry["dimension"], self._settings.ridge)
            for arm in entry["arms"]:
                model.row(arm)
            used, d = len(entry["arms"]), entry["dimension"]
            rows, columns = np.triu_indices(d)
            packed = numbers[place : place + used * len(rows)].reshape(used, len(rows))
            place += used * len(rows)
            A = model.A
            A[:used, rows, columns] = packed
            A[:used, columns, rows] = packed
            # Another ridge in the settings than when it was saved: the prior changes, the evidence stays.
            change = self._settings.ridge - header["ridge"]
            A[:used, np.arange(d), np.arange(d)] += change
            model.b[:used] = numbers[place : place + used * d].reshape(used, d)
            place += used * d
            model.n[:used] = entry["n"]
            for row in range(used):
                if not np.isfinite(A[row]).all() or np.linalg.eigvalsh(A[row])[0] <= 0:
                    raise ValueError(f"the model '{entry['name']}' is not positive definite")
                model.refactor(row)
            models[entry["name"]] = model
        self._models, self._own, self._updates = models, header["own"], header["updates"]
        self._npcs = {key.partition("\x1f")[0] for arms in self._own.values() for key in arms}
