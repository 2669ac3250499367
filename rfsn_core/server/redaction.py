"""Hides keys and passwords in all that the server sends, in one place: events, JSON answers and server-sent events."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rfsn_core.telemetry.redaction import SECRETS

SPOKEN = ('{"type":"text"', '{"type":"sentence"', '{"type":"turn.finished"')
"""What an NPC says holds no key, and a key may be a word."""


def redacted(event: str) -> str:
    """Return a message of the protocol without keys and passwords."""
    return event if event.startswith(SPOKEN) else SECRETS.redact(event)


class Redacting:
    """ASGI middleware. Stars are as long as what they hide, so lengths that were announced stay right."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        textual = False

        async def sending(message: Message) -> None:
            nonlocal textual
            if message["type"] == "http.response.start":
                kind = next((value for name, value in message["headers"] if name.lower() == b"content-type"), b"")
                textual = kind.startswith((b"application/json", b"text/event-stream", b"text/plain"))
            elif message["type"] == "http.response.body" and textual and message.get("body"):
                text = bytes(message["body"]).decode("utf-8", "surrogateescape")
                message = {**message, "body": SECRETS.redact(text).encode("utf-8", "surrogateescape")}
            elif message["type"] == "websocket.send" and message.get("text"):
                message = {**message, "text": redacted(message["text"])}
            elif message["type"] == "websocket.close" and message.get("reason"):
                message = {**message, "reason": SECRETS.redact(message["reason"])}
            await send(message)

        await self._app(scope, receive, sending)
