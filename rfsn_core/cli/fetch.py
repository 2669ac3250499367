"""`rfsn fetch`: a model or a voice, from the address that its own page names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from rfsn_core.contract.errors import UserError

ATTEMPTS = 5
"""Connections in a row that may break without a byte; whatever came is kept."""


@click.command()
@click.argument("url")
@click.argument("target", type=click.Path(path_type=Path), required=False)
@click.option("--sha256", metavar="HEX", help="What the file must be; its page may say so.")
def fetch(url: str, target: Path | None, sha256: str | None) -> None:
    """Download URL to TARGET, a file or a folder; goes on where an earlier attempt broke off."""
    name = unquote(Path(urlsplit(url).path).name)
    if urlsplit(url).scheme not in ("http", "https") or not name:
        raise UserError(
            f"'{url}' is no address of a file", hint="It begins with https:// and ends with the file's name"
        )
    path = target or Path(name)
    if path.is_dir():
        path = path / name
    if path.exists():
        _check(path, sha256)
        click.echo(f"{path} is there already")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _download(url, part)
    _check(part, sha256)
    part.replace(path)  # whole, or not at all
    click.echo(f"{path}, {path.stat().st_size / 1e6:.1f} MB")


def _check(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise UserError(
            f"{path} is not what it should be: its SHA-256 is {found}", hint=f"Delete {path}, and try again"
        )


def _download(url: str, part: Path) -> None:
    failures = 0
    with _progress() as bar, httpx.Client(follow_redirects=True, timeout=30) as client:
        task = bar.add_task(part.name.removesuffix(".part"), total=None)
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _more(client, url, part, bar, task)
                return
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                grown = (part.stat().st_size if part.exists() else 0) > before
                failures = 0 if grown else failures + 1
                if failures >= ATTEMPTS:
                    raise UserError(
                        f"{url} cannot be had: {error}", hint="The same command goes on from here"
                    ) from error


def _more(client: httpx.Client, url: str, part: Path, bar: Progress, task: Any) -> None:
    """What is missing of the file; all of it when the server cannot begin in the middle."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers={**headers, "Accept-Encoding": "identity"}) as response:
        if response.status_code == 416:  # nothing is missing
            return
        if response.status_code >= 500:
            response.raise_for_status()  # it may pass
        if response.status_code not in (200, 206):
            raise UserError(
                f"{url} cannot be had: the server answered {response.status_code}", hint="Is the address right?"
            )
        if response.status_code == 200:
            have = 0
        length = int(response.headers.get("content-length", 0))
        bar.update(task, completed=have, total=have + length if length else None)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                bar.advance(task, len(chunk))


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
