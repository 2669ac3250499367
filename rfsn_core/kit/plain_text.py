"""A player's text made plain: folded, chat spelling written out, acts apart from words."""

from __future__ import annotations

import re
import unicodedata

TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[?!*]+|\.\.+|…|[\U0001F300-\U0001FAFF☀-➿]")
"""Words, and the marks that mean something."""
_LONG = re.compile(r"(\w)\1{2,}")
_DIGIT = re.compile(r"\d")

_WRITTEN_OUT = """
u you|ur your|r are|pls please|plz please|thx thanks|thnx thanks|n and|bout about|abt about|wat what|wut what|da the
dis this|dat that|cuz because|coz because|bc because|gonna going to|wanna want to|gotta got to|gimme give me
lemme let me|dunno do not know|idk i do not know|ya you|ye you|yer your|tho though|sry sorry|srry sorry
whats what is|wats what is|wheres where is|whos who is|hows how is|whens when is|whys why is|whatcha what you
im i am|ive i have|i'll i will|i'd i would|you're you are|youre you are|youve you have|youll you will|you'd you would
theyre they are|they're they are|theyll they will|hes he is|shes she is|thats that is|theres there is|heres here is
dont do not|doesnt does not|didnt did not|cant can not|cannot can not|couldnt could not|wouldnt would not
wont will not|shouldnt should not|isnt is not|arent are not|wasnt was not|werent were not|havent have not
hasnt has not|aint is not|lets let us|itll it will|it'll it will|it's it is|he'll he will|she'll she will|we'll we will
we're we are|we've we have|em them|dem them|nothin nothing|goin going|doin doing|k ok|okay ok|okey ok|yea yeah
ppl people|thru through|gud good
"""
WRITTEN_OUT: dict[str, tuple[str, ...]] = {
    short: tuple(long.split())
    for entry in _WRITTEN_OUT.replace("\n", "|").split("|")
    if entry
    for short, _, long in [entry.partition(" ")]
}
"""Chat spelling and contractions → the words that they stand for."""


def fold(text: str) -> str:
    """Return the text in lower case, without accents, with letters repeated at most twice and digits as 0."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'").casefold())
        text = "".join([character for character in text if not unicodedata.combining(character)])
        text = unicodedata.normalize("NFC", text)
    return _DIGIT.sub("0", _LONG.sub(r"\1\1", text))


def tokens(folded: str) -> list[str]:
    """Return the words and marks of a folded text, with chat spelling and contractions written out."""
    found: list[str] = []
    for token in TOKEN.findall(folded):
        if token in WRITTEN_OUT:
            found.extend(WRITTEN_OUT[token])
        elif "'" in token:
            token = token.replace("'", "")
            found.extend(WRITTEN_OUT.get(token, (token,)))
        else:
            found.append(token)
    return found


def plain(text: str) -> str:
    """Return the words of a text, folded and written out, with a space between them."""
    return " ".join([token for token in tokens(fold(text)) if token[0].isalnum()])
