"""Policies that learn from rewards."""

from __future__ import annotations

from collections.abc import Iterable

from rfsn_core import Host, Offer, Policy, Provider, hookimpl
from rfsn_policy_linucb.linucb import LinUcb, Settings
from rfsn_policy_linucb.simple import EpsilonGreedy, EpsilonSettings, Thompson, ThompsonSettings


def _key(host: Host) -> bytes:
    """Return the text that seeds a policy's random numbers."""
    return host.random.getrandbits(128).to_bytes(16, "big")


@hookimpl
def rfsn_selection() -> Iterable[Offer[Policy]]:
    """Offer `linucb`, `epsilon_greedy` and `thompson`."""
    yield Provider.of(
        "linucb",
        lambda settings, host: LinUcb(settings, _key(host)),
        Settings,
        "learns by situation, shared by all NPCs, with its bounds",
    )
    yield Provider.of(
        "epsilon_greedy",
        lambda settings, host: EpsilonGreedy(settings, _key(host)),
        EpsilonSettings,
        "learns each action's mean reward",
    )
    yield Provider.of(
        "thompson",
        lambda settings, host: Thompson(settings, _key(host)),
        ThompsonSettings,
        "tries each action as often as it may be the best",
    )
