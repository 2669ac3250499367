"""Every error that RFSN raises, as one small tree.

::

    RfsnError
      UserError              the user's mistake: exit code 2, HTTP 4xx, an `error` event
        ConfigError          a setting, with file, line and key
        WorldError           an NPC, prompt, lines or lore file
        UnknownNpc
        NotFound             a save, a snapshot, a backup or a memory
        BadMessage           what a client sent, with the field
        TooLong              a request over `server.max_message`
        ConversationBusy     the settings refuse a second turn while the NPC answers
        UnknownTurn
        UnknownDecision
      ShuttingDown           the server stops and begins no more turns
      PluginError            a plugin cannot be used, with its name and version
      EngineError            a provider failed while it worked; `retryable` says whether another attempt may help
        ReplyTooLong         a reply reached `max_tokens`
      StoreError             the store cannot be opened, read or written
        StoreInUse           another process has it open
        VersionConflict      another server appended first
        StaleSave            the save was rolled back or erased in the meantime

Each has a stable `code`, which is also `error.code` on the wire, a message, and a hint that says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class RfsnError(Exception):
    """The root of all errors. `code` is stable across releases; `hint` says what to do."""

    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    @property
    def public(self) -> str:
        """What clients may know of it: a sentence of ours, without paths, addresses or texts of an engine."""
        return str(self)


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
    """No save, snapshot, backup or memory of that name exists."""

    code = "not_found"


class BadMessage(UserError):
    """A client's message is malformed; `field` names the part that is wrong."""

    code = "bad_message"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class TooLong(UserError):
    """The request is over `server.max_message`."""

    code = "too_long"


class ConversationBusy(UserError):
    """The NPC is still answering this player and the settings refuse a second turn."""

    code = "conversation_busy"


class UnknownTurn(UserError):
    """No turn of that id is running."""

    code = "unknown_turn"


class UnknownDecision(UserError):
    """No decision of that id is in the log."""

    code = "unknown_decision"


class ShuttingDown(RfsnError):
    """The server is stopping and begins no more turns."""

    code = "shutting_down"


class PluginError(RfsnError):
    """A plugin cannot be loaded or used; the message names it and its version."""

    code = "plugin_failed"


class EngineError(RfsnError):
    """A provider failed while it worked.

    :param retryable: whether the same call may succeed later.
    :param retry_after: seconds to wait before that, when the engine says so.
    :param engine_at_fault: False when only this request cannot be done, such as a prompt that is too long. It then
        does not count for the engine's circuit breaker.
    :param public: what clients may know of it, such as "cannot be reached". The message is for the log: an engine's
        own words may hold addresses and keys.
    """

    code = "engine_failed"

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None,
        engine_at_fault: bool = True, hint: str = "", public: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.retryable, self.retry_after, self.engine_at_fault = retryable, retry_after, engine_at_fault
        self._public = public

    @property
    def public(self) -> str:
        """What clients may know of it."""
        return self._public or "it failed"


class ReplyTooLong(EngineError):
    """A renderer's reply reached its `max_tokens`: what was yielded stays said, up to its last whole sentence."""

    code = "reply_too_long"


class StoreError(RfsnError):
    """The store cannot be opened, read or written."""

    code = "store_failed"

    @property
    def public(self) -> str:
        """What clients may know of it."""
        return "the store failed; the server's log says why"


class StoreInUse(StoreError):
    """Another process has the store open."""

    code = "store_in_use"


class VersionConflict(StoreError):
    """Another server appended to the conversation first."""

    code = "version_conflict"

    @property
    def public(self) -> str:
        """What clients may know of it."""
        return str(self)


class StaleSave(StoreError):
    """The save was rolled back or erased while this happened in it, so it is not stored."""

    code = "stale_save"

    @property
    def public(self) -> str:
        """What clients may know of it."""
        return str(self)


@contextmanager
def contained() -> Iterator[None]:
    """Contain a provider's code: what would end the server, or looks like a cancellation of ours, is an EngineError.

    Some libraries call `sys.exit`, or raise a KeyboardInterrupt or a BaseException of their own, which asyncio passes
    on to the whole process; some leak a CancelledError that nobody requested.
    """
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        task = _current_task()
        if task is not None and task.cancelling():
            raise
        raise EngineError("the provider cancelled itself") from error
    except BaseException as error:
        kind = type(error).__name__
        raise EngineError(f"the plugin's code tried to end the process: {kind}({error})") from error


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside of an event loop
        return None
