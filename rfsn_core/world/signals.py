"""What the player means, by rules on whole words. The first rule in the list that matches wins.

The order matters: an insult inside a question is an insult, "attack" beats "help".
"""

from __future__ import annotations

import re

SIGNALS = (
    "attack",
    "flee",
    "betray",
    "threaten",
    "insult",
    "apologize",
    "farewell",
    "offer",
    "refuse",
    "accept",
    "disagree",
    "help",
    "request",
    "command",
    "compliment",
    "greet",
    "question",
    "agree",
    "ignore",
)
"""Every signal, in the order in which the rules are tried. `ignore`: nothing was said."""

_RULES: dict[str, str] = {
    "attack": r"i(?:'ll| will| shall)? (?:attack|kill|strike|stab|cut) (?:you|him|her|them)|have at (?:you|thee)|"
    r"(?:draws?|swings?) (?:my|his|her|a|the) (?:sword|blade|axe|weapon)|die[,!]|attack(?:s|ing)? you",
    "flee": r"run for (?:it|your life)|let'?s get out|i(?:'m| am) (?:leaving|running|getting out)|flee|retreat",
    "betray": r"betray(?:ed|s|ing)?|i lied to you|i(?:'ve| have) sold you out|double.?cross(?:ed)?|stole from you|"
    r"i(?:'ve| have)? told the guards? (?:on|about) you",
    "threaten": r"or else|i(?:'ll| will) (?:make you|hurt|break|burn|ruin|end|destroy)|you(?:'ll| will) (?:regret|pay)|"
    r"don'?t make me|watch your back|last (?:chance|warning)|your money or",
    "insult": r"idiot|fool|stupid|coward|liar|scum|ugly|worthless|pathetic|moron|bastard|filth|imbecile|"
    r"shut up|you stink|(?:i )?hate you|damn you|go to hell",
    "apologize": r"sorry|apolog(?:y|ies|i[sz]e)|forgive me|my (?:fault|mistake|bad)|pardon me|i regret",
    "farewell": r"good ?bye|farewell|see you|until (?:next time|we meet)|i (?:must|have to|should) (?:go|leave)|"
    r"take care|good night|so long|safe travels",
    "offer": r"i(?:'ll| will|'d| would| can| could)? (?:give|pay|offer|trade|sell)(?: you)?|here(?:'s| is| are)|"
    r"(?:would|will) you take|for you|in exchange|i brought you|let me buy you",
    "refuse": r"no(?:,| )?(?:thanks?| thank you)|i (?:refuse|decline|won'?t)|never|not interested|"
    r"absolutely not|no way",
    "accept": r"i accept|it'?s a deal|deal|i(?:'ll| will) (?:take|do) it|agreed|very well|count me in|"
    r"you have my word",
    "disagree": r"i disagree|you'?re (?:wrong|mistaken)|that'?s (?:not|wrong|false)|i don'?t (?:think|believe)|"
    r"nonsense|no",
    "help": r"help(?: me)?|save (?:me|us)|i need (?:aid|help|your help)|rescue|assist(?:ance)?|"
    r"i(?:'m| am) (?:lost|hurt|wounded)",
    "request": r"(?:could|would|can|will|may) (?:you|i|we)|please|i(?:'d| would) like|i (?:want|need)|may i|lend me|"
    r"give me|show me|tell me|let me",
    "command": r"(?:come|go|move|stand|stop|follow|open|hand|bring|fetch|get|wait|listen|sit|leave|drop|answer|kneel)\b"
    r"(?=[^?]*$)",
    "compliment": r"thank(?:s| you)|well done|(?:you'?re|you are) (?:great|kind|brave|wise|wonderful|beautiful|"
    r"the best|amazing|good)|impressive|i (?:like|love|admire)|nice work|beautiful|magnificent|wonderful|excellent",
    "greet": r"hello|hi|hey|greetings|good (?:morning|day|evening|afternoon)|well met|hail|howdy|welcome",
    "question": r"who|what|where|when|why|how|which|whose|do you|did you|have you|are you|is (?:it|there|that|this)|"
    r"does|can i|any (?:news|work|rumou?rs)",
    "agree": r"yes|aye|yeah|yep|sure|of course|indeed|right|exactly|true|i agree|ok(?:ay)?|fine",
}
_ANYWHERE = re.compile(
    "|".join(f"(?P<{name}>(?<!\\w)(?:{pattern})(?!\\w))" for name, pattern in _RULES.items() if name != "command"),
    re.IGNORECASE,
)
_COMMAND = re.compile(_RULES["command"], re.IGNORECASE)
_RANK = {name: rank for rank, name in enumerate(SIGNALS)}


def classify(text: str) -> str:
    """Return the signal of the player's text: `ignore` when there is nothing in it, `question` for a bare `?`."""
    text = text.strip().replace("’", "'")
    if not any(character.isalnum() for character in text):
        return "question" if "?" in text else "ignore"
    best = "command" if _COMMAND.match(text) else ""
    for match in _ANYWHERE.finditer(text):
        name = match.lastgroup or ""
        # A bare "no" disagrees only at the start: "there is no bread" does not.
        if name == "disagree" and match.group().lower() == "no" and match.start() > 0:
            continue
        if not best or _RANK[name] < _RANK[best]:
            best = name
    if best in ("", "greet", "agree", "compliment") and text.endswith("?"):
        return "question"
    return best or "agree"
