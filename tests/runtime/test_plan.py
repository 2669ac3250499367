"""What the settings ask for, checked before anything opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.contract.errors import ConfigError
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.runtime.plan import INSTALL, Plan
from rfsn_core.settings.folders import example_world
from rfsn_core.telemetry.logs import configure
from rfsn_core.testing import make_world, plugin
from rfsn_core.testing.isolated import kernel
from rfsn_core.testing.scripted import Tokens


async def plan(world: Path, text: str, *, npcs: dict[str, str] | None = None) -> Plan:
    """The plan of a world, without installed plugins."""
    make_world(world, text, **({"npcs": npcs} if npcs else {}))
    return await Runtimes(world, discover(world=world, installed=False)).check()


def chosen(plan: Plan, stage: str) -> list[str]:
    return [choice.name for choice in plan.choices if choice.stage == stage]


@pytest.mark.parametrize("stage", ["abstraction", "selection", "storage", "embedding", "gating"])
async def test_a_fallback_where_there_is_none_is_refused(tmp_path: Path, stage: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await plan(tmp_path, f'[{stage}]\nfallback = ["nonsense"]\n')
    assert refused.value.problems == [
        f"{tmp_path / 'rfsn.toml'}, line 2: {stage}.fallback: [{stage}] has no fallback; [rendering] and [speech] have"
    ]


@pytest.mark.parametrize("stage", ["rendering", "speech"])
async def test_every_fallback_is_checked(tmp_path: Path, stage: str) -> None:
    with pytest.raises(ConfigError, match=rf"line 2: {stage}.fallback: no {stage} provider 'nonsense'"):
        await plan(tmp_path, f'[{stage}]\nfallback = ["nonsense"]\n')


async def test_a_providers_setting_in_the_stages_table_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        await plan(tmp_path, "[rendering]\nwords_per_second = 3\n[memory]\n[speech]\nprovidr = 'silent'\n")
    assert [problem.partition("rfsn.toml, ")[2] for problem in refused.value.problems] == [
        "line 2: rendering.words_per_second: no such setting; it belongs into [rendering.scripted]",
        "line 5: speech.providr: no such setting; did you mean 'provider'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "actions]]\nname = 'juggle'\ninstruction = 'x'\nvariant_of = 'gret'",
            "line 4: world.actions.0.variant_of: no action",
        ),
        (
            "rules]]\nname = 'r'\n[[world.rules]]\nname = 's'\nforbid = ['gret']",
            "line 5: world.rules.1.forbid: no action",
        ),
    ],
)
async def test_an_action_that_does_not_exist_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"{problem} 'gret'; did you mean 'greet'"):
        await plan(tmp_path, f"[[world.{text}")


async def test_the_table_of_a_provider_that_is_not_used_is_a_warning(tmp_path: Path) -> None:
    found = await plan(tmp_path, '[rendering.ollama]\nmodel = "x"\n[speech.silent]\n')
    assert found.warnings == (
        f"{tmp_path / 'rfsn.toml'}, line 1: rendering.ollama: [rendering.ollama] is not used: provider is 'scripted'",
    )


@pytest.mark.parametrize(
    ("stage", "name", "substitute"), [("speech", "espeak", "silent"), ("rendering", "ollama", "scripted")]
)
async def test_words_and_voice_do_without_a_plugin_that_is_not_installed(
    tmp_path: Path, stage: str, name: str, substitute: str
) -> None:
    for fallback in ("", "fallback = []\n"):
        found = await plan(tmp_path, f'[{stage}]\nprovider = "{name}"\n{fallback}[{stage}.{name}]\nx = 1\n')
        assert chosen(found, stage) == [substitute]
        assert found.warnings == (
            f"{tmp_path / 'rfsn.toml'}, line 2: {stage}.provider: '{name}' is not installed: pip install"
            f" {INSTALL[name]}; '{substitute}' takes its place",
        )


@pytest.mark.parametrize(("stage", "name"), [("storage", "redis"), ("selection", "linucb"), ("embedding", "wordllama")])
async def test_what_nothing_can_replace_must_be_installed(tmp_path: Path, stage: str, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await plan(tmp_path, f'[{stage}]\nprovider = "{name}"\n')
    assert refused.value.problems == [
        f"{tmp_path / 'rfsn.toml'}, line 2: {stage}.provider: '{name}' is not installed: pip install {INSTALL[name]}"
    ]


async def test_a_voice_whose_plugin_failed_is_a_warning_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "parrot.py").write_text("x = 1\nraise RuntimeError('no beak')\n", "utf-8")
    found = await plan(tmp_path, '[speech]\nprovider = "parrot"\n')
    assert chosen(found, "speech") == ["silent"]
    assert "'parrot' (plugin parrot, parrot.py (file), is failed: RuntimeError: no beak (parrot.py, line 2))" in str(
        found.warnings
    )


async def test_the_kernel_alone_serves_the_example_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_DATA_DIR", str(tmp_path))
    runtimes = Runtimes(example_world(), discover(installed=False))
    try:
        await runtimes.start()
        assert [voice.name for voice in runtimes.current.voices] == ["silent"]
    finally:
        await runtimes.close()


def test_the_installed_names_are_those_of_our_own_plugins() -> None:
    found = discover()
    for name, distribution in INSTALL.items():
        owners = [
            owner.distribution
            for stage in ("selection", "rendering", "speech", "storage", "embedding")
            for offered, (_, owner) in found.providers(stage).items()
            if offered == name
        ]
        assert owners in ([], [distribution])


def test_config_check_tells_what_looks_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_world(tmp_path, "", npcs={"a": 'name = "Guard"', "b": 'name = "Guard"'})
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("def f(:\n", "utf-8")
    (tmp_path / "plugins" / "raising.py").write_text("\n\nno_such_name\n", "utf-8")
    (tmp_path / "npcs" / "smith.toml.txt").write_text("", "utf-8")
    (tmp_path / "rfsn.yaml.txt").write_text("", "utf-8")
    monkeypatch.setenv("RFSN_PORT", "9000")
    result = CliRunner().invoke(main, ["config", "check", "--world", str(tmp_path)])
    assert result.exit_code == 0
    first, *lines = result.output.splitlines()
    assert first == "defaults (no settings file) (2 NPCs, 0 lore files): fine, but:"
    assert len(lines) == 6
    for part in (
        "rfsn.yaml.txt: is not read; a settings file is called 'rfsn.yaml'",
        "RFSN_PORT: is not a setting, and is ignored; did you mean RFSN_SERVER__PORT?",
        "smith.toml.txt: is not read; call it 'smith.toml'",
        "2 NPCs are called 'Guard': 'a', 'b'",
        "plugin broken (broken.py (file)) failed: SyntaxError: invalid syntax (broken.py, line 1)",
        "NameError: name 'no_such_name' is not defined (raising.py, line 3)",
    ):
        assert part in result.output


async def test_what_looks_wrong_is_logged_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_world(tmp_path, npcs={"smith": 'name = "Guard"', "b": 'name = "Guard"'})
    configure()
    async with kernel(tmp_path, plugin(rendering={"tokens": Tokens(["Aye."])})):
        assert "2 NPCs are called 'Guard'" in capsys.readouterr().err
