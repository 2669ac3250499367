"""The names that plugins may use: adding one is a promise, removing one breaks plugins."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import rfsn_core

ROOT = Path(__file__).parents[1]
NAMES = """
    ASKS GOVERNED SIGNALS Abstraction Abstractor Action Archive Arm Backup BadMessage Capabilities ChatMessage
    Checkpoint Checkpoints ConfigError Context Decision Embedder EngineError Entity Gate HasHealth Host Known
    ListsModels ListsVoices LogEntry LogPage MemoryKind MemoryRecord MemorySource MemoryStatus NoSettings
    NotFound Notices NpcState Offer Past PluginError Policy Prompt Provider RenderOptions Renderer RfsnError
    SafetyRule Scope SearchHit Selection Sentence ServerInfo ServerMessage SharedLearning SharedStore
    Situation Snapshot Speech StaleSave State Store StoreError StoreInUse Temperament TurnCancelled TurnFailed
    TurnFinished TurnRecord TurnStarted Understander Understanding UnderstandingContext UnknownNpc Update
    UpdateResult Usage UserError Utterance Verdict VersionConflict Viseme Voice VoiceStyle WorldError hookimpl
"""


def test_the_public_names_are_these() -> None:
    assert rfsn_core.__all__ == NAMES.split()


def test_every_public_name_is_there_and_explains_itself() -> None:
    for name in rfsn_core.__all__:
        value = getattr(rfsn_core, name)
        assert name in dir(rfsn_core)
        if isinstance(value, type):
            assert value.__doc__, name


def test_type_checkers_and_python_find_the_same_names() -> None:
    tree = ast.parse(Path(rfsn_core.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: (node.module or "").removeprefix("rfsn_core.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == rfsn_core._MODULES
    assert set(seen) == set(rfsn_core.__all__)


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, rfsn_core; print([m for m in sys.modules if m.startswith(('rfsn_core.', 'pydantic', 'msgspec'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(rfsn_core, "Lesson")
