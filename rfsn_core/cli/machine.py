"""`rfsn setup`: finds language models and voices on this machine, tries them, and writes them into the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.options import find_world, load_runtimes, world_options
from rfsn_core.contract.errors import RfsnError

if TYPE_CHECKING:
    import httpx

ENGINES = (
    ("Ollama", "http://127.0.0.1:11434", "ollama"),
    ("LM Studio", "http://127.0.0.1:1234/v1", "vllm"),
    ("llama.cpp", "http://127.0.0.1:8080/v1", "vllm"),
    ("KoboldCpp", "http://127.0.0.1:5001/v1", "vllm"),
    ("text-generation-webui", "http://127.0.0.1:5000/v1", "vllm"),
    ("vLLM", "http://127.0.0.1:8000/v1", "vllm"),
)
"""Program, the address where it listens unless told otherwise, and the provider for it."""
LOOK_SECONDS, TRY_SECONDS = 1.5, 120.0
"""How long an engine may take to answer, and to load its model and word a line."""
VOICES = ("kokoro", "piper", "espeak")
"""Speech providers, the best first."""
Place = tuple[Path | None, Path | None]
"""The world's folder and the settings file, as options name them."""
DEFAULT_URLS = {"ollama": "http://127.0.0.1:11434", "vllm": "http://127.0.0.1:8000/v1"}


@dataclass(frozen=True)
class Found:
    """A program that answers, and a model that it has."""

    program: str
    url: str
    provider: str
    models: tuple[str, ...]


@click.command()
@world_options
@click.option("--at", "addresses", multiple=True, metavar="URL", help="Look there, too: Ollama, or a URL with /v1.")
@click.option("--model", default="", help="The model to use; else the first one that answers.")
@click.option("--dry-run", is_flag=True, help="Look and try, and write nothing.")
def setup(world: Path | None, config_file: Path | None, addresses: tuple[str, ...], model: str, dry_run: bool) -> None:
    """Find language models and voices on this machine, try them, and write the best into the settings.

    Looks for Ollama, LM Studio, llama.cpp, KoboldCpp, text-generation-webui and vLLM where they listen, and for
    installed voices. Nothing in the settings is changed: lines are added where there are none yet.

    \b
    Example: rfsn setup --world my_world
    """
    from rfsn_core.telemetry import logs

    logs.configure("error")
    folder = find_world(world)
    chosen = asyncio.run(_model((world, config_file), addresses, model))
    voice = asyncio.run(_voice((world, config_file)))
    lines = [*_rendering(chosen), *(["[speech]", f'provider = "{voice}"', ""] if voice else [])]
    if not lines:
        click.echo("Nothing was found. NPCs speak their own lines; docs/models.md says how to get a model.")
        return
    _write(folder, config_file, lines, dry_run=dry_run)


async def _model(place: Place, addresses: Sequence[str], wanted: str) -> tuple[Found, str] | None:
    """Return the first engine that words a line, and its model."""
    import httpx

    own = [(f"the engine at {url}", url.rstrip("/"), _provider_for(url)) for url in addresses]
    async with httpx.AsyncClient(timeout=LOOK_SECONDS, trust_env=False) as http:
        looked = await asyncio.gather(*(_look(http, *engine) for engine in (*own, *ENGINES)))
    for found in filter(None, looked):
        click.echo(f"{found.program}: {', '.join(found.models) or 'no model'} at {found.url}")
        names = [name for name in found.models if wanted in ("", name)]
        for name in names[:3]:
            if await _words(place, found, name):
                return found, name
    return None


def _provider_for(url: str) -> str:
    return "vllm" if url.rstrip("/").endswith("/v1") else "ollama"


async def _look(http: httpx.AsyncClient, program: str, url: str, provider: str) -> Found | None:
    """Return what an engine has; None when nothing answers there."""
    import httpx

    try:
        answer = await http.get(f"{url}/api/tags" if provider == "ollama" else f"{url}/models")
        body = answer.json()
        listed = body.get("models" if provider == "ollama" else "data") if isinstance(body, Mapping) else None
        names = [str(item["name" if provider == "ollama" else "id"]) for item in listed or ()]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if answer.status_code != 200:
        return None
    return Found(program, url, provider, tuple(name for name in names if "embed" not in name.casefold()))


async def _words(place: Place, found: Found, model: str) -> bool:
    """Let a model word a line by its provider, as in a turn, and say how long that took."""
    from rfsn_core.contract.rendering import ChatMessage, Prompt, RenderOptions

    ask = ChatMessage("user", "Greet a traveller in one short sentence.")
    prompt = Prompt("", "", "", "greet", "", ask.content, "", (ask,))
    own = {"url": found.url, "model": model}
    overrides = {"rendering": {"provider": found.provider, "fallback": [], found.provider: own}}
    started = time.monotonic()
    words = ""
    try:
        async with asyncio.timeout(TRY_SECONDS):
            opened = await load_runtimes(*place, overrides).open_alone("rendering", found.provider)
            try:
                async for piece in opened.value.render(prompt, RenderOptions(max_tokens=30)):
                    words += piece if isinstance(piece, str) else ""
            finally:
                await opened.close()
    except (RfsnError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else f"no answer in {TRY_SECONDS:g} s"
        if not words:
            click.echo(f"  {model}: does not answer: {reason[:150]}")
            return False
    text = " ".join(words.split())
    click.echo(f"  {model}: “{text[:80]}”, {time.monotonic() - started:.1f} s")
    return bool(text)


async def _voice(place: Place) -> str:
    """Return the first installed voice that speaks; empty when there is none."""
    from rfsn_core.contract.speech import VoiceStyle

    for name in VOICES:
        overrides = {"speech": {"provider": name, "fallback": []}}
        try:
            runtimes = load_runtimes(*place, overrides)
            if name not in runtimes.plugins.providers("speech"):
                continue
            opened = await runtimes.open_alone("speech", name)
            try:
                sound = [speech.pcm async for speech in opened.value.speak("Good evening.", VoiceStyle())]
            finally:
                await opened.close()
        except RfsnError as error:
            click.echo(f"voice {name}: {str(error).splitlines()[0][:120]}")
            continue
        if any(sound):
            click.echo(f"voice {name}: speaks")
            return name
    return ""


def _rendering(chosen: tuple[Found, str] | None) -> list[str]:
    if chosen is None:
        return []
    found, model = chosen
    url = [f'url = "{found.url}"'] if found.url != DEFAULT_URLS[found.provider] else []
    stage = ["[rendering]", f'provider = "{found.provider}"', ""]
    return [*stage, f"[rendering.{found.provider}]", f'model = "{model}"', *url, ""]


def _write(world: Path, config_file: Path | None, lines: list[str], *, dry_run: bool) -> None:
    """Add lines to a world's settings, unless they have such tables already: then show them."""
    from rfsn_core.kit import read_document
    from rfsn_core.settings.folders import is_example
    from rfsn_core.settings.source import find_file

    file = config_file or find_file(world) or world / "rfsn.toml"
    values = read_document(file).values if file.exists() else {}
    text = "\n".join(lines).strip() + "\n"
    taken = [name for name in ("rendering", "speech") if name in values and f"[{name}]" in text]
    if dry_run or taken or file.suffix != ".toml" or is_example(world):
        where = f"{file} has [{taken[0]}] already" if taken else f"For {file}"
        click.echo(f"{where}. The lines are:\n\n{text}")
        return
    before = file.read_text("utf-8") if file.exists() else ""
    file.write_text(f"{before.rstrip()}\n\n{text}" if before.strip() else text, "utf-8")
    click.echo(f"wrote {file}")
