"""The hooks: all a plugin can offer, change, or watch. This file is the contract.

A plugin is a module (or a file in `<world>/plugins/`) with functions named like those below::

    from rfsn_core import Provider, hookimpl

    @hookimpl
    def rfsn_rendering():
        yield Provider("echo", EchoSettings, open_echo, about="repeats the player")

and, in its `pyproject.toml`, `[project.entry-points.rfsn] my_plugin = "my_module"` plus the dependency
`rfsn-core>=0.1,<0.2`, which is the version of this contract. An implementation takes any subset of a hook's
parameters, by name; a parameter with a default is refused, because it would never be passed. All hooks are
plain functions, except `rfsn_started` and `rfsn_stopping`, which may be `async`.
"""

# The bodies of the hooks are their docstrings: pluggy never runs them.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from rfsn_core.contract.abstraction import Abstractor
    from rfsn_core.contract.actions import Action, SafetyRule, Situation
    from rfsn_core.contract.archive import Archive
    from rfsn_core.contract.dialects import Dialect
    from rfsn_core.contract.embedding import Embedder
    from rfsn_core.contract.gating import Gate
    from rfsn_core.contract.provider import Offer
    from rfsn_core.contract.rendering import Prompt, Renderer
    from rfsn_core.contract.selection import Policy
    from rfsn_core.contract.speech import Voice
    from rfsn_core.contract.storage import Store
    from rfsn_core.contract.understanding import Understander
    from rfsn_core.protocol.server import ServerMessage

F = TypeVar("F", bound=Callable[..., Any])

PROJECT = "rfsn"
hookspec = cast("Callable[[F], F]", pluggy.HookspecMarker(PROJECT))
hookimpl = cast("Callable[[F], F]", pluggy.HookimplMarker(PROJECT))
"""Marks a function of a plugin as the implementation of the hook of its name."""


@dataclass(frozen=True)
class ServerInfo:
    """The server that starts or stops."""

    world: Path
    """The world's folder."""
    version: str
    """The kernel's."""


# ── OFFER ────────────────────────────────────────────────────────────────────────────────────────
# Called once, when plugins are discovered. Return an iterable of descriptors.


@hookspec
def rfsn_understanding() -> Iterable[Offer[Understander]]:
    """Offer providers of the understanding stage: what the player means."""


@hookspec
def rfsn_abstraction() -> Iterable[Offer[Abstractor]]:
    """Offer providers of the abstraction stage: game and NPC state → key and features."""


@hookspec
def rfsn_selection() -> Iterable[Offer[Policy]]:
    """Offer providers of the selection stage: the policy that chooses action and style."""


@hookspec
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer providers of the rendering stage: what words the decision."""


@hookspec
def rfsn_gating() -> Iterable[Offer[Gate]]:
    """Offer providers of the gating stage: what checks the player's text and every sentence."""


@hookspec
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer providers of the speech stage: what speaks sentences."""


@hookspec
def rfsn_storage() -> Iterable[Offer[Store]]:
    """Offer providers of the storage stage: what remembers turns and state."""


@hookspec
def rfsn_archive() -> Iterable[Offer[Archive]]:
    """Offer providers of the archive stage: long-term copies of turns."""


@hookspec
def rfsn_embedding() -> Iterable[Offer[Embedder]]:
    """Offer providers of the embedding stage: vectors of texts."""


@hookspec
def rfsn_actions() -> Iterable[Action]:
    """Add actions to the built-in ones, each with the instruction that the renderer words.

    An action of a built-in name replaces it.
    """


@hookspec
def rfsn_safety_rules() -> Iterable[SafetyRule]:
    """Add safety rules. Rules forbid or force; none can allow what another forbids."""


@hookspec
def rfsn_routes() -> Iterable[BaseRoute]:
    """Add Starlette routes to the server, mounted under `/plugins/<plugin name>/`."""


@hookspec
def rfsn_dialects() -> Iterable[Dialect[Any]]:
    """Offer dialects: wires of other servers, served from the root, so that existing clients need no change."""


@hookspec
def rfsn_commands() -> Iterable[click.Command]:
    """Add commands to the `rfsn` program. The name of a built-in command is refused.

    This is for plugin files of a world. An installed plugin names each command in its `pyproject.toml`, so that
    `rfsn --help` lists it without importing the plugin: `[project.entry-points."rfsn.commands"] hey = "my_module:hey"`.
    """


# ── TRANSFORM ────────────────────────────────────────────────────────────────────────────────────
# Called on every turn, one plugin after the other in the order of their names.


@hookspec
def rfsn_candidates(situation: Situation, candidates: Sequence[str]) -> Mapping[str, str | None]:
    """Add or veto candidates.

    :param situation: the NPC's state, the player's signal and the game's state; read only.
    :param candidates: names of the actions that are in so far.
    :return: action → None to add it, action → reason to veto it. What safety rules forbade stays out.
        A hook that raises is skipped, logged and counted.
    """


@hookspec
def rfsn_prompt(prompt: Prompt) -> Prompt | None:
    """Change the prompt.

    :param prompt: what would be sent; frozen, use `dataclasses.replace`.
    :return: the prompt to send instead, or None to leave it.
    """


# ── OBSERVE ──────────────────────────────────────────────────────────────────────────────────────
# Observing cannot break a turn: an error is logged with the plugin's name and counted; after too many, the hook is no
# longer called.


@hookspec
def rfsn_event(event: ServerMessage, npc: str, player: str) -> None:
    """Observe every event of a turn, in order, except audio.

    :param event: one of the messages that a client gets, such as `TurnFinished`; do not change it.
    :param npc: id of the NPC.
    :param player: id of the player.
    """


@hookspec
def rfsn_started(info: ServerInfo) -> None:
    """Run when the server is ready. May be `async`.

    :param info: the world's folder and the kernel's version.
    """


@hookspec
def rfsn_stopping(info: ServerInfo) -> None:
    """Run before the server stops, when turns have ended. May be `async`; takes 5 seconds at most.

    :param info: as for `rfsn_started`.
    """


@hookspec
def rfsn_config_changed(files: Sequence[str], reopened: Sequence[str]) -> None:
    """Run after a reload; new settings apply from the next turn.

    :param files: what changed on disk.
    :param reopened: the providers that were closed and opened again, as `stage:name`.
    """
