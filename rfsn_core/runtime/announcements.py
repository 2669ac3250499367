"""Messages for every connected client, from the parts that do not know the clients."""

from __future__ import annotations

from collections.abc import Callable

from rfsn_core.protocol.messages import Message


class Announcements:
    """Hands each message to all that subscribed, such as the server's connections."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Message], None]] = []

    def subscribe(self, listener: Callable[[Message], None]) -> None:
        """Call the listener with each message from now on."""
        self._listeners.append(listener)

    def send(self, message: Message) -> None:
        """Send a message to every client."""
        for listener in self._listeners:
            listener(message)
