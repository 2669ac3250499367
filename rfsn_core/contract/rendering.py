"""The rendering stage: words for a decision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rfsn_core.contract.understanding import Understanding
from rfsn_core.protocol.turn import Usage


@dataclass(frozen=True)
class ChatMessage:
    """One message of a prompt; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the NPC's knowledge holds about what was said, as far as this player may hear it."""

    fact: str = ""
    """The fact that the decision is about: to be told, confided, or hinted at."""
    keyed: bool = False
    """Whether the player's words have one of its keys: its author meant it as the answer."""
    aside: bool = False
    """Whether it only speaks of whom or what the question is about, and has nothing of what is asked."""
    told: bool = False
    """Whether the NPC told it to this player before."""
    again: str = ""
    """What its author wants said then."""
    hint: str = ""
    """What its author wants said while it may not be told."""
    more: tuple[str, ...] = ()
    """Other facts that fit and may be told, the best first."""
    refer: str = ""
    """Name of somebody who knows better."""
    refer_title: str = ""


@dataclass(frozen=True)
class Prompt:
    """All a renderer needs to word a decision: the messages for a model, and the facts behind them."""

    npc: str
    name: str
    """The NPC's display name."""
    player: str
    action: str
    style: str
    instruction: str
    """What the action means, for the model."""
    player_text: str
    messages: tuple[ChatMessage, ...]
    understanding: Understanding = field(default_factory=lambda: Understanding(signal="statement"))
    """What the player meant."""
    known: Known = Known()
    people: tuple[tuple[str, str, str], ...] = ()
    """(id, name, title) of the people whom the player named."""
    player_name: str = ""
    """The name that the player gave."""
    player_facts: tuple[str, ...] = ()
    """What the NPC knows of the player, the most useful first."""
    facts: tuple[str, ...] = ()
    """All that the NPC may tell this player now, asked for or not, the most important first; no secrets."""
    others: tuple[tuple[str, str, str], ...] = ()
    """(id, name, title) of the world's other NPCs."""
    occasion: str = ""
    """Why the NPC speaks first: `approach`, the kind of an event, or `result_done`, `result_failed`, `result_refused`.
    Empty when the player spoke."""
    stopped_by: str = ""
    """Why the gate stopped what the player said; empty when it did not. The words are then empty."""
    game: Mapping[str, Any] = field(default_factory=dict)
    """The game's state, as the game sent it."""
    persona: Mapping[str, Any] = field(default_factory=dict)
    """From the NPC's file: `title`, `tags`, `archetype`, `language`, `styles`, `temperament` and `lines`; and the
    world's `shared_lines`, and the `plain_action` behind a variant."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The NPC's state, as for the abstractor."""
    memories: tuple[str, ...] = ()
    seed: int = 0
    """Different for every turn and the same when the turn is replayed."""
    avoid: tuple[str, ...] = ()
    """What the NPC said last, oldest first; it should not repeat it."""
    final_json: bool = False
    """Whether the messages ask for a FINAL_JSON block after the words; see `turn/reply_parser.py`."""
    labels: tuple[str, ...] = ()
    """Names that a model might put in front of what it says: those of the world's NPCs."""
    tokens: int = 0
    """About how many tokens the messages have."""
    provenance: tuple[str, ...] = ()
    """Of the memories that are not turns: kind, id and source of each."""
    notes: tuple[str, ...] = ()
    """What was left out to keep the budget, and what went wrong."""


@dataclass(frozen=True)
class RenderOptions:
    """Settings that a person may tune while the server runs. None: the provider's own setting."""

    temperature: float | None = None
    max_tokens: int | None = None

    def over(self, temperature: float, max_tokens: int) -> tuple[float, int]:
        """Return (temperature, max_tokens) to use, given the provider's own."""
        return (
            temperature if self.temperature is None else self.temperature,
            max_tokens if self.max_tokens is None else self.max_tokens,
        )


class Renderer(Protocol):
    """Words a decision. It never decides.

    A provider whose renderer does not follow the prompt's messages says so with `Capabilities(reports=False)`: no
    FINAL_JSON is then expected in its reply. See `HasHealth` and `ListsModels` for what a renderer may have besides.
    """

    def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str | Usage]:
        """Stream the text, token by token or in larger pieces, and the usage if the engine reports it.

        Closing the iterator stops the engine at once. Raise `EngineError` when the engine fails.
        """
