"""What learning needs of the server: the settings, policy and store that are in use now."""

from __future__ import annotations

from typing import Protocol

from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.protocol.messages import Message
from rfsn_core.settings.schema import Settings
from rfsn_core.world.decision import Decider


class Runtime(Protocol):
    """What a reload replaces as a whole."""

    @property
    def settings(self) -> Settings:
        """The settings."""

    @property
    def decider(self) -> Decider:
        """Holds the policy."""

    @property
    def shared_store(self) -> SharedStore | None:
        """The store, if other servers use it too."""


class Announcements(Protocol):
    """Reaches every client."""

    def send(self, message: Message) -> None:
        """Send a message to every client."""


class CurrentRuntime(Protocol):
    """Holds the runtime that is in use."""

    @property
    def announcements(self) -> Announcements:
        """What every client receives."""

    @property
    def current(self) -> Runtime:
        """The runtime that is in use."""
