"""Settings of engines behind HTTP. Without httpx: settings are read also of engines that nobody opens."""

from __future__ import annotations

from pydantic import BaseModel, Field


class RemoteSettings(BaseModel, extra="forbid"):
    """What all engines behind HTTP have in common."""

    temperature: float = Field(
        0.7, ge=0, le=2, description="How freely the model words. 0 always takes the likeliest word."
    )
    max_tokens: int = Field(150, ge=1, le=4096, description="Longest reply, the report at its end included.")
    omit: list[str] = Field(
        [], description="Keys of the request to leave out, such as `temperature` or `seed`, which some models refuse."
    )
    thinks: bool = Field(
        False, description="The server's template begins the model's thoughts: nothing is said before `</think>`."
    )
    connect_timeout: float = Field(5.0, gt=0, description="Seconds until a connection must stand.")
