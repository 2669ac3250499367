"""Messages that the server sends while a turn runs."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rfsn_core.protocol.messages import Message


class TurnStarted(Message, tag="turn.started", kw_only=True):
    """The server accepted the turn. The turn's audio frames carry `turn_no`."""

    turn_id: str
    turn_no: int
    npc: str
    player: str


class Candidate(msgspec.Struct, kw_only=True):
    """An action that the NPC could have chosen."""

    action: str
    score: float
    propensity: float
    """Probability with which the policy chooses it, 0…1."""
    why: str
    """Why it is a candidate."""


class Veto(msgspec.Struct, kw_only=True):
    """An action that a safety rule forbade."""

    action: str
    rule: str


class Decision(Message, tag="decision", kw_only=True):
    """What the NPC does. The server sends it before any word is generated."""

    turn_id: str
    decision_id: str
    npc: str
    action: str
    style: str
    signal: str
    key: str
    """The abstract state, such as `LOCATION:tavern|QUEST_STATE:active`."""
    key_version: str
    """Version of the abstraction's rules that made `key`."""
    policy: str
    candidates: list[Candidate]
    vetoes: list[Veto]
    fact: str = ""
    """Id of the fact that the NPC tells, confides or hints at; empty when it is about none."""
    target: str = ""
    """Whom or what the action is aimed at; empty for most."""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    """What the game needs to carry it out, as `world.actions` declares it."""
    occasion: str = ""
    """Why the NPC speaks first; empty when the player spoke."""
    forced_by: str = ""
    """Name of the safety rule that forced this action; empty when none did."""
    latency_ms: float


class Text(Message, tag="text", kw_only=True):
    """A released piece of text. All `delta`s of a turn, joined, are what the NPC said."""

    turn_id: str
    delta: str


class Sentence(Message, tag="sentence", kw_only=True):
    """A sentence that passed the gate. Its audio follows under the same index."""

    turn_id: str
    index: int
    text: str


class Narration(Message, tag="narration", kw_only=True):
    """What the NPC does, as the model tells it: a stage direction. It passed the gate, and no memory keeps it.

    With `rendering.narration = "voice"`, the narrator's audio follows under this index.
    """

    turn_id: str
    index: int
    """Counts with the sentences."""
    text: str


class InputBlocked(Message, tag="input.blocked", kw_only=True):
    """The gate stopped the player's text: the NPC says a line for the reason, and remembers nothing of the text."""

    turn_id: str
    verdict: str
    """`block`, or `needs_approval` when nobody approved it."""
    reasons: list[str]
    """Such as `self_harm`, the gravest first."""


class GateWaiting(Message, tag="gate.waiting", kw_only=True):
    """A text waits for an operator's approval. The turn continues when it is decided, or when the time is over."""

    turn_id: str
    side: str
    """`player` or `npc`: whose text."""
    reasons: list[str]
    seconds: float
    """For how long at most."""


class SentenceBlocked(Message, tag="sentence.blocked", kw_only=True):
    """The gate replaced (`rewrite`) or stopped (`block`, `needs_approval`) a sentence."""

    turn_id: str
    index: int
    verdict: str
    reasons: list[str]


class SpeechStarted(Message, tag="speech.started", kw_only=True):
    """The audio of a sentence begins: mono, in binary frames."""

    turn_id: str
    turn_no: int
    sentence: int
    sample_rate: int
    """In Hz."""
    audio_format: str = "pcm16"
    pre_skip: int = 0
    """Samples at 48 kHz that an Opus decoder must discard at the beginning of the sentence."""


class Viseme(msgspec.Struct, array_like=True, frozen=True):
    """A mouth shape: `[shape, start_ms, end_ms]`, relative to the sentence's audio."""

    shape: str
    start_ms: int
    end_ms: int


class Visemes(Message, tag="visemes", kw_only=True):
    """Mouth shapes for a part of a sentence, from the 15-viseme set."""

    turn_id: str
    sentence: int
    visemes: list[Viseme]
    estimated: bool = False
    """True when the voice gives no timing: the shapes are estimated from the letters."""


class SpeechFinished(Message, tag="speech.finished", kw_only=True):
    """All audio of a sentence was sent, except `dropped` frames that the audio policy dropped."""

    turn_id: str
    sentence: int
    duration_ms: int
    dropped: int = 0


class SpeechDropped(Message, tag="speech.dropped", kw_only=True):
    """A sentence is not spoken, because too many wait (`full`) or it waited too long (`late`). Its text stays valid."""

    turn_id: str
    sentence: int
    reason: str


class SpeechOff(Message, tag="speech.off", kw_only=True):
    """The voice failed and no other is left. The turn continues as text."""

    turn_id: str
    reason: str


class Latency(msgspec.Struct, kw_only=True):
    """Milliseconds since the server received the turn; null for steps that did not happen."""

    decision: float | None = None
    first_token: float | None = None
    first_sentence: float | None = None
    first_audio: float | None = None
    total: float | None = None


class StateDrift(Message, tag="state.drift", kw_only=True):
    """The game's values in `state.npc` of the turn differ from the server's."""

    turn_id: str
    npc: str
    ours: dict[str, Any]
    game: dict[str, Any]
    adopted: bool
    """True when the server adopted the game's values, as `world.drift` says."""


class Usage(msgspec.Struct, kw_only=True):
    """What the engine reports about a reply: tokens and milliseconds; null where it reports nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """Prompt tokens that the engine took from its cache."""
    load_ms: float | None = None
    prompt_ms: float | None = None
    generation_ms: float | None = None


class Report(msgspec.Struct, kw_only=True):
    """What the model reports that it did: its FINAL_JSON block."""

    action: str
    tone: str = ""
    claims: list[str] = []
    """Facts that it stated in its words."""


class Trace(msgspec.Struct, kw_only=True):
    """How the words of a turn were made."""

    attempts: int = 1
    """Calls to renderers, retries included."""
    prompt_tokens: int = 0
    """Estimated length of the prompt in tokens."""
    notes: list[str] = []
    """What was left out of the prompt to stay within its budget, and errors in its templates."""
    memories: list[str] = []
    """Memories in the prompt: kind, id and source of each. `rfsn memory show` explains them."""
    usage: Usage | None = None
    final_json: str = ""
    """`ok`; `missing`; `invalid`; or `mismatch` when the model reports another action than the one decided. Empty when
    no report was asked for."""
    report: Report | None = None


class RendererSwitched(Message, tag="renderer.switched", kw_only=True):
    """A renderer failed; the next one of the fallback chain words the turn."""

    turn_id: str
    failed: str
    next: str
    reason: str


class TurnFinished(Message, tag="turn.finished", kw_only=True):
    """The turn is complete and stored."""

    turn_id: str
    decision_id: str
    text: str
    reason: str = "complete"
    """`complete`; or `renderer_failed`, `renderer_timeout` or `too_long` when the reply is shorter than intended. What
    was said stays valid."""
    renderer: str = ""
    """The provider that worded the reply; a fallback's name when the first one failed."""
    durable: bool = True
    """False when the store is unavailable. The turn then waits in the log, until the store is back."""
    told: str = ""
    """Id of the fact that the NPC told with this, for the game's journal; empty when it told none."""
    latency: Latency
    trace: Trace = msgspec.field(default_factory=Trace)


class TurnCancelled(Message, tag="turn.cancelled", kw_only=True):
    """The turn was stopped. `text` is what was delivered; the NPC remembers saying it."""

    turn_id: str
    text: str
    reason: str
    """`barge_in`, `cancelled`, `disconnected`, `shutdown`, `rollback`, or `event` when a game event stopped it."""


class TurnFailed(Message, tag="turn.failed", kw_only=True):
    """The turn failed. Nothing of it was stored."""

    turn_id: str
    code: str
    message: str


VisemeShape = Literal["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"]
