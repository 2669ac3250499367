"""The settings: every table and key of a settings file, with its default, its bounds and what it does."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from rfsn_core.contract.actions import Action, SafetyRule, Trigger
from rfsn_core.memory.update import MemoryRules
from rfsn_core.settings.alerts import AlertSettings
from rfsn_core.settings.origins import check_origins
from rfsn_core.telemetry.redaction import stripped
from rfsn_core.world.scoring import Weights

LogLevel = Literal["debug", "info", "warning", "error"]
AudioPolicy = Literal["drop_newest", "drop_oldest", "reject", "keep_ends"]
QueuePolicy = Literal["wait", "drop_newest", "drop_oldest", "keep_ends", "reject"]


class ServerSettings(BaseModel, extra="forbid"):
    """`[server]`: who may connect, and how much one client may ask for."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Any but this machine's own needs a key; the first is made."
    )
    port: int = Field(8765, ge=0, le=65535, description="0 picks a free one.")
    key: str = Field("", description="An admin key besides those of `rfsn keys`. Better set as RFSN_SERVER__KEY.")
    origins: list[str] = Field(
        [], description="Web pages besides our own: `https://host`, `chrome-extension://*`, `null` for files."
    )
    plugin_routes: Literal["game", "designer", "operator", "admin"] = Field(
        "operator", description="Role that the routes of plugins ask for, where a key is needed."
    )
    max_message: int = Field(262_144, ge=1024, description="Longest message from a client, in bytes.")
    messages_per_second: float = Field(50, gt=0, description="Sustained rate of one connection; bursts of 4 s pass.")
    max_connections: int = Field(1000, ge=1, description="Websockets at once, of every kind.")
    max_connections_per_address: int = Field(
        500, ge=1, description="Connections from one address at once. Behind a proxy all have the proxy's."
    )
    request_seconds: float = Field(
        10.0, gt=0, description="How long the headers of a request, and then each piece of its body, may take."
    )
    max_turns: int = Field(64, ge=1, description="Turns at once on one connection.")
    outbox_messages: int = Field(10_000, ge=100, description="Unread messages after which a client is cut off.")
    outbox_audio: int = Field(512, ge=1, description="Audio frames that may wait for a client.")
    audio_policy: AudioPolicy = Field("drop_oldest", description="Which frame goes when they are full.")
    audio_patience: float = Field(1.0, ge=0, description="Seconds to wait for room before one is dropped.")
    shutdown_seconds: float = Field(5.0, ge=0, description="How long running turns may take to end.")

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        return check_origins(origins)


class WorldSettings(BaseModel, extra="forbid"):
    """`[world]`: how NPCs decide, and what the game adds to that."""

    seed: int = Field(0, description="Seed of everything that varies.")
    language: str = Field(
        "", pattern=r"^([A-Za-z]{2,3}(-\w+)*)?$", description="What NPCs speak: de, ja, …; empty: as they are written."
    )
    overlap: Literal["interrupt", "wait", "refuse"] = Field(
        "interrupt", description="A second turn of a conversation while the first is running."
    )
    drift: Literal["report", "adopt"] = Field(
        "report", description="When the game's `state.npc` differs from ours: only tell, or take it over."
    )
    stopping_events: list[str] = Field(
        [], description="Kinds of game events that stop the NPC's turn, such as `combat_started`."
    )
    max_waiting: int = Field(8, ge=1, description="Turns that may wait for one conversation, with overlap = wait.")
    max_conversations: int = Field(
        10_000, ge=1, description="Conversations kept in memory; the longest idle one goes first."
    )
    weights: Weights = Field(Weights(), description="What a predicted change is worth; see below.")
    actions: list[Action] = Field([], description="Actions that the game adds; see below.")
    rules: list[SafetyRule] = Field([], description="Safety rules that the game adds; see below.")
    triggers: list[Trigger] = Field([], description="Events of the game that make NPCs speak up; see below.")


class GuardSettings(BaseModel, extra="forbid"):
    """When learning is slowed or frozen."""

    window: int = Field(50, ge=5, description="Newest rewards, or turns, that are looked at.")
    slow_drop: float = Field(0.2, gt=0, description="Fall of the mean reward, against ten windows before, that slows.")
    freeze_drop: float = Field(0.4, gt=0, description="Fall that freezes.")
    slow_rate: float = Field(0.3, gt=0, description="Share of corrections, or of turns with a blocked sentence.")
    freeze_rate: float = Field(0.6, gt=0, description="Share that freezes.")


class LearningSettings(BaseModel, extra="forbid"):
    """`[learning]`: what rewards are worth, and what may come of them."""

    enabled: bool = Field(
        True, description="False: no exploration, no learning, decisions repeat. LEARNING_DISABLED=1."
    )
    mode: Literal["online", "apprentice"] = Field(
        "online",
        description="`apprentice`: the policy learns, but the default acts until learned choices are surely better.",
    )
    holdout: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the talk, in stretches of ten turns, that the default policy keeps, to compare; 0: none.",
    )
    strict: bool = Field(False, description="Learn only from rewards that the game sends. STRICT_LEARNING=1.")
    strict_rewards: bool = Field(False, description="A reward for an unknown decision is an error. STRICT_REWARDS=1.")
    detect: bool = Field(True, description="Read rewards off the play: corrections, follow-up questions, …")
    play_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Weight of a reward that was read off the play; while the game sends rewards, those do not count.",
    )
    designer_weight: float = Field(
        3.0, ge=1, le=20, description="How many observations a designer's judgement is worth."
    )
    evidence: list[str] = Field([], description="Reward signals that may change weights; empty: all.")
    max_step: float = Field(1.0, gt=0, description="How far one update may move the weights.")
    cooldown: float = Field(5.0, ge=0, description="Seconds between two changes of the weights; updates wait.")
    rewards_every_turn: bool = Field(
        False, description="The game rewards every turn: a decision without a reward after `wait` counts as 0."
    )
    wait: float = Field(120.0, gt=0, description="Seconds that a reward may take, with `rewards_every_turn`.")
    credit_steps: int = Field(
        0, ge=0, le=50, description="Earlier decisions of the conversation that share a reward of the game."
    )
    credit_discount: float = Field(0.5, ge=0, lt=1, description="What each step back is worth.")
    guard: GuardSettings = Field(GuardSettings(), description="When learning is slowed or frozen; see below.")
    signals: dict[str, float] = Field(
        {
            "contradiction_detected": -1.0,
            "user_correction": -0.5,
            "tts_overrun": -0.3,
            "conversation_continued": 0.5,
            "follow_up_question": 0.3,
            "conversation_ended": 0.0,
        },
        description="Named reward signal → value, -1…1.",
    )

    @field_validator("signals")
    @classmethod
    def _in_range(cls, signals: dict[str, float]) -> dict[str, float]:
        for name, value in signals.items():
            if not -1 <= value <= 1:
                raise ValueError(f"'{name}' is {value}, not in -1…1")
        return signals

    @model_validator(mode="after")
    def _flags(self) -> LearningSettings:
        self.enabled &= not _flag("LEARNING_DISABLED")
        self.strict |= _flag("STRICT_LEARNING")
        self.strict_rewards |= _flag("STRICT_REWARDS")
        return self


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")


class MemorySettings(MemoryRules, extra="forbid"):
    """`[memory]`: how much of the past a turn sees."""

    recent: int = Field(6, ge=0, le=50, description="Last turns that the renderer sees.")
    related: int = Field(2, ge=0, le=20, description="Older turns found by the player's words.")
    known: int = Field(6, ge=0, le=50, description="Memories (facts, promises, events, …) that the renderer sees.")
    summaries: Literal["extractive", "model"] = Field(
        "extractive", description="`model`: the first renderer words them, after the turn."
    )
    cache_minutes: float = Field(30.0, gt=0, description="A conversation that is idle for longer is read again.")


class LogSettings(BaseModel, extra="forbid"):
    """`[log]`: the log of all turns, decisions and rewards, from which the store and the archives are filled."""

    file_mb: float = Field(64, gt=0, description="Megabytes after which a new file is begun. Needs a restart.")
    compress: bool = Field(True, description="Compress the older files.")
    keep_days: float = Field(
        0, ge=0, description="Days until older files are deleted, but for what the store or archive lacks. 0: never."
    )


class OperationsSettings(BaseModel, extra="forbid"):
    """`[operations]`: logs, and how long to wait for what."""

    log_level: LogLevel = Field("info", description="How much is logged.")
    log_levels: dict[str, LogLevel] = Field(
        {}, description='Component → its own level, such as `turn = "debug"`; see operating.md for the components.'
    )
    log_format: Literal["text", "json"] = Field("text", description="`json` for log collectors: one object a line.")
    gate_timeout: float = Field(5.0, gt=0, description="Seconds; a gate that takes longer blocks.")
    first_token_timeout: float = Field(30.0, gt=0, description="Seconds until the renderer's first text.")
    token_timeout: float = Field(15.0, gt=0, description="Seconds between two pieces of text.")
    speech_timeout: float = Field(15.0, gt=0, description="Seconds until the next piece of audio.")
    store_timeout: float = Field(5.0, gt=0, description="Seconds for one call of the store.")
    max_reply: int = Field(4000, ge=100, description="Longest reply in characters; the renderer is stopped there.")
    reload: bool = Field(True, description="Watch the settings, NPC and prompt files.")
    alerts: AlertSettings = Field(AlertSettings(), description="Rules over metrics, and who is told; see below.")


class Stage(BaseModel, extra="allow"):
    """A stage's table: which provider, and below it one table of settings for each provider."""

    provider: str

    def chosen(self) -> list[str]:
        """Return the providers to open, in the order in which they are tried."""
        return [self.provider]


class StageWithFallback(Stage):
    """The table of a stage in which another provider takes over when the first one fails."""

    fallback: list[str] = []

    def chosen(self) -> list[str]:
        """Return the providers to open, in the order in which they are tried."""
        return list(dict.fromkeys([self.provider, *self.fallback]))


class RenderingStage(StageWithFallback):
    """`[rendering]`: what words the decision, and what happens when that fails."""

    prompt_tokens: int = Field(
        3000, ge=200, description="Longest prompt, in tokens of about four bytes; less is left out."
    )
    final_json: Literal["off", "record", "require"] = Field(
        "record",
        description="Ask models to report what they did. `require`: nothing is said before the report agrees.",
    )
    narration: Literal["show", "voice", "drop"] = Field(
        "show",
        description="Stage directions that a model writes: an event, also spoken by `speech.narrator`, or left out.",
    )
    attempts: int = Field(3, ge=1, le=5, description="How often a renderer is asked for its first token.")
    retry_seconds: float = Field(0.25, ge=0, description="Pause before the second attempt; doubled each time.")
    breaker_failures: int = Field(5, ge=1, description="Failures in a row after which a renderer is left alone.")
    breaker_seconds: float = Field(10.0, gt=0, description="For how long; then one turn tries it.")


class SpeechStage(StageWithFallback):
    """`[speech]`: what speaks, and what happens when it fails."""

    expressive: bool = Field(True, description="Mood and style move rate, pitch and volume a little.")
    narrator: str = Field("", description='Voice for stage directions, with `rendering.narration = "voice"`.')
    gap_ms: int = Field(0, ge=0, le=5000, description="Silence after each sentence, besides what the voice makes.")
    queue: int = Field(16, ge=1, description="Sentences of a turn that may wait for the voice.")
    when_full: QueuePolicy = Field("wait", description="The words wait then, or which sentence is left unspoken.")
    queue_seconds: float = Field(60.0, gt=0, description="A sentence that waited longer is left unspoken.")
    cache_mb: float = Field(64, ge=0, description="Sound of sentences that is kept, for when they are said again.")
    cache_seconds: float = Field(3600, gt=0, description="For how long.")
    breaker_failures: int = Field(3, ge=1, description="Failures in a row after which a voice is left alone.")
    breaker_seconds: float = Field(10.0, gt=0, description="For how long; then one sentence tries it.")


class ArchiveStage(BaseModel, extra="allow"):
    """`[archive]`: where copies of all turns go to stay; nothing is read from there."""

    provider: str | list[str] = Field([], description="One archive or several, which get every turn a little later.")

    def chosen(self) -> list[str]:
        """Return the providers to open; usually none."""
        names = [self.provider] if isinstance(self.provider, str) else self.provider
        return list(dict.fromkeys(name for name in names if name))


class EmbeddingStage(Stage):
    """`[embedding]`: what finds in the past what was said in other words."""

    turns: int = Field(300, ge=1, description="Of a conversation, the newest, that are found by meaning.")
    seconds: float = Field(0.25, gt=0, description="A turn waits so long for it; then words must do.")


class GatingStage(BaseModel, extra="allow"):
    """`[gating]`: all gates are asked, in this order; one sees what others rewrote, and one that blocks is enough."""

    providers: list[str] = ["rules", "ngrams"]
    tier: Literal["alpha", "beta", "gamma", "delta"] = Field(
        "gamma",
        description="What waits for a person: `alpha` every text, `beta` suspicious and blocked ones,"
        " `gamma` what a gate wants approved, `delta` nothing.",
    )
    safe_mode: bool = Field(False, description="Block what is only suspicious. `rfsn gate safe-mode` switches it, too.")
    approval_seconds: float = Field(60.0, gt=0, description="Seconds that a text waits for approval.")
    approval_end: Literal["block", "allow"] = Field(
        "block", description="What becomes of it then. Self-harm, minors and personal data are blocked in any case."
    )
    shadow: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Another risk to block from, 0…1, to try: its effect is only counted. 0: none.",
    )
    helpline: str = Field("", description="Where a person in distress finds help; said after words of care.")
    lines: dict[str, str | list[str]] = Field(
        {}, description="Reason, or `any` → what NPCs say when the player's text was stopped."
    )
    review_days: float = Field(7.0, gt=0, description="Days that stopped texts are kept for review.")
    labels_per_day: int = Field(200, ge=1, description="Texts that one operator may label in a day.")
    embeddings: bool = Field(True, description="Compare labelled texts by the world's embedder, if it has one.")

    def chosen(self) -> list[str]:
        """Return the providers to open."""
        return list(dict.fromkeys(self.providers))


class Settings(BaseModel, extra="forbid"):
    """All settings."""

    data_dir: str = Field(
        ".rfsn",
        description="Folder for what the server writes, relative to the world. See above.",
    )
    server: ServerSettings = ServerSettings()
    world: WorldSettings = WorldSettings()
    learning: LearningSettings = Field(default_factory=LearningSettings)
    memory: MemorySettings = MemorySettings()
    log: LogSettings = LogSettings()
    operations: OperationsSettings = OperationsSettings()
    understanding: Stage = Stage(provider="signals")
    abstraction: Stage = Stage(provider="buckets")
    selection: Stage = Stage(provider="world_model")
    rendering: RenderingStage = RenderingStage(provider="scripted", fallback=["scripted"])
    gating: GatingStage = GatingStage()
    speech: SpeechStage = SpeechStage(provider="silent", fallback=["silent"])
    storage: Stage = Stage(provider="sqlite")
    archive: ArchiveStage = ArchiveStage()
    embedding: EmbeddingStage = EmbeddingStage(provider="none")

    dialects: dict[str, dict[str, Any]] = Field(
        {}, description="Dialect → its settings: wires of other servers that this one speaks, for existing clients."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_white_space(cls, values: Any) -> Any:
        """Strip white space: keys and URLs are often copied with a space or a line break."""
        return stripped(values)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Accept a table that has only a provider's settings, and a fallback that is not named."""
        if isinstance(values, dict):
            for name, field in cls.model_fields.items():
                if isinstance(field.default, Stage) and isinstance(table := values.get(name), dict):
                    values = {**values, name: {**field.default.model_dump(), **table}}
        return values

    def stage(self, name: str) -> Stage | GatingStage | ArchiveStage:
        """Return a stage's table."""
        table = getattr(self, name)
        assert isinstance(table, Stage | GatingStage | ArchiveStage)
        return table
