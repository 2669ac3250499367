"""LinUCB: the time of a choice and an update and the quality of learning, against a floor and three libraries.

    uv run --group learning benchmarks/bandit.py                       # the floor only
    uv run --group learning --with mabwiser,contextualbandits,vowpalwabbit,river benchmarks/bandit.py

One decision at a time, d features, K arms, all of them candidates. The floor is batched numpy: one product over all
arms to choose, one outer product to learn. RFSN's time includes the probabilities, the draw, the bound on the step and
the checks. `one-hot` features are like game state: a dozen of them are not 0.

Quality: scikit-learn's digits and river's segments as bandits, 1,200 turns, reward 1 for the right label. Features are
standardised and of length 1, as those of the product are. RFSN has the settings that a world gets which only says
`provider = "linucb"`, its floor included; the others have their defaults.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rfsn_policy_linucb.linucb import LinUcb, Settings

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.selection import Arm, Context, Update
from rfsn_core.settings.schema import LearningSettings

Timed = tuple[Callable[[Any], int], Callable[[Any, int, float], Any]]
ALPHA = 0.25


def contexts(d: int, count: int, one_hot: bool) -> np.ndarray:
    g = np.random.default_rng(1)
    if not one_hot:
        x = g.standard_normal((count, d))
        return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))
    x = np.zeros((count, d))
    groups = np.array_split(np.arange(d), 12)
    for group in groups:
        x[np.arange(count), g.choice(group, count)] = 1 / 12**0.5
    return x


def floor(d: int, k: int) -> Timed:
    inverse, theta = np.tile(np.eye(d), (k, 1, 1)), np.zeros((k, d))
    stacked = inverse.reshape(k * d, d)

    def select(x: np.ndarray) -> int:
        v = (stacked @ x).reshape(k, d)
        return int(np.argmax(theta @ x + ALPHA * np.sqrt(v @ x)))

    def update(x: np.ndarray, arm: int, reward: float) -> None:
        v = inverse[arm] @ x
        q = x @ v
        theta[arm] += (reward - theta[arm] @ x) / (1 + q) * v
        inverse[arm] -= np.outer(v, v / (1 + q))

    return select, update


def ours(d: int, k: int, **settings: Any) -> tuple[Callable[[Any], int], Callable[[Any, int, float], Any], Any]:
    policy = LinUcb(Settings(deviation=0.0, **settings), b"key")
    arms = [Arm(f"arm{n}", 0.0) for n in range(k)]
    names = {arm.name: index for index, arm in enumerate(arms)}
    count = 0

    def prepare(x: np.ndarray) -> Context:
        nonlocal count
        count += 1
        return Context(f"d{count}", "action", "npc", "s", Abstraction("k", "v", x, ()))  # type: ignore[arg-type]

    def select(context: Context) -> int:
        return names[policy.select(context, arms).arm]

    def update(context: Context, arm: int, reward: float) -> None:
        policy.update(Update(context, arms[arm].name, 0.0, 0.5, reward))

    return select, update, prepare


def mabwiser(d: int, k: int) -> Timed:
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(list(range(k)), LearningPolicy.LinUCB(alpha=ALPHA, l2_lambda=1))
    mab.fit(list(range(k)), [0.0] * k, np.zeros((k, d)))
    return (lambda x: mab.predict(x[None])), (lambda x, arm, reward: mab.partial_fit([arm], [reward], x[None]))


def contextualbandits(d: int, k: int) -> Timed:
    from contextualbandits.online import LinUCB

    policy = LinUCB(nchoices=k, alpha=ALPHA, random_state=1)
    policy.fit(np.zeros((k, d)), np.arange(k), np.zeros(k))
    return (
        lambda x: int(policy.predict(x[None])[0]),
        lambda x, arm, reward: policy.partial_fit(x[None], np.array([arm]), np.array([reward])),
    )


def vowpalwabbit(d: int, k: int) -> Timed:
    import vowpalwabbit

    vw = vowpalwabbit.Workspace("--cb_explore_adf --epsilon 0.02 --quiet")
    g = np.random.default_rng(0)

    def lines(x: np.ndarray, arm: int = -1, cost: float = 0.0) -> list[str]:
        shared = "shared |s " + " ".join(f"{index}:{value:.4f}" for index, value in enumerate(x) if value)
        return [shared, *(f"{f'0:{cost}:0.5 ' if index == arm else ''}|a a{index}" for index in range(k))]

    def select(x: Any) -> int:
        return int(np.argmax(np.cumsum(vw.predict(x)) > g.random()))

    def parsed(x: np.ndarray) -> Any:
        return vw.parse(lines(x), vowpalwabbit.LabelType.CONTEXTUAL_BANDIT)

    def timed_select(x: np.ndarray) -> int:
        return select(parsed(x))

    return timed_select, lambda x, arm, reward: vw.learn(lines(x, arm, -reward))


PEERS = {"MABWiser": ("mabwiser", mabwiser), "contextualbandits": ("contextualbandits", contextualbandits),
         "Vowpal Wabbit": ("vowpalwabbit", vowpalwabbit)}  # fmt: skip


def measure(contender: Any, xs: np.ndarray, count: int, k: int) -> tuple[float, float]:
    """Return the median µs of a select and an update. RFSN gets its features in a Context, which every turn needs."""
    select, update, *prepare = contender
    g = np.random.default_rng(2)
    times: dict[str, list[float]] = {"select": [], "update": []}
    for number in range(count):
        x = xs[number % len(xs)]
        if prepare:
            x = prepare[0](x)
        start = time.perf_counter()
        arm = select(x)
        middle = time.perf_counter()
        update(x, arm, float(g.random()))
        times["update"].append(time.perf_counter() - middle)
        times["select"].append(middle - start)
    late = count // 5
    return tuple(statistics.median(found[late:]) * 1e6 for found in times.values())  # type: ignore[return-value]


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return features of length about 1, as those of the product are, and labels."""
    found = {}
    if importlib.util.find_spec("sklearn"):
        from sklearn.datasets import load_digits

        data = load_digits()
        found["digits"] = (data.data, data.target)
    if importlib.util.find_spec("river"):
        from river.datasets import ImageSegments

        rows = [(list(x.values()), y) for x, y in ImageSegments()]
        names = sorted({y for _, y in rows})
        found["segments"] = (np.array([x for x, _ in rows], float), np.array([names.index(y) for _, y in rows]))
    return {name: (_scaled(x), labels) for name, (x, labels) in found.items()}


def _scaled(x: np.ndarray) -> np.ndarray:
    deviation = x.std(axis=0)
    x = np.clip((x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1), -3, 3)
    return np.asarray(x / np.sqrt((x**2).sum(axis=1).mean()))


def served(d: int, k: int) -> Timed:
    """`linucb` with the settings that a world gets."""
    policy, arms = LinUcb(Settings(), b"key"), [Arm(f"arm{n}", 0.0) for n in range(k)]
    names, last, count = [arm.name for arm in arms], Context("", "", "", "", Abstraction("", "", (), ())), 0

    def select(x: np.ndarray) -> int:
        nonlocal last, count
        count += 1
        last = Context(f"d{count}", "action", "npc", "s", Abstraction("k", "v", tuple(x), ()))
        return names.index(policy.select(last, arms).arm)

    def update(x: np.ndarray, arm: int, reward: float) -> None:
        policy.update(Update(last, names[arm], 0.0, 0.5, reward, max_step=LearningSettings().max_step))

    return select, update


def mabwiser_default(d: int, k: int) -> Timed:
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(list(range(k)), LearningPolicy.LinUCB())
    mab.fit(list(range(k)), [0.0] * k, np.zeros((k, d)))
    return (lambda x: mab.predict(x[None])), (lambda x, arm, reward: mab.partial_fit([arm], [reward], x[None]))


def contextualbandits_default(d: int, k: int) -> Timed:
    from contextualbandits.online import LinUCB

    policy = LinUCB(nchoices=k, random_state=1)
    policy.fit(np.zeros((k, d)), np.arange(k), np.zeros(k))
    return (
        lambda x: int(policy.predict(x[None])[0]),
        lambda x, arm, reward: policy.partial_fit(x[None], np.array([arm]), np.array([reward])),
    )


def river_default(d: int, k: int) -> Timed:
    from river.bandit import LinUCBDisjoint

    policy, arms = LinUCBDisjoint(seed=1), list(range(k))

    def features(x: np.ndarray) -> dict[int, float]:
        return dict(enumerate(x.tolist()))

    return (
        lambda x: int(policy.pull(arms, context=features(x))),
        lambda x, arm, reward: policy.update(arm, features(x), reward),
    )


def squarecb(d: int, k: int) -> Timed:
    import vowpalwabbit

    vw = vowpalwabbit.Workspace("--cb_explore_adf --squarecb -q sa --quiet")
    g, chances = np.random.default_rng(0), [0.0] * k

    def lines(x: np.ndarray, arm: int = -1, cost: float = 0.0) -> list[str]:
        shared = "shared |s " + " ".join(f"{index}:{value:.4f}" for index, value in enumerate(x) if value)
        label = f"0:{cost}:{chances[arm]:.6f} "
        return [shared, *(f"{label if index == arm else ''}|a a{index}" for index in range(k))]

    def select(x: np.ndarray) -> int:
        chances[:] = vw.predict(lines(x))
        return int(g.choice(k, p=np.array(chances) / sum(chances)))

    return select, lambda x, arm, reward: vw.learn(lines(x, arm, -reward))


QUALITY = {
    "MABWiser LinUCB": ("mabwiser", mabwiser_default),
    "contextualbandits LinUCB": ("contextualbandits", contextualbandits_default),
    "river LinUCBDisjoint": ("river", river_default),
    "Vowpal Wabbit squarecb": ("vowpalwabbit", squarecb),
}
TURNS = 1200


def quality(make: Callable[[int, int], Timed], x: np.ndarray, labels: np.ndarray, seeds: int) -> tuple[float, float]:
    """Return the mean reward of the first turns and its deviation over seeds; a reward is 1 for the right label."""
    means = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(x))[:TURNS]
        select, update = make(x.shape[1], int(labels.max()) + 1)
        right = 0
        for index in order:
            arm = select(x[index])
            right += arm == labels[index]
            update(x[index], arm, float(arm == labels[index]))
        means.append(right / len(order))
    return statistics.mean(means), statistics.stdev(means)


def whole_decision(rounds: int) -> float:
    """Return the median µs from the game's state to the bytes of the record: the example world's rules and `linucb`."""
    import msgspec

    from rfsn_core.contract.actions import Situation
    from rfsn_core.contract.storage import Scope
    from rfsn_core.defaults.abstraction import Buckets
    from rfsn_core.defaults.abstraction import Settings as BucketSettings
    from rfsn_core.learning.records import Result, decision_record
    from rfsn_core.settings.folders import example_world
    from rfsn_core.world import candidates
    from rfsn_core.world.actions import Actions
    from rfsn_core.world.decision import Decider
    from rfsn_core.world.feelings import hear
    from rfsn_core.world.files import read_world
    from rfsn_core.world.scoring import Weights

    npc, scope = read_world(example_world()).npc("innkeeper"), Scope("default", "innkeeper", "player")
    buckets = Buckets(BucketSettings().buckets)
    decider = Decider(Actions(), candidates.BUILT_IN, Weights(), buckets, LinUcb(Settings(), b"key"), "linucb")
    state, times = npc.initial, []
    for number in range(rounds):
        start = time.perf_counter()
        signal = "question"
        situation = Situation(hear(state, signal), signal, {"location": "tavern"})
        made = decider.decide(situation, npc, scope, f"d{number}")
        record = decision_record(made, scope, "", state, Result(delivered=True), time=0.0, explored=True)
        msgspec.json.encode(record)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quality", action="store_true", help="Only how well they learn.")
    options = parser.parse_args()
    if not options.quality:
        speed(options)
    learns_well(options)


def speed(options: argparse.Namespace) -> None:
    """Print how long a choice and an update take."""
    print("median µs, one decision at a time            select  update   × floor   × rfsn")
    for d, k, one_hot in ((64, 12, False), (64, 12, True), (16, 12, False)):
        xs = contexts(d, 500, one_hot)
        low = measure(floor(d, k), xs, options.rounds, k)
        mine = measure(ours(d, k), xs, options.rounds, k)
        print(f"d={d} K={k}{', one-hot' if one_hot else ''}")
        print(f"  {'floor: batched numpy':40} {low[0]:7.1f} {low[1]:7.1f}")
        print(f"  {'rfsn linucb':40} {mine[0]:7.1f} {mine[1]:7.1f}   {mine[0] / low[0]:.1f} {mine[1] / low[1]:.1f}")
        for name, (module, make) in PEERS.items():
            if importlib.util.find_spec(module):
                theirs = measure(make(d, k), xs, options.rounds // 10, k)
                ratios = f"{theirs[0] / mine[0]:.1f} {theirs[1] / mine[1]:.1f}"
                print(f"  {name:40} {theirs[0]:7.1f} {theirs[1]:7.1f}             {ratios}")
    whole = whole_decision(options.rounds)
    print(f"\na whole decision, from the player's words to its record: {whole:.0f} µs (target: 150)")


def learns_well(options: argparse.Namespace) -> None:
    """Print what each earns of a classification problem."""
    print(f"\nclassification as a bandit, features of length 1, {TURNS} turns, mean reward ± deviation over seeds")
    for name, (x, labels) in data_sets().items():
        ours, peers = quality(served, x, labels, options.seeds), []
        print(f"{name}\n  {'rfsn linucb, served settings':32} {ours[0]:.3f} ± {ours[1]:.3f}")
        for peer, (module, make) in QUALITY.items():
            if importlib.util.find_spec(module):
                peers.append(quality(make, x, labels, options.seeds))
                print(f"  {peer:32} {peers[-1][0]:.3f} ± {peers[-1][1]:.3f}", flush=True)
        if peers:
            print(f"  against the best of them: {ours[0] - max(peers)[0]:+.3f}   (bar: -0.010)")


if __name__ == "__main__":
    main()
