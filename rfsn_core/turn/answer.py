"""What the NPC says in one turn: each sentence is gated, sent as text, and handed to the voice."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from rfsn_core import protocol
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.oversight.oversight import Asker
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.out_of_character import REASON as OUT_OF_CHARACTER
from rfsn_core.turn.out_of_character import is_out_of_character
from rfsn_core.turn.rendering import FirstToken, Rendering, Switch
from rfsn_core.turn.reply_parser import Narration, Retraction
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.turn.sentences import Piece, Sentences
from rfsn_core.turn.speech import Speaker, until
from rfsn_core.turn.voice_text import voice_text

log = logger("answer")

FALLBACK_LINE = "Let us speak of something else."
"""Said in place of a blocked sentence by an NPC whose file has no `fallback`."""


class Answer:
    """The NPC's side of one turn.

    :param speaker: None when nobody wants to hear it.
    :param action: what the NPC decided to do; gates see it.
    """

    def __init__(
        self, request: Request, runtime: Runtime, events: TurnEvents, speaker: Speaker | None, action: str,
        *, in_combat: bool,
    ) -> None:  # fmt: skip
        self._request, self._runtime, self._events, self._speaker = request, runtime, events, speaker
        self._action = action
        self.in_combat = in_combat
        """For the gate; a game event may change it."""
        self._said: list[tuple[int, str]] = []
        self._blocked = -1  # the sentence that the gate stopped last
        self._fallback_said = False
        self._indices: dict[int, int] = {}  # sentence → its index in the events
        self._narrated = 0

    @property
    def blocked(self) -> bool:
        """Whether the gate stopped a sentence."""
        return self._blocked >= 0

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(text for _, text in self._said).strip()

    def heard(self, sentence: int, ms: int) -> str:
        """Return what was said up to a moment in the sound of a sentence."""
        before = "".join(text for index, text in self._said if index < sentence)
        sounding = "".join(text for index, text in self._said if index == sentence)
        length = self._speaker.lengths.get(sentence, 0) if self._speaker else 0
        return (before + (until(sounding, ms / length) if 0 < ms < length else sounding)).strip()

    async def give(self, rendering: Rendering, instead: str = "") -> None:
        """Say and speak what the renderers word. Cancelling this cancels both.

        :param instead: what is said in place of all that; no renderer is asked then.
        """
        speaker = self._speaker
        if speaker is None:
            await self.word(rendering, instead)
            return
        speaking = asyncio.create_task(speaker.run())
        try:
            await self.word(rendering, instead)
            speaker.finish()
            await speaking
        finally:
            if not speaking.done():
                speaking.cancel()
                await asyncio.wait([speaking])
            with suppress(asyncio.CancelledError):
                speaking.exception()  # taking it out of the task frees the frames in its traceback

    async def word(self, rendering: Rendering, instead: str = "") -> None:
        """Say what the renderers word; the NPC's fallback line if they word nothing.

        :param instead: what is said in place of all that; no renderer is asked then.
        """
        turn_id = self._request.turn_id
        if instead:
            rendering.renderer, rendering.reason = "gate", "complete"
            await self._speak_line(instead)
            return
        async with aclosing(rendering.stream()) as items:
            async for item in items:
                match item:
                    case FirstToken():
                        self._events.mark("first_token")
                    case Switch(failed, following, reason):
                        self._events.emit(
                            protocol.RendererSwitched(turn_id=turn_id, failed=failed, next=following, reason=reason)
                        )
                    case Retraction():
                        log.warning("reply.thoughts_said", npc=self._request.npc.id, renderer=rendering.renderer)
                        self._said.clear()
                    case Narration(text):
                        await self._narrate(text)
                    case Piece():
                        await self._say(item._replace(sentence=self._index(item.sentence)))
        if usage := rendering.trace.usage:
            METRICS.engine_tokens.labels("prompt").inc(usage.prompt_tokens or 0)
            METRICS.engine_tokens.labels("completion").inc(usage.completion_tokens or 0)
        if not rendering.said:
            await self._say(Piece(self._index(0), self._fallback(), True))

    async def _speak_line(self, text: str) -> None:
        """Say the operator's words or built-in ones. The gates are not asked: a telephone number for help stays in."""
        pieces = Sentences()
        for piece in [*pieces.feed(text), *pieces.flush()]:
            if not piece.speakable:
                self._send(piece.sentence, piece.text)
                continue
            await self._deliver(piece.sentence, piece.text)

    async def _deliver(self, sentence: int, text: str) -> None:
        """Send a sentence, and hand it to the voice."""
        said = text.strip()
        self._events.mark("first_sentence")
        self._send(sentence, text)
        self._events.emit(protocol.Sentence(turn_id=self._request.turn_id, index=sentence, text=said))
        await self._voice(sentence, said)

    async def _voice(self, index: int, text: str, *, narrates: bool = False) -> None:
        if self._speaker is not None and (spoken := voice_text(text, self._request.npc.language)):
            await self._speaker.say(index, spoken, narrates=narrates)

    def _index(self, sentence: int) -> int:
        """Return the index of a sentence in what the client receives: stage directions count, too."""
        return self._indices.setdefault(sentence, len(self._indices) + self._narrated)

    async def _narrate(self, text: str) -> None:
        """Gate a stage direction, send it, and hand it to the narrator's voice."""
        manner = self._runtime.settings.rendering.narration
        if manner == "drop":
            return
        index = len(self._indices) + self._narrated
        self._narrated += 1
        verdict = await self._verdict(text)
        if verdict.kind in ("block", "needs_approval"):
            self._tell_blocked(index, verdict)
            return
        text = verdict.text if verdict.kind == "rewrite" else text
        self._events.emit(protocol.Narration(turn_id=self._request.turn_id, index=index, text=text))
        if manner == "voice":
            await self._voice(index, text, narrates=True)

    async def _say(self, piece: Piece) -> None:
        """Gate a sentence, send it, and hand it to the voice."""
        if not piece.speakable:
            # White space or marks that trail a sentence share its fate.
            if self._said and self._blocked != piece.sentence:
                self._send(piece.sentence, piece.text)
            return
        if text := await self._allowed(piece):
            await self._deliver(piece.sentence, text)

    async def _allowed(self, piece: Piece) -> str:
        """Return what the gate lets the NPC say: the sentence, another one in its place, or nothing."""
        verdict = await self._verdict(piece.text.strip())
        return piece.text if verdict.kind == "allow" else self._replacement(piece, verdict)

    async def _verdict(self, text: str) -> Verdict:
        if is_out_of_character(text):
            verdict = Verdict("block", (OUT_OF_CHARACTER,))
        else:
            request, runtime = self._request, self._runtime
            before = self._said[-1][1].strip() if self._said else ""
            utterance = Utterance(text, "npc", request.npc.id, self._action, self.in_combat, before)
            verdict = await runtime.judge(utterance, Asker(request.turn_id, request.scope.player, self._events.emit))
        METRICS.sentences.labels(verdict.kind).inc()
        return verdict

    def _replacement(self, piece: Piece, verdict: Verdict) -> str:
        """Return what is said in place of a blocked sentence: its rewriting, or once a turn the fallback line."""
        self._tell_blocked(piece.sentence, verdict)
        if verdict.kind == "rewrite" and verdict.text.strip():
            return verdict.text.strip() + piece.text[len(piece.text.rstrip()) :]
        self._blocked = piece.sentence
        if self._fallback_said:
            return ""
        self._fallback_said = True
        return self._fallback() + " "

    def _tell_blocked(self, index: int, verdict: Verdict) -> None:
        turn_id, reasons = self._request.turn_id, list(verdict.reasons)
        self._events.emit(protocol.SentenceBlocked(turn_id=turn_id, index=index, verdict=verdict.kind, reasons=reasons))

    def _fallback(self) -> str:
        return self._request.npc.file.fallback or FALLBACK_LINE

    def _send(self, sentence: int, text: str) -> None:
        self._said.append((sentence, text))
        if self._request.wants.text:
            self._events.emit(protocol.Text(turn_id=self._request.turn_id, delta=text))
