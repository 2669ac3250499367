"""`rfsn new`: files to start from: a plugin with its tests, or an NPC."""

from __future__ import annotations

import re
from pathlib import Path

import click

from rfsn_core.cli.groups import Group
from rfsn_core.cli.installed import version
from rfsn_core.cli.options import find_world
from rfsn_core.contract.errors import UserError

TEMPLATES = Path(__file__).parent / "new_plugin"
"""The files of a new plugin. `parrot` stands for its name, `Parrot` for the name of its class."""
STAGES = {
    "understanding": ("UnderstanderSuite", "what the player means"),
    "abstraction": ("AbstractorSuite", "what the policy sees"),
    "selection": ("PolicySuite", "which action is chosen"),
    "rendering": ("RendererSuite", "the words"),
    "gating": ("GateSuite", "what may be said"),
    "speech": ("VoiceSuite", "the sound"),
    "archive": ("ArchiveSuite", "long-term copies"),
    "embedding": ("EmbedderSuite", "vectors of texts"),
    "dialect": ("", "the wire of another server"),
}
"""Stage → its conformance suite, and what it is about."""

USES = {
    "gating": '[gating]\nproviders = ["rules", "NAME"]', "dialect": '[dialects.NAME]\nplayer = "player"',
}  # fmt: skip
"""Stage → how a settings file uses the provider, where that is not `provider = "name"`."""

NPC = """\
name = "{name}"
title = "{title}"              # who this is, in a few words
persona = \"\"\"
{persona}
\"\"\"
knows = [
    # What {name} can tell, a fact each: "The ferry runs at dawn.",
]

[temperament]               # -1 to 1: warmth, bravery, pride, honesty, curiosity, fluidity
warmth = 0.2

[voice]
voice = ""                  # `rfsn voices` lists them
"""


@click.group(cls=Group)
def new() -> None:
    """Make the files of a new plugin or NPC.

    \b
    Example: rfsn new plugin parrot --stage rendering
    """


@new.command()
@click.argument("name")
@click.option("--stage", type=click.Choice(list(STAGES)), prompt=True, help="What the plugin offers a provider of.")
@click.option("--author", default="", help="Your name, for the package.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it; else a folder of its name, here.")
def plugin(name: str, stage: str, author: str, folder: Path | None) -> None:
    """Make a package with one provider and the tests of its stage.

    NAME is the provider's, as settings files will call it.

    \b
    Example: rfsn new plugin parrot --stage rendering
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"'{name}' is no name of a provider", hint="Small letters, digits and _, a letter first")
    target = folder or Path(f"rfsn-{stage}-{name}".replace("_", "-"))
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty", hint="Choose another folder with --folder; nothing was written")
    for path, text in plugin_files(name, stage, author).items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, "utf-8")
        click.echo(f"wrote {target / path}")
    click.echo(f'Next: pip install -e "{target}[test]", then pytest {target}')


def plugin_files(name: str, stage: str, author: str = "") -> dict[str, str]:
    """Return path → text of a new plugin's files."""
    package = f"rfsn_{stage}_{name}"
    suite, about = STAGES[stage]
    words = {
        "@NAME@": name, "@STAGE@": stage, "@PACKAGE@": package, "@DISTRIBUTION@": package.replace("_", "-"),
        "@ENTRY@": f"{stage}_{name}", "@SUITE@": suite, "@ABOUT@": about, "@CONTRACT@": contract_range(),
        "@CLASS@": "".join(part.capitalize() for part in name.split("_")),
        "@USE@": USES.get(stage, f'[{stage}]\nprovider = "{name}"').replace("NAME", name),
        "@AUTHORS@": f'authors = [{{ name = "{author}" }}]\n' if author else "",
    }  # fmt: skip
    test = f"test_{stage}.py" if stage in ("dialect", "speech") else "test_provider.py"
    sources = {
        "pyproject.toml": "pyproject.toml", "README.md": "README.md", ".gitignore": "gitignore",
        f"{package}/__init__.py": f"{stage}.py", f"tests/test_{name}.py": test,
        ".github/workflows/test.yml": "test.yml",
    }  # fmt: skip
    if stage == "dialect":
        sources["tests/conftest.py"] = "conftest.py"
    files = {}
    for path, source in sources.items():
        text = (TEMPLATES / f"{source}.txt").read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        files[path] = text
    return {**files, f"{package}/py.typed": ""}


def contract_range() -> str:
    """Return the range of kernel versions that have this contract."""
    major, minor = [*version().split("."), "0"][:2]
    return f">={major}.{minor},<{major}.{int(re.sub(r'[^0-9].*', '', minor) or 0) + 1}"


@new.command()
@click.argument("name")
@click.option("--title", default="", help="Who this is, in a few words.")
@click.option("--persona", default="", help="Character, manner and history.")
@click.option("--world", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The world's folder.")
def npc(name: str, title: str, persona: str, world: Path | None) -> None:
    """Make an NPC's file in a world, to be edited.

    NAME is its display name; the file's name, which is its id, is made from that.

    \b
    Example: rfsn new npc "Old Tilda" --title innkeeper --world my_world
    """
    from rfsn_core.world.importing import file_id

    name, title = " ".join(name.split()), " ".join(title.split())
    if not name:
        raise UserError("an NPC needs a name", hint='Such as: rfsn new npc "Old Tilda"')
    folder = find_world(world)
    path = folder / "npcs" / f"{file_id(name)}.toml"
    if path.exists():
        raise UserError(f"{path} exists already", hint="Choose another name; nothing was written")
    quoted = [text.replace("\\", "\\\\").replace('"', "'") for text in (name, title, persona)]
    shown = dict(zip(("name", "title", "persona"), quoted, strict=True))
    path.write_text(NPC.format(**{**shown, "persona": shown["persona"] or "Speaks little."}), "utf-8")
    click.echo(f"wrote {path}")
    click.echo(f'Next: rfsn say {path.stem} "Good evening!"' + (f" --world {world}" if world else ""))
