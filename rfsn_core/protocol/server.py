"""Messages that the server sends."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from rfsn_core.protocol.messages import PROTOCOL, Message


class NpcInfo(msgspec.Struct, kw_only=True):
    """An NPC as `welcome` lists it."""

    id: str
    name: str
    title: str = ""


class Welcome(Message, tag="welcome", kw_only=True):
    """First message on a connection."""

    protocol: str = PROTOCOL
    server: str
    npcs: list[NpcInfo]


class TurnStarted(Message, tag="turn.started", kw_only=True):
    """The turn was accepted; `turn_no` is what audio frames carry."""

    turn_id: str
    turn_no: int
    npc: str
    player: str


class Candidate(msgspec.Struct, kw_only=True):
    """One action the NPC could have chosen."""

    action: str
    score: float
    propensity: float
    why: str


class Veto(msgspec.Struct, kw_only=True):
    """An action that a safety rule forbade."""

    action: str
    rule: str


class Decision(Message, tag="decision", kw_only=True):
    """What the NPC does, before a word of it is generated."""

    turn_id: str
    decision_id: str
    npc: str
    action: str
    style: str
    signal: str
    key: str
    """The abstract state, such as `LOCATION:tavern|QUEST_STATE:active`."""
    key_version: str
    policy: str
    candidates: list[Candidate]
    vetoes: list[Veto]
    forced_by: str = ""
    """The safety rule that left only this action, when one did."""
    latency_ms: float


class Text(Message, tag="text", kw_only=True):
    """Newly released text. The deltas of a turn, joined, are all that the NPC said."""

    turn_id: str
    delta: str


class Sentence(Message, tag="sentence", kw_only=True):
    """A sentence that passed the gate; its audio follows under the same index."""

    turn_id: str
    index: int
    text: str


class SentenceBlocked(Message, tag="sentence.blocked", kw_only=True):
    """The gate replaced (`rewrite`) or stopped (`block`, `needs_approval`) a sentence."""

    turn_id: str
    index: int
    verdict: str
    reasons: list[str]


class SpeechStarted(Message, tag="speech.started", kw_only=True):
    """Audio of a sentence begins, mono, in binary frames."""

    turn_id: str
    turn_no: int
    sentence: int
    sample_rate: int
    """Hz."""
    audio_format: str = "pcm16"
    pre_skip: int = 0
    """Samples at 48 kHz that an Opus decoder throws away at the beginning of the sentence."""


class Viseme(msgspec.Struct, array_like=True, frozen=True):
    """A mouth shape: `[shape, start_ms, end_ms]`, relative to the sentence's audio."""

    shape: str
    start_ms: int
    end_ms: int


class Visemes(Message, tag="visemes", kw_only=True):
    """Mouth shapes of a stretch of a sentence, in the 15-viseme set."""

    turn_id: str
    sentence: int
    visemes: list[Viseme]
    estimated: bool = False
    """The voice does not tell: letters, evenly spread."""


class SpeechFinished(Message, tag="speech.finished", kw_only=True):
    """All audio of a sentence was sent; `dropped` frames of it were not, by the audio policy."""

    turn_id: str
    sentence: int
    duration_ms: int
    dropped: int = 0


class SpeechDropped(Message, tag="speech.dropped", kw_only=True):
    """A sentence is left unspoken, because too many wait (`full`) or it waited too long (`late`); its text stands."""

    turn_id: str
    sentence: int
    reason: str


class SpeechOff(Message, tag="speech.off", kw_only=True):
    """The voice failed; the turn goes on as text."""

    turn_id: str
    reason: str


class State(Message, tag="state", kw_only=True):
    """The NPC's state after the turn or game event."""

    npc: str
    player: str
    save: str
    mood: str
    affinity: float
    trust: float
    fear: float
    relationship: str
    turn_id: str | UnsetType = UNSET


class Latency(msgspec.Struct, kw_only=True):
    """Milliseconds from the arrival of the turn; null for what did not happen."""

    decision: float | None = None
    first_token: float | None = None
    first_sentence: float | None = None
    first_audio: float | None = None
    total: float | None = None


class StateDrift(Message, tag="state.drift", kw_only=True):
    """The game's own idea of the NPC, in `state.npc` of its turn, differs from ours."""

    turn_id: str
    npc: str
    ours: dict[str, Any]
    game: dict[str, Any]
    adopted: bool
    """Whether the game's numbers were taken over, by `world.drift`."""


class Usage(msgspec.Struct, kw_only=True):
    """What an engine says of a reply: tokens, and milliseconds of its own; null for what it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the prompt, that it had kept from earlier."""
    load_ms: float | None = None
    prompt_ms: float | None = None
    generation_ms: float | None = None


class Report(msgspec.Struct, kw_only=True):
    """What the model says that it did: its FINAL_JSON block."""

    action: str
    tone: str = ""
    claims: list[str] = []
    """Facts that it stated."""


class Trace(msgspec.Struct, kw_only=True):
    """How the words came about."""

    attempts: int = 1
    """How often the renderer was asked."""
    prompt_tokens: int = 0
    """About how long the prompt was."""
    notes: list[str] = []
    """What was left out of the prompt to keep the budget, and what went wrong with it."""
    memories: list[str] = []
    """What the NPC had in mind, besides turns: kind, id and source of each; `rfsn memory show` tells more."""
    usage: Usage | None = None
    final_json: str = ""
    """`ok`; `missing`; `invalid`; or `mismatch` when the model says that it did something else than was decided.
    Empty when it was not asked."""
    report: Report | None = None


class RendererSwitched(Message, tag="renderer.switched", kw_only=True):
    """A renderer could not word the turn; the next one in the chain does."""

    turn_id: str
    failed: str
    next: str
    reason: str


class EngineChanged(Message, tag="engine.changed", kw_only=True):
    """An engine failed so often that it is left alone (`open`), is being tried (`half_open`), or works (`closed`)."""

    stage: str
    provider: str
    state: str
    reason: str


class TurnFinished(Message, tag="turn.finished", kw_only=True):
    """The turn is over and stored."""

    turn_id: str
    decision_id: str
    text: str
    reason: str = "complete"
    """`complete`; or `renderer_failed`, `renderer_timeout` or `too_long` when what was said stands but
    is not all that was meant."""
    renderer: str = ""
    """The provider that worded it; a fallback's name when the first one failed."""
    durable: bool = True
    """False: the store is away; the turn is spooled on disk and will be stored when it is back."""
    latency: Latency
    trace: Trace = msgspec.field(default_factory=Trace)


class TurnCancelled(Message, tag="turn.cancelled", kw_only=True):
    """The turn was stopped. `text` is what was delivered, and what the NPC remembers having said."""

    turn_id: str
    text: str
    reason: str
    """`barge_in`, `cancelled`, `disconnected` or `shutdown`."""


class TurnFailed(Message, tag="turn.failed", kw_only=True):
    """The turn could not be carried out; nothing of it was stored."""

    turn_id: str
    code: str
    message: str


class RewardAccepted(Message, tag="reward.accepted", kw_only=True):
    """The reward is stored; `duplicate` when it was already."""

    decision_id: str
    value: float
    duplicate: bool = False
    quarantined: str = ""
    """Why it was put aside instead, such as a decision that nobody made."""


class Remembered(Message, tag="remembered", kw_only=True):
    """What became of what an NPC was told."""

    memory_id: str
    status: str
    """`active`, or `quarantined` when it is not believed."""
    reason: str = ""
    superseded: list[str] = msgspec.field(default_factory=list)
    """Memories that yielded to it."""


class SnapshotTaken(Message, tag="snapshot.taken", kw_only=True):
    """A save can be brought back to this."""

    save: str
    tag: str
    turns: int


class SaveReverted(Message, tag="save.reverted", kw_only=True):
    """A save went back to a snapshot; its running turns were cancelled."""

    save: str
    tag: str
    turns: int


class LearningChanged(Message, tag="learning.changed", kw_only=True):
    """The guard slowed or froze learning, or an operator let it go on."""

    state: str
    """`learning`, `slowed` or `frozen`."""
    reason: str


class ConfigChanged(Message, tag="config.changed", kw_only=True):
    """New settings, prompts or NPC files apply from the next turn."""

    files: list[str]
    reopened: list[str]
    """Providers that were opened anew, as `stage:name`; all others were kept."""


class ConfigRejected(Message, tag="config.rejected", kw_only=True):
    """A change on disk was refused; the old settings stay."""

    problems: list[str]


class Error(Message, tag="error", kw_only=True):
    """Something the client did is wrong; the connection lives on."""

    code: str
    message: str
    field: str | UnsetType = UNSET
    turn_id: str | UnsetType = UNSET


class Pong(Message, tag="pong", kw_only=True):
    """Answer to `ping`."""

    id: str = ""


ServerMessage = (
    Welcome
    | TurnStarted
    | Decision
    | Text
    | Sentence
    | SentenceBlocked
    | SpeechStarted
    | Visemes
    | SpeechFinished
    | SpeechDropped
    | SpeechOff
    | State
    | StateDrift
    | RendererSwitched
    | EngineChanged
    | TurnFinished
    | TurnCancelled
    | TurnFailed
    | RewardAccepted
    | Remembered
    | SnapshotTaken
    | SaveReverted
    | LearningChanged
    | ConfigChanged
    | ConfigRejected
    | Error
    | Pong
)


decode_server: Any = msgspec.json.Decoder(ServerMessage).decode
"""The same for what the server sends: for clients written in Python, and for tests."""


VisemeShape = Literal["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"]
