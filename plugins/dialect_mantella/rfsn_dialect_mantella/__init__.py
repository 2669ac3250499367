"""The dialect `mantella`: the wire of Mantella's game plugins for Skyrim, Fallout 4 and Starfield."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rfsn_core import Dialect, DialectHost, DialectSettings, hookimpl

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

Game = Literal["skyrim", "fallout4", "starfield"]


class Settings(DialectSettings):
    """`[dialects.mantella]`."""

    enabled: bool = Field(False, description="Whether the server speaks it.")
    port: int = Field(4999, ge=1, le=65535, description="The port that the game plugins expect, on this machine only.")
    game: Game = Field("skyrim", description="The game: how actions and sound reach it.")
    folder: str = Field("", description="The mod's own folder, for sound files; empty: none are written.")
    overrides: str = Field("", description="Folder of Mantella's character overrides, for bios and voices.")
    greet: bool = Field(True, description="The NPC speaks first.")
    goodbyes: list[str] = Field(
        ["goodbye", "good bye", "bye", "farewell", "see you later"],
        description="What ends the talk, when it is all the player says besides a name.",
    )
    actions: dict[str, str] = Field(
        {"attack": "mantella_npc_offended", "flee": "mantella_npc_flee"},
        description="Action → the game's name of it; others keep theirs, and an empty name is not sent.",
    )
    radiant_lines: int = Field(6, ge=0, description="Turns of NPCs that talk among themselves.")


@asynccontextmanager
async def open_dialect(settings: Settings, host: DialectHost) -> AsyncIterator[Iterable[BaseRoute]]:
    """Yield the one route."""
    from rfsn_dialect_mantella.route import Mantella

    mantella = Mantella(settings, host)
    try:
        yield mantella.routes()
    finally:
        await mantella.close()


@hookimpl
def rfsn_dialects() -> Iterable[Dialect[Settings]]:
    """Offer the dialect."""
    yield Dialect("mantella", Settings, open_dialect, "Mantella's game plugins: Skyrim, Fallout 4, Starfield")
