"""How an NPC's feelings move over a hundred turns, and the bars that they must keep.

    uv run python benchmarks/feelings.py                                  # print the bars
    uv run --group learning python benchmarks/feelings.py --plot docs/images/feelings.svg

Each script is what the player says, turn for turn; the NPC answers with the action that the default table likes best.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState, Temperament
from rfsn_core.world.actions import Actions
from rfsn_core.world.candidates import BUILT_IN, candidates
from rfsn_core.world.feelings import Nature, after, happened, hear
from rfsn_core.world.scoring import Weights, score_actions

TURNS = 100
CIVIL = ("greet", "question", "question", "statement", "smalltalk")
BASE = NpcState(affinity=0.1, trust=0.5)
STEADY: Mapping[str, Iterable[str]] = {
    "neutral questions": itertools.cycle(("question",)),
    "shopping": itertools.cycle(("greet", "question", "disagree", "offer", "accept", "farewell")),
    "thanks and insults in turn": itertools.cycle(("thanks", "insult")),
    "3 insults, then civil": itertools.chain(["insult"] * 3, itertools.cycle(CIVIL)),
    "6 insults, then civil": itertools.chain(["insult"] * 6, itertools.cycle(CIVIL)),
    "20 insults, then apologies": itertools.chain(["insult"] * 20, itertools.cycle(("apologize", *CIVIL))),
    "5 threats, then civil": itertools.chain(["threaten"] * 5, itertools.cycle(CIVIL)),
    "nonsense": itertools.cycle(("unclear",)),
    "a life saved at turn 20": itertools.chain(["question"] * 20, ["event saved_life"], itertools.cycle(CIVIL)),
}
"""Name → signals."""
_ACTIONS = Actions()


def chosen(state: NpcState, signal: str, temperament: Temperament) -> str:
    """Return the action that the default policy takes."""
    situation = Situation(state, signal, {}, temperament)
    found = candidates(situation, _ACTIONS, BUILT_IN)
    scores = score_actions(situation, found, _ACTIONS, Weights(), {})
    return max(scores, key=lambda name: scores[name].total)


def played(script: Iterable[str], nature: Nature | None = None, turns: int = TURNS) -> Iterator[tuple[NpcState, str]]:
    """Yield the state and the action after each turn."""
    nature = nature or Nature(BASE)
    state = nature.baseline
    for signal in itertools.islice(script, turns):
        if signal.startswith("event "):
            state = happened(state, signal.removeprefix("event "), nature)
            signal = "statement"
        state = hear(state, signal, {"insult": -0.6, "threaten": -0.6, "thanks": 0.4}.get(signal, 0.0), nature)
        action = chosen(state, signal, nature.temperament)
        state = after(state, _ACTIONS[action], signal)
        yield state, action


def forgiven(insults: int) -> int:
    """Return the civil turns after which an NPC feels about as before; `TURNS` when it does not."""
    script = itertools.chain(["insult"] * insults, itertools.cycle(CIVIL))
    states = [state for state, _ in played(script, turns=insults + TURNS)]
    for turn, state in enumerate(states[insults:], 1):
        if state.affinity > BASE.affinity - 0.05:
            return turn
    return TURNS


def bars() -> Iterator[tuple[str, str, bool]]:
    """Yield (what must hold, what was measured, whether it holds)."""
    neutral = {state.relationship for state, _ in played(["question"] * TURNS)}
    yield "neutral questions change no tier", ", ".join(sorted(neutral)), len(neutral) == 1
    mixed = {state.relationship for state, _ in played(itertools.islice(itertools.cycle(("thanks", "insult")), TURNS))}
    yield "thanks and insults in turn: never a friend", ", ".join(sorted(mixed)), not mixed & {"friend", "ally"}
    turns = forgiven(3)
    yield "three insults are forgiven after 20 to 60 civil turns", f"{turns}", 20 <= turns <= 60
    states = [s for s, _ in played(itertools.chain(["insult"] * 6, itertools.cycle(CIVIL)))]
    hurt, rising = states[-1].affinity < BASE.affinity - 0.05, states[-1].affinity >= states[-20].affinity
    yield "six still hurt at 100, no longer falling", f"{states[-1].affinity:+.3f}", hurt and rising
    last = [s for s, _ in played(["unclear"] * 20)][-1]
    same = (last.affinity, last.trust, last.fear) == (BASE.affinity, BASE.trust, BASE.fear)
    yield "nonsense twenty times changes nothing", f"{last.affinity:+.2f} {last.trust:.2f} {last.fear:.2f}", same
    afraid = Nature(NpcState(affinity=-0.3, trust=0.3, fear=0.8))
    signals = ("insult", "threaten", "command", "question", "disagree") * 4
    threats = [chosen(afraid.baseline, signal, Temperament()) in ("threaten", "stern_warning") for signal in signals]
    share = sum(threats) / len(threats)
    yield "fear above 0.6: threatens in at most one turn of ten", f"{share:.2f}", share <= 0.1
    differ = characters_differ()
    yield "two characters decide differently in at least a quarter", f"{differ:.2f}", differ >= 0.25


def characters_differ() -> float:
    """Return the share of states in which a warm, brave NPC decides otherwise than a proud, cold one."""
    one = Temperament(warmth=0.9, bravery=0.8, pride=-0.6, honesty=0.8, curiosity=0.6)
    other = Temperament(warmth=-0.9, bravery=-0.6, pride=0.9, honesty=-0.8, curiosity=-0.6)
    grid = itertools.product(
        (-0.8, -0.4, 0.0, 0.4, 0.8), (0.05, 0.4, 0.9), (0.0, 0.4, 0.9), (False, True), (False, True),
        ("greet", "farewell", "question", "request", "offer", "insult", "threaten", "thanks", "statement", "command"),
    )  # fmt: skip
    different = []
    for affinity, trust, fear, combat, quest, signal in grid:
        state = NpcState(affinity=affinity, trust=trust, fear=fear, in_combat=combat, quest_active=quest, turns=3)
        different.append(chosen(state, signal, one) != chosen(state, signal, other))
    return sum(different) / len(different)


def plot(path: Path) -> None:
    """Draw affinity, trust and fear of every script."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "feelings"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 3, figsize=(9, 6), sharex=True, sharey=True, layout="constrained")
    for axis, (name, script) in zip(axes.flat, STEADY.items(), strict=True):
        states = [state for state, _ in played(script)]
        for field, colour in (("affinity", "#2563a8"), ("trust", "#3f8f4f"), ("fear", "#b5482f")):
            values = [getattr(state, field) for state in states]
            axis.plot(range(0, TURNS, 2), values[::2], color=colour, label=field, linewidth=1.2)
        for bound in (-0.6, -0.2, 0.2, 0.6):
            axis.axhline(bound, color="#cccccc", linewidth=0.5)
        axis.set_title(name, fontsize=9)
        axis.set_ylim(-1.05, 1.05)
    axes[0][0].legend(fontsize=7, frameon=False, loc="lower right")
    figure.supxlabel("turn", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing = io.StringIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    small = re.sub(r"<metadata>.*?</metadata>", "", drawing.getvalue(), flags=re.DOTALL)
    head, drawn = small[: small.index("<defs>")], small[small.index("<defs>") :]
    drawn = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", drawn)
    path.write_text("\n".join(line.strip() for line in (head + drawn).splitlines()) + "\n", "utf-8")


def main() -> None:
    """Print the scripts and the bars, and draw the plot if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the plot to an SVG file")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot)
        return
    missed = False
    for wanted, measured, holds in bars():
        missed |= not holds
        print(f"{wanted:55} {measured:24} {'holds' if holds else 'MISSED'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
