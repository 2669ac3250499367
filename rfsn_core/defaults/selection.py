"""`world_model`: chooses the candidate with the best predicted outcome. It does not learn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.selection import Arm, Context, Policy, Selection, Update, UpdateResult


class WorldModel:
    """The policy without learning. Ties go to the earlier arm, so the same arms give the same choice."""

    version = "1"

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Return the arm with the best prior, with propensity 1."""
        best = max(range(len(arms)), key=lambda index: arms[index].prior)
        chosen = tuple(float(index == best) for index in range(len(arms)))
        return Selection(arms[best].name, chosen, tuple(arm.prior for arm in arms))

    def update(self, update: Update) -> UpdateResult:
        """Change nothing."""
        return UpdateResult()

    def checkpoint(self) -> bytes:
        """Return an empty checkpoint."""
        return b""

    def restore(self, checkpoint: bytes) -> None:
        """Accept only the empty checkpoint. Raises ValueError for any other."""
        if checkpoint:
            raise ValueError("the world model has nothing to restore")


@hookimpl
def rfsn_selection() -> Iterable[Offer[Policy]]:
    """Offer the built-in default."""
    yield Provider.of(
        "world_model",
        WorldModel,
        about="the best predicted outcome, by the world model's score",
        capabilities=Capabilities(learns=False),
    )
