"""`rfsn fetch`: download a model or a voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    import httpx
    from rich.progress import Progress

ATTEMPTS = 5
"""Failed connections in a row, none of which brought a byte, before giving up. What arrived is kept."""


@click.command()
@click.argument("url")
@click.argument("target", type=click.Path(path_type=Path), required=False)
@click.option("--sha256", metavar="HEX", help="Expected SHA-256 of the file; an error if it differs.")
def fetch(url: str, target: Path | None, sha256: str | None) -> None:
    """Download a model or a voice.

    TARGET is a file or a folder; without it, the current folder. An interrupted download continues where it stopped
    when you enter the same command again.

    \b
    Example: rfsn fetch https://example.org/voices/amy.onnx voices/
    """
    name = unquote(Path(urlsplit(url).path).name)
    if urlsplit(url).scheme not in ("http", "https") or not name:
        raise UserError(
            f"'{url}' is not the address of a file", hint="It starts with https:// and ends with the file's name"
        )
    path = target or Path(name)
    if path.is_dir():
        path = path / name
    if path.exists():
        _check(path, sha256)
        click.echo(f"{path} exists already")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _download(url, part)
    _check(part, sha256)
    part.replace(path)  # so that a file of this name is always complete
    click.echo(f"{path}, {path.stat().st_size / 1e6:.1f} MB")


def _check(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    import hashlib

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.lower():
        raise UserError(
            f"{path} is not the expected file: its SHA-256 is {digest}", hint=f"Delete {path} and try again"
        )


def _download(url: str, part: Path) -> None:
    import httpx

    failures = 0
    with _progress() as bar, httpx.Client(follow_redirects=True, timeout=30) as client:
        task = bar.add_task(part.name.removesuffix(".part"), total=None)
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _download_rest(client, url, part, bar, task)
                return
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                grown = (part.stat().st_size if part.exists() else 0) > before
                failures = 0 if grown else failures + 1
                if failures >= ATTEMPTS:
                    raise UserError(
                        f"download of {url} failed: {error}", hint="The same command continues from here"
                    ) from error


def _download_rest(client: httpx.Client, url: str, part: Path, bar: Progress, task: Any) -> None:
    """Download the missing part of the file, or all of it when the server does not support ranges."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers={**headers, "Accept-Encoding": "identity"}) as response:
        if response.status_code == 416:  # nothing is missing
            return
        if response.status_code >= 500:
            response.raise_for_status()  # worth another attempt
        if response.status_code not in (200, 206):
            raise UserError(
                f"download of {url} failed: the server answered {response.status_code}", hint="Check the address"
            )
        if response.status_code == 200:
            have = 0
        length = int(response.headers.get("content-length", 0))
        bar.update(task, completed=have, total=have + length if length else None)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                bar.advance(task, len(chunk))


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
