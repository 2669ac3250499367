"""Settings: defaults, then the file (TOML, JSON or YAML), then the environment (`RFSN_*`), validated as a whole.

`RFSN_RENDERING__PROVIDER=scripted` overrides `provider` in `[rendering]`; two underscores stand for a dot.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rfsn_core.contract.errors import ConfigError
from rfsn_core.memory.beliefs import SINGLE_VALUED

NAMES = ("rfsn.toml", "rfsn.json", "rfsn.yaml", "rfsn.yml")
"""What a world's settings file may be called."""


AudioPolicy = Literal["drop_newest", "drop_oldest", "reject", "keep_ends"]
QueuePolicy = Literal["wait", "drop_newest", "drop_oldest", "keep_ends", "reject"]


class ServerSettings(BaseModel, extra="forbid"):
    """`[server]`: who may connect, and how much one client may ask for."""

    host: str = Field("127.0.0.1", description="Address to listen on. Any but this machine's own demands `key`.")
    port: int = Field(8765, ge=0, le=65535, description="0 picks a free one.")
    key: str = Field("", description="Clients must send `Authorization: Bearer <key>`. Better set as RFSN_SERVER__KEY.")
    origins: list[str] = Field([], description="Web pages besides our own that may connect, as `https://host`.")
    max_message: int = Field(262_144, ge=1024, description="Longest message from a client, in bytes.")
    messages_per_second: float = Field(50, gt=0, description="Sustained rate of one connection; bursts of 4 s pass.")
    max_connections: int = Field(1000, ge=1, description="Websockets at once.")
    max_turns: int = Field(64, ge=1, description="Turns at once on one connection.")
    outbox_messages: int = Field(10_000, ge=100, description="Unread messages after which a client is cut off.")
    outbox_audio: int = Field(512, ge=1, description="Audio frames that may wait for a client.")
    audio_policy: AudioPolicy = Field("drop_oldest", description="Which frame goes when they are full.")
    audio_patience: float = Field(1.0, ge=0, description="Seconds to wait for room before one is dropped.")
    shutdown_seconds: float = Field(5.0, ge=0, description="How long running turns may take to end.")


class ActionSettings(BaseModel, extra="forbid"):
    """One action that the game adds."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="A built-in action's name replaces it.")
    instruction: str = Field(min_length=1, description="What it means, as the renderer is told.")
    affinity: float = Field(0.0, ge=-1, le=1, description="What doing it changes, as the world model expects.")
    trust: float = Field(0.0, ge=-1, le=1)
    fear: float = Field(0.0, ge=-1, le=1)
    answers: list[str] = Field([], description="Player signals that it is an answer to, the most natural first.")
    hostile: bool = Field(False, description="Attractive to an NPC that dislikes the player, and to no other.")
    variant_of: str = Field("", description="The plain action: a rule that forbids that one forbids this one too.")


StateNumber = Literal["affinity", "trust", "fear", "sentiment", "turns"]
StateFlag = Literal["in_combat", "quest_active"]


class RuleSettings(BaseModel, extra="forbid"):
    """One safety rule that the game adds."""

    name: str = Field(min_length=1, description="Shown with every decision that it changed.")
    forbid: list[str] = Field([], description="Actions that must not be chosen.")
    force: str = Field("", description="The only action that may be chosen.")
    favour: list[str] = Field([], description="Actions to bring in and score higher.")
    above: dict[StateNumber, float] = Field({}, description="It applies while affinity, trust, fear, … is above this,")
    below: dict[StateNumber, float] = Field({}, description="below this,")
    when: dict[StateFlag, bool] = Field({}, description="while `in_combat` or `quest_active` is this,")
    signals: list[str] = Field([], description="and the player's signal is one of these; empty: any.")


class WeightSettings(BaseModel, extra="forbid"):
    """What the world model's score counts."""

    affinity: float = Field(1.0, description="Being liked more.")
    trust: float = Field(0.6, description="Being trusted more.")
    fear: float = Field(0.8, description="Fearing less.")
    fit: float = Field(0.35, description="Answering what the player meant.")
    favour: float = Field(0.3, description="Being favoured by a rule.")
    temper: float = Field(0.5, description="How far liking makes kind actions attractive, and dislike hostile ones.")


class WorldSettings(BaseModel, extra="forbid"):
    """`[world]`: how NPCs decide, and what the game adds to that."""

    seed: int = Field(0, description="Seed of everything that varies.")
    overlap: Literal["interrupt", "wait", "refuse"] = Field(
        "interrupt", description="A second turn of a conversation while the first is running."
    )
    drift: Literal["report", "adopt"] = Field(
        "report", description="When the game's `state.npc` differs from ours: only tell, or take it over."
    )
    max_waiting: int = Field(8, ge=1, description="Turns that may wait for one conversation, with overlap = wait.")
    max_conversations: int = Field(
        10_000, ge=1, description="Conversations kept in memory; the longest idle one goes first."
    )
    weights: WeightSettings = Field(WeightSettings(), description="What a predicted change is worth; see below.")
    actions: list[ActionSettings] = Field([], description="Actions that the game adds; see below.")
    rules: list[RuleSettings] = Field([], description="Safety rules that the game adds; see below.")


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
    strict: bool = Field(False, description="Learn only from rewards that the game sends. STRICT_LEARNING=1.")
    strict_rewards: bool = Field(False, description="A reward for an unknown decision is an error. STRICT_REWARDS=1.")
    detect: bool = Field(True, description="Read rewards off the play: corrections, follow-up questions, …")
    evidence: list[str] = Field([], description="Reward signals that may change weights; empty: all.")
    max_step: float = Field(0.1, gt=0, description="How far one lesson may move the weights.")
    cooldown: float = Field(5.0, ge=0, description="Seconds between two changes of the weights; lessons wait.")
    wait: float = Field(120.0, gt=0, description="Seconds after which a decision without reward counts as 0.")
    credit_steps: int = Field(1, ge=0, le=50, description="Earlier decisions of the conversation that share a reward.")
    credit_discount: float = Field(0.5, ge=0, lt=1, description="What each step back is worth.")
    guard: GuardSettings = Field(GuardSettings(), description="When learning is slowed or frozen; see below.")
    signals: dict[str, float] = Field(
        {
            "contradiction_detected": -1.0,
            "user_correction": -0.5,
            "tts_overrun": -0.3,
            "conversation_continued": 0.5,
            "follow_up_question": 0.3,
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


class MemorySettings(BaseModel, extra="forbid"):
    """`[memory]`: how much of the past a turn sees."""

    recent: int = Field(6, ge=0, le=50, description="Last turns that the renderer sees.")
    related: int = Field(2, ge=0, le=20, description="Older turns found by the player's words.")
    known: int = Field(6, ge=0, le=50, description="Memories (facts, promises, events, …) that the renderer sees.")
    admitted: float = Field(0.5, ge=0, le=1, description="Confidence from which a memory is believed.")
    single_valued: list[str] = Field(
        list(SINGLE_VALUED), description="Predicates of facts that hold one value at a time: another one contradicts."
    )
    summary_every: int = Field(10, ge=0, le=50, description="Turns between two summaries of a conversation; 0: none.")
    summaries: Literal["extractive", "model"] = Field(
        "extractive", description="`model`: the first renderer words them, after the turn."
    )
    cache_minutes: float = Field(30.0, gt=0, description="A conversation that is idle for longer is read again.")


class OperationsSettings(BaseModel, extra="forbid"):
    """`[operations]`: logs, and how long to wait for what."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: Literal["text", "json"] = Field("text", description="`json` for log collectors: one object a line.")
    gate_timeout: float = Field(5.0, gt=0, description="Seconds; a gate that takes longer blocks.")
    first_token_timeout: float = Field(30.0, gt=0, description="Seconds until the renderer's first text.")
    token_timeout: float = Field(15.0, gt=0, description="Seconds between two pieces of text.")
    speech_timeout: float = Field(15.0, gt=0, description="Seconds until the next piece of audio.")
    store_timeout: float = Field(5.0, gt=0, description="Seconds until a turn is spooled instead.")
    max_reply: int = Field(4000, ge=100, description="Longest reply in characters; the renderer is stopped there.")
    reload: bool = Field(True, description="Watch the settings, NPC and prompt files.")


class Stage(BaseModel, extra="allow"):
    """A stage's table: which provider, and below it one table of settings for each provider."""

    provider: str
    fallback: list[str] = []

    def chosen(self) -> list[str]:
        """Providers to open, the first one first."""
        return list(dict.fromkeys([self.provider, *self.fallback]))


class RenderingStage(Stage):
    """`[rendering]`: what words the decision, and what happens when that fails."""

    prompt_tokens: int = Field(
        3000, ge=200, description="Longest prompt, in tokens of about four bytes; less is left out."
    )
    final_json: Literal["off", "record", "require"] = Field(
        "record",
        description="Ask models to report what they did. `require`: nothing is said before the report agrees.",
    )
    attempts: int = Field(3, ge=1, le=5, description="How often a renderer is asked for its first token.")
    retry_seconds: float = Field(0.25, ge=0, description="Pause before the second attempt; doubled each time.")
    breaker_failures: int = Field(5, ge=1, description="Failures in a row after which a renderer is left alone.")
    breaker_seconds: float = Field(10.0, gt=0, description="For how long; then one turn tries it.")


class SpeechStage(Stage):
    """`[speech]`: what speaks, and what happens when it fails."""

    expressive: bool = Field(True, description="Mood and style move rate, pitch and volume a little.")
    gap_ms: int = Field(0, ge=0, le=5000, description="Silence after each sentence, besides what the voice makes.")
    queue: int = Field(16, ge=1, description="Sentences of a turn that may wait for the voice.")
    when_full: QueuePolicy = Field("wait", description="The words wait then, or which sentence is left unspoken.")
    queue_seconds: float = Field(60.0, gt=0, description="A sentence that waited longer is left unspoken.")
    cache_mb: float = Field(64, ge=0, description="Sound of sentences that is kept, for when they are said again.")
    cache_seconds: float = Field(3600, gt=0, description="For how long.")
    breaker_failures: int = Field(3, ge=1, description="Failures in a row after which a voice is left alone.")
    breaker_seconds: float = Field(10.0, gt=0, description="For how long; then one sentence tries it.")


class StorageStage(Stage):
    """`[storage]`: what remembers, and where turns go to stay."""

    archive: list[str] = Field([], description="Archives, which get every turn a little later.")
    archive_mb: float = Field(4096, gt=0, description="What may wait on disk for an archive that is away.")

    def chosen(self) -> list[str]:
        """Providers to open: the store, then the archives."""
        return list(dict.fromkeys([self.provider, *self.archive]))


class EmbeddingStage(Stage):
    """`[embedding]`: what finds in the past what was said in other words."""

    turns: int = Field(300, ge=1, description="Of a conversation, the newest, that are found by meaning.")
    seconds: float = Field(0.25, gt=0, description="A turn waits so long for it; then words must do.")


class GatingStage(BaseModel, extra="allow"):
    """`[gating]`: all gates are asked, in this order; the most severe verdict wins."""

    providers: list[str] = ["rules"]

    def chosen(self) -> list[str]:
        """Providers to open."""
        return list(dict.fromkeys(self.providers))


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix="RFSN_", env_nested_delimiter="__", extra="forbid")

    data_dir: str = Field(".rfsn", description="Folder for what the server writes, relative to the world.")
    server: ServerSettings = ServerSettings()
    world: WorldSettings = WorldSettings()
    learning: LearningSettings = Field(default_factory=LearningSettings)
    memory: MemorySettings = MemorySettings()
    operations: OperationsSettings = OperationsSettings()
    abstraction: Stage = Stage(provider="buckets")
    selection: Stage = Stage(provider="world_model")
    rendering: RenderingStage = RenderingStage(provider="scripted", fallback=["scripted"])
    gating: GatingStage = GatingStage()
    speech: SpeechStage = SpeechStage(provider="silent", fallback=["silent"])
    storage: StorageStage = StorageStage(provider="sqlite")
    embedding: EmbeddingStage = EmbeddingStage(provider="none")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """A stage's table may hold only a provider's settings, and its fallback need not be named."""
        if isinstance(values, dict):
            for name, field in cls.model_fields.items():
                if isinstance(field.default, Stage) and isinstance(table := values.get(name), dict):
                    values = {**values, name: {**field.default.model_dump(), **table}}
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings

    def stage(self, name: str) -> Stage | GatingStage:
        """A stage's table."""
        table = getattr(self, name)
        assert isinstance(table, Stage | GatingStage)
        return table


class Source:
    """The settings file: its values, and the line of each key."""

    def __init__(self, path: Path | None, values: dict[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self.path, self.values, self._lines = path, values, lines

    def where(self, key: Sequence[str | int]) -> str:
        """`file, line 3: rendering.provider`, or the environment variable that set the key."""
        names = [str(part) for part in key]
        dotted = ".".join(names)
        for length in range(len(names), 0, -1):
            variable = "RFSN_" + "__".join(names[:length]).upper()
            if variable in os.environ:
                return f"{variable}: {dotted}"
        if self.path is None:
            return f"settings: {dotted}"
        plain = [str(part) for part in key if not isinstance(part, int)]
        for length in range(len(plain), 0, -1):
            if line := self._lines.get(tuple(plain[:length])):
                return f"{self.path}, line {line}: {dotted}"
        return f"{self.path}: {dotted}"


def find_file(world: Path) -> Path | None:
    """The world's settings file, or None."""
    found = [world / name for name in NAMES if (world / name).is_file()]
    if len(found) > 1:
        raise ConfigError([f"{world}: two settings files: {', '.join(path.name for path in found)}; keep one"])
    return found[0] if found else None


def read_file(path: Path) -> Source:
    """Parse a settings file by its suffix. Raises ConfigError with file and line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from error
    values: Any
    try:
        if path.suffix == ".toml":
            values, lines = tomllib.loads(text), _toml_lines(text)
        elif path.suffix in (".json", ".yaml", ".yml"):
            # YAML contains JSON, and its parser knows the lines.
            values, lines = yaml.safe_load(text) or {}, _yaml_lines(yaml.compose(text, yaml.SafeLoader))
        else:
            raise ConfigError([f"{path}: settings are .toml, .json or .yaml"])
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError([f"{path}: cannot be parsed: {' '.join(str(error).split())}"]) from error
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: must be a table of settings, not {type(values).__name__}"])
    return Source(path, values, lines)


_TOML_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_TOML_TABLE = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?")


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """Key → line, as TOML files are usually written; tomllib itself gives no lines."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TOML_TABLE.match(line):
            table = _split_key(match.group(1))
            lines.setdefault(table, number)
        elif match := _TOML_KEY.match(line):
            lines.setdefault((*table, *_split_key(match.group(1))), number)
    return lines


def _split_key(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


def _yaml_lines(node: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*prefix, str(key.value))
            lines[path] = key.start_mark.line + 1
            lines.update(_yaml_lines(value, path))
    return lines


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> tuple[Settings, Source]:
    """Settings from a file (None: defaults only) and the environment.

    :param overrides: what the command line says, as nested tables; it wins over the file, and where it
        names a key, over the environment.
    Raises ConfigError with one line for each problem: file, line, key, and the nearest valid key.
    """
    source = read_file(path) if path else Source(None, {}, {})
    problems = list(_environment_problems())
    settings: Settings | None = None
    try:
        settings = Settings(**source.values)
        if overrides:
            merged = _merge(settings.model_dump(exclude_unset=True), overrides)
            settings = _without_environment(merged)
    except ValidationError as error:
        problems += explain(error, source, Settings)
    if problems or settings is None:
        raise ConfigError(problems)
    return settings, source


def _without_environment(values: Mapping[str, Any]) -> Settings:
    class Plain(Settings):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> tuple[Any, ...]:  # type: ignore[override]
            return (init_settings,)

    return Plain(**values)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _environment_problems() -> list[str]:
    problems = []
    for variable in sorted(os.environ):
        if variable.startswith("RFSN_") and "__" in variable:
            table = variable[5:].split("__")[0].lower()
            if table not in Settings.model_fields:
                problems.append(f"{variable}: no settings table '{table}'{_nearest(table, Settings.model_fields)}")
    return problems


def explain(error: ValidationError, source: Source, model: type[BaseModel], prefix: Sequence[str] = ()) -> list[str]:
    """A ValidationError as lines with file, line, key, what is wrong, and the nearest valid key."""
    lines = []
    for problem in error.errors():
        key = [*prefix, *(part for part in problem["loc"] if part != "[key]")]
        where = source.where(key)
        if problem["type"] == "extra_forbidden":
            names = _fields(model, problem["loc"][:-1])
            lines.append(f"{where}: no such setting{_nearest(str(key[-1]), names)}")
        else:
            given = problem.get("input")
            shown = f" (is {given!r:.60})" if isinstance(given, str | int | float | bool) else ""
            lines.append(f"{where}: {problem['msg']}{shown}")
    return lines


def _fields(model: Any, path: Sequence[Any]) -> Sequence[str]:
    for part in path:
        if isinstance(part, int):
            continue
        info = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = info.annotation if info else None
        arguments = getattr(model, "__args__", None)
        if arguments:
            model = arguments[0]
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), 1, 0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(sorted(names))}" if names else ""


def unknown_provider(stage: str, name: str, names: Sequence[str], source: Source, key: Sequence[str]) -> str:
    """The line for a provider that no loaded plugin offers."""
    return f"{source.where(key)}: no {stage} provider '{name}'{_nearest(name, names)}"
