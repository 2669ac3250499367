"""One player's game in `rfsn chat`: whom they talk with, what they do, and the flags that a game would keep."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from rfsn_core import protocol
from rfsn_core.contract.errors import UserError
from rfsn_core.kernel import Kernel
from rfsn_core.turn.outbox import Item
from rfsn_core.world.feelings import EVENT_EFFECTS

HELP = (
    f"/with NPC: talk with somebody else. /flag NAME: set a flag of the game. Deeds: /{', /'.join(EVENT_EFFECTS)}."
    " /me does something: say it as an act."
)
_ACTS = ("/me ", "/emote ")


class Play:
    """What stands in for the game."""

    def __init__(self, kernel: Kernel, npc: str, player: str) -> None:
        self._kernel, self._npc, self._player = kernel, npc, player
        self._flags: list[str] = []

    @property
    def name(self) -> str:
        """The name of the NPC that is talked with."""
        return self._kernel.runtimes.current.world.npc(self._npc).name

    def turn(self, text: str) -> protocol.PlayerTurn:
        """Return a turn with these words."""
        return protocol.PlayerTurn(
            npc=self._npc, player=self._player, text=text[: protocol.MAX_TEXT], state={"flags": self._flags}
        )

    async def noted(self, items: AsyncGenerator[Item]) -> AsyncGenerator[Item]:
        """Pass on the events of a turn; keep the fact that was told as a flag."""
        async with aclosing(items) as stream:
            async for item in stream:
                if isinstance(item, protocol.TurnFinished) and item.told:
                    self._flags.append(item.told)
                yield item

    async def command(self, text: str) -> str | None:
        """Do what a line such as "/gift" says; return what to print, or None for a line that is spoken.

        Raises UserError for a command that does not exist.
        """
        if not text.startswith("/") or text.startswith(_ACTS):
            return None
        name, _, rest = text[1:].strip().partition(" ")
        rest = rest.strip()
        if name == "with":
            self._npc = self._kernel.runtimes.current.world.npc(rest).id
            return f"You talk with {self.name}."
        if name == "flag" and rest:
            self._flags.append(rest)
            return f"The game has set {rest}."
        if name in EVENT_EFFECTS:
            state = await self._kernel.event(protocol.GameEvent(npc=self._npc, player=self._player, kind=name))
            return f"{self.name} sees it: {state.mood}, {state.relationship}, trust {state.trust:.2f}"
        if name == "help":
            return HELP
        raise UserError(f"no command /{name}", hint=HELP)
