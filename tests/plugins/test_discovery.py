"""Plugins that are found, checked, refused and blocked; none takes the rest down."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import NoSettings, Provider
from rfsn_core.plugins.discovery import Plugin, Plugins, discover
from rfsn_core.testing import plugin

ROOT = Path(__file__).parents[2]


def with_file(world: Path, text: str, name: str = "mine") -> Plugin:
    """What became of a plugin file in a world."""
    (world / "plugins").mkdir(exist_ok=True)
    (world / "plugins" / f"{name}.py").write_text(text, "utf-8")
    return find(discover(world=world, installed=False), name)


def find(plugins: Plugins, name: str) -> Plugin:
    assert "sqlite" in plugins.providers("storage")  # the others are still there
    return next(item for item in plugins.found if item.name == name)


HEAD = "from rfsn_core.contract.hooks import hookimpl\nfrom rfsn_core.contract.provider import Provider\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("def", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "tried to end the process: SystemExit(3) (mine.py, line 3)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("@hookimpl\ndef rfsn_rendring():\n    return []", "no hook 'rfsn_rendring'; did you mean 'rfsn_rendering'?"),
        ("def rfsn_event(event):\n    pass", "'rfsn_event' is not marked with @hookimpl"),
        (
            "@hookimpl\nasync def rfsn_event(event):\n    pass",
            "'rfsn_event' is async; only rfsn_started, rfsn_stopping",
        ),
        ("@hookimpl\ndef rfsn_event(event, npc='x'):\n    pass", "parameter 'npc' of 'rfsn_event' has a default"),
        ("@hookimpl\ndef rfsn_event(event, who):\n    pass", "'rfsn_event' has no parameter 'who', only: event, npc"),
        (
            "@hookimpl\ndef rfsn_speech():\n    return [7]",
            "TypeError in a hook: rfsn_speech returned int, not Provider",
        ),
        ("@hookimpl\ndef rfsn_speech():\n    return 7", "TypeError in a hook: 'int' object is not iterable"),
        ("@hookimpl\ndef rfsn_speech():\n    1 / 0", "ZeroDivisionError in a hook: division by zero"),
        (
            "@hookimpl\ndef rfsn_speech():\n    yield Provider('x', dict, print)",
            "the settings of provider 'x' are not a pydantic model",
        ),
    ],
)
def test_a_bad_plugin_is_reported_and_the_others_load(tmp_path: Path, text: str, reason: str) -> None:
    item = with_file(tmp_path, HEAD + text)
    assert item.state == "failed"
    assert reason in item.reason


def test_a_plugin_without_packaging_works(tmp_path: Path) -> None:
    item = with_file(tmp_path, HEAD + "@hookimpl\ndef rfsn_event(event):\n    pass\nrfsn_note = 'not a hook'")
    assert (item.state, item.hooks, item.version) == ("loaded", ("rfsn_event",), "(file)")


def offering(stage: str, name: str) -> Any:
    def open_it(settings: Any, host: Any) -> Any:
        return nullcontext(None)

    return plugin(None, **{stage: {name: Provider(name, NoSettings, open_it)}})[1]


def test_two_providers_of_one_name_are_an_error_that_names_both() -> None:
    plugins = discover(
        [("first", offering("speech", "organ")), ("second", offering("speech", "organ"))], installed=False
    )
    assert plugins.providers("speech")["organ"][1].name == "first"
    (problem,) = plugins.problems
    assert "speech provider 'organ' is offered twice" in problem
    assert "first (given) (plugin first)" in problem
    assert "second (given) (plugin second)" in problem
    assert "RFSN_BLOCK=second" in problem
    assert find(plugins, "second").state == "failed"


def test_a_plugin_that_fails_halfway_leaves_nothing_behind() -> None:
    class Half:
        @hookimpl
        def rfsn_speech(self) -> Any:
            yield offering("speech", "organ").rfsn_speech()[0]
            raise RuntimeError("the second one is missing")

        @hookimpl
        def rfsn_event(self, event: Any) -> None: ...

    plugins = discover([("half", Half())], installed=False)
    assert find(plugins, "half").reason == "RuntimeError in a hook: the second one is missing"
    assert "organ" not in plugins.providers("speech")
    assert list(plugins.functions("rfsn_event")) == []


def test_blocked_plugins_are_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_BLOCK", "mine, default_speech")
    item = with_file(tmp_path, "raise SystemExit")
    assert (item.state, item.reason) == ("blocked", "in RFSN_BLOCK")
    assert discover(world=tmp_path, installed=False).providers("speech") == {}


def entry(monkeypatch: pytest.MonkeyPatch, requires: list[str], value: str = "rfsn_core.defaults.speech") -> None:
    distribution = SimpleNamespace(name="rfsn-tts-organ", version="2.5", requires=requires)
    fake = SimpleNamespace(name="tts_organ", value=value, dist=distribution)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [fake])


def test_a_plugin_for_another_kernel_is_refused_before_its_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, ["numpy", "RFSN_core>=7,<8"], "module.that.does.not.exist")
    item = find(discover(), "tts_organ")
    assert (item.state, item.label) == ("failed", "rfsn-tts-organ 2.5")
    assert item.reason.startswith("needs rfsn-core <8,>=7, this is ")


def test_only_the_named_plugins_load(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, [], "module.that.does.not.exist")
    monkeypatch.setenv("RFSN_PLUGINS", "other")
    assert find(discover(), "tts_organ").reason == "not in RFSN_PLUGINS"


@pytest.mark.engines
def test_a_plugin_installed_as_a_wheel_is_found_without_registration(tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        ran = subprocess.run(
            [str(part) for part in command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT)
    run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT / "plugins" / "tts_espeak")
    kernel, voice = sorted(tmp_path.glob("rfsn_*.whl"))
    run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run("uv", "pip", "install", "--quiet", "--python", scripts / "python", kernel)
    before = run(scripts / "rfsn", "plugins")
    assert "tts_espeak" not in before
    run("uv", "pip", "install", "--quiet", "--python", scripts / "python", kernel, voice)
    after = run(scripts / "rfsn", "plugins")
    assert "speech:espeak" in after
    said = run(scripts / "rfsn", "say", "innkeeper", "Good evening!", "--wav", tmp_path / "out.wav")
    assert "greet" in said
    assert (tmp_path / "out.wav").stat().st_size > 20_000
