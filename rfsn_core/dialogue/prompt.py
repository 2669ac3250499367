"""The decision, put into words for a model: templates that a user can replace, data that stays data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rfsn_core.errors import WorldError
from rfsn_core.providers import ChatMessage, Prompt
from rfsn_core.world.actions import STYLES, Action
from rfsn_core.world.folder import Npc, World
from rfsn_core.world.state import NpcState

TEMPLATES = {
    name: resources.files(__package__).joinpath("templates", f"{name}.j2").read_text("utf-8")
    for name in ("system", "turn")
}
"""The built-in templates; `<world>/prompts/system.j2` and `turn.j2` replace them."""

GAME_STATE_CHARACTERS = 1500


def neutral(text: str) -> str:
    """Data that cannot leave its delimiters: angle brackets become look-alikes."""
    return text.replace("<", "‹").replace(">", "›")


class Prompts:
    """The compiled templates of one runtime."""

    def __init__(self, world: World) -> None:
        environment = ImmutableSandboxedEnvironment(autoescape=False, trim_blocks=False)
        sources = TEMPLATES | {name: text for name, text in world.prompts.items() if name in TEMPLATES}
        self._templates = {name: environment.from_string(text) for name, text in sources.items()}
        self._world = world
        self._system: dict[str, str] = {}

    def build(
        self,
        *,
        npc: Npc,
        player: str,
        text: str,
        action: Action,
        style: str,
        state: NpcState,
        memories: Sequence[str],
        game: Mapping[str, Any],
        avoid: Sequence[str],
        seed: str,
    ) -> Prompt:
        """The prompt of a turn. Raises WorldError when a user's template fails."""
        style_words = STYLES.get(style, style.replace("_", " "))
        try:
            system = self._system.get(npc.id)
            if system is None:
                system = self._templates["system"].render(npc=npc.file, lore=self._world.lore)
                self._system[npc.id] = system
            shown = json.dumps(game, ensure_ascii=False)[:GAME_STATE_CHARACTERS] if game else ""
            turn = self._templates["turn"].render(
                npc=npc.file,
                instruction=action.instruction,
                action=action.name,
                style=style_words,
                mood=state.mood,
                relationship=state.relationship,
                memories=[neutral(m) for m in memories],
                game=neutral(shown),
                text=neutral(text),
                player=neutral(player),
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            raise WorldError(f"{self._world.path / 'prompts'}: a template failed: {error}") from error
        return Prompt(
            npc=npc.id,
            name=npc.name,
            player=player,
            action=action.name,
            style=style,
            instruction=action.instruction,
            player_text=text,
            messages=(ChatMessage("system", system), ChatMessage("user", turn)),
            persona={
                "title": npc.file.title,
                "tags": npc.file.tags,
                "knows": npc.file.knows,
                "lines": npc.file.lines,
                "shared_lines": self._world.lines,
                "plain_action": action.variant_of or action.name,
            },
            state=state.plain(),
            memories=tuple(memories),
            seed=int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=6).digest(), "big"),
            avoid=tuple(avoid),
        )
