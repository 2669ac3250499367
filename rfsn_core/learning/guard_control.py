"""The guard's state and all that follows from a change of it: on disk, in metrics, in games, on other servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from rfsn_core import protocol
from rfsn_core.kit.files import replace_file
from rfsn_core.learning.guard import STATES, LearningGuard, State
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.learning.update_log import GuardEntry, UpdateLogs
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("learning")


class GuardFile(msgspec.Struct, frozen=True, kw_only=True):
    """`guard.json`."""

    state: State
    reason: str


class GuardControl:
    """The guard of one server.

    :param path: where the state is kept between two starts.
    :param server: id of this server.
    """

    def __init__(self, runtimes: CurrentRuntime, logs: UpdateLogs, path: Path, server: str) -> None:
        self._runtimes, self._logs, self._path, self._server = runtimes, logs, path, server
        self._guard = LearningGuard(runtimes.current.settings.learning.guard)
        self._sharing: asyncio.Task[None] | None = None
        self._is_shared = True
        """Whether the other servers know the state."""

    @property
    def state(self) -> State:
        """Whether this server learns."""
        return self._guard.state

    @property
    def reason(self) -> str:
        """Why it does not, or slowly."""
        return self._guard.reason

    @property
    def weight(self) -> float:
        """Weight of an observation now."""
        return self._guard.weight

    def load(self) -> None:
        """Take over the state from before a restart: only an operator unfreezes. A file that cannot be read means
        frozen."""
        if not self._path.exists():
            return
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=GuardFile)
        except (OSError, msgspec.MsgspecError) as error:
            self._guard.set("frozen", f"{self._path} cannot be read: {error}")
        else:
            self._guard.set(file.state, file.reason)

    # ── what changes it ──────────────────────────────────────────────────────────────────────────

    def add_reward(self, value: float, *, correction: bool) -> None:
        """Judge with one more reward."""
        self._guard.limits = self._runtimes.current.settings.learning.guard
        if self._guard.add_reward(value, correction=correction):
            self._changed()

    def add_turn(self, *, blocked: bool) -> None:
        """Judge with one more turn."""
        self._guard.limits = self._runtimes.current.settings.learning.guard
        if self._guard.add_turn(blocked=blocked):
            self._changed()

    def freeze(self, reason: str = "by an operator") -> None:
        """Stop learning until `unfreeze`."""
        self._guard.set("frozen", reason)
        self._changed()

    def unfreeze(self) -> None:
        """Let learning continue."""
        self._guard.set("learning", "")
        self._changed()

    def follow(self, entry: GuardEntry) -> None:
        """Take over a change from the update log."""
        if entry.server != self._server and (entry.state, entry.reason) != (self.state, self.reason):
            self._guard.set(entry.state, entry.reason)
            self._publish()

    # ── what follows ─────────────────────────────────────────────────────────────────────────────

    def _changed(self) -> None:
        self._publish()
        self._is_shared = self._logs.shared is None
        if self._sharing is None or self._sharing.done():
            self._sharing = asyncio.create_task(self._share_now(), name="share the guard's state")

    def _publish(self) -> None:
        METRICS.learning.set(STATES.index(self.state))
        try:
            with replace_file(self._path) as file:
                file.write(msgspec.json.encode(GuardFile(state=self.state, reason=self.reason)))
        except OSError as error:
            log.error("guard.not_saved", path=str(self._path), error=str(error))
        log.warning("guard.changed", state=self.state, reason=self.reason)
        self._runtimes.announcements.send(protocol.LearningChanged(state=self.state, reason=self.reason))

    async def share(self, *, again: bool = False) -> None:
        """Append the state to the shared log, when the others do not know it. Raises what the store raises.

        :param again: although they know it.
        """
        while (again or not self._is_shared) and self._logs.shared is not None:
            state, reason = self.state, self.reason
            await self._logs.shared.append(GuardEntry(server=self._server, state=state, reason=reason))
            self._is_shared, again = (state, reason) == (self.state, self.reason), False

    async def _share_now(self) -> None:
        try:
            await self.share()
        except Exception as error:  # noqa: BLE001  the store's code
            log.warning("guard.not_shared", error=repr(error), hint="It is shared when the store is available")

    async def close(self) -> None:
        """Wait until the others know."""
        if self._sharing is not None:
            await asyncio.wait([self._sharing], timeout=5)
