"""The generated schemas describe the messages that are really sent."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rfsn_core import protocol
from rfsn_core.protocol.schema import asyncapi, json_schema, messages


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [value for key, value in node.items() if key == "$ref"] + [
            reference for value in node.values() for reference in references(value)
        ]
    return [reference for item in node for reference in references(item)] if isinstance(node, list) else []


def test_every_reference_has_a_target() -> None:
    for document in (json_schema(), asyncapi("0")):
        all_references = references(document)
        assert len(all_references) > 20
        for reference in all_references:
            node: Any = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]


def test_every_message_is_described() -> None:
    document = asyncapi("0")
    described = document["components"]["messages"]
    for union in (protocol.ClientMessage, protocol.ServerMessage):
        for tag, struct in messages(union).items():
            assert described[tag]["summary"]
            schema = document["components"]["schemas"][struct.__name__]
            assert schema["properties"]["type"]["enum"] == [tag]
            assert set(schema["properties"]) == {"type", *struct.__struct_encode_fields__}


def test_audio_frames_survive_encoding_and_decoding() -> None:
    frame = protocol.audio_frame(3, 7, 9, b"\x01\x02", last=True)
    assert frame[:12] == bytes([1, 1, 3, 0, 7, 0, 0, 0, 9, 0, 0, 0])
    assert protocol.read_audio_frame(frame) == protocol.AudioFrame(1, 3, 7, 9, b"\x01\x02")


def test_tags_are_unique_and_plain() -> None:
    tags = [*messages(protocol.ClientMessage), *messages(protocol.ServerMessage)]
    assert len(tags) == len(set(tags))
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)?", tag) for tag in tags)
    assert msgspec.json.decode(protocol.encode(protocol.Ping(id="x"))) == {"type": "ping", "id": "x"}
