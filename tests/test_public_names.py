"""The names that plugins may use: adding one is a promise, removing one breaks plugins."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import rfsn_core
import rfsn_core.kit

ROOT = Path(__file__).parents[1]
NAMES = """
    ASKS GOVERNED SIGNALS Abstraction Abstractor Action ActionResult Archive Argument Arm AudioFrame Backup
    BadMessage Capabilities ChatMessage Checkpoint Checkpoints ConfigError Context ConversationBusy Decision Dialect
    DialectHost DialectSettings DialectTurn Embedder EngineError Entity GameEvent Gate HasHealth Hello Host
    Introduce Introduced Known ListsModels ListsVoices LogEntry LogPage MemoryKind MemoryRecord MemorySource
    MemoryStatus NoSettings NotFound Notices NpcInfo NpcState Offer Past PlayerTurn PluginError Policy Prompt
    Provider RenderOptions Renderer ReplyTooLong Reward RfsnError SafetyRule Scope Scopes SearchHit Selection
    Sentence ServerInfo ServerMessage SharedLearning SharedStore Situation Snapshot Sound Speech SpeechFinished
    SpeechStarted StaleSave State Store StoreError StoreInUse Temperament Trigger TurnCancelled TurnFailed
    TurnFinished TurnRecord TurnStarted Understander Understanding UnderstandingContext Undo UndoesTurns UnknownNpc
    Update UpdateResult Usage UserError Utterance Verdict VersionConflict Viseme Voice VoiceStyle WorldError
    hookimpl
"""
KIT = """
    ADAPTER_TASKS MAX_TERMS REACHED_LIMIT REPORT_GRAMMAR STOP_WORDS THOUGHTS Document DocumentError Job JsonLines
    Line Remote RemoteSettings Resampler UnknownVoices WholeCharacters WriterThread adapter_task add_neighbours
    api_key chat_request check_reply_end clauses content_text content_words decode_json deliver describe_backup
    explain_errors find_backup language_of list_backups model_ids nearest nearest_voices new_backup pcm16
    prune_backups read_document read_text replace_file search_turns server_sent shapes_of stem stems_of stream_chat
    terms token_count toml_text visemes_of wav_bytes whole_text words_of
"""
PACKAGES = pytest.mark.parametrize("package", [rfsn_core, rfsn_core.kit], ids=lambda package: package.__name__)


def test_the_public_names_are_these() -> None:
    assert rfsn_core.__all__ == NAMES.split()
    assert rfsn_core.kit.__all__ == KIT.split()


@PACKAGES
def test_every_public_name_is_there_and_explains_itself(package: ModuleType) -> None:
    for name in package.__all__:
        value = getattr(package, name)
        assert name in dir(package)
        if callable(value) or isinstance(value, ModuleType):
            assert value.__doc__, name


@PACKAGES
def test_no_public_name_is_also_a_module(package: ModuleType) -> None:
    """Such a name would mean the module instead, as soon as anything had imported the module."""
    modules = {path.stem for path in Path(str(package.__file__)).parent.iterdir()}
    assert modules & set(package._MODULES) == set()


@PACKAGES
def test_type_checkers_and_python_find_the_same_names(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: (node.module or "").removeprefix(f"{package.__name__}.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == package._MODULES
    assert set(seen) == set(package.__all__)


@pytest.mark.parametrize("package", ["rfsn_core", "rfsn_core.kit"])
def test_importing_the_package_imports_nothing_else(package: str) -> None:
    code = f"""if True:
        import sys, {package}
        print([m for m in sys.modules if m.startswith(("rfsn_core.", "pydantic", "msgspec")) and m != "{package}"])
    """
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


@PACKAGES
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    assert not hasattr(package, "Lesson")


# ── what the bundled plugins import ──────────────────────────────────────────────────────────────


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import from the kernel; the name is empty for `import rfsn_core.x`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def is_public(module: str, name: str, *, testing: bool) -> bool:
    """Return whether a plugin may import a name; in its tests also from `rfsn_core.testing` and the modules below."""
    if module in ("rfsn_core", "rfsn_core.kit"):
        return name in importlib.import_module(module).__all__
    if module == "rfsn_core.testing":
        return testing and name in importlib.import_module(module).__all__
    return testing and module.startswith("rfsn_core.testing.")


PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").is_file())


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_imports_public_names_only(plugin: Path) -> None:
    modules = [*plugin.glob("rfsn_*/**/*.py"), *plugin.glob("tests/**/*.py")]
    assert len(modules) > 1
    private = [
        f"{path.relative_to(ROOT)}: {module} {name}"
        for path in modules
        for module, name in imports(path)
        if module.split(".")[0] == "rfsn_core" and not is_public(module, name, testing="tests" in path.parts)
    ]
    assert private == []


def test_the_check_of_imports_finds_private_ones(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(
        "import rfsn_core.kernel\nfrom rfsn_core import Host, protocol\n"
        "def f():\n    from rfsn_core.kit.http import Remote\n"
        "from rfsn_core.testing import kernel\n"
    )
    private = [item for item in imports(path) if not is_public(*item, testing=False)]
    assert sorted(private) == [
        ("rfsn_core", "protocol"), ("rfsn_core.kernel", ""), ("rfsn_core.kit.http", "Remote"),
        ("rfsn_core.testing", "kernel"),
    ]  # fmt: skip
    assert is_public("rfsn_core.testing.suites", "VoiceSuite", testing=True)
    assert not is_public("rfsn_core.kernel", "Kernel", testing=True)
