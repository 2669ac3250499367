"""What another policy would have earned, from the log alone.

With w = π(action|x)·π(style|x, action) / p the importance weight of a logged choice, r its reward, and q̂(x, a) a model
of the reward:

- IPS    = mean(w·r)                              unbiased, wide
- SNIPS  = Σ(w·r) / Σw                            nearly unbiased, narrower
- DM     = mean(Σ_a π(a|x)·q̂(x, a))               as good as the model, and no better
- DR     = DM + mean(w·(r - q̂(x, a_logged)))      unbiased if either the model or p is right

Sources: Horvitz–Thompson 1952 (IPS), Swaminathan–Joachims 2015 (SNIPS), Dudík–Langford–Li 2011 (DR). Names and
shapes are those of the Open Bandit Pipeline, which the numbers agree with. Intervals are percentile bootstraps that
resample whole sessions, because rewards flow back within one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.selection import Arm, Policy, Update
from rfsn_core.learning.log_files import read_tree
from rfsn_core.learning.records import DecisionRecord, RewardRecord

Array = NDArray[np.float64]
FEWEST_EFFECTIVE = 100
"""Effective sample size below which an estimate is refused."""


@dataclass
class Log:
    """Logged decisions that can be evaluated, with their rewards."""

    records: list[DecisionRecord]
    rewards: Array
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason → how many decisions were left out."""

    def part(self, chosen: Sequence[int]) -> Log:
        """Some of them."""
        return Log([self.records[index] for index in chosen], self.rewards[list(chosen)], self.left_out)


def read_log(folder: Path) -> Log:
    """Join a folder's decisions and rewards, of all workers. Raises UserError when nothing can be evaluated."""
    if not any(folder.rglob("decisions*.jsonl")):
        raise UserError(
            f"{folder}: no decisions*.jsonl here", hint="The folder is a world's data folder, or `learning/` in it"
        )
    totals: dict[str, float] = defaultdict(float)
    for reward in {reward.reward_id: reward for reward in read_tree(folder, RewardRecord)}.values():
        totals[reward.decision_id] += reward.value
    kept: list[DecisionRecord] = []
    left_out: dict[str, int] = defaultdict(int)
    for record in read_tree(folder, DecisionRecord):
        if reason := _unfit(record):
            left_out[reason] += 1
        else:
            kept.append(record)
    if not kept:
        why = "; ".join(f"{count}: {reason}" for reason, count in left_out.items()) or "it is empty"
        hint = 'Log with a policy that explores, such as [selection] provider = "linucb"'
        raise UserError(f"{folder}: no decision can be evaluated ({why})", hint=hint)
    return Log(kept, np.array([max(-1.0, min(1.0, totals[record.decision_id])) for record in kept]), dict(left_out))


def _unfit(record: DecisionRecord) -> str:
    if not record.explored:
        return "learning was disabled, so nothing was tried"
    if record.forced_by:
        return "a rule left one choice"
    if not record.delivered:
        return "the player never saw it"
    if max(record.action.propensities) >= 1.0 and len(record.action.arms) > 1:
        return "chosen with probability 1, so the log holds no propensities to use"
    return ""


# ── the estimators: plain arrays in, numbers out ─────────────────────────────────────────────────


def ips(reward: Array, weight: Array) -> float:
    """Inverse propensity score."""
    return float(np.mean(weight * reward))


def snips(reward: Array, weight: Array) -> float:
    """Self-normalised inverse propensity score."""
    total = float(weight.sum())
    return float((weight * reward).sum()) / total if total else 0.0


def dm(expected: Array) -> float:
    """Direct method. `expected`: Σ_a π(a|x)·q̂(x, a) of each decision."""
    return float(np.mean(expected))


def dr(reward: Array, weight: Array, expected: Array, logged: Array) -> float:
    """Doubly robust. `logged`: q̂ of the action that was taken."""
    return float(np.mean(expected + weight * (reward - logged)))


def effective_size(weight: Array) -> float:
    """(Σw)² / Σw²: how many decisions of the target policy's own the log is worth."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


# ── a policy's choices, and a model of the reward ────────────────────────────────────────────────


class Target(NamedTuple):
    """What a policy would do in each logged situation."""

    actions: list[Array]
    """The probability of each candidate."""
    styles: Array
    """The probability of the logged style, after the logged action."""


def target(log: Log, policy: Policy | str) -> Target:
    """The choices of a policy: an opened one, or `uniform` or `prior`."""
    actions, styles = [], []
    for record in log.records:
        found = []
        for name, slot in (("action", record.action), ("style", record.style)):
            if policy == "uniform":
                found.append(np.full(len(slot.arms), 1 / len(slot.arms)))
            elif policy == "prior":
                found.append(np.eye(len(slot.arms))[int(np.argmax(slot.priors))])
            else:
                assert not isinstance(policy, str)
                arms = [Arm(arm, prior) for arm, prior in zip(slot.arms, slot.priors, strict=True)]
                found.append(np.array(policy.select(record.context(name), arms).propensities))
        actions.append(found[0])
        styles.append(float(found[1][record.style.index]))
    return Target(actions, np.array(styles))


def train(log: Log, policy: Policy) -> None:
    """Teach a policy what the log's rewards say, as the server would have."""
    for record, reward in zip(log.records, log.rewards, strict=True):
        for name, slot in (("action", record.action), ("style", record.style)):
            prior = slot.priors[slot.index]
            policy.update(Update(record.context(name), slot.chosen, prior, slot.propensity, float(reward)))


def reward_model(log: Log, folds: int = 2, ridge: float = 1.0) -> list[Array]:
    """q̂ of each candidate of each decision: a ridge regression for each action, fitted on the other folds."""
    count = len(log.records)
    conversations = sorted({record.conversation for record in log.records})
    fold_of = {conversation: index % folds for index, conversation in enumerate(conversations)}
    folds_of = np.array([fold_of[record.conversation] for record in log.records])
    if len(conversations) < folds:
        folds_of = np.arange(count) * folds // count
    x = [np.array(record.abstraction.features) for record in log.records]
    found: list[Array] = [np.zeros(len(record.action.arms)) for record in log.records]
    for fold in range(folds):
        mean = float(log.rewards[folds_of != fold].mean()) if (folds_of != fold).any() else 0.0
        rows: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index in np.flatnonzero(folds_of != fold):
            rows[log.records[index].action.chosen, len(x[index])].append(int(index))
        theta = {}
        for (arm, width), chosen in rows.items():
            matrix = np.array([x[index] for index in chosen])
            left = matrix.T @ matrix + ridge * np.eye(width)
            theta[arm, width] = np.linalg.solve(left, matrix.T @ (log.rewards[chosen] - mean))
        for index in np.flatnonzero(folds_of == fold):
            for position, arm in enumerate(log.records[index].action.arms):
                known = theta.get((arm, len(x[index])))
                found[index][position] = mean + (float(known @ x[index]) if known is not None else 0.0)
    return found


# ── the report ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """What `rfsn evaluate` shows."""

    decisions: int
    conversations: int
    left_out: dict[str, int]
    logged: Estimate
    """What the logging policy earned."""
    estimates: dict[str, Estimate]
    effective_size: float
    mean_weight: float
    largest_weight: float
    warnings: list[str]
    refused: str
    """Why the weighted estimates must not be used; empty when they may."""
    actions: dict[str, tuple[float, float]]
    """Action → its share in the log, and under the policy."""
    by_key: dict[str, tuple[int, float]]
    """Abstract state → decisions, and mean reward."""


def evaluate(log: Log, wanted: Target, *, rounds: int = 1000, seed: int = 0) -> Report:
    """Estimate what the target policy would have earned with both slots, action and style.

    :param wanted: from `target`.
    """
    picks = [record.action.index for record in log.records]
    p = np.array([record.action.propensity * record.style.propensity for record in log.records])
    pi = np.array([dist[pick] for dist, pick in zip(wanted.actions, picks, strict=True)]) * wanted.styles
    weight, reward = pi / p, log.rewards
    model = reward_model(log)
    expected = np.array([float(dist @ q) for dist, q in zip(wanted.actions, model, strict=True)])
    taken = np.array([q[pick] for q, pick in zip(model, picks, strict=True)])
    estimators: dict[str, Callable[[Any], float]] = {
        "IPS": lambda rows: ips(reward[rows], weight[rows]),
        "SNIPS": lambda rows: snips(reward[rows], weight[rows]),
        "DM": lambda rows: dm(expected[rows]),
        "DR": lambda rows: dr(reward[rows], weight[rows], expected[rows], taken[rows]),
        "logged": lambda rows: float(reward[rows].mean()),
    }
    conversations = _by_session(log)
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in range(rounds):
        rows = np.concatenate(
            [conversations[index] for index in generator.integers(0, len(conversations), len(conversations))]
        )
        for name, estimator in estimators.items():
            drawn[name].append(estimator(rows))
    found = {
        name: Estimate(estimator(slice(None)), *np.percentile(drawn[name], [2.5, 97.5]).tolist())
        for name, estimator in estimators.items()
    }
    size, mean = effective_size(weight), float(weight.mean())
    warnings = []
    if abs(off := _miscalibration(log)) > 4:
        warnings.append(
            f"choices differ from their probabilities by {off:+.1f} standard errors: the log cannot be trusted"
        )
    if len({record.conversation for record in log.records}) < 10:
        warnings.append("few sessions: the intervals treat stretches of one session as independent")
    refused = ""
    if size < min(FEWEST_EFFECTIVE, len(weight)):
        refused = f"the log is worth {size:.0f} decisions of this policy; {FEWEST_EFFECTIVE} are the fewest to go by"
    logged = found.pop("logged")
    return Report(
        decisions=len(reward),
        conversations=len({record.conversation for record in log.records}),
        left_out=log.left_out,
        logged=logged,
        estimates=found,
        effective_size=size,
        mean_weight=mean,
        largest_weight=float(weight.max()),
        warnings=warnings,
        refused=refused,
        actions=_shares(log, wanted.actions),
        by_key=_by_key(log),
    )


def _miscalibration(log: Log) -> float:
    """By how many standard errors the likeliest candidate was chosen more often than its probability says.

    A log whose probabilities are those of another moment, before a veto say, shows itself here.
    """
    likeliest = np.array([max(record.action.propensities) for record in log.records])
    hits = np.array([record.action.propensity == max(record.action.propensities) for record in log.records])
    spread = float((likeliest * (1 - likeliest)).sum()) ** 0.5
    return float((hits - likeliest).sum()) / spread if spread else 0.0


def _by_session(log: Log) -> list[NDArray[np.intp]]:
    """Rows of each session; of each tenth of the log when there are too few sessions to resample."""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(log.records):
        rows[record.conversation].append(index)
    if len(rows) < 10:
        return list(np.array_split(np.arange(len(log.records)), min(50, len(log.records))))
    return [np.array(found) for found in rows.values()]


def _shares(log: Log, target: Sequence[Array]) -> dict[str, tuple[float, float]]:
    logged: dict[str, float] = defaultdict(float)
    wanted: dict[str, float] = defaultdict(float)
    for record, dist in zip(log.records, target, strict=True):
        logged[record.action.chosen] += 1 / len(log.records)
        for arm, share in zip(record.action.arms, dist, strict=True):
            wanted[arm] += float(share) / len(log.records)
    return {arm: (logged[arm], wanted[arm]) for arm in sorted({*logged, *wanted}, key=lambda arm: -wanted[arm])}


def _by_key(log: Log) -> dict[str, tuple[int, float]]:
    rows: dict[str, list[float]] = defaultdict(list)
    for record, reward in zip(log.records, log.rewards, strict=True):
        rows[record.key].append(float(reward))
    return {key: (len(found), float(np.mean(found))) for key, found in sorted(rows.items(), key=lambda r: -len(r[1]))}
