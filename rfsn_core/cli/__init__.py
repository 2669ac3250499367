"""The `rfsn` program."""

from __future__ import annotations

import click

from rfsn_core.cli import installed
from rfsn_core.cli.groups import Command, Program

PLAY, AUTHOR, INSPECT, OPERATE = "Play", "Make a world", "Look inside", "Operate"

COMMANDS = (
    Command(PLAY, "serve", "rfsn_core.cli.serve:serve", "Serve a world to games, with a web page to try it on."),
    Command(PLAY, "say", "rfsn_core.cli.talk:say", "Say one thing to an NPC and show the answer."),
    Command(PLAY, "chat", "rfsn_core.cli.talk:chat", "Talk with an NPC until you enter an empty line."),
    Command(
        AUTHOR, "init", "rfsn_core.cli.world:init",
        "Create a world to learn from: a commented rfsn.toml, two NPCs, lore and signals.",
    ),
    Command(AUTHOR, "new", "rfsn_core.cli.new:new", "Make the files of a new plugin or NPC."),
    Command(
        AUTHOR, "setup", "rfsn_core.cli.machine:setup",
        "Find language models and voices on this machine, try them, and write the best into the settings.",
    ),
    Command(AUTHOR, "npc", "rfsn_core.cli.npc:npc", "List the NPCs that the game introduced, and write one to a file."),
    Command(
        AUTHOR, "import", "rfsn_core.cli.exchange:import_files",
        "Bring character cards, lorebooks, World Info and Mantella's overrides into a world.",
    ),
    Command(AUTHOR, "export", "rfsn_core.cli.exchange:export", "Write NPCs of a world in other programs' formats."),
    Command(AUTHOR, "config", "rfsn_core.cli.config:config", "Check, show or describe the settings."),
    Command(AUTHOR, "prompt", "rfsn_core.cli.engines:prompt", "Print the prompt that a model would receive."),
    Command(AUTHOR, "signal", "rfsn_core.cli.signal:signal", "Show how a line of the player is understood."),
    Command(AUTHOR, "models", "rfsn_core.cli.engines:models", "List the models of the rendering provider."),
    Command(AUTHOR, "voices", "rfsn_core.cli.engines:voices", "List the voices of the speech provider."),
    Command(AUTHOR, "fetch", "rfsn_core.cli.fetch:fetch", "Download a model or a voice."),
    Command(
        INSPECT, "memory", "rfsn_core.cli.memory:memory", "Show and edit what NPCs remember; snapshots and backups."
    ),
    Command(INSPECT, "decision", "rfsn_core.cli.decisions:decision", "Explain a decision and show its rewards."),
    Command(INSPECT, "why", "rfsn_core.cli.hindsight:why", "Say why an NPC did that, and what would change it."),
    Command(INSPECT, "what-if", "rfsn_core.cli.hindsight:what_if", "Show what an NPC would do, and why."),
    Command(INSPECT, "feedback", "rfsn_core.cli.feedback:feedback", "Judge a line: good, bad, or what it should be."),
    Command(INSPECT, "replay", "rfsn_core.cli.replay:replay", "Check the log, and recompute its decisions."),
    Command(INSPECT, "episode", "rfsn_core.cli.episode:episode", "Play many turns with an NPC and plot them."),
    Command(
        INSPECT, "exam", "rfsn_core.cli.exam:exam",
        "Examine the NPCs of a world: knowledge, feelings, memory, wording, times.",
    ),
    Command(
        INSPECT, "evaluate", "rfsn_core.cli.evaluate:evaluate",
        "Say whether learning beats not learning, and what another policy would have earned.",
    ),
    Command(
        INSPECT, "dataset", "rfsn_core.cli.dataset:dataset",
        "Make training data for adapters from the log: chat JSONL for each archetype and task.",
    ),
    Command(OPERATE, "report", "rfsn_core.cli.report:report", "Write a report for somebody who helps, as a zip file."),
    Command(OPERATE, "keys", "rfsn_core.cli.keys:keys", "Make, list, rotate and revoke keys, while the server runs."),
    Command(
        OPERATE, "gate", "rfsn_core.cli.gate:gate", "Show what the gate says of a text; review, label and approve."
    ),
    Command(OPERATE, "trust", "rfsn_core.cli.trust:trust", "Show what a world would be allowed to do, and ask."),
    Command(OPERATE, "doctor", "rfsn_core.cli.engines:doctor", "Open every provider and report what does not work."),
    Command(OPERATE, "plugins", "rfsn_core.cli.plugins:plugins", "List the plugins, or explain one."),
    Command(OPERATE, "protocol", "rfsn_core.cli.protocol:protocol", "Print the websocket protocol as JSON Schema."),
)  # fmt: skip


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"rfsn {installed.version()}")
        ctx.exit()


@click.group(cls=Program, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version and exit.",
)  # fmt: skip
def main() -> None:
    """A mind and a voice for game NPCs.

    \b
    Try it:        rfsn say innkeeper "Good evening!"
    Talk to them:  rfsn chat innkeeper
    What it knows: rfsn memory show innkeeper
    Run a game:    rfsn serve, then open the page it names
    Your world:    rfsn init my_world, then rfsn serve --world my_world
    """
