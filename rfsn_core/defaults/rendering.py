"""`scripted`: lines written by hand, by action, style and NPC. It needs no model and cannot fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from random import Random
from typing import Any

from pydantic import BaseModel, Field

from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.defaults.lines import LINES
from rfsn_core.world import lines


class Settings(BaseModel, extra="forbid"):
    """`[rendering.scripted]`."""

    words_per_second: float = Field(0, ge=0, description="Words per second of the stream; 0: no pause between words.")


class Scripted:
    """The renderer that picks a line.

    It searches the NPC's own lines, then the world's, then the built-in ones: first those for the action and style,
    then those for the action in any style, then the same for the plain action of a variant. An NPC that explains
    first looks for a fact that answers the question. The turn's seed picks among the lines found. A line that the NPC
    said last is picked only when there is no other.
    """

    def __init__(self, words_per_second: float) -> None:
        self._pause = 1 / words_per_second if words_per_second else 0.0

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        """Yield the chosen line, word by word."""
        line = self._line(prompt)
        start = 0
        while start < len(line):
            space = line.find(" ", start + 1)
            end = len(line) if space < 0 else space
            yield line[start:end]
            start = end
            if self._pause:
                await asyncio.sleep(self._pause)

    def _line(self, prompt: Prompt) -> str:
        said = {text.strip() for text in prompt.avoid}
        fresh: list[str] = []
        stale: list[str] = []
        for texts in self._sources(prompt):
            rendered = [line for text in texts if (line := self._fill(text, prompt))]
            fresh = [line for line in rendered if line not in said]
            if fresh:
                break
            stale = stale or rendered
        choice = fresh or stale or ["Hm."]
        return choice[Random(prompt.seed).randrange(len(choice))]

    def _sources(self, prompt: Prompt) -> Iterable[list[str]]:
        own: Mapping[str, Any] = prompt.persona.get("lines", {})
        shared: Mapping[str, Any] = prompt.persona.get("shared_lines", {})
        plain = str(prompt.persona.get("plain_action", prompt.action))
        if fact := prompt.known.fact or prompt.known.hint:
            yield [fact.replace("{", "(").replace("}", ")")]  # braces would be read as a template
        for action in dict.fromkeys((prompt.action, plain)):
            for table in (own, shared, LINES):
                entry: Any = table.get(action, [])
                if isinstance(entry, Mapping):
                    yield list(entry.get(prompt.style, []))
                    yield [text for texts in entry.values() for text in texts]
                else:
                    yield list(entry)

    def _fill(self, text: str, prompt: Prompt) -> str:
        values = {
            "name": prompt.name,
            "player": prompt.player,
            "state": prompt.state,
            "style": prompt.style,
            "known": prompt.known,
        }
        try:
            return lines.fill(text, values).strip()
        except lines.LineError:
            return ""  # skip a line that fails for this state; a broken one was refused when the world was read


def _make(settings: Settings) -> Scripted:
    return Scripted(settings.words_per_second)


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer the built-in default."""
    yield Provider.of("scripted", _make, Settings, "hand-written lines, without a model", Capabilities(reports=False))
