"""`world_model`: chooses the candidate whose predicted outcome scores best. It does not learn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, NoSettings, Provider
from rfsn_core.contract.selection import Arm, Context, Lesson, Policy, Selection, Step


class WorldModel:
    """The opened provider. Ties go to the earlier arm, so the same arms give the same choice."""

    version = "1"
    learns = False

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """The arm with the best prior, with propensity 1."""
        best = max(range(len(arms)), key=lambda index: arms[index].prior)
        chosen = tuple(float(index == best) for index in range(len(arms)))
        return Selection(arms[best].name, chosen, tuple(arm.prior for arm in arms))

    def update(self, lesson: Lesson) -> Step:
        """Learns nothing."""
        return Step()

    def snapshot(self) -> bytes:
        """Nothing was learned."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """Takes only its own empty snapshot."""
        if snapshot:
            raise ValueError("the world model has nothing to restore")


@asynccontextmanager
async def _open(settings: NoSettings, host: Host) -> AsyncIterator[Policy]:
    yield WorldModel()


@hookimpl
def rfsn_selection() -> Iterable[Provider[Policy]]:
    """The embedded default."""
    yield Provider("world_model", NoSettings, _open, "the best predicted outcome, by the world model's score")
