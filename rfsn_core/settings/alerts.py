"""`[operations.alerts]`: rules over metrics, and who is told."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, Field, field_validator, model_validator

LEVELS = ("info", "warning", "error", "critical")
_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(\{(?P<labels>[^{}]*)\})?")
_LABEL = re.compile(r'\s*(\w+)\s*=\s*"([^"]*)"\s*(?:,|$)')
Level = Literal["info", "warning", "error", "critical"]


class Selector(NamedTuple):
    """A metric's name, and the labels that its samples must have."""

    name: str
    labels: tuple[tuple[str, str], ...]


def selector(text: str) -> Selector:
    """Return what a text such as `rfsn_errors_total{stage="speech"}` selects. Raises ValueError."""
    match = _SELECTOR.fullmatch(text.strip())
    labels = match["labels"] or "" if match else ""
    pairs = tuple(_LABEL.findall(labels))
    if match is None or _LABEL.sub("", labels).strip():
        raise ValueError(f"'{text}' is no metric, such as rfsn_errors_total{{stage=\"speech\"}}")
    return Selector(match["name"], pairs)


class AlertRule(BaseModel, extra="forbid"):
    """One rule."""

    metric: str = Field(description='Metric, as in `GET /metrics`: `rfsn_errors_total{stage="speech"}`.')
    above: float | None = Field(None, description="Fires above this.")
    below: float | None = Field(None, description="Fires below this.")
    per_minute: bool = Field(False, description="Look at the increase in the last minute: for counters.")
    seconds: float = Field(60.0, ge=0, description="For how long, before it fires.")
    level: Level = Field("warning", description="How bad it is.")
    enabled: bool = Field(True, description="False: the rule does not apply; for built-in ones.")

    @field_validator("metric")
    @classmethod
    def _metric(cls, text: str) -> str:
        selector(text)
        return text

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule has either `above` or `below`")
        return self

    def is_passed(self, value: float) -> bool:
        """Return whether a value is beyond the threshold."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)

    def words(self, value: float) -> str:
        """Return what is wrong, in words."""
        bound = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        rate = " a minute" if self.per_minute else ""
        return f"{self.metric} is {value:g}{rate}, {bound}{rate} for {self.seconds:g} s"


class WebhookSettings(BaseModel, extra="forbid"):
    """Who is told of alerts."""

    webhook: str = Field(pattern=r"^https?://", description="Address; it is hidden like a key.")
    format: Literal["json", "slack"] = Field("json", description="`slack`: what Slack and Mattermost understand.")
    level: Level = Field("warning", description="The least level that is sent.")


class AlertSettings(BaseModel, extra="forbid"):
    """`[operations.alerts]`: rules over metrics, and who is told."""

    every: float = Field(10.0, gt=0, description="Seconds between two checks.")
    quiet_seconds: float = Field(300.0, ge=0, description="A rule that fires again within this time tells nobody.")
    built_in: bool = Field(True, description="Also check the built-in rules; see operating.md.")
    rules: dict[str, AlertRule] = Field({}, description="Name → rule; one with a built-in name replaces that.")
    webhooks: list[WebhookSettings] = Field([], description="Who is told.")
