"""Asks the running server of a world over HTTP, or the same application in this process when none runs.

The application then has the scripted renderer and no voice, and ends after one request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core.cli.options import load_runtimes
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    import httpx

QUIET = {"rendering": {"provider": "scripted", "fallback": []}, "speech": {"provider": "silent", "fallback": []}}
"""Settings that open no engine only to look at memory."""
PATIENCE = 600.0
"""Seconds to wait for an answer."""
Ask = Callable[["httpx.AsyncClient"], Awaitable[Any]]


@asynccontextmanager
async def client_of(world: Path | None, config_file: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the running server, or of the application in this process when there is none."""
    import httpx

    from rfsn_core.server.address import read

    runtimes = load_runtimes(world, config_file, QUIET)
    address, secret = read(runtimes.data_dir)
    if address and await answers(address):
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=PATIENCE) as client:
            yield client
        return
    from rfsn_core.server.app import serving

    async with serving(runtimes, speaks=False) as app:
        headers = {"Authorization": f"Bearer {app.state.authenticator.own_secret}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers, timeout=PATIENCE
        ) as client:
            yield client


async def answers(address: str) -> bool:
    """Return whether a server answers at an address that was found in a data folder.

    A server that was killed leaves its address behind, and a world from somebody else may hold any. So no key is sent
    there, only the secret that stands next to the address.
    """
    import httpx

    try:
        async with httpx.AsyncClient(timeout=2) as client:
            answer = (await client.get(f"{address}/health")).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("status") == "ok" and "version" in answer


def ask_server(place: dict[str, Any], ask: Ask) -> Any:
    """Return what `ask` returns. Raises UserError when the server ends meanwhile.

    :param place: `world` and `config_file`, as the options of a command give them.
    """
    import httpx

    from rfsn_core.telemetry import logs

    logs.configure("error")

    async def run() -> Any:
        async with client_of(place["world"], place["config_file"]) as client:
            try:
                return await ask(client)
            except httpx.TransportError as error:
                raise UserError(f"the server does not answer: {error}", hint="Is it still running?") from error

    return asyncio.run(run())


async def read_answer(response: httpx.Response) -> Any:
    """Return an answer's JSON. Raises UserError with the message of an answer that is an error."""
    await response.aread()
    if response.is_success:
        return response.json()
    try:
        problem = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        problem = f"the server answered {response.status_code}"
    raise UserError(problem)


def get(place: dict[str, Any], path: str, **query: Any) -> Any:
    """Return the JSON answer of a GET. Raises UserError with the server's message when it refuses."""

    async def ask(client: httpx.AsyncClient) -> Any:
        return await read_answer(await client.get(path, params=query))

    return ask_server(place, ask)


def post(place: dict[str, Any], path: str, **body: Any) -> Any:
    """Return the JSON answer of a POST. Raises UserError with the server's message when it refuses."""

    async def ask(client: httpx.AsyncClient) -> Any:
        return await read_answer(await client.post(path, json=body))

    return ask_server(place, ask)
