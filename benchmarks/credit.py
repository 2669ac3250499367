"""How many earlier decisions should share a reward: what `linucb` earns, by `credit_steps`.

    uv run benchmarks/credit.py

Two games. In one, the player rewards every turn; in the other, it rewards every fourth turn with the mean of the four.
Prints the mean value of a turn to the player, rewarded or not: over all turns, over the last hundred, and for the
default policy.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rfsn_core import protocol
from rfsn_core.cli.options import load_runtimes
from rfsn_core.kernel import conversation, running
from rfsn_core.learning.episodes.simulated_player import SimulatedPlayer
from rfsn_core.telemetry import logs

NPC = "sergeant"


async def worth(policy: str, steps: int, every: int, seed: int, turns: int, folder: Path) -> list[float]:
    settings: dict[str, Any] = {
        "data_dir": str(folder),
        "world": {"seed": seed},
        "selection": {"provider": policy},
        "speech": {"provider": "silent"},
        "learning": {"cooldown": 0, "detect": False, "credit_steps": steps},
        "operations": {"reload": False},
    }
    player, earned = SimulatedPlayer(seed), []
    async with running(load_runtimes(None, None, settings)) as kernel:
        for number in range(turns):
            signal, text, state = player.speak()
            message = protocol.PlayerTurn(npc=NPC, text=text, signal=signal, state=state)
            async for item in conversation(kernel, message, protocol.Hello(audio=False)):
                if isinstance(item, protocol.Decision):
                    made = item
            earned.append(player.reward(made.signal, made.action, made.style))
            if (number + 1) % every == 0:
                value = statistics.mean(earned[-every:])
                await kernel.reward(protocol.Reward(decision_id=made.decision_id, value=value))
                await kernel.learner.settle()
    return earned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    logs.configure("error")
    print(f"mean of {options.seeds} seeds, {options.turns} turns        all    last 100 ± deviation over seeds")
    for every, game in ((1, "a reward each turn"), (4, "one for four turns")):
        for policy, steps in (("world_model", 0), ("linucb", 0), ("linucb", 1), ("linucb", 2), ("linucb", 3)):
            runs = []
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    runs.append(asyncio.run(worth(policy, steps, every, seed, options.turns, Path(folder))))
            last = [statistics.mean(run[-100:]) for run in runs]
            label = f"{game}: {policy}" + (f", {steps} steps" if policy == "linucb" else "")
            spread = statistics.stdev(last) if len(last) > 1 else 0.0
            everything = statistics.mean(map(statistics.mean, runs))
            print(f"{label:38} {everything:+.3f}    {statistics.mean(last):+.3f} ± {spread:.3f}", flush=True)


if __name__ == "__main__":
    main()
