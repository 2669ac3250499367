"""`epsilon_greedy` and `thompson`: other ways to explore with the model of `linucb`, for comparison."""

from __future__ import annotations

from pydantic import BaseModel, Field

from rfsn_policy_linucb.linucb import LinUcb, Settings

_RIDGE = Field(0.3, gt=0, description="Strength of the prior: higher learns slower, and steadier.")
_DISCOUNT = Field(
    0.999, gt=0.5, le=1, description="Factor by which the weight of an observation shrinks with each update."
)


class EpsilonSettings(BaseModel, extra="forbid"):
    """`[selection.epsilon_greedy]`."""

    epsilon: float = Field(0.1, ge=0, le=1, description="Probability shared by all candidates.")
    ridge: float = _RIDGE
    discount: float = _DISCOUNT


class ThompsonSettings(BaseModel, extra="forbid"):
    """`[selection.thompson]`."""

    alpha: float = Field(0.1, ge=0, description="How wide the draws are, in widths of the posterior.")
    samples: int = Field(128, ge=8, le=4096, description="Of the table that is drawn from.")
    floor: float = Field(0.02, ge=0, le=1, description="Probability shared by all candidates.")
    ridge: float = _RIDGE
    discount: float = _DISCOUNT


class EpsilonGreedy(LinUcb):
    """The best mean in the situation, and with probability ε any candidate."""

    kind = "epsilon_greedy"

    def __init__(self, settings: EpsilonSettings, key: bytes) -> None:
        given = Settings(
            caution=0, alpha=0, floor=settings.epsilon, ridge=settings.ridge, discount=settings.discount, deviation=0
        )
        super().__init__(given, key)


class Thompson(LinUcb):
    """Each candidate as often as it is the best of draws from the posterior in the situation."""

    kind = "thompson"

    def __init__(self, settings: ThompsonSettings, key: bytes) -> None:
        given = Settings(
            explore="thompson", caution=0, alpha=settings.alpha, floor=settings.floor, samples=settings.samples,
            ridge=settings.ridge, discount=settings.discount, deviation=0,
        )  # fmt: skip
        super().__init__(given, key)
