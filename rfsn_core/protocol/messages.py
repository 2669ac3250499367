"""The base class and limits of all messages of the wire protocol `rfsn.v1`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PROTOCOL = "rfsn.v1"


MAX_TEXT = 4000
"""Longest text of a player in one turn, in characters."""


# Names are shown in prompts, logs and pages: one line without control characters.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z")]


class Message(msgspec.Struct, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    """The base of all messages: adds the `type` field, whose value is the tag of the class."""


_encoder = msgspec.json.Encoder()


encode = _encoder.encode
"""Encode a message as JSON bytes."""
