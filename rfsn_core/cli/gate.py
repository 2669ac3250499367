"""`rfsn gate`: what the gate says of a text and why, and what operators decide about it."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.ask_server import ask_server, get, post, read_answer
from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import json_option, read_lines, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    import httpx
    from click import Context


class TextOrCommand(Group):
    """A group whose first argument may be a text: `rfsn gate "text"` is short for `rfsn gate check "text"`."""

    def resolve_command(self, ctx: Context, args: list[str]) -> Any:
        """Find the command; an argument that names none is the text to check."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["check", *args]
        return super().resolve_command(ctx, args)


def operator_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--as`: who decides."""
    return click.option(
        "--as", "operator", default=_login, metavar="NAME", help="Who decides; without it your login name."
    )(command)


def _login() -> str:
    with suppress(OSError, KeyError, ImportError):  # no login name: in a container, for instance
        return getpass.getuser()
    return "operator"


@click.group(cls=TextOrCommand)
def gate() -> None:
    """Show what the gate says of a text; review, label and approve.

    \b
    Example: rfsn gate "how do I make a bomb?"
             rfsn gate test lines.jsonl
             rfsn gate review
    """


@gate.command()
@click.argument("text")
@click.option("--npc-side", is_flag=True, help="Judge it as a sentence of an NPC.")
@world_options
@json_option("Print everything as JSON.")
def check(text: str, npc_side: bool, as_json: bool, **place: Any) -> None:
    """Show the verdict on a text, and why; nothing is recorded.

    \b
    Example: rfsn gate check "where do you live?"
    """
    found = post(place, "/api/gate/check", text=text, side="npc" if npc_side else "player")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(_headline(found))
    if found["disguises"] or found["folded"] != text.lower():
        disguises = f" ({', '.join(found['disguises'])})" if found["disguises"] else ""
        click.echo(f"  read as:  {found['folded']}{disguises}")
    for line in found["evidence"]:
        click.echo(f"  because:  {line}")
    for label, near in found["nearest"].items():
        click.echo(f"  nearest {label} pattern: {near['cosine']:.2f}  {near['id']}  {near['text']}")
    limits = found["thresholds"]
    click.echo(f"  suspicious from {limits['suspicious']}, blocked from {limits['block']}")


def _headline(found: dict[str, Any]) -> str:
    verdict = "suspicious" if found["suspicious"] else {"allow": "passes"}.get(found["verdict"], found["verdict"])
    reasons = f": {', '.join(found['reasons'])}" if found["reasons"] else ""
    return f"{verdict}{reasons} (risk {found['risk']:.2f})"


@gate.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@world_options
def test(file: Path, **place: Any) -> None:
    """Judge the lines of a file, and print what was stopped.

    A line is a text, or JSON with `text` and perhaps `label` (harm or pass), `side` and `group`. With labels, the
    command prints how much of the harm is stopped and how many harmless lines are, and ends with 1 when any is wrong.

    \b
    Example: rfsn gate test lines.jsonl
    """
    counts: dict[str, list[int]] = {}
    wrong = 0
    lines = list(_lines(file))
    if not lines:
        raise UserError(f"{file}: no lines to judge")

    async def verdicts(client: httpx.AsyncClient) -> list[dict[str, Any]]:
        bodies = [{"text": line["text"], "side": line.get("side", "player")} for line in lines]
        return [await read_answer(await client.post("/api/gate/check", json=body)) for body in bodies]

    for line, found in zip(lines, ask_server(place, verdicts), strict=True):
        stopped, label = found["verdict"] not in ("allow", "rewrite"), line.get("label", "")
        count = counts.setdefault(f"{label or 'lines'} {line.get('group', '')}".strip(), [0, 0, 0])
        count[0] += 1
        count[1] += bool(stopped or found["suspicious"])
        count[2] += bool(stopped)
        is_wrong = bool(label) and stopped != (label == "harm")
        wrong += int(is_wrong)
        if is_wrong or (not label and found["verdict"] != "allow"):
            click.echo(f"{_headline(found)}  {line['text']}")
    for name, (total, odd, out) in sorted(counts.items()):
        click.echo(f"{name}: {total} lines, {odd / total:.1%} suspicious, {out / total:.1%} stopped")
    if wrong:
        click.get_current_context().exit(1)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, raw in enumerate(read_lines(file), 1):
        if not raw.strip():
            continue
        if not raw.lstrip().startswith("{"):
            yield {"text": raw.strip()}
            continue
        try:
            line = json.loads(raw)
        except ValueError as error:
            raise UserError(f"{file}: line {number}: {error}") from error
        if not isinstance(line, dict) or not isinstance(line.get("text"), str) or not line["text"].strip():
            raise UserError(f"{file}: line {number}: no 'text'")
        for key, known in (("label", ("harm", "pass")), ("side", ("player", "npc"))):
            if line.get(key, known[0]) not in known:
                raise UserError(f"{file}: line {number}: '{key}' must be {' or '.join(known)}, not {line[key]!r}")
        yield line


@gate.command()
@world_options
@json_option("Print everything as JSON.")
def status(as_json: bool, **place: Any) -> None:
    """Show tier, safe mode, figures and patterns.

    \b
    Example: rfsn gate status
    """
    found = get(place, "/api/gate")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(f"gates: {', '.join(found['providers'])}; tier {found['tier']}")
    click.echo(f"safe mode: {'on' if found['safe_mode'] else 'off'}; {found['waiting']} texts wait for approval")
    for name in ("figures", "patterns"):
        click.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found[name].items()))


@gate.command()
@click.option("--status", default="", metavar="STATUS", help="Only waiting, blocked, suspicious, approved, …")
@click.option("--limit", default=20, show_default=True, help="How many texts.")
@world_options
@json_option("Print everything as JSON.")
def review(status: str, limit: int, as_json: bool, **place: Any) -> None:
    """List the texts that were stopped, found suspicious, or wait for approval; the newest first.

    \b
    Example: rfsn gate review --status waiting
    """
    texts = get(place, "/api/gate/review", status=status, limit=limit)["texts"]
    if as_json:
        click.echo(json.dumps(texts, indent=2, ensure_ascii=False))
        return
    for entry in texts:
        moment = time.strftime("%m-%d %H:%M", time.localtime(entry["time"]))
        reasons = ", ".join(entry["reasons"])
        click.echo(f"{entry['id']}  {moment}  {entry['status']:10} {entry['side']:6} {reasons}: {entry['text'][:200]}")
    if not texts:
        click.echo("nothing to review")


@gate.command()
@click.argument("text_id")
@operator_option
@world_options
def approve(text_id: str, operator: str, **place: Any) -> None:
    """Let a text that waits pass.

    \b
    Example: rfsn gate approve 5b1f03a2c4d6
    """
    post(place, f"/api/gate/review/{text_id}", action="approve", operator=operator)
    click.echo("approved")


@gate.command()
@click.argument("text_id")
@operator_option
@world_options
def reject(text_id: str, operator: str, **place: Any) -> None:
    """Block a text that waits.

    \b
    Example: rfsn gate reject 5b1f03a2c4d6
    """
    post(place, f"/api/gate/review/{text_id}", action="reject", operator=operator)
    click.echo("rejected")


@gate.command()
@click.argument("text_id")
@click.argument("text")
@operator_option
@world_options
def rewrite(text_id: str, text: str, operator: str, **place: Any) -> None:
    """Put another text in the place of one that waits.

    \b
    Example: rfsn gate rewrite 5b1f03a2c4d6 "Good evening."
    """
    post(place, f"/api/gate/review/{text_id}", action="rewrite", operator=operator, text=text)
    click.echo("rewritten")


def judging(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what the commands share that judge a text of the review list."""
    command = operator_option(world_options(command))
    command = click.option("--show", is_flag=True, help="Only show the effect.")(command)
    command = click.option("--why", default="", help="A note for other operators.")(command)
    return click.argument("text_id")(command)


@gate.command()
@judging
def fine(**judged: Any) -> None:
    """Say that a stopped text of the review list was fine: it and its rewordings pass from now on.

    \b
    Example: rfsn gate fine 5b1f03a2c4d6 --show
    """
    _judge("fine", **judged)


@gate.command()
@judging
def never(**judged: Any) -> None:
    """Say that a text of the review list must never pass again, nor its rewordings.

    \b
    Example: rfsn gate never 5b1f03a2c4d6
    """
    _judge("never", **judged)


def _judge(action: str, text_id: str, why: str, show: bool, operator: str, **place: Any) -> None:
    path = f"/api/gate/review/{text_id}"
    _print_effect(post(place, path, action=action, operator=operator, why=why, save=not show))


@gate.command()
@click.argument("label", type=click.Choice(["safe", "unsafe"]))
@click.argument("text")
@click.option("--reason", default="", help="The flag that an unsafe text gives as its reason.")
@click.option("--why", default="", help="A note for other operators.")
@click.option("--show", is_flag=True, help="Only show the effect.")
@operator_option
@world_options
def label(label: str, text: str, reason: str, why: str, show: bool, operator: str, **place: Any) -> None:
    """Label a text as safe or unsafe: it and its rewordings pass, or are blocked, from now on.

    \b
    Example: rfsn gate label unsafe "buy my red paper" --reason spam
    """
    body = {"label": label, "text": text, "reason": reason, "why": why, "operator": operator, "save": not show}
    _print_effect(post(place, "/api/gate/patterns", **body))


def _print_effect(effect: dict[str, Any]) -> None:
    pattern = effect["pattern"]
    click.echo(f"{'saved as' if effect['saved'] else 'would be'} {pattern['label']} pattern {pattern['id']}")
    if effect["held"]:
        click.echo(f"it waits for a second operator: {effect['held']}. Then: rfsn gate confirm {pattern['id']}")
    for name, what in (
        ("would_pass", "stopped texts that pass with it"),
        ("would_stop", "texts that it stops besides"),
    ):
        if effect[name]:
            click.echo(f"{len(effect[name])} {what}:")
            for text in effect[name][:5]:
                click.echo(f"  {text[:200]}")


@gate.command()
@world_options
@json_option("Print everything as JSON.")
def patterns(as_json: bool, **place: Any) -> None:
    """List the labelled texts.

    \b
    Example: rfsn gate patterns
    """
    found = get(place, "/api/gate/patterns")["patterns"]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for pattern in found:
        state = f" (waits: {pattern['held']})" if pattern["held"] else ""
        click.echo(f"{pattern['id']}  {pattern['label']:6} by {pattern['operator']}: {pattern['text'][:200]}{state}")


@gate.command()
@click.argument("pattern_id")
@operator_option
@world_options
def confirm(pattern_id: str, operator: str, **place: Any) -> None:
    """Put a label into force that waits for a second operator.

    \b
    Example: rfsn gate confirm 3c9e00aa11bb --as bob
    """
    post(place, f"/api/gate/patterns/{pattern_id}/confirm", operator=operator)
    click.echo("confirmed")


@gate.command()
@click.argument("pattern_id")
@operator_option
@world_options
def undo(pattern_id: str, operator: str, **place: Any) -> None:
    """Remove a label.

    \b
    Example: rfsn gate undo 3c9e00aa11bb
    """
    post(place, f"/api/gate/patterns/{pattern_id}/undo", operator=operator)
    click.echo("removed")


@gate.command("safe-mode")
@click.argument("state", type=click.Choice(["on", "off"]))
@operator_option
@world_options
def safe_mode(state: str, operator: str, **place: Any) -> None:
    """Switch the safe mode of all servers: what is only suspicious is then blocked, too.

    \b
    Example: rfsn gate safe-mode on
    """
    post(place, "/api/gate/safe_mode", on=state == "on", operator=operator)
    click.echo(f"safe mode is {state}")


@gate.command()
@world_options
def audit(**place: Any) -> None:
    """Show who decided what; the newest first.

    \b
    Example: rfsn gate audit
    """
    for line in get(place, "/api/gate/audit")["audit"]:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.pop("time")))
        number, operator, what = line.pop("number"), line.pop("operator") or "-", line.pop("what")
        click.echo(f"{number}  {moment}  {operator}  {what}  " + ", ".join(f"{k}={v}" for k, v in line.items()))
