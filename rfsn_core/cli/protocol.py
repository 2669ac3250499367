"""`rfsn protocol`."""

from __future__ import annotations

import json

import click

from rfsn_core.contract.version import version
from rfsn_core.protocol.schema import asyncapi, json_schema


@click.command()
@click.option("--asyncapi", "as_asyncapi", is_flag=True, help="AsyncAPI document instead of JSON Schema.")
def protocol(as_asyncapi: bool) -> None:
    """Print the websocket protocol, generated from the code."""
    click.echo(json.dumps(asyncapi(version()) if as_asyncapi else json_schema(), indent=2, ensure_ascii=False))
