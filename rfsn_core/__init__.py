"""RFSN: a mind and a voice for game NPCs.

A plugin may use these names and those of `rfsn_core.kit` and `rfsn_core.testing`. Everything else may change between
two releases.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfsn_core.contract.abstraction import Abstraction, Abstractor
    from rfsn_core.contract.actions import Action, Argument, SafetyRule, Situation, Trigger
    from rfsn_core.contract.archive import Archive
    from rfsn_core.contract.capabilities import Capabilities, HasHealth, ListsModels, ListsVoices
    from rfsn_core.contract.dialects import Dialect, DialectHost, DialectSettings, DialectTurn, Sound
    from rfsn_core.contract.embedding import Embedder
    from rfsn_core.contract.errors import (
        BadMessage,
        ConfigError,
        ConversationBusy,
        EngineError,
        NotFound,
        PluginError,
        ReplyTooLong,
        RfsnError,
        StaleSave,
        StoreError,
        StoreInUse,
        UnknownNpc,
        UserError,
        VersionConflict,
        WorldError,
    )
    from rfsn_core.contract.gating import Gate, Utterance, Verdict
    from rfsn_core.contract.hooks import ServerInfo, hookimpl
    from rfsn_core.contract.npc import NpcState, Temperament
    from rfsn_core.contract.provider import Host, NoSettings, Offer, Provider
    from rfsn_core.contract.rendering import ChatMessage, Known, Prompt, Renderer, RenderOptions
    from rfsn_core.contract.selection import Arm, Context, Policy, Selection, Update, UpdateResult
    from rfsn_core.contract.shared_storage import (
        Checkpoint,
        Checkpoints,
        LogEntry,
        LogPage,
        Notices,
        SharedLearning,
        SharedStore,
    )
    from rfsn_core.contract.speech import Speech, Voice, VoiceStyle
    from rfsn_core.contract.storage import (
        GOVERNED,
        Backup,
        MemoryKind,
        MemoryRecord,
        MemorySource,
        MemoryStatus,
        Past,
        Scope,
        Scopes,
        SearchHit,
        Snapshot,
        Store,
        TurnRecord,
        UndoesTurns,
    )
    from rfsn_core.contract.understanding import (
        ASKS,
        SIGNALS,
        Entity,
        Understander,
        Understanding,
        UnderstandingContext,
    )
    from rfsn_core.protocol.audio import AudioFrame
    from rfsn_core.protocol.client import ActionResult, GameEvent, Hello, Introduce, PlayerTurn, Reward, Undo
    from rfsn_core.protocol.server import Introduced, NpcInfo, ServerMessage, State
    from rfsn_core.protocol.turn import (
        Decision,
        Sentence,
        SpeechFinished,
        SpeechStarted,
        TurnCancelled,
        TurnFailed,
        TurnFinished,
        TurnStarted,
        Usage,
        Viseme,
    )

__all__ = [
    "ASKS",
    "GOVERNED",
    "SIGNALS",
    "Abstraction",
    "Abstractor",
    "Action",
    "ActionResult",
    "Archive",
    "Argument",
    "Arm",
    "AudioFrame",
    "Backup",
    "BadMessage",
    "Capabilities",
    "ChatMessage",
    "Checkpoint",
    "Checkpoints",
    "ConfigError",
    "Context",
    "ConversationBusy",
    "Decision",
    "Dialect",
    "DialectHost",
    "DialectSettings",
    "DialectTurn",
    "Embedder",
    "EngineError",
    "Entity",
    "GameEvent",
    "Gate",
    "HasHealth",
    "Hello",
    "Host",
    "Introduce",
    "Introduced",
    "Known",
    "ListsModels",
    "ListsVoices",
    "LogEntry",
    "LogPage",
    "MemoryKind",
    "MemoryRecord",
    "MemorySource",
    "MemoryStatus",
    "NoSettings",
    "NotFound",
    "Notices",
    "NpcInfo",
    "NpcState",
    "Offer",
    "Past",
    "PlayerTurn",
    "PluginError",
    "Policy",
    "Prompt",
    "Provider",
    "RenderOptions",
    "Renderer",
    "ReplyTooLong",
    "Reward",
    "RfsnError",
    "SafetyRule",
    "Scope",
    "Scopes",
    "SearchHit",
    "Selection",
    "Sentence",
    "ServerInfo",
    "ServerMessage",
    "SharedLearning",
    "SharedStore",
    "Situation",
    "Snapshot",
    "Sound",
    "Speech",
    "SpeechFinished",
    "SpeechStarted",
    "StaleSave",
    "State",
    "Store",
    "StoreError",
    "StoreInUse",
    "Temperament",
    "Trigger",
    "TurnCancelled",
    "TurnFailed",
    "TurnFinished",
    "TurnRecord",
    "TurnStarted",
    "Understander",
    "Understanding",
    "UnderstandingContext",
    "Undo",
    "UndoesTurns",
    "UnknownNpc",
    "Update",
    "UpdateResult",
    "Usage",
    "UserError",
    "Utterance",
    "Verdict",
    "VersionConflict",
    "Viseme",
    "Voice",
    "VoiceStyle",
    "WorldError",
    "hookimpl",
]

_HOMES = {
    "contract.abstraction": "Abstraction Abstractor",
    "contract.actions": "Action Argument SafetyRule Situation Trigger",
    "contract.archive": "Archive",
    "contract.capabilities": "Capabilities HasHealth ListsModels ListsVoices",
    "contract.dialects": "Dialect DialectHost DialectSettings DialectTurn Sound",
    "contract.embedding": "Embedder",
    "contract.errors": (
        "BadMessage ConfigError ConversationBusy EngineError NotFound PluginError ReplyTooLong RfsnError "
        "StaleSave StoreError StoreInUse UnknownNpc UserError VersionConflict WorldError"
    ),
    "contract.gating": "Gate Utterance Verdict",
    "contract.hooks": "ServerInfo hookimpl",
    "contract.npc": "NpcState Temperament",
    "contract.provider": "Host NoSettings Offer Provider",
    "contract.rendering": "ChatMessage Known Prompt Renderer RenderOptions",
    "contract.selection": "Arm Context Policy Selection Update UpdateResult",
    "contract.shared_storage": "Checkpoint Checkpoints LogEntry LogPage Notices SharedLearning SharedStore",
    "contract.speech": "Speech Voice VoiceStyle",
    "contract.storage": (
        "GOVERNED Backup MemoryKind MemoryRecord MemorySource MemoryStatus Past Scope Scopes SearchHit Snapshot "
        "Store UndoesTurns TurnRecord"
    ),
    "contract.understanding": "ASKS SIGNALS Entity Understander Understanding UnderstandingContext",
    "protocol.audio": "AudioFrame",
    "protocol.client": "ActionResult GameEvent Hello Introduce PlayerTurn Reward Undo",
    "protocol.server": "Introduced NpcInfo ServerMessage State",
    "protocol.turn": (
        "Decision Sentence SpeechFinished SpeechStarted TurnCancelled TurnFailed TurnFinished TurnStarted Usage Viseme"
    ),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import the module of a public name when somebody asks for the name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"rfsn_core.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
