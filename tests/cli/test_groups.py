"""The lists of commands: whole, grouped, and without importing any command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from rfsn_core.cli import COMMANDS, installed, main
from rfsn_core.testing import make_world

Rfsn = Callable[..., Result]


def all_commands(group: click.Group = main, path: str = "rfsn") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path} {name}")


def test_help_shows_every_command_in_its_section_in_full(rfsn: Rfsn) -> None:
    text = rfsn("--help", COLUMNS="80").stdout
    assert "..." not in text.partition("Options:")[2]
    assert 'rfsn say innkeeper "Good evening!"' in text
    words = " ".join(text.split())
    for section in ("Play:", "Make a world:", "Look inside:", "Operate:"):
        assert f"\n{section}\n" in text
    positions = [words.index(f"{command.name} {command.summary}") for command in COMMANDS]
    assert positions == sorted(positions)


def test_the_table_says_of_each_command_what_its_own_help_says() -> None:
    for entry in COMMANDS:
        command = main.get_command(click.Context(main), entry.name)
        assert command is not None
        assert (command.name, command.get_short_help_str(1000)) == (entry.name, entry.summary)


def test_each_command_of_a_group_has_a_summary_that_is_not_cut_off(rfsn: Rfsn) -> None:
    for name in ("memory", "config", "episode"):
        text = rfsn(name, "--help", COLUMNS="80").stdout
        assert "..." not in text.partition("Commands:")[2]


def test_each_command_shows_an_example_and_explains_its_options() -> None:
    for path, command in all_commands():
        if path == "rfsn adapters":  # a plugin's
            continue
        assert f"Example: {path.removesuffix(' run')}" in (command.help or ""), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.name}"


def test_help_and_version_import_no_command_and_no_plugin(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from rfsn_core.cli import main\n"
        "for option in ('--help', '--version'):\n"
        "    try: main([option])\n"
        "    except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('numpy', 'rich', 'httpx', 'starlette')"
        " or m.startswith(('rfsn_core.cli.talk', 'rfsn_core.kernel', 'rfsn_core.plugins', 'rfsn_llm'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_say_imports_nothing_of_the_server(tmp_path: Path) -> None:
    program = (
        "import sys, rfsn_core.cli.talk\n"
        "print([m for m in sys.modules if m.startswith(('rfsn_core.server', 'uvicorn'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_version_is_that_of_the_distribution(rfsn: Rfsn) -> None:
    from importlib import metadata

    assert rfsn("--version").stdout == f"rfsn {metadata.version('rfsn-core')}\n"


def test_a_misspelt_command_is_a_mistake(rfsn: Rfsn) -> None:
    result = rfsn("sya")
    assert result.exit_code == 2
    assert "sya" in result.stderr


# ── commands of plugins ──────────────────────────────────────────────────────────────────────────


def test_plugin_files_of_a_world_add_commands(rfsn: Rfsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path / "world")
    (world / "plugins").mkdir()
    (world / "plugins" / "mine.py").write_text(
        "import click\nfrom rfsn_core import hookimpl\n\n"
        "@click.command()\ndef hey():\n    '''Say hey.'''\n    click.echo('hey there')\n\n"
        "@click.command()\ndef serve():\n    click.echo('mine')\n\n"
        "@hookimpl\ndef rfsn_commands():\n    return [hey, serve]\n",
        "utf-8",
    )
    monkeypatch.chdir(world)
    assert rfsn("hey").stdout == "hey there\n"
    listed = rfsn("--help")
    assert "Say hey." in listed.stdout
    assert "plugin mine.py (file) offers a command 'serve', which exists already" in listed.stderr


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site" / "rfsn_greeter-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "entry_points.txt").write_text(
        "[console_scripts]\nhey = nothing:main\n\n"
        "[rfsn]\ngreeter = greeter\n\n"
        "[rfsn.commands]\nhey = greeter:hey\nserve = greeter:serve\n"
    )
    (tmp_path / "site" / "greeter.py").write_text("import click\n\nhey = click.Command('hey', help='Say hey.')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.mark.usefixtures("distribution")
def test_an_installed_plugin_adds_commands_that_help_lists_without_importing_it(rfsn: Rfsn) -> None:
    sys.modules.pop("greeter", None)
    listed = rfsn("--help")
    assert "hey       Added by rfsn-greeter." in listed.stdout
    assert "plugin rfsn-greeter offers a command 'serve', which exists already" in listed.stderr
    assert "greeter" not in sys.modules
    assert "Say hey." in rfsn("hey", "--help").stdout
    sys.modules.pop("greeter", None)


@pytest.mark.usefixtures("distribution")
def test_a_blocked_plugin_adds_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> set[str]:
        return {command.name for command in installed.plugin_commands()}

    assert "hey" in names()
    monkeypatch.setenv("RFSN_BLOCK", "other,greeter")
    assert "hey" not in names()
    monkeypatch.setenv("RFSN_BLOCK", "")
    monkeypatch.setenv("RFSN_PLUGINS", "other")
    assert "hey" not in names()
    monkeypatch.setenv("RFSN_PLUGINS", "other, greeter")
    assert "hey" in names()


def test_the_plugins_of_this_repository_add_the_commands_that_importlib_sees() -> None:
    from importlib import metadata

    assert {command.name for command in installed.plugin_commands()} == {
        entry.name for entry in metadata.entry_points(group=installed.COMMANDS)
    }
