"""`rfsn protocol`."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--asyncapi", "as_asyncapi", is_flag=True, help="Print an AsyncAPI document instead.")
def protocol(as_asyncapi: bool) -> None:
    """Print the websocket protocol as JSON Schema.

    The document is generated from the code, so it is exactly what this version speaks.

    \b
    Example: rfsn protocol --asyncapi > asyncapi.json
    """
    from rfsn_core.contract.version import version
    from rfsn_core.protocol.schema import asyncapi, json_schema

    click.echo(json.dumps(asyncapi(version()) if as_asyncapi else json_schema(), indent=2, ensure_ascii=False))
