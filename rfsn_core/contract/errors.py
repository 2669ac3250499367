"""Every error RFSN raises, as one small tree.

::

    RfsnError
      UserError              the user's mistake: exit code 2, HTTP 4xx, an `error` event
        ConfigError          a setting, with file, line and key
        WorldError           an NPC, prompt or lines file
        UnknownNpc
        BadMessage           what a client sent, with the field
        SessionBusy          the session's turn policy refused a second turn
        UnknownTurn
        UnknownDecision
      ShuttingDown           no new turns: the server stops
      PluginError            a plugin cannot be used, with its name and version
      EngineError            a provider failed while working; `retryable` says if again may help
      StoreError             the store cannot be opened, read or written
        StoreInUse           by another process
        Overtaken            another server was faster
        Reverted             the past that this belongs to is no more

Each carries a stable `code` (also the wire's `error.code`), a message, and a hint that says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class RfsnError(Exception):
    """The root. `code` is stable across releases; `hint` says what to do about it."""

    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UserError(RfsnError):
    """A mistake that the person at the keyboard, or the client, can correct."""

    code = "bad_request"


class ConfigError(UserError):
    """A setting is wrong. `problems` holds one line for each, with file, line and key."""

    code = "config_invalid"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class WorldError(UserError):
    """A file of the world (NPC, prompt, lines, lore) cannot be used."""

    code = "world_invalid"


class UnknownNpc(UserError):
    """No NPC of that name in this world."""

    code = "unknown_npc"


class NotFound(UserError):
    """A save, a backup or a memory of that name is not there."""

    code = "not_there"


class BadMessage(UserError):
    """A client's message is malformed; `field` names the part."""

    code = "bad_message"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ConversationBusy(UserError):
    """The NPC is still answering this player and the settings refuse a second turn."""

    code = "conversation_busy"


class UnknownTurn(UserError):
    """No turn of that id is running."""

    code = "unknown_turn"


class UnknownDecision(UserError):
    """No decision of that id was ever stored."""

    code = "unknown_decision"


class ShuttingDown(RfsnError):
    """The server stops and begins no more turns."""

    code = "shutting_down"


class PluginError(RfsnError):
    """A plugin cannot be loaded or used; the message names it and its version."""

    code = "plugin_failed"


class EngineError(RfsnError):
    """A provider failed at its work.

    :param retryable: whether the same call may succeed later.
    :param retry_after: seconds after which it may, when the engine says so.
    :param engine_at_fault: False when only this request could not be done, such as a prompt that is too long: then
        the engine is not left alone for it.
    """

    code = "engine_failed"

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None,
        engine_at_fault: bool = True, hint: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.retryable, self.retry_after, self.engine_at_fault = retryable, retry_after, engine_at_fault


class StoreError(RfsnError):
    """The store cannot be opened, read or written."""

    code = "store_failed"


class StoreInUse(StoreError):
    """Another process has the store open."""

    code = "store_in_use"


class VersionConflict(StoreError):
    """Another server has gone on with a conversation meanwhile."""

    code = "overtaken"


class StaleSave(StoreError):
    """The world went back to a save, or was erased, while something happened in it; so it never happened."""

    code = "reverted"


@contextmanager
def contained() -> Iterator[None]:
    """Goes around a provider's code: what would end the server, or look like our own cancelling, is a failure.

    Libraries do call `sys.exit`, which asyncio hands to the whole process; and some leak a CancelledError that
    nobody asked for. Raises EngineError in their place.
    """
    try:
        yield
    except SystemExit as error:
        raise EngineError(f"it tried to end the process: SystemExit({error})") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EngineError("it cancelled itself") from error
