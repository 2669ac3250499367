"""LinUCB against a plain solve, and what its log promises to an evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from rfsn_policy_linucb import draw
from rfsn_policy_linucb.linucb import LinUcb, Settings
from rfsn_policy_linucb.posterior import Features, Posterior
from rfsn_policy_linucb.simple import EpsilonGreedy, EpsilonSettings, Thompson, ThompsonSettings

from rfsn_core import Abstraction, Arm, Context, Update

D = 6
KEY = b"key"


def context(
    x: Sequence[float], number: int = 0, *, npc: str = "smith", version: str = "v1", explore: bool = True
) -> Context:
    abstraction = Abstraction("KEY", version, tuple(x), tuple(f"f{n}" for n in range(len(x))))
    return Context(f"d{number}", "action", npc, f"w/{npc}/p", abstraction, explore=explore)


def an_update(x: Sequence[float], reward: float, *, arm: str = "a", npc: str = "smith", **fields: float) -> Update:
    return Update(context(x, npc=npc), arm, 0.0, 0.5, reward, **fields)  # type: ignore[arg-type]


def policy(**settings: object) -> LinUcb:
    return LinUcb(Settings.model_validate({"deviation": 0.0, **settings}), KEY)


unit = st.lists(st.floats(-1, 1), min_size=D, max_size=D).map(lambda x: [v / (1 + math.hypot(*x)) for v in x])
observations = st.lists(st.tuples(unit, st.floats(-1, 1), st.floats(0.05, 1)), min_size=1, max_size=40)


@given(observations, st.floats(0.1, 10))
def test_the_posterior_is_that_of_a_weighted_ridge_regression(
    data: list[tuple[list[float], float, float]], ridge: float
) -> None:
    posterior = Posterior(D, ridge)
    row = posterior.row("a")
    A, b = ridge * np.eye(D), np.zeros(D)
    for x, reward, weight in data:
        values = np.array(x)
        posterior.observe(row, Features(x), reward, weight, math.inf)
        A += weight * np.outer(values, values)
        b += weight * reward * values
    assert np.allclose(posterior.A[row], A, atol=1e-9)
    assert np.allclose(posterior.theta[row], np.linalg.solve(A, b), atol=1e-8)
    assert np.allclose(posterior.inverse[row], np.linalg.inv(A), atol=1e-8)
    asked = np.array(data[0][0])
    for few in (False, True):
        features = Features(asked)
        features.few, features.values = few, asked[features.index] if few else asked
        means, variances = posterior.predict([row], features)
        assert means[0] == pytest.approx(asked @ np.linalg.solve(A, b), abs=1e-8)
        assert variances[0] == pytest.approx(asked @ np.linalg.inv(A) @ asked, abs=1e-8)
    rewards = np.array([reward for _, reward, _ in data])
    weights = np.array([weight for _, _, weight in data])
    bound = np.sqrt((weights * rewards**2).sum()) / (2 * math.sqrt(ridge))
    assert np.linalg.norm(posterior.theta[row]) <= bound + 1e-9


@given(observations, st.floats(0.01, 0.5))
def test_no_step_is_longer_than_the_bound_and_the_rest_stays_exact(
    data: list[tuple[list[float], float, float]], bound: float
) -> None:
    posterior = Posterior(D, 1.0)
    row = posterior.row("a")
    A, b = np.eye(D), np.zeros(D)
    for x, reward, weight in data:
        values, before = np.array(x), posterior.theta[row].copy()
        step, got = posterior.observe(row, Features(x), reward, weight, bound)
        assert got <= weight
        moved = float(np.linalg.norm(posterior.theta[row] - before))
        assert moved == pytest.approx(step, abs=1e-9)
        assert moved <= bound + 1e-9
        if got < weight:
            assert moved == pytest.approx(bound)
        A += got * np.outer(values, values)
        b += got * reward * values
    assert np.allclose(posterior.theta[row], np.linalg.solve(A, b), atol=1e-8)


def test_a_late_reward_adds_to_the_first_and_is_no_second_observation() -> None:
    x = [0.5, 0.5, 0, 0, 0, 0.1]
    parts, whole = policy(), policy()
    parts.update(an_update(x, 0.3))
    parts.update(an_update(x, 0.4, again=True))
    whole.update(an_update(x, 0.7))
    arms = [Arm("a", 0.0)]
    assert parts.select(context(x), arms).scores == pytest.approx(whole.select(context(x), arms).scores, abs=1e-12)


@pytest.mark.parametrize("updates", [10_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_rounding_errors_do_not_add_up(updates: int) -> None:
    generator = np.random.default_rng(1)
    posterior = Posterior(31, 1.0)
    row = posterior.row("a")
    places = generator.integers(0, 5, (updates, 6)) + np.arange(6) * 5
    rewards = generator.uniform(-1, 1, updates)
    for hot, reward in zip(places, rewards, strict=True):
        x = np.zeros(31)
        x[30] = x[hot] = 1 / math.sqrt(7)
        posterior.observe(row, Features(x), reward, 1.0, math.inf)
    fresh = np.linalg.inv(posterior.A[row])
    assert np.abs(posterior.inverse[row] / fresh - 1).max() < 1e-6
    assert np.allclose(posterior.theta[row], fresh @ posterior.b[row], rtol=1e-6, atol=1e-9)


def test_what_is_never_seen_again_is_forgotten_and_nothing_blows_up() -> None:
    learner = policy(discount=0.99, ridge=1.0)
    for number in range(20_000):
        x = np.zeros(D)
        x[0], x[1 + (number % 2 if number > 1000 else number % 5)] = 0.5, 0.5
        learner.update(an_update(x.tolist(), 1.0))
    (model,) = learner._models.values()
    eigenvalues = np.linalg.eigvalsh(model.inverse[0])
    assert 0 < eigenvalues[0]
    assert eigenvalues[-1] <= 1 + 1e-9


# ── what is logged ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("explore", ["bound", "softmax", "thompson"])
@given(priors=st.lists(st.floats(-1, 1), min_size=1, max_size=9), number=st.integers(0, 10**6))
@budget(max_examples=40)
def test_probabilities_sum_to_one_and_every_candidate_has_its_share(
    explore: str, priors: list[float], number: int
) -> None:
    arms = [Arm(f"a{n}", prior) for n, prior in enumerate(priors)]
    learner = policy(explore=explore, floor=0.02)
    choice = learner.select(context([0.5] * D, number), arms)
    assert sum(choice.propensities) == pytest.approx(1, abs=1e-12)
    assert min(choice.propensities) >= 0.02 / len(arms) - 1e-15
    assert learner.select(context([0.5] * D, number), arms) == choice  # from its id alone, again and again
    assert policy(explore=explore, floor=0.02).select(context([0.5] * D, number), arms) == choice


def test_the_log_of_a_learning_policy_can_be_evaluated() -> None:
    """E[w] = 1 and an unbiased estimate, although the policy learns while it logs."""
    generator = np.random.default_rng(3)
    learner = policy()
    truth = [0.2, 0.5, -0.3, 0.1]
    arms = [Arm(f"a{n}", 0.0) for n in range(4)]
    weights, estimates = [], []
    for number in range(20_000):
        x = [0.7, *(generator.random(D - 1) * 0.2)]
        choice = learner.select(context(x, number), arms)
        index = int(choice.arm[1:])
        reward = float(np.clip(truth[index] + generator.normal(0, 0.2), -1, 1))
        p = choice.propensities[index]
        weights.append(0.25 / p)
        estimates.append(reward * (index == 3) / p)
        if number % 10 == 0:
            learner.update(Update(context(x, number), choice.arm, 0.0, p, reward))
    error = np.std(weights) / math.sqrt(len(weights))
    assert abs(np.mean(weights) - 1) < 3 * error
    spread = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth[3]) < 3 * spread


def test_probabilities_from_before_a_veto_bias_the_estimate_and_ours_do_not() -> None:
    """Arm 0 is vetoed half the time. Logged as if it were not, its choices go to the others with too small a p."""
    generator = np.random.default_rng(5)
    learner = policy(floor=0.1)
    rewards = [0.9, 0.6, 0.5, 0.4]
    learner.update(an_update([1, 0, 0, 0, 0, 0], 0.9, arm="a0"))
    masked: list[float] = []
    unmasked: list[float] = []
    truths = []
    for number in range(8_000):
        x, allowed = [1.0, 0, 0, 0, 0, 0], [0, 1, 2, 3] if number % 2 else [1, 2, 3]
        arms = [Arm(f"a{n}", 0.0) for n in allowed]
        choice = learner.select(context(x, number), arms)
        index, p = int(choice.arm[1:]), choice.propensities[[arm.name for arm in arms].index(choice.arm)]
        everything = learner.select(context(x, number), [Arm(f"a{n}", 0.0) for n in range(4)])
        reward = rewards[index] + generator.normal(0, 0.05)
        target = 1 / len(allowed)  # the uniform policy over what is allowed
        truths.append(np.mean([rewards[n] for n in allowed]))
        masked.append(reward * target / p)
        unmasked.append(reward * target / everything.propensities[index])
    spread = np.std(masked) / math.sqrt(len(masked))
    assert abs(np.mean(masked) - np.mean(truths)) < 4 * spread
    assert np.mean(unmasked) - np.mean(truths) > 0.5  # what the mistake would cost


def test_ties_are_shared_and_scores_do_not_depend_on_how_many_are_asked() -> None:
    assert draw.greedy([0.3, 0.3, 0.1]) == [0.5, 0.5, 0.0]
    learner = policy()
    for number in range(50):
        learner.update(an_update([0.3] * D, 0.5, arm=f"a{number % 9}"))
    arms = [Arm(f"a{n}", 0.0) for n in range(9)]
    scores = learner.select(context([0.3] * D), arms).scores
    for count in range(1, 9):
        assert learner.select(context([0.3] * D), arms[:count]).scores == pytest.approx(scores[:count], abs=1e-9)


def test_without_exploration_the_best_is_taken_with_certainty() -> None:
    learner = policy()
    learner.update(an_update([0.5] * D, 1.0, arm="b"))
    for number in range(50):
        choice = learner.select(context([0.5] * D, number, explore=False), [Arm("a", 0.0), Arm("b", 0.0)])
        assert (choice.arm, choice.propensities) == ("b", (0.0, 1.0))


# ── one model, many NPCs ─────────────────────────────────────────────────────────────────────────


def mean(learner: LinUcb, npc: str, arm: str = "a") -> float:
    return float(learner.predict(context([0.5] * D, npc=npc), [Arm(arm, 0.0)])[0][0])


def test_what_one_npc_learns_helps_a_new_one() -> None:
    learner = policy(deviation=0.3)
    for _ in range(50):
        learner.update(an_update([0.5] * D, 0.8, npc="old"))
    assert mean(learner, "new") > 0.5


def test_an_npc_may_differ_from_the_others() -> None:
    few, many = policy(deviation=0.5), policy(deviation=0.5)
    for learner, npcs in ((few, 3), (many, 12)):
        for _ in range(60):
            for number in range(npcs):
                learner.update(an_update([0.5] * D, 0.6 if number else -0.2, npc=f"npc {number}"))
    assert mean(many, "npc 0") < mean(many, "new") - 0.1 < mean(many, "npc 1")
    assert mean(few, "npc 0") == mean(few, "new")  # too few to tell what one differs in


def test_the_favourite_is_left_only_for_what_is_known_to_be_better() -> None:
    learner = policy(floor=0.0)
    x, arms = [0.5] * D, [Arm("favourite", 0.5), Arm("other", 0.4)]
    for _ in range(5):
        learner.update(replace(an_update(x, 0.35, arm="favourite"), prior=0.5))
    assert learner.select(context(x), arms).arm == "favourite"  # nothing is known of the other
    for _ in range(5):
        learner.update(replace(an_update(x, 0.6, arm="other"), prior=0.4))
    assert learner.select(context(x), arms).arm == "other"


@pytest.mark.parametrize("make", [lambda: EpsilonGreedy(EpsilonSettings(epsilon=0), b"k"),
                                  lambda: Thompson(ThompsonSettings(floor=0), b"k")])  # fmt: skip
def test_the_other_policies_use_the_situation(make: Callable[[], LinUcb]) -> None:
    learner, arms = make(), [Arm("a", 0.0), Arm("b", 0.0)]
    situations = ([1.0, 0.0], "a"), ([0.0, 1.0], "b")
    for _ in range(30):
        for x, best in situations:
            for arm in "ab":
                learner.update(an_update(x, 1.0 if arm == best else 0.0, arm=arm))
    for x, best in situations:
        choice = learner.select(context(x), arms)
        assert choice.propensities["ab".index(best)] > 0.95
    with pytest.raises(ValueError, match="not of linucb"):
        policy().restore(learner.checkpoint())


def test_isolated_npcs_learn_alone() -> None:
    learner = policy(share=False)
    for _ in range(20):
        learner.update(an_update([0.5] * D, 0.8, npc="old"))
    assert mean(learner, "old") > 0.5
    assert mean(learner, "new") == 0


def test_ten_thousand_npcs_cost_what_they_differ_by(tmp_path: object) -> None:
    learner = policy(deviation=0.3)
    for number in range(10_000):
        learner.update(an_update([0.5] * D, 0.1, npc=f"n{number}"))
    data = learner.checkpoint()
    assert len(data) < 1_000_000
    again = policy(deviation=0.3)
    again.restore(data)
    assert mean(again, "n77") == pytest.approx(mean(learner, "n77"))


# ── keeping ──────────────────────────────────────────────────────────────────────────────────────


def test_a_restored_policy_makes_the_same_next_thousand_decisions() -> None:
    generator = np.random.default_rng(2)
    one, other = policy(deviation=0.3), policy(deviation=0.3)
    arms = [Arm(f"a{n}", 0.0) for n in range(5)]
    for number in range(300):
        one.update(
            an_update(
                (generator.random(D) / 3).tolist(), generator.uniform(-1, 1), arm=f"a{number % 5}", npc=f"n{number % 7}"
            )
        )
    other.restore(one.checkpoint())
    for number in range(1000):
        asked = context((generator.random(D) / 3).tolist(), number, npc=f"n{number % 9}")
        mine, theirs = one.select(asked, arms), other.select(asked, arms)
        assert mine.arm == theirs.arm
        assert mine.scores == pytest.approx(theirs.scores, abs=1e-9)


@pytest.mark.parametrize("damage", ["foreign", "cut", "flipped", "empty header"])
def test_a_damaged_checkpoint_is_refused_and_nothing_changes(damage: str) -> None:
    learner = policy()
    learner.update(an_update([0.5] * D, 0.8))
    good = learner.checkpoint()
    bad = {
        "foreign": b"something else entirely",
        "cut": good[:-20],
        "flipped": good[:60] + bytes([good[60] ^ 1]) + good[61:],
        "empty header": good[:24] + bytes(100),
    }[damage]
    with pytest.raises(ValueError, match="linucb"):
        learner.restore(bad)
    assert learner.checkpoint() == good


def test_other_features_make_another_model_and_the_old_one_is_kept() -> None:
    learner = policy()
    learner.update(an_update([0.5] * D, 0.8))
    before = mean(learner, "smith")
    wider = context([0.5] * (D + 2), version="v2")
    learner.select(wider, [Arm("a", 0.0)])
    learner.update(Update(wider, "a", 0.0, 0.5, -0.5))
    assert mean(learner, "smith") == before
    learner.restore(learner.checkpoint())
    assert mean(learner, "smith") == pytest.approx(before)


@pytest.mark.parametrize(
    "bad",
    [
        {"reward": math.nan}, {"reward": math.inf}, {"reward": 100.0}, {"prior": math.nan}, {"propensity": 0.0},
        {"propensity": 2.0}, {"context": context([math.nan] * D)},
    ],
)  # fmt: skip
def test_an_impossible_update_is_refused_and_nothing_changes(bad: dict[str, object]) -> None:
    for learner in (policy(),):
        learner.update(an_update([0.5] * D, 0.8))
        before = learner.checkpoint()
        values = {"context": context([0.5] * D), "arm": "a", "prior": 0.0, "propensity": 0.5, "reward": 0.5, **bad}
        with pytest.raises(ValueError):  # noqa: PT011  each says what is wrong in its own words
            learner.update(Update(**values))  # type: ignore[arg-type]
        assert learner.checkpoint() == before


def test_actions_whose_scores_exceed_every_reward_keep_their_order_until_rewards_distinguish_them() -> None:
    learner, x = policy(), [0.5] * D
    for _ in range(200):  # of another action, so that caution has shrunk
        learner.update(an_update(x, 0.0, arm="c"))
    in_order = learner.select(context(x), [Arm("a", 1.2), Arm("b", 1.4)])
    assert in_order.propensities[1] > 0.99
    equal = learner.select(context(x), [Arm("a", 1.3), Arm("b", 1.3)])
    assert equal.propensities == pytest.approx((0.5, 0.5))
    for _ in range(20):
        learner.update(replace(an_update(x, 0.5, arm="a"), prior=1.3))
    assert learner.select(context(x), [Arm("a", 1.3), Arm("b", 1.3)]).propensities[1] > 0.99
