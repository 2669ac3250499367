"""The dialect `openai`: NPCs as models, on the wires of OpenAI and of Ollama."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import Field

from rfsn_core import Dialect, DialectHost, DialectSettings, hookimpl

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


class Settings(DialectSettings):
    """`[dialects.openai]`."""

    player: str = Field("player", min_length=1, description="Who speaks, when the client does not say.")
    save: str = Field("default", min_length=1, description="The save, when the model's name has no `@save`.")
    scene: bool = Field(
        False, description="Show NPCs the client's system prompt, as data in the game's state; else it is ignored."
    )
    ollama: bool = Field(True, description="Speak Ollama's wire, too: /api/tags, /api/chat and others.")


@asynccontextmanager
async def open_dialect(settings: Settings, host: DialectHost) -> AsyncIterator[Iterable[BaseRoute]]:
    """Yield the routes."""
    from rfsn_dialect_openai.chat import Chats
    from rfsn_dialect_openai.ollama import ollama_routes
    from rfsn_dialect_openai.openai import openai_routes
    from rfsn_dialect_openai.speech import speech_routes

    chats = Chats(settings, host)
    own = ollama_routes(chats) if settings.ollama else []
    yield [*openai_routes(chats), *speech_routes(host), *own]


@hookimpl
def rfsn_dialects() -> Iterable[Dialect[Settings]]:
    """Offer the dialect."""
    yield Dialect("openai", Settings, open_dialect, "OpenAI's and Ollama's wires: NPCs are models")
