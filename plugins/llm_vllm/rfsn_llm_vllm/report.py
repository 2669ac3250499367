"""`rfsn adapters`, and the route that it reads."""

from __future__ import annotations

import time
from typing import Any

import click
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rfsn_core.kit import ADAPTER_TASKS
from rfsn_llm_vllm.archetypes import size
from rfsn_llm_vllm.renderer import OPEN, Vllm


def route() -> Route:
    """Return the route of `GET /plugins/llm_vllm/adapters`: what is loaded, why, and how big."""

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"servers": [state(each) for each in OPEN]})

    return Route("/adapters", answer, methods=["GET"])


def state(vllm: Vllm) -> dict[str, Any]:
    """Return what a provider has loaded, as the command shows it."""
    now = time.time()
    return {
        "url": vllm.url,
        "switches": vllm.adapters.switches,
        "loaded": [
            {
                "name": adapter.name,
                "bytes": size(adapter.path),
                "turns": adapter.turns,
                "in_use": adapter.users,
                "loaded_for": adapter.why,
                "idle_seconds": round(now - adapter.used_at, 1) if adapter.used_at else None,
            }
            for adapter in vllm.adapters.loaded.values()
        ],
        "archetypes": {
            name: {
                "about": archetype.about,
                "bytes": vllm.registry.size(name),
                "tasks": [task for task in ADAPTER_TASKS if vllm.registry.path(name, task)],
            }
            for name, archetype in sorted(vllm.registry.archetypes.items())
        },
    }


@click.command()
@click.option("--url", default="http://127.0.0.1:8765", show_default=True, help="Of the RFSN server.")
@click.option("--key", default="", envvar="RFSN_SERVER__KEY", help="Its key, if it wants one.")
def adapters(url: str, key: str) -> None:
    """Show which adapters the running server has loaded, why, and how big they are."""
    from rich.console import Console
    from rich.table import Table

    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = httpx.get(f"{url.rstrip('/')}/plugins/llm_vllm/adapters", headers=headers, timeout=5)
        answer.raise_for_status()
        servers = answer.json()["servers"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise click.ClickException(f"no RFSN server answers at {url}: {error}. Start it: rfsn serve") from error
    console = Console()
    if not servers:
        console.print("The server does not use the provider 'vllm'.")
    for server in servers:
        console.print(f"[bold]{server['url']}[/bold], {server['switches']} adapters loaded since the start")
        table = Table("adapter", "MB", "turns", "in use", "loaded for", "idle", box=None, pad_edge=False)
        for each in server["loaded"]:
            idle = "" if each["idle_seconds"] is None else f"{each['idle_seconds']:.0f} s"
            numbers = f"{each['bytes'] / 1e6:.1f}", str(each["turns"]), str(each["in_use"])
            table.add_row(each["name"], *numbers, each["loaded_for"], idle)
        console.print(table)
        kinds = Table("archetype", "MB", "tasks with an adapter", box=None, pad_edge=False)
        for name, kind in server["archetypes"].items():
            kinds.add_row(name, f"{kind['bytes'] / 1e6:.1f}", ", ".join(kind["tasks"]) or "[dim]none[/dim]")
        console.print(kinds)
