"""Episodes: many turns with one NPC, by a script or a simulated player; logged, summed up, plotted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from rfsn_core.contract.errors import UserError
from rfsn_core.learning.log_files import read_tree
from rfsn_core.learning.records import RewardRecord
from rfsn_core.learning.tally import Tally


class EpisodeTurn(msgspec.Struct, kw_only=True):
    """A line of `episode.jsonl`."""

    turn: int
    timestamp: float
    player_signal: str
    player_text: str
    state_before: dict[str, Any]
    candidates: list[str]
    scores: list[float]
    bandit_key: str
    selected_action: str
    selected_style: str
    npc_text: str
    reward: float | None
    """What the decision earned in total, from the player and from what the player did next; null: nothing came."""
    state_after: dict[str, Any]
    decision_id: str


class ScriptLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line of a script: what the player says, and how it takes the answer."""

    text: str = ""
    signal: str = ""
    state: dict[str, Any] = {}
    reward: float | None = None


def read_script(path: Path) -> list[ScriptLine]:
    """Read a script: JSON lines, or plain text with one utterance a line. Raises UserError with the line."""
    lines = []
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error}", hint="Save the file as UTF-8") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            is_json = line.lstrip().startswith("{")
            lines.append(msgspec.json.decode(line, type=ScriptLine) if is_json else ScriptLine(line.strip()))
        except msgspec.MsgspecError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    if not lines:
        raise UserError(f"{path}: no lines")
    return lines


def with_rewards(turns: Sequence[EpisodeTurn], folder: Path) -> list[EpisodeTurn]:
    """Return the turns with what their decisions earned, which is known only when the next turns were played.

    :param folder: of the log.
    """
    rewards: dict[str, list[RewardRecord]] = defaultdict(list)
    for reward in read_tree(folder, RewardRecord):
        rewards[reward.decision_id].append(reward)
    return [
        structs.replace(turn, reward=Tally.of(given).total if (given := rewards[turn.decision_id]) else turn.reward)
        for turn in turns
    ]


def read_episode(path: Path) -> list[EpisodeTurn]:
    """Read an episode from its file. Raises UserError."""
    file = path / "episode.jsonl" if path.is_dir() else path
    try:
        return [msgspec.json.decode(line, type=EpisodeTurn) for line in file.read_bytes().splitlines()]
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"{file}: not an episode: {error}") from error


@dataclass(frozen=True)
class Summary:
    """An episode in numbers."""

    turns: int
    mean_reward: float
    first_fifth: float
    last_fifth: float
    final_affinity: float
    actions: dict[str, int]


def summarise(turns: Sequence[EpisodeTurn]) -> Summary:
    """Return the numbers of an episode."""
    rewards = [turn.reward for turn in turns if turn.reward is not None]
    fifth = max(1, len(rewards) // 5)
    return Summary(
        len(turns),
        _mean(rewards),
        _mean(rewards[:fifth]),
        _mean(rewards[-fifth:]),
        float(turns[-1].state_after["affinity"]) if turns else 0.0,
        dict(Counter(turn.selected_action for turn in turns).most_common()),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def plot(episodes: dict[str, Sequence[EpisodeTurn]], path: Path) -> None:
    """Plot reward, affinity and actions of one or more episodes, as a PNG. Raises UserError without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise UserError("plots need matplotlib", hint="pip install matplotlib") from error
    figure, (top, middle, bottom) = pyplot.subplots(3, 1, figsize=(9, 10), constrained_layout=True)
    names: list[str] = []
    for turns in episodes.values():
        names += [name for name in summarise(turns).actions if name not in names]
    for position, (name, turns) in enumerate(episodes.items()):
        rewards = [turn.reward or 0.0 for turn in turns]
        window = max(1, len(rewards) // 20)
        smooth = [_mean(rewards[max(0, index - window) : index + 1]) for index in range(len(rewards))]
        (line,) = top.plot(smooth, label=f"{name}: mean {_mean(rewards):+.3f}")
        top.plot(rewards, ".", color=line.get_color(), alpha=0.15, markersize=3)
        middle.plot([float(turn.state_after["affinity"]) for turn in turns], color=line.get_color(), label=name)
        counts = Counter(turn.selected_action for turn in turns)
        height = 0.8 / len(episodes)
        places = [index + position * height for index in range(len(names))]
        shares = [counts[action] / len(turns) for action in names]
        bottom.barh(places, shares, height, color=line.get_color(), label=name)
    top.set(title="Reward, and its running mean", xlabel="turn", ylabel="reward")
    middle.set(title="Affinity", xlabel="turn", ylabel="affinity", ylim=(-1.05, 1.05))
    bottom.set(title="Actions", xlabel="share of turns", yticks=range(len(names)), yticklabels=names)
    bottom.invert_yaxis()
    for axes in (top, middle):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
