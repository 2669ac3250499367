"""JSON Schema and AsyncAPI documents of the protocol, generated from the message classes."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from rfsn_core import protocol


def messages(union: Any) -> dict[str, type[msgspec.Struct]]:
    """Return the message classes of a union by their type tag."""
    return {str(struct.__struct_config__.tag): struct for struct in get_args(union)}


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema document. Its definitions `client` and `server` list the messages of each direction."""
    structs = [*messages(protocol.ClientMessage).values(), *messages(protocol.ServerMessage).values()]
    _, components = msgspec.json.schema_components(structs, ref_template="#/$defs/{name}")

    def one_of(union: Any) -> dict[str, Any]:
        return {"oneOf": [{"$ref": f"#/$defs/{struct.__name__}"} for struct in messages(union).values()]}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": protocol.PROTOCOL,
        "$defs": {**components, "client": one_of(protocol.ClientMessage), "server": one_of(protocol.ServerMessage)},
    }


def asyncapi(version: str) -> dict[str, Any]:
    """Return an AsyncAPI 3 document of `/v1/ws`."""
    schema = json_schema()["$defs"]
    structs = {**messages(protocol.ClientMessage), **messages(protocol.ServerMessage)}

    def reference(name: str) -> str:
        return name.replace("#/$defs/", "#/components/schemas/")

    def rewrite(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: reference(value) if key == "$ref" else rewrite(value) for key, value in node.items()}
        return [rewrite(item) for item in node] if isinstance(node, list) else node

    def listed(union: Any) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/game/messages/{tag}"} for tag in messages(union)]

    return {
        "asyncapi": "3.0.0",
        "info": {"title": "RFSN", "version": version, "description": f"Subprotocol {protocol.PROTOCOL}."},
        "channels": {
            "game": {
                "address": "/v1/ws",
                "messages": {tag: {"$ref": f"#/components/messages/{tag}"} for tag in structs},
            }
        },
        "operations": {
            "receive": {
                "action": "receive",
                "channel": {"$ref": "#/channels/game"},
                "messages": listed(protocol.ClientMessage),
            },
            "send": {
                "action": "send",
                "channel": {"$ref": "#/channels/game"},
                "messages": listed(protocol.ServerMessage),
            },
        },
        "components": {
            "messages": {
                tag: {
                    "name": tag,
                    "summary": (struct.__doc__ or "").strip(),
                    "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
                }
                for tag, struct in structs.items()
            },
            "schemas": {name: rewrite(value) for name, value in schema.items() if name not in ("client", "server")},
        },
    }
