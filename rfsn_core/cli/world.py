"""`rfsn init`: create a world."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.contract.errors import UserError

SETTINGS = """\
# Settings of this world. Every line that starts with '#' shows a default.
# Saved changes apply from the next turn; `rfsn config check` lists mistakes.

# data_dir = ".rfsn"              # memory, backups: relative to this folder

[rendering]                       # turns decisions into words
provider = "scripted"             # a model: "ollama", "vllm", "llamacpp", "openai", "anthropic"
# fallback = ["scripted"]         # takes over when the first one fails

[speech]                          # turns words into sound
provider = "silent"               # "espeak" with: pip install rfsn-tts-espeak
# fallback = ["silent"]

[gating]                          # checks every text
# providers = ["rules"]

# [world]
# overlap = "interrupt"           # a second turn while the NPC talks: interrupt, wait or refuse

# [server]
# port = 8765

# [operations]
# log_level = "info"
"""
NPC = """\
name = "Maren"
title = "keeper of the mill"
persona = "Patient and dry. Counts sacks aloud when she is nervous."
knows = ["The mill wheel has turned backwards twice this year."]

[voice]
rate = 1.0
pitch = 1.1

[state]
affinity = 0.1
trust = 0.5

[styles]
warm_friendly = 0.1

[lines]
greet = ["Mind the flour. What can I do for you?", "Come in, come in. Watch the step."]
"""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Create a world: a commented rfsn.toml and a first NPC.

    FOLDER is created if it does not exist; without it, the world is created in the current folder. No file is
    overwritten.

    \b
    Example: rfsn init my_world
    """
    files = {folder / "rfsn.toml": SETTINGS, folder / "npcs" / "miller.toml": NPC}
    existing = [path for path in files if path.exists()]
    if existing:
        raise UserError(f"{existing[0]} exists already", hint="Choose another folder; nothing was written")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        click.echo(f"wrote {path}")
    where = "" if folder == Path() else f" --world {folder}"
    click.echo(f"Next: rfsn say miller Hello{where}")
