"""The docs are true and plain: their code runs, tables are current, links work, and words are ordinary."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from rfsn_core import protocol
from rfsn_core.cli import main as program
from rfsn_core.contract import hooks as hookspecs
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.source import load
from rfsn_core.testing import kernel, make_world, turn
from rfsn_core.testing.process import Server
from rfsn_core.world.actions import BUILT_IN, STYLES
from rfsn_core.world.file_models import NpcFile

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("examples/*/*.md")]
)


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def block(page: str, language: str, first_line: str) -> str:
    return next(text for text in blocks(page, language) if text.startswith(first_line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


PLUGIN_COMMANDS = {
    name
    for path in ROOT.glob("plugins/*/pyproject.toml")
    for name in tomllib.loads(path.read_text("utf-8"))["project"]["entry-points"].get("rfsn.commands", {})
}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `rfsn` command of a page, without comments."""
    text = page.read_text("utf-8")
    for line in re.findall(r"^ {4}(?:uv run )?rfsn (.*)$|`(?:uv run )?rfsn ([^`\n]+)`", text, re.MULTILINE):
        yield shlex.split("".join(line), comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_and_options_of_the_page_exist(page: Path) -> None:
    for words in commands(page):
        if words and words[0] in PLUGIN_COMMANDS:
            continue  # listed in the metadata of an installed plugin, tested there
        command: click.Command = program
        context, rest = click.Context(command, info_name="rfsn"), list(words)
        while rest and isinstance(command, click.Group):
            if "run" in command.commands and rest[0] not in command.commands:
                rest.insert(0, "run")  # `rfsn episode NPC` is `rfsn episode run NPC`
            if rest[0].startswith("-"):
                break
            name, subcommand, rest = command.resolve_command(context, rest)
            assert subcommand is not None
            command, context = subcommand, click.Context(subcommand, info_name=name, parent=context)
        known = {name for parameter in command.get_params(context) for name in parameter.opts} | {"-h", "--help"}
        unknown = [word for word in rest if word.startswith("--") and word not in known]
        assert not unknown, f"rfsn {shlex.join(words)}: no option {unknown[0]}"


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    names = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page)) - {"turn.py"}
    assert len(names) > 20
    assert [name for name in sorted(names) if not (ROOT / "rfsn_core" / name).is_file()] == []


@pytest.mark.parametrize("page", ["protocol.md", "configuration.md", "operating.md", "architecture.md"])
def test_generated_tables_are_current(page: str) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.generated(page) == (ROOT / "docs" / page).read_text("utf-8"), "run docs/generate.py"


def test_the_readmes_client_talks(serve: Callable[..., Server], tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(block("README.md", "python", "# talk.py").replace("127.0.0.1:8765", f"127.0.0.1:{serve().port}"))
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("gesture: greet warm_friendly\nsubtitle: ")


async def test_the_readmes_plugin_works(tmp_path: Path) -> None:
    make_world(tmp_path, '[rendering]\nprovider = "shouting"\n')
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "juggling.py").write_text(block("README.md", "python", "# plugins/juggling.py"))
    async with kernel(tmp_path) as running:
        events = await turn(running, "Hello!")
    assert isinstance(events[-1], protocol.TurnFinished)
    assert events[-1].text == "JUGGLE FOR THE PLAYER, AND BRAG.!"


async def test_the_hooks_page_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_world(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "curfew.py").write_text(block("docs/plugins.md", "python", "# plugins/curfew.py"))
    async with kernel(tmp_path) as running:
        events = await turn(running, "Help me!", state={"time_of_day": "night"})
    decision = next(item for item in events if isinstance(item, protocol.Decision))
    assert {"help", "help_grudging"} <= {veto.action for veto in decision.vetoes if veto.rule == "curfew"}
    assert "smith to player: " in capsys.readouterr().out


def test_every_hook_is_documented() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    hooks = [name for name in vars(hookspecs) if name.startswith("rfsn_")]
    assert len(hooks) == 20
    for name in hooks:
        hook = getattr(hookspecs, name)
        assert f"`{name}`" in page
        assert hook.__doc__
        for parameter in hook.__code__.co_varnames[: hook.__code__.co_argcount]:
            assert f":param {parameter}:" in hook.__doc__


def test_the_world_page_is_a_world(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "worlds.md").read_text("utf-8")
    npc = block("docs/worlds.md", "toml", 'name = "Berit')
    make_world(tmp_path, block("docs/worlds.md", "toml", "[[world.actions]]"), {"smith": npc})
    asyncio.run(Runtimes(tmp_path, discover(installed=False)).check())
    assert set(tomllib.loads(npc)) == set(NpcFile.model_fields)
    assert all(action.name in page for action in BUILT_IN)
    assert all(style in page for style in STYLES)


def test_the_configuration_page_can_be_loaded(tmp_path: Path) -> None:
    (text,) = blocks("docs/configuration.md", "toml")
    (tmp_path / "rfsn.toml").write_text(text)
    settings, _ = load(tmp_path / "rfsn.toml")
    assert settings.speech.chosen() == ["espeak", "silent"]


@pytest.mark.engines
def test_the_tutorials_plugin_can_be_built_installed_and_passes_its_suite(tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        process = subprocess.run(
            [str(part) for part in command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    for language, first_line in (("toml", "# pyproject"), ("python", "# rfsn_llm_parrot"), ("python", "# test_parrot")):
        text = block("docs/plugins.md", language, first_line)
        (tmp_path / text.split()[1]).write_text(text)
    run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", ROOT)
    run("uv", "build", "--quiet", "--wheel")
    kernel_wheel, plugin_wheel = sorted((tmp_path / "dist").glob("*.whl"))
    run("uv", "pip", "install", "--quiet", "--python", scripts / "python", f"{kernel_wheel}[testing]", plugin_wheel)
    tested = run(scripts / "python", "-m", "pytest", "-q", "-W", "error", "test_parrot.py")
    assert re.search(r"[5-9]\d* passed", tested)
    assert "skipped" not in tested
    assert "rendering:parrot" in run(scripts / "rfsn", "plugins")
    run(scripts / "rfsn", "init", "w")
    settings = tmp_path / "w" / "rfsn.toml"
    settings.write_text(block("docs/plugins.md", "toml", '[rendering]\nprovider = "parrot"'))
    assert "Ahoy!\nAhoy!\nAhoy!" in run(scripts / "rfsn", "say", "miller", "Ahoy", "--world", "w").replace("!!", "!")


def test_nothing_is_tracked_that_must_not_be() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    forbidden: Any = re.compile(r'"resolved": *"https?:|https?://[^ )>"]+/simple/?|/home/[a-z]+/|/root/|[A-Z]:\\Users')
    for name in listed.stdout.splitlines():
        assert not name.endswith((".lock", ".whl", ".onnx", ".gguf", ".wav", ".db")), name
        if name != "tests/test_docs.py" and (ROOT / name).exists():
            assert not forbidden.search((ROOT / name).read_text("utf-8", "replace")), name


def test_every_built_in_rule_and_reward_signal_is_documented() -> None:
    from rfsn_core.settings.schema import LearningSettings
    from rfsn_core.world.candidates import BUILT_IN as RULES

    deciding = (ROOT / "docs" / "deciding.md").read_text("utf-8")
    assert all(f"`{rule.name}`" in deciding for rule in RULES)
    learning = (ROOT / "docs" / "learning.md").read_text("utf-8")
    assert all(f"`{name}`" in learning for name in LearningSettings().signals)


# ── plain English ────────────────────────────────────────────────────────────────────────────────

FORBIDDEN = {
    r"who(m)?ever": "anyone who",
    r"anew": "again",
    r"for ?ever": "until it stops, without end",
    r"heed(s|ed|ing)?": "handle, acknowledge",
    r"(is|are|was|were) no more": "does not exist any more",
    r"(goes|went|gone) on": "continue",
    r"(takes?|taken|taking|took) back": "roll back",
    r"(tells?|telling|told) (\w+ )?apart": "distinguish",
    r"as it were": "leave it out",
    r"wherefore|whereby|whereof|thereby|thereof|therein|thereupon|hereby": "so, with this, of it",
    r"hitherto|henceforth|thence|lest|nought|naught|amongst|whilst": "a modern word",
    r"foretells?|foretold": "predict",
    r"(is|are|was|were|be|been) held(?! back)": "keep, cache",
    # Facts and secrets are told to players; programs and people who run them receive something.
    r"(clients?|servers?|users?|operators?|plugins?|renderers?|games?|models?) (is|are|was|were|be) told": "receive",
    r"as (it|they) (is|are|was|were) told": "say what it receives",
    r"beside": "next to, in addition to",
    r"whatever happens": "say in which cases",
    r"(comes?|came) into question": "be a candidate",
    r"be had": "be available",
    r"(takes?|took) leave": "deregister",
    r"mend(s|ed|ing)?": "fix",
}
"""Words and phrases that docs/style.md forbids, as patterns, and what to write instead."""

PLAIN = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks",
    "docs",
    "examples",
    "plugins",
    "rfsn_core",
    "tests",
    "training",
]
"""Files and folders that are free of these words."""

EXEMPT = {
    "docs/style.md",  # lists the words
    "tests/test_docs.py",
    "benchmarks/retrieval_set.py",  # lines of players and an innkeeper
    "rfsn_core/defaults/lines.py",  # lines of NPCs
}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and text of what people read in a file: all of a page, comments and strings of a module."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.start[0], token.string
        return
    # Generated parts are checked where they come from.
    own = re.sub(r"<!-- generated.*?<!-- end -->", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    yield 1, own


def forbidden_words(path: Path) -> Iterator[str]:
    for line, text in prose(path):
        flat = text.replace("\n", " ")
        for pattern, better in FORBIDDEN.items():
            for match in re.finditer(rf"(?<![\w-])({pattern})(?![\w-])", flat, re.IGNORECASE):
                yield f"{line + text[: match.start()].count(chr(10))}: '{match[0]}'; better: {better}"


@pytest.mark.parametrize("name", PLAIN)
def test_the_words_are_ordinary(name: str) -> None:
    place = ROOT / name
    assert place.exists()
    problems = ["see docs/style.md"]
    for path in [place] if place.is_file() else sorted([*place.rglob("*.py"), *place.rglob("*.md")]):
        if (file := path.relative_to(ROOT).as_posix()) not in EXEMPT:
            problems += [f"{file}:{problem}" for problem in forbidden_words(path)]
    assert len(problems) == 1, "\n".join(problems)


def test_the_check_of_words_reads_comments_docstrings_and_wrapped_lines(tmp_path: Path) -> None:
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text('"""Read\nanew."""\nanew = 1  # whatever happens\n')
    page.write_text("It is taken\nback.\n<!-- generated: x -->\nanew\n<!-- end -->\nA heedless beside-table.\n")
    assert list(forbidden_words(module)) == [
        "2: 'anew'; better: again",
        "3: 'whatever happens'; better: say in which cases",
    ]
    assert list(forbidden_words(page)) == ["1: 'taken back'; better: roll back"]
