"""What players ask in English about somebody who is named: patterns over plain words."""

from __future__ import annotations

SOMEBODY_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (
        "opinion_of",
        "think opinion thoughts make feel",
        r"\bwhat (?:do|would|did|is) (?:you|your) (?:really |honestly )?(?:think|make|opinion|thoughts?"
        r"|feeling)s? (?:of|about|on)\b"
        r"|\b(?:your|an|any) (?:honest )?(?:opinion|thoughts?|view|take|feelings)s? (?:of|about|on)\b"
        r"|\bhow do you (?:feel|think) about\b"
        r"|\bwhat you think (?:of|about)\b"
        r"|\bthoughts (?:on|about)\b",
    ),
    (
        "opinion_of",
        "like likes trust hate love believe respect fear suspect dislike admire trusts mind",
        r"\b(?:do|does|would|did|can|could|should|you|why do|why) (?:you|i|we|one|not)?(?: \w+)? ?(?:like"
        r"|trust|hate|love|believe|respect|fear|suspect|dislike|admire|mind)\b",
    ),
    (
        "opinion_of",
        "is",
        r"^(?:so |and |but |hey |tell me )*is .+ (?:a |an )?(?:\w+ )?(?:good|bad|nice|kind|honest|trustworthy"
        r"|trusted|friend|liar|lying|dangerous|crazy|mad|evil|reliable|guilty|brave|fair|mean|friendly|thief"
        r"|murderer|killer|fool|clever|person|man|woman|telling the truth|to be trusted|ok|alright)(?: \w+)?$",
    ),
    (
        "opinion_of",
        "friends friend along enemies",
        r"\b(?:are|is) you (?:and \w+ )?(?:\w+ )?(?:friends?|enemies|close) (?:with|of|to)?"
        r"|\bget along\b"
        r"|\bfriend of yours$",
    ),
    (
        "place_of",
        "where wheres whereabouts",
        r"\b(?:where|whereabouts)\b(?!.* (?:born|from|grow|get|buy|learn|hide|hid|keep|put|did)\b)",
    ),
    (
        "place_of",
        "find seen looking search searching locate",
        r"\b(?:how|where) (?:do|can|could|would|might|should|to) (?:i|we)? ?(?:find|locate|reach|meet)\b"
        r"|\b(?:have |has |did |anyone |you )*(?:you )?seen\b(?! \w+ (?:do|kill|take|steal|with))"
        r"|\b(?:am|are|i|is|we|just) (?:\w+ )?(?:looking|searching) for\b"
        r"|\bknow where\b"
        r"|^looking for\b"
        r"|\bhelp me find\b",
    ),
    (
        "place_of",
        "way get",
        r"\b(?:which|what|the) way to\b"
        r"|\bhow (?:do|can|to|would) (?:i|we)? ?get to\b",
    ),
    (
        "place_of",
        "is",
        r"\bis .+ (?:here|around|home|in|at home|nearby|there|inside|about)(?: today| right now| now|"
        r" somewhere)?$",
    ),
    (
        "person",
        "who",
        r"\bwho (?:the hell |exactly |on earth )?(?:is|was|are|might|could)\b(?! (?:with|near|talking))",
    ),
    (
        "person",
        "know",
        r"^(?:hey |so |and |but |hi |hello |sorry |please )*(?:do |did |would |does anyone |anyone )?(?:you"
        r" )?(?:happen to )?(?:know|knew)(?: of| about| who| anything about| someone (?:called|named)| (?:a"
        r"|the) (?:man|woman|guy|person) (?:called|named))? (?!where|why|how|when|what|if|that)"
        r"|\bwhat do you know (?:about|of)\b"
        r"|\bhow (?:well )?do you know\b",
    ),
    (
        "person",
        "about heard met",
        r"(?<!did you )(?<!have you )\b(?:tell|talk|say|something|more|anything|explain)\b.* about\b"
        r"|\b(?:heard|hear) (?:of|about)\b"
        r"|\b(?:have |ever |did )+you (?:ever )?(?:met|meet|spoken to)\b"
        r"|^(?:what|how|and|so) (?:what )?about\b",
    ),
)
