"""Keeps learning from doing harm: a share of the talk stays with the default policy, and the better of the two acts.

Stretches of a few turns are set aside by chance. Where the learned choices turn out worse than the default's, for the
world or for one NPC, the default acts there, and the learned policy in the held-out stretches, until that turns round.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from rfsn_core import protocol
from rfsn_core.kit.files import replace_file
from rfsn_core.learning.comparison import Comparison
from rfsn_core.learning.records import DecisionRecord
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.trial import Acting, Trial

log = logger("learning")

TURNS = 10
"""Turns of a stretch."""
SAVE_EVERY = 50
"""Rewards between two saves."""
WORLD = ""
USUAL: dict[str, Acting] = {"online": "learned", "apprentice": "default"}
"""Mode → who acts until something is known."""


class Standing(msgspec.Struct):
    """Who usually acts, for the world or one NPC, and what speaks for it."""

    acts: Acting | None = None
    """None: nothing is known of this NPC alone, so it is as for the world."""
    reason: str = ""
    comparison: Comparison = msgspec.field(default_factory=Comparison)


class TrialsFile(msgspec.Struct, kw_only=True):
    """`trials.json`."""

    mode: str
    policy: str
    standings: dict[str, Standing]
    """The world's under an empty name, and that of each NPC."""


class Trials:
    """Who acts, on one server.

    :param path: where the comparison is kept between two starts.
    """

    def __init__(self, runtimes: CurrentRuntime, path: Path) -> None:
        self._runtimes, self._path = runtimes, path
        self._state = TrialsFile(mode="", policy="", standings={})
        self._unsaved = 0

    def load(self) -> None:
        """Take over the comparison from before a restart. A file that cannot be read is as none."""
        try:
            if self._path.exists():
                self._state = msgspec.json.decode(self._path.read_bytes(), type=TrialsFile)
        except (OSError, msgspec.MsgspecError) as error:
            log.error("trials.not_loaded", path=str(self._path), error=str(error))

    def save(self) -> None:
        """Write the comparison to disk."""
        if not self._unsaved:
            return
        self._unsaved = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(self._path) as file:
                file.write(msgspec.json.encode(self._state))
        except OSError as error:
            log.error("trials.not_saved", path=str(self._path), error=str(error))

    # ── who acts ─────────────────────────────────────────────────────────────────────────────────

    def assign(self, npc: str, conversation: str, turns: int) -> Trial | None:
        """Return who acts in a turn; None where nothing is learned, so that there is nothing to compare.

        :param turns: how many turns the NPC has had with the player.
        """
        runtime = self._runtimes.current
        settings, decider = runtime.settings.learning, runtime.decider
        if not settings.enabled or not decider.learns:
            return None
        self._begin(settings.mode, decider.policy_label)
        own, world = self._standing(npc), self._standing(WORLD)
        usual = own.acts or world.acts or USUAL[settings.mode]
        number = turns // TURNS
        stretch = f"{conversation}#{number}"
        if not _held_out(f"{runtime.settings.world.seed}/{conversation}", number, settings.holdout):
            reason = own.reason if own.acts else world.reason
            why = (reason or "apprentice") if usual == "default" else ""
            return Trial(acts=usual, why=why, stretch=stretch)
        if usual == "learned":
            return Trial(acts="default", why="held out", stretch=stretch)
        return Trial(acts="learned", why="trial", stretch=stretch)

    # ── what comes of it ─────────────────────────────────────────────────────────────────────────

    def add(self, record: DecisionRecord, total: float, before: float | None) -> None:
        """Take in what a decision earned in total, and change who acts when that is certain enough.

        :param before: what it had earned before its newest reward; None for the first.
        """
        trial = record.trial
        if trial is None or not trial.differs or record.policy != self._state.policy or record.forced_by:
            return
        for name in (WORLD, record.npc):
            standing = self._standing(name)
            standing.comparison.add(trial.acts, trial.stretch, total, before)
            self._judge(name, standing)
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self.save()

    def _judge(self, name: str, standing: Standing) -> None:
        found = standing.comparison.difference()
        better: Acting = "learned" if found.low > 0 else "default"
        usual = standing.acts or self._standing(WORLD).acts or USUAL[self._state.mode]
        if not found.is_sure or better == usual:
            return
        word = "better" if better == "learned" else "worse"
        standing.reason = f"learned choices were {word} by {abs(found.value):.2f} in {found.decisions} decisions"
        standing.acts, standing.comparison = better, Comparison()
        self._unsaved = SAVE_EVERY
        log.warning("trial.changed", npc=name or "all", acts=better, reason=standing.reason)
        reason = f"{name or 'all NPCs'}: the {better} policy acts: {standing.reason}"
        self._runtimes.announcements.send(protocol.LearningChanged(state="learning", reason=reason))

    # ── for people ───────────────────────────────────────────────────────────────────────────────

    def report(self) -> dict[str, Any]:
        """Return who acts and what speaks for it, for the world and for each NPC."""
        return {
            name or "all": {
                "acts": standing.acts or ("as all" if name else USUAL[self._state.mode]),
                "reason": standing.reason,
                **standing.comparison.as_dict(),
            }
            for name, standing in self._state.standings.items()
        }

    def _begin(self, mode: str, policy: str) -> None:
        """Begin again when the mode or the policy is another one."""
        if (mode, policy) != (self._state.mode, self._state.policy):
            self._state = TrialsFile(mode=mode, policy=policy, standings={})

    def _standing(self, name: str) -> Standing:
        return self._state.standings.setdefault(name, Standing())


def _held_out(key: str, number: int, share: float) -> bool:
    """Whether a stretch is set aside: of each group of 1/share stretches of a conversation, one by chance."""
    if share <= 0:
        return False
    period = max(2, round(1 / share))
    digest = hashlib.blake2b(f"{key}/{number // period}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % period == number % period
