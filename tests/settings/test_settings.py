"""Settings from files and the environment, and messages a modder understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rfsn_core.contract.errors import ConfigError
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import find_file, load, misnamed_files


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


def test_json_is_read_as_json(tmp_path: Path) -> None:
    path = write(tmp_path, '{\n\t"speech": {"provider": "espeak"}\n}', "rfsn.json")
    assert load(path)[0].speech.provider == "espeak"
    path = write(tmp_path, '{\n\t"server": {\n\t\t"prt": 1}}', "rfsn.json")
    assert "line 3: server.prt: no such setting; did you mean 'port'?" in problems(path)[0]
    path = write(tmp_path, '{"server": {"port": 1,}}', "rfsn.json")
    assert "line 1: cannot be parsed: not valid JSON" in problems(path)[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[speech]\npiper.model = "C:\\Users\\me"', r"line 2: .* in single quotes, or use /"),
        ('data_dir = "D:\\games\\rfsn"', r"line 1: .* in single quotes, or use /"),
        ("data_dir = “data”", r'line 1: .*“ is not a quotation mark of TOML; use a straight one: "'),
        ("[speech]\nprovider = espeak", r'line 2: .*A text needs quotes: provider = "espeak"'),
        ("[speech]\nprovider: 'espeak'", r"line 2: .*TOML writes key = value"),
    ],
)
def test_what_is_often_wrong_in_toml_is_told_with_the_cure(tmp_path: Path, text: str, says: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert re.search(says, problem), problem


def test_the_line_is_that_of_the_right_table_in_a_list(tmp_path: Path) -> None:
    text = '[[world.rules]]\nname = "a"\n\n[[world.rules]]\nname = "b"\nforbd = []\n'
    assert "line 6: world.rules.1.forbd: no such setting; did you mean 'forbid'?" in problems(write(tmp_path, text))[0]


def test_what_stands_in_a_long_text_is_not_a_key(tmp_path: Path) -> None:
    text = 'data_dir = """\nserver = 1\n[server]\n"""\n[server]\nport = "x"\n'
    assert "line 6: server.port" in problems(write(tmp_path, text))[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["rfsn.toml", "rfsn.json", "rfsn.yaml"])
def test_another_encoding_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes("{}".encode(encoding))
    (problem,) = problems(tmp_path / name)
    assert problem == f"{tmp_path / name}: is saved as {encoding[:6].upper()}; save it as UTF-8"


@pytest.mark.parametrize("name", ["rfsn.toml.txt", "rfsn.yaml.txt", "RFSN.toml", "rfsn.txt"])
def test_a_settings_file_by_another_name_is_told(tmp_path: Path, name: str) -> None:
    write(tmp_path, "", name)
    (warning,) = misnamed_files(tmp_path)
    right = "rfsn.yaml" if "yaml" in name else "rfsn.toml"
    assert warning == f"{tmp_path / name}: is not read; a settings file is called '{right}'"
    write(tmp_path, "", right)
    assert misnamed_files(tmp_path) == [f"{tmp_path / name}: is not read; the settings are in '{right}'"]


# ── the environment ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("RFSN_SPEECH", "espeak", "'speech' is a table, not a setting; did you mean RFSN_SPEECH__PROVIDER?"),
        ("RFSN_GATING", "rules", "'gating' is a table, not a setting; did you mean RFSN_GATING__PROVIDERS?"),
        ("RFSN_SERVER", "{}", "'server' is a table, not a setting; did you mean RFSN_SERVER__HOST?"),
        ("RFSN_SERVER__PROT", "1", "server.prot: no such setting; did you mean 'port'?"),
        ("RFSN_NONSENSE__X", "1", "no settings table 'nonsense'"),
        ("RFSN_SERVER__PORT", "abc", "server.port: Input should be a valid integer"),
        ("RFSN_SERVER__PORT__X", "1", "server.port: Input should be a valid integer"),
        ("RFSN_SERVER__", "1", "cannot be read; write RFSN_TABLE__KEY, with two underscores"),
        ("RFSN_DATA_DIR__X", "1", "data_dir: Input should be a valid string"),
        ("RFSN_RENDERING__FALLBACK", "[broken", "rendering.fallback: must be a list, such as"),
        ("RFSN_RENDERING__FALLBACK", "scripted", "rendering.fallback: must be a list, such as"),
        ("RFSN_RENDERING__FALLBACK", "[1]", "rendering.fallback.0: Input should be a valid string (is 1)"),
        ("RFSN_LEARNING__GUARD", "7", "learning.guard: must be a table, such as"),
        ("RFSN_LEARNING__SIGNALS__X", "many", "learning.signals.x: Input should be a valid number"),
        ("RFSN_WORLD__RULES", "[" * 100_000, "world.rules: must be a list"),
        ("RFSN_SERVER__MAX_TURNS", "", "server.max_turns: Input should be a valid integer"),
        ("RFSN_OPERATIONS__RELOAD", "\udcff", "operations.reload: Input should be a valid"),
    ],
)
def test_a_variable_that_cannot_be_used_is_a_problem_with_its_name(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as refused:
        load(None)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{variable}: ")
    assert says in problem


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("RFSN_PORT", "; did you mean RFSN_SERVER__PORT?"),
        ("RFSN_SERVER_PORT", "; did you mean RFSN_SERVER__PORT?"),
        ("RFSN_DATADIR", "; did you mean RFSN_DATA_DIR?"),
        ("RFSN_WROLD", "; did you mean RFSN_WORLD?"),
        ("RFSN_LOG_LEVEL", "; did you mean RFSN_OPERATIONS__LOG_LEVEL?"),
        ("RFSN_", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_told_and_ignored(
    variable: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "tcp://10.0.0.1:8765")
    settings, source = load(None)
    assert settings == Settings()
    assert source.warnings == (f"{variable}: is not a setting, and is ignored{hint}",)


def test_variables_that_are_not_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RFSN_WORLD", "RFSN_PLUGINS", "RFSN_BLOCK", "RFSN_TRACE_PLUGINS"):
        monkeypatch.setenv(variable, "{[")
    settings, source = load(None)
    assert (settings, source.warnings) == (Settings(), ())


def test_two_variables_that_contradict_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_RENDERING__OLLAMA", "x")
    monkeypatch.setenv("RFSN_RENDERING__OLLAMA__MODEL", "y")
    with pytest.raises(ConfigError, match="RFSN_RENDERING__OLLAMA__MODEL: contradicts RFSN_RENDERING__OLLAMA,"):
        load(None)


def test_lists_and_tables_come_as_json_and_an_empty_folder_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_RENDERING__FALLBACK", '["a", "b"]')
    monkeypatch.setenv("RFSN_RENDERING__OPENAI__OMIT", '["seed"]')
    monkeypatch.setenv("RFSN_RENDERING__OPENAI__KEY", "{sk")
    monkeypatch.setenv("RFSN_LEARNING__GUARD", '{"window": 7}')
    monkeypatch.setenv("RFSN_LEARNING__GUARD__SLOW_DROP", "0.5")
    monkeypatch.setenv("RFSN_DATA_DIR", "")
    settings, _ = load(None)
    assert settings.rendering.fallback == ["a", "b"]
    assert settings.rendering.model_extra == {"openai": {"omit": ["seed"], "key": "{sk"}}
    assert (settings.learning.guard.window, settings.learning.guard.slow_drop) == (7, 0.5)
    assert settings.data_dir == ".rfsn"
