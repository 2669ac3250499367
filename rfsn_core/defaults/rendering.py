"""`scripted`: words from an NPC's facts and from lines written by hand. It needs no model and cannot fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any

from pydantic import BaseModel, Field

from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.contract.understanding import SIGNALS
from rfsn_core.defaults.composing import Composer
from rfsn_core.defaults.lines import pools
from rfsn_core.world import lines


class Settings(BaseModel, extra="forbid"):
    """`[rendering.scripted]`."""

    words_per_second: float = Field(0, ge=0, description="Words per second of the stream; 0: no pause between words.")


class Scripted:
    """The renderer that needs no model.

    What the NPC says is made from its facts, from lines that authors wrote, and from built-in lines, in this order:
    words for grave moments; the author's lines for this action and signal; what a moment calls for; what everybody can
    be asked; the fact that the decision is about; the NPC's lines for the action and style, then the world's, then the
    built-in ones. The turn's seed picks. A line that the NPC said lately is picked only when there is no other.
    """

    def __init__(self, words_per_second: float) -> None:
        self._pause = 1 / words_per_second if words_per_second else 0.0
        pools()  # read now, and not while somebody waits for the first answer

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        """Yield the line, word by word."""
        line = self.line(prompt)
        start = 0
        while start < len(line):
            space = line.find(" ", start + 1)
            end = len(line) if space < 0 else space
            yield line[start:end]
            start = end
            if self._pause:
                await asyncio.sleep(self._pause)

    def line(self, prompt: Prompt) -> str:
        """Return what the NPC says."""
        return Composer(prompt, partial(self._authored, prompt)).line()

    def _authored(self, prompt: Prompt, action: str, *, for_signal: bool = False) -> str:
        """Return a line of the NPC's file or the world's that was not said lately; empty when there is none.

        :param for_signal: take only lines that are written for the player's signal.
        """
        past = "\n".join(prompt.avoid)
        for texts in self._sources(prompt, for_signal, action):
            start = Random(f"{prompt.seed}/{action}").randrange(len(texts)) if texts else 0
            for text in (*texts[start:], *texts[:start]):
                line = _fill(text, prompt)
                if line and line not in past:
                    return line
        return ""

    @staticmethod
    def _sources(prompt: Prompt, for_signal: bool, action: str) -> Iterator[list[str]]:
        plain = str(prompt.persona.get("plain_action", action)) if action == prompt.action else action
        # Not knowing, or not telling, is no way of explaining: lines that explain would be nonsense.
        for name in dict.fromkeys((action, plain) if plain != "explain" else (action,)):
            for table in ("lines", "shared_lines"):
                entry: Any = prompt.persona.get(table, {}).get(name, [])
                if not isinstance(entry, Mapping):
                    if not for_signal:
                        yield list(entry)
                elif for_signal:
                    yield list(entry.get(prompt.understanding.signal, []))
                else:
                    styles = {key: lines for key, lines in entry.items() if key not in SIGNALS}
                    yield list(styles.get(prompt.style, []))
                    yield [text for lines in styles.values() for text in lines]


def _fill(text: str, prompt: Prompt) -> str:
    try:
        return lines.fill(text, _variables(prompt)).strip()
    except lines.LineError:
        return ""  # skip a line that fails for this state; a broken one was refused when the world was read


def _variables(prompt: Prompt) -> dict[str, Any]:
    """Return what an author's line can use; see `world.lines.VARIABLES`."""
    understanding = prompt.understanding
    guest = prompt.player.startswith("guest") or not prompt.player[:1].isupper()
    stranger = "friend" if prompt.state.get("relationship") in ("friend", "ally") else "stranger"
    return {
        "name": prompt.name,
        "player": prompt.player_name or (stranger if guest else prompt.player),
        "player_name": prompt.player_name,
        "state": prompt.state,
        "style": prompt.style,
        "signal": understanding.signal,
        "asks": understanding.asks,
        "topics": understanding.topics,
        "named": [entity.name for entity in understanding.entities],
        "memories": prompt.player_facts,
        "known": prompt.known,
        "game": prompt.game,
    }


def _make(settings: Settings) -> Scripted:
    return Scripted(settings.words_per_second)


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer the built-in default."""
    yield Provider.of(
        "scripted", _make, Settings, "facts and hand-written lines, without a model", Capabilities(reports=False)
    )
