"""`rfsn trust`: allow what a world from somebody else may do."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.cli.options import find_world


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--changes", is_flag=True, help="Trust all that this folder will hold, not only what it holds now.")
@click.option("--list", "listing", is_flag=True, help="List the folders that are trusted.")
@click.option("--revoke", is_flag=True, help="Stop trusting the folder.")
def trust(folder: Path | None, yes: bool, changes: bool, listing: bool, revoke: bool) -> None:
    """Show what a world would be allowed to do, and ask.

    Worlds that you made with `rfsn init`, and worlds that hold nothing but texts and numbers, need no trust. In any
    other world plugins do not run, and some settings are left out, until you trust it. When these parts change, they
    are left out again until you trust them, unless you said --changes.

    \b
    Example: rfsn trust downloaded_world
    """
    from rfsn_core.settings.trust import TrustFile, judge

    file = TrustFile()
    if listing:
        for path, entry in sorted(file.entries().items()):
            click.echo(f"{path}  ({'with all changes' if entry.get('changes') else 'as it was then'})")
        return
    if revoke:
        world = folder or find_world(None)
        known = file.revoke(world)
        click.echo(f"{world}: {'is not trusted any more' if known else 'was not trusted'}")
        return
    judged = judge(find_world(folder))
    for risk in judged.risks:
        click.echo(f"  {risk.line}")
    if not judged.risks:
        click.echo(f"{judged.world}: nothing in it needs trust")
        if not changes:
            return
    elif judged.granted and not changes:
        click.echo(f"{judged.world}: is trusted already")
        return
    what = "this, and all that the folder will hold later" if changes else "this"
    if not yes:
        click.confirm(f"Allow {what}?", abort=True)
    file.grant(judged, changes=changes)
    click.echo(f"{judged.world}: is trusted")
