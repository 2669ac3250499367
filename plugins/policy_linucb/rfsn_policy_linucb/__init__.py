"""Policies that learn from rewards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.selection import Policy
from rfsn_policy_linucb.linucb import LinUcb, Settings
from rfsn_policy_linucb.simple import EpsilonGreedy, EpsilonSettings, Thompson, ThompsonSettings


def _opening(kind: Any) -> Any:
    @asynccontextmanager
    async def open_it(settings: Any, host: Host) -> AsyncIterator[Policy]:
        yield kind(settings, host.random.getrandbits(128).to_bytes(16, "big"))

    return open_it


@hookimpl
def rfsn_selection() -> Iterable[Provider[Policy]]:
    """Offers `linucb`, `epsilon_greedy` and `thompson`."""
    yield Provider("linucb", Settings, _opening(LinUcb), "learns by situation, shared by all NPCs, with its bounds")
    yield Provider("epsilon_greedy", EpsilonSettings, _opening(EpsilonGreedy), "learns each action's mean reward")
    yield Provider("thompson", ThompsonSettings, _opening(Thompson), "tries each action as often as it may be the best")
