"""`rfsn init`: create a world."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click

from rfsn_core.cli.installed import PLUGINS
from rfsn_core.contract.errors import UserError

TEMPLATE = Path(__file__).parent / "new_world"
"""The files of a new world. In rfsn.toml, `@SPEECH@` stands for the speech provider and the rest of its line."""
SPOKEN = 'espeak"               # "silent": no sound'
SILENT = 'silent"               # for a voice: pip install rfsn-tts-espeak, and "espeak" here'


def _speech() -> str:
    """Return what stands for `@SPEECH@`: a voice if its plugin is installed."""
    return SPOKEN if any(entry.name == "tts_espeak" for entry in entry_points(group=PLUGINS)) else SILENT


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Create a world to learn from: a commented rfsn.toml, two NPCs, lore and signals.

    FOLDER is created if it does not exist; without it, the world is created in the current folder. No file is
    overwritten.

    \b
    Example: rfsn init my_world
    """
    files = {
        folder / source.relative_to(TEMPLATE): source.read_text("utf-8").replace("@SPEECH@", _speech())
        for source in sorted(TEMPLATE.rglob("*.toml"))
    }
    existing = [path for path in files if path.exists()]
    if existing:
        raise UserError(f"{existing[0]} exists already", hint="Choose another folder; nothing was written")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        click.echo(f"wrote {path}")
    _trust(folder)
    where = "" if folder == Path() else f" --world {folder}"
    click.echo(f"Next: rfsn say miller Hello{where}")


def _trust(folder: Path) -> None:
    """Trust a world that was made on this machine, with all changes to come: its author edits it all the time.

    A folder that had plugins before is not trusted: `rfsn init` does not know whose they are.
    """
    from rfsn_core.settings.trust import TrustFile, judge

    try:
        trust = judge(folder)
        if not trust.risks:
            TrustFile().grant(trust, changes=True)
    except UserError as error:
        click.echo(f"rfsn: {error}; `rfsn trust` will ask about plugins of this world", err=True)
