"""`rfsn init`: a world to start from."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.contract.errors import UserError

SETTINGS = """\
# Settings of this world. Every line that starts with '#' shows a default.
# Saved changes apply from the next turn; `rfsn config check` tells what is wrong.

# data_dir = ".rfsn"              # memory, backups: relative to this folder

[rendering]                       # what words the decisions
provider = "scripted"             # a model: "ollama", "vllm", "llamacpp", "openai", "anthropic"
# fallback = ["scripted"]         # takes over when the first one fails

[speech]                          # what speaks
provider = "silent"               # "espeak" with: pip install rfsn-tts-espeak
# fallback = ["silent"]

[gating]                          # what checks every text
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
    """Make a world in FOLDER: a commented rfsn.toml and a first NPC. Overwrites nothing."""
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
