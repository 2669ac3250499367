"""Settings from files and the environment, and messages a modder understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfsn_core.contract.errors import ConfigError
from rfsn_core.settings.schema import find_file, load


def write(folder: Path, text: str, name: str = "rfsn.toml") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(path)
    return refused.value.problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rfsn.toml", '[server]\nport = 9000\n[rendering]\nprovider = "x"\n[rendering.x]\nmodel = "m"\n'),
        ("rfsn.json", '{"server": {"port": 9000}, "rendering": {"provider": "x", "x": {"model": "m"}}}'),
        ("rfsn.yaml", "server:\n  port: 9000\nrendering:\n  provider: x\n  x:\n    model: m\n"),
        ("rfsn.toml", '\ufeff[server]\r\nport = 9000\r\n[rendering]\r\nprovider = "x"\r\nx = {model = "m"}\r\n'),
    ],
    ids=["TOML", "JSON", "YAML", "a Windows editor's TOML"],
)
def test_the_three_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, text, name)
    settings, _ = load(find_file(tmp_path))
    assert settings.server.port == 9000
    assert settings.rendering.chosen() == ["x", "scripted"]
    assert settings.rendering.model_extra == {"x": {"model": "m"}}


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "[server]\nport = 9000\nmax_turns = 3\n")
    monkeypatch.setenv("RFSN_SERVER__PORT", "9001")
    assert load(path)[0].server.port == 9001
    settings, _ = load(path, {"server": {"port": 9002}})
    assert (settings.server.port, settings.server.max_turns) == (9002, 3)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("rfsn.toml", "[server]\n\nprt = 1\n", "line 3: server.prt: no such setting; did you mean 'port'?"),
        ("rfsn.toml", "[sever]\nport = 1\n", "line 1: sever: no such setting; did you mean 'server'?"),
        ("rfsn.toml", '[server]\nport = "x"\n', "line 2: server.port: Input should be a valid integer"),
        ("rfsn.yaml", "server:\n  port: 99999\n", "line 2: server.port: Input should be less than or equal to 65535"),
        ("rfsn.json", '{\n "server": {\n  "prt": 1}}', "line 3: server.prt: no such setting; did you mean 'port'?"),
        ("rfsn.toml", '[world]\noverlap = "both"\n', "line 2: world.overlap: Input should be 'interrupt', 'wait' or"),
        ("rfsn.toml", "[[world.rules]]\nname = 'x'\nabove = {anger = 1}\n", "line 3: world.rules.0.above.anger"),
        ("rfsn.toml", "[server\n", "cannot be parsed"),
        ("rfsn.yaml", "server: [", "cannot be parsed"),
        ("rfsn.json", "[1]", "must be a table of settings, not list"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_the_nearest_right_one(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    path = write(tmp_path, text, name)
    (problem,) = problems(path)
    assert problem.startswith(str(path))
    assert says in problem


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_SERVER__PORT", "many")
    monkeypatch.setenv("RFSN_SEVER__PORT", "1")
    found = problems(write(tmp_path, ""))
    assert found == [
        "RFSN_SEVER__PORT: no settings table 'sever'; did you mean 'server'?",
        "RFSN_SERVER__PORT: server.port: Input should be a valid integer, unable to parse string as an integer"
        " (is 'many')",
    ]


def test_two_settings_files_are_one_too_many(tmp_path: Path) -> None:
    write(tmp_path, "")
    write(tmp_path, "", "rfsn.yaml")
    with pytest.raises(ConfigError, match=r"two settings files: rfsn.toml, rfsn.yaml; keep one"):
        find_file(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rfsn.toml").write_bytes(b"\xff\xfe\x00\x01")
    assert "rfsn.toml" in problems(tmp_path / "rfsn.toml")[0]


def test_a_stage_without_a_provider_has_the_default_one_and_its_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RFSN_SELECTION__WORLD_MODEL__X", "1")
    settings, _ = load(write(tmp_path, "[rendering.scripted]\nwords_per_second = 3\n[speech]\nprovider = 'x'\n"))
    assert settings.rendering.chosen() == ["scripted"]
    assert settings.selection.provider == "world_model"
    assert settings.speech.chosen() == ["x", "silent"]
    assert load(write(tmp_path, "[speech]\nprovider = 'x'\nfallback = []\n"))[0].speech.chosen() == ["x"]
