"""Does learning make NPCs better, and does it ever make them worse? What served settings earn, against the default.

    uv run benchmarks/learning.py                          # all bars, a few minutes
    uv run benchmarks/learning.py --first-seed 1000        # with players that no setting was chosen by
    uv run benchmarks/learning.py --player visitor --turns 200 --seeds 10
    uv run benchmarks/learning.py --set selection.linucb.caution=0.2 --set learning.holdout=0

Turns run in this process through the kernel, as a server runs them, with the settings that a world gets which only says
`provider = "linucb"`. Two players:

- `simulated`: that of `rfsn episode`. It rewards every turn at once, and sends its signal.
- `visitor`: it types its words and sends no signal; it finds civil answers fitting, and has tastes of its own; it
  rewards half of the turns, one or two turns late; another player comes every 15 turns.

- `silent`: a visitor who never rewards, in a game that sends nothing: all that can be learned from is what is read off
  the play, and what this one says next does not depend on the answer. Learning must do no harm.

Each seed has one stream of players for all policies. What counts is what the player really thought of all turns,
rewarded or not.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import tomllib
from collections import deque
from pathlib import Path
from typing import Any, Protocol

from rfsn_core import protocol
from rfsn_core.cli.options import load_runtimes
from rfsn_core.kernel import conversation, running
from rfsn_core.learning.episodes.simulated_player import SimulatedPlayer
from rfsn_core.telemetry import logs
from rfsn_core.world.actions import STYLES, Actions

NPC = "sergeant"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where a log costs no time on a disk."""
PLACES = ("tavern", "street", "gate", "wilds")
TURNS_OF_A_VISITOR = 15
LINES = {
    "greet": ("Hello.", "Good evening to you!", "Hi there"),
    "question": ("What happened here?", "Who is in charge of this place?", "Do you know the way to the ferry?",
                 "why is the gate closed", "How long have you been here?"),
    "request": ("Could you lend me a lantern?", "Please tell me what you know.", "can you show me the way",
                "I need a room for the night."),
    "help": ("Help me, I am lost!", "Please help, my friend is hurt", "I'm in trouble, I need your help"),
    "offer": ("I'll give you five coppers for it.", "I could carry those for you.", "Take this, I don't need it"),
    "compliment": ("You are very kind.", "That's a fine sword you have.", "You did well today"),
    "thanks": ("Thank you.", "thanks a lot for that", "I am grateful to you."),
    "insult": ("You fool!", "You are useless.", "get out of my way, idiot"),
    "apologize": ("I am sorry.", "Forgive me, I was wrong"),
    "farewell": ("Goodbye.", "see you tomorrow", "I have to go now"),
}  # fmt: skip
OFTEN = (3, 7, 4, 2, 2, 2, 2, 0.7, 0.7, 1.5)
FITTING = {
    "greet": ("greet", "inquire", "compliment"),
    "question": ("explain", "confide", "hint", "refer", "unsure"),
    "request": ("accept", "help", "explain", "offer"),
    "help": ("help", "accept", "inquire", "explain"),
    "offer": ("accept", "agree", "inquire", "refuse"),
    "compliment": ("agree", "compliment", "greet"),
    "thanks": ("agree", "compliment", "offer"),
    "insult": ("deflect", "stern_warning", "ignore", "refuse"),
    "apologize": ("accept", "agree", "inquire"),
    "farewell": ("farewell", "agree"),
}
"""What a civil person finds fitting, the best first."""
HOSTILE = frozenset({"insult", "threaten", "attack", "betray", "flee", "ignore", "stern_warning", "defend"})


class Player(Protocol):
    """Somebody who talks to the NPC and thinks something of its answers."""

    def turn(self, number: int) -> tuple[str, str, str, dict[str, object]]:
        """Return the player's name, its signal, its text and the game's state."""

    def liked(self, action: str, style: str) -> float:
        """Return what it thinks of the answer to its last words."""

    def rewards(self, decision_id: str, liked: float) -> list[tuple[str, float]]:
        """Return the rewards that it gives now: (decision, value)."""


class Simulated:
    """The player of `rfsn episode`."""

    def __init__(self, seed: int) -> None:
        self._player, self._signal = SimulatedPlayer(seed), ""

    def turn(self, number: int) -> tuple[str, str, str, dict[str, object]]:
        """Speak."""
        self._signal, text, state = self._player.speak()
        return "player", self._signal, text, state

    def liked(self, action: str, style: str) -> float:
        """Judge."""
        return self._player.reward(self._signal, action, style)

    def rewards(self, decision_id: str, liked: float) -> list[tuple[str, float]]:
        """Reward at once."""
        return [(decision_id, liked)]


class Visitor:
    """A civil person with tastes of its own, who rewards now and then."""

    def __init__(self, seed: int, taste: float = 0.3) -> None:
        self._random = random.Random(f"visitor {seed}")
        drawn = random.Random(f"visitor's taste {seed}")
        names = sorted(Actions())
        self._fits = {(intent, action): _fit(intent, action) + drawn.gauss(0, taste) for intent in LINES
                      for action in names}  # fmt: skip
        self._styles = {(place, style): drawn.gauss(0, taste / 2) for place in PLACES for style in sorted(STYLES)}
        self._intent, self._place = "greet", PLACES[0]
        self._late: deque[tuple[int, str, float]] = deque()

    def turn(self, number: int) -> tuple[str, str, str, dict[str, object]]:
        """Speak."""
        if number % 8 == 0:
            self._place = self._random.choice(PLACES)
        self._intent = self._random.choices(list(LINES), weights=OFTEN)[0]
        text = self._random.choice(LINES[self._intent])
        return f"visitor {number // TURNS_OF_A_VISITOR}", "", text, {"location": self._place, "time_of_day": "day"}

    def liked(self, action: str, style: str) -> float:
        """Judge."""
        return max(-1.0, min(1.0, self._fits[self._intent, action] + self._styles.get((self._place, style), 0.0)))

    def rewards(self, decision_id: str, liked: float) -> list[tuple[str, float]]:
        """Reward half of the turns, one or two turns late, with some noise."""
        rewarded, late, noise = self._random.random() < 0.5, self._random.choice((1, 2)), self._random.gauss(0, 0.15)
        due = [(name, value) for turns, name, value in self._late if turns == 0]
        self._late = deque((turns - 1, name, value) for turns, name, value in self._late if turns)
        if rewarded:
            self._late.append((late - 1, decision_id, max(-1.0, min(1.0, liked + noise))))
        return due


class Silent(Visitor):
    """A visitor who never rewards."""

    def rewards(self, decision_id: str, liked: float) -> list[tuple[str, float]]:
        """Give none."""
        return []


def _fit(intent: str, action: str) -> float:
    if action in FITTING[intent]:
        return 0.6 - 0.1 * FITTING[intent].index(action)
    return -0.4 if action in HOSTILE else -0.1


async def play(player: Player, turns: int, settings: dict[str, Any]) -> list[float]:
    """Return what the player thought of each turn."""
    thought = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        fixed = {"data_dir": folder, "speech": {"provider": "silent"}, "operations": {"reload": False}}
        async with running(load_runtimes(None, None, settings | fixed)) as kernel:
            for number in range(turns):
                name, signal, text, state = player.turn(number)
                message = protocol.PlayerTurn(npc=NPC, player=name, text=text, signal=signal, state=state)
                async for item in conversation(kernel, message, protocol.Hello(audio=False)):
                    if isinstance(item, protocol.Decision):
                        made = item
                thought.append(player.liked(made.action, made.style))
                for decision_id, value in player.rewards(made.decision_id, thought[-1]):
                    await kernel.reward(protocol.Reward(decision_id=decision_id, value=value))
                await kernel.learner.settle()  # a turn takes ten seconds or more: longer than the cooldown
    return thought


PLAYERS: dict[str, Any] = {"simulated": Simulated, "visitor": Visitor, "silent": Silent}
STREAMS = {"silent": "visitor"}
KNOWN: dict[tuple[str, int], list[float]] = {}
"""What players thought of the default policy, to play that once."""
BARS = {
    ("simulated", 500, 5): "better in 5 of 5, mean gain of the last 100 ≥ +0.15",
    ("visitor", 600, 4): "gain of the last 100 ≥ +0.15",
    ("visitor", 200, 10): "not worse in 9 of 10, gain of the last 100 ≥ +0.05, worst sum of the first 50 ≥ -1.5",
    ("silent", 200, 10): "no harm: the mean gain of all turns ≥ -0.01",
}


def merged(base: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return settings with one value set."""
    name, *rest = path
    return base | {name: merged(base.get(name, {}), rest, value) if rest else value}


def setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of KEY=VALUE, with the value as in TOML. Raises ArgumentTypeError."""
    key, _, value = text.partition("=")
    try:
        return key, tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE with a value as in TOML") from error


def default_run(player: str, seed: int, turns: int) -> list[float]:
    """Return what the player thought of the default policy; a silent visitor thinks what a visitor does."""
    key = (STREAMS.get(player, player), seed)
    if len(KNOWN.get(key, ())) < turns:
        settings = {"world": {"seed": seed}, "selection": {"provider": "world_model"}}
        KNOWN[key] = asyncio.run(play(PLAYERS[player](seed), turns, settings))
    return KNOWN[key][:turns]


def compare(player: str, turns: int, seeds: range, policy: str, overrides: list[tuple[str, Any]]) -> None:
    """Play a policy and the default with the same players, one for each seed, and print what they earned."""
    gains, starts, means = [], [], []
    for seed in seeds:
        settings: dict[str, Any] = {"world": {"seed": seed}, "selection": {"provider": policy}}
        for key, value in overrides:
            settings = merged(settings, key.split("."), value)
        ours, default = asyncio.run(play(PLAYERS[player](seed), turns, settings)), default_run(player, seed, turns)
        gains.append(statistics.mean(ours[-100:]) - statistics.mean(default[-100:]))
        starts.append(sum(ours[:50]) - sum(default[:50]))
        means.append(statistics.mean(ours) - statistics.mean(default))
    print(f"{player}, {turns} turns, {len(seeds)} seeds from {seeds.start}, {policy}:")
    print(f"  last 100: {statistics.mean(gains):+.3f}, all: {statistics.mean(means):+.3f}", end="; ")
    print(f"not worse in {sum(gain >= 0 for gain in gains)} of {len(seeds)}", end="; ")
    print(f"first 50, sum: mean {statistics.mean(starts):+.1f}, worst {min(starts):+.1f}")
    print("  last 100 by seed:", *(f"{gain:+.2f}" for gain in gains), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--player", choices=list(PLAYERS))
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="The seed of the first player; the others follow.")
    parser.add_argument("--policy", default="linucb")
    parser.add_argument("--set", dest="overrides", action="append", default=[], type=setting, metavar="KEY=VALUE",
                        help="A setting for the policy's runs, such as learning.holdout=0.")  # fmt: skip
    options = parser.parse_args()
    logs.configure("error")
    print("against the default policy, with the same players")
    first = options.first_seed
    chosen = [(options.player, options.turns, options.seeds)] if options.player else list(BARS)
    for player, turns, seeds in chosen:
        compare(player, turns, range(first, first + seeds), options.policy, options.overrides)
        if (player, turns, seeds) in BARS:
            print(f"  bar: {BARS[player, turns, seeds]}")


if __name__ == "__main__":
    main()
