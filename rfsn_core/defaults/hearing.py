"""What the scripted renderer hears in the player's words besides the signal: moments, names, things, follow-ups.

The patterns are English. In other languages nothing is heard, and the signal alone picks the words.
"""

from __future__ import annotations

import re

from rfsn_core.kit.patterns import any_of

_CRISIS = any_of(
    r"\b(?:kill|hurt|harm|hang|cut|drown|end)(?:t?ing)? (?:myself|my (?:own )?life|it all)\b",
    r"\bsuicid|\bself.?harm|\bkms\b|\bwanna die\b|\btake my own life\b|\b(?:wish i (?:was|were)|better off) dead\b",
    r"\b(?:want(?:ed)?|going|ready|wish i could) to die\b|\bno reason to (?:live|go on)\b",
    r"\b(?:don'?t|do not) want to (?:live|be alive|wake up)\b|\bcan(?:no|')t go on (?:living|any ?more)\b",
)
_CURSE = any_of(
    r"\b(?:kill|hang|drown|cut|shoot|off) (?:yourself|urself|ur self|yourselves)\b|\bkys\b|\bdrop dead\b|^die\W*$",
    r"\b(?:go|just|please) die\b|\bi (?:hope|wish|want) (?:that )?(?:you|u) (?:would |will |to |all )?"
    r"(?:die|burn|rot|drown|were dead)\b",
    r"\b(?:you|u) (?:should|deserve to|need to|must|can)(?: all)? (?:just )?(?:die|drop dead|burn)\b",
)
_CONDOLENCE = any_of(
    r"\bsorry (?:for|about|to hear (?:about|of)) (?:your|the|what|that|it|his|her|their)\b",
    r"\b(?:my|our) condolences\b|\bmy sympath|\bmay (?:he|she|they) rest\b",
    r"\bmust (?:be|have been) (?:so |very )?(?:hard|terrible|awful)\b|\bnot your fault\b",
)
_OWN_FAULT = re.compile(
    r"\b(?:my|i|i'm)\b.*\b(?:behaviou?r|fault|said|did|mess|rude|words|tone|earlier)\b", re.IGNORECASE
)
_JOKING = any_of(
    r"\b(?:just|only|was|am|i'?m) (?:kidding|joking|messing|teasing)\b", r"\bjk\b", r"\b(?:just|only) a joke\b"
)
_LAUGH = re.compile(r"^\W*(?:(?:(?:ba|mua)?ha(?:ha)+h?|lo+l|lmao+|rofl|he(?:he)+|xd+)\b\W*)+", re.IGNORECASE)
_INJURY = re.compile(
    r"\b(?:i'?m|i am|i(?:'ve| have)(?: got)?|i (?:was|got|feel)|my|me|we|he|she|friend|brother|sister)\b.{0,40}"
    r"\b(?:hurts?|hurting|bleed(?:ing|s)?|wound(?:ed|s)?|injur\w+|fever|sick|ill|poison\w*|broken|aches?|in pain"
    r"|dying|cough\w*|infect\w+|burned|burnt|stabbed|bitten)\b",
    re.IGNORECASE,
)
_COMPLAINT = any_of(
    r"\b(?:i'?m|i am|i feel|i've been)\b.{0,20}\b(?:tired|hungry|thirsty|cold|wet|exhausted|starving|soaked)\b",
    r"\b(?:i'?m|i am|i feel)\b.{0,12}\b(?:lost|broke|lonely|bored|sad|scared|afraid|poor|homesick|worn out)\b",
    r"\bmy (?:feet|back|legs|head|boots)\b.{0,20}\bkilling me\b|\bi can(?:'?t|not) sleep\b",
    r"\blong (?:day|night|road|way|journey)\b|\b(?:no|out of) (?:money|coin)\b|\bi lost (?:my|everything)\b",
)
_COUNT = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|half)"
_COIN = r"(?:coins?|coppers?|silvers?|gold|pen(?:ny|ce)|credits?|crowns?|pounds?|dollars?|marks?|shillings?|cents?)"
_HAGGLE = any_of(
    r"\btoo (?:expensive|much|dear|pricey)\b|\brobbery\b|\brip.?off\b|\boverpriced\b|\bcan'?t afford\b",
    r"\b(?:cheaper|discount|lower the price|less than that)\b|\bthat'?s (?:a lot|steep)\b",
    rf"\bi (?:only|just) (?:have|got|carry) {_COUNT}\b|\bi (?:have|got) only {_COUNT}\b"
    r"|\b(?:all|only) i(?:'ve)? (?:have|got)\b",
    rf"\b(?:not|no) (?:a|one) {_COIN} more\b|\b(?:best|final|last) (?:price|offer)\b|\bfor less\b"
    rf"|^\W*(?:(?:ok|fine|then|well)\W+)*{_COUNT}(?: {_COIN})?\W*$"
    rf"|\b(?:how about|would you take|i'?ll (?:give you|pay)|make it) {_COUNT}\b(?!.* (?:if|to)\b)",
)
_BUYS = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|fine|then|well|alright|yes|yeah|sure|good|deal)[\s,.!]+)*"
    r"(?:i'?(?:ll| will| want to|d like to) (?:take|have|buy|get)|(?:give|get|pour|bring|sell) me|gimme)"
    r" (?:it|that|them|both|one|two|three|an?|some|the|another|your)\b",
    re.IGNORECASE,
)
_LOOKS = re.compile(
    r"^\W*(?:(?:and|but|hey|oh|wow)\b,? )?(?:you|u) (?:look|seem|sound|must be|are so|appear)\b"
    r"(?!.*\b(?:good|great|nice|lovely|pretty|beautiful|strong|well|handsome|ugly|stupid|disgusting)\b)",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"^\W*(?:(?:oh|wow|well|that'?s|thats|that is|this is|what an?|such an?|it'?s|really|very|so|quite"
    r"|you'?re|a)[,\s]+)*"
    r"(?:nice|great|lovely|good|cool|beautiful|pretty|amazing|fine|impressive|awesome|delicious|excellent|wonderful)\b"
    r"(?! (?:luck|point|day|evening|morning|night|question|grief|god|for you|idea))",
    re.IGNORECASE,
)
_TRUST_ME = any_of(
    r"\byou can (?:trust|rely on|count on) me\b|\btrust me\b|\byour secret is safe\b|\bi can keep a secret\b",
    r"\bi (?:won'?t|will not) (?:judge|hurt|bite|report|harm)\b",
    r"\bi (?:promise|swear)\b|\b(?:give|have) you(?:r| my)? word\b|\b(?:won'?t|never) tell (?:anybody|anyone|a soul)\b",
)
_HELPING = any_of(
    r"\b(?:can|could|may|shall) (?:i|we) (?:be of )?(?:any )?(?:help|assist)\b",
    r"\bneed (?:any |some |a )?(?:help|hand)\b.*\?",
    r"\bis there (?:anything|something) (?:that )?i can do\b|\bwhat can i do for you\b",
)
_OF_NPC = re.compile(r"\byou(?:['’]re| are)\b", re.IGNORECASE)
_PRESENCE = re.compile(
    r"^\W*(?:(?:hello|hey|hi|ho|uh|is|but)\W+)*(?:anybody|anyone|somebody|someone) (?:here|there|home|around)\W*$",
    re.IGNORECASE,
)
_GIVES_UP = any_of(r"\b(?:what(?:'?s| is)|tell me) the (?:answer|solution)\b", r"\bi give up\b")
_MOMENTS = (
    ("gives_up", _GIVES_UP),
    ("presence", _PRESENCE),
    ("helping", _HELPING),
    ("trust_me", _TRUST_ME),
    ("looks", _LOOKS),
    ("haggle", _HAGGLE),
    ("buys", _BUYS),
    ("complaint", _COMPLAINT),
    ("praise", _PRAISE),
)

_INTRODUCTION = re.compile(
    r"\b(?i:my name(?: is|'s|s)|^\W*(?:and )?mine(?: is|'s)|"
    r"(?:people |they |you (?:can|may) )?call me|i(?:'m| am) called|the name'?s) "
    r"(?P<name>(?i:[a-z])[\w'’-]+(?: (?:the |of )?[A-Z][\w'’-]+)*)"
)
_I_AM = re.compile(r"\b[Ii](?:'m|’m| am) (?P<name>[A-Z][\w'’-]+(?: (?:the |of )?[A-Z][\w'’-]+)*)\s*(?:[.,!]|$| and )")
_NOT_NAMES = frozenset("a an the not so very just going sure from called in on at what who where why how it".split())
_LEADS_ON = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|well|so|yes|and|but|please|hm+|oh|wow|really)[,.!\s]+)*"
    r"(?:(?:and )?then(?: what)?|(?:tell me |say |know )?(?:some |any ?thing |a (?:bit|little) )?more"
    r"(?: (?:about|of) (?:it|that|this))?|what else(?: do you know)?(?: (?:about|of) (?:it|that|this))?|anything else"
    r"|go on|continue|what (?:happened )?(?:then|next|after(?: that)?)|keep (?:going|talking)|and|so)\W*$",
    re.IGNORECASE,
)
_WHY = re.compile(
    r"^\W*(?:(?:but|and|so|well|ok|hm+)[,\s]+)*(?:why(?: not| so| is (?:that|it)| that)?|how come|how so)\W*$",
    re.IGNORECASE,
)

_REPEAT = re.compile(
    r"^\W*(?:(?:sorry|pardon)[,\s]*)?(?:wh?at|huh|eh|pardon(?: me)?"
    r"|say (?:that|it) again|come again|what did you say)\W*$",
    re.IGNORECASE,
)

_DETERMINER = re.compile(r"\b(the|a|an|your|my|this|that|these|those|some|our|his|her|their)\s+", re.IGNORECASE)
_GOT = re.compile(
    r"\b(?:see|saw|seen|found|find|have|got|bought|buy|want|need|brought|bring|lost|about|hear|heard|take|sell|make) $",
    re.IGNORECASE,
)
_HELPER = re.compile(r"\b(?:do|does|did|can|could|will|would|should)\W+$", re.IGNORECASE)
_TOKEN = re.compile(r"[^\W\d_][\w'’-]*|[^\w\s]")
_SWAP = {"your": "my", "my": "your", "this": "that", "these": "those", "our": "your"}
_BOUNDARY = frozenset(
    "is are was were be been has have had do does did can could will would shall should may might must and or but so"
    " because that which who when where why how if then than as of in on at to for with from by about into over under"
    " up down out off near here there now again today tonight yesterday tomorrow still yet too also not no never really"
    " very just only always once i you he she it we they me him us them her his their your my our its please"
    " mean means want wants need needs runs ran goes went says said stopped came comes"
    " looks look seems feels smells tastes hurts works like likes".split()
)
_EMPTY = frozenset(
    "thing things stuff lot bit time times way day days night one other others same best last next first most least"
    " moment minute while matter truth fact question answer word words kind sort name friend man woman people person"
    " hell fuck shit god world place point problem deal rest whole all other more few good bad new old big small nice"
    " great little long right wrong real own something anything mean fine hurry life family".split()
)


def is_crisis(words: str) -> bool:
    """Whether the player speaks of harming themselves."""
    return bool(_CRISIS.search(words))


def is_curse(words: str) -> bool:
    """Whether the player wishes the NPC dead."""
    return bool(_CURSE.search(words))


def is_injury(words: str) -> bool:
    """Whether somebody on the player's side is hurt or ill."""
    return bool(_INJURY.search(words))


def is_about_npc(words: str) -> bool:
    """Whether praise is meant for the NPC and not for a thing."""
    return bool(_OF_NPC.search(words))


def moment(words: str) -> str:
    """Return the moment that calls for lines of its own, such as `joking` or `haggle`; empty for none."""
    if _CONDOLENCE.search(words) and not _OWN_FAULT.search(words):
        return "condolence"
    if _JOKING.search(words) and "?" not in words and "tell" not in words.lower():
        return "joking"
    laugh = _LAUGH.match(words)
    if laugh is not None and len(words) - laugh.end() < 20:
        return "laugh"
    return next((name for name, pattern in _MOMENTS if pattern.search(words)), "")


def introduced(words: str) -> str:
    """Return the name by which the player introduces themselves; empty when they do not."""
    match = _INTRODUCTION.search(words) or _I_AM.search(words)
    name = match["name"].strip(" '’-") if match else ""
    if not name or name.split()[0].lower() in _NOT_NAMES or len(name) > 40:
        return ""
    return name if name[:1].isupper() else name.split()[0].capitalize()


def asks_on(words: str) -> str:
    """Return `more` for "and then?", `why` for a bare "why?", or nothing."""
    return "why" if _WHY.match(words) else "more" if _LEADS_ON.match(words) else ""


def asks_to_repeat(words: str) -> bool:
    """Whether the player did not catch what was said: "what?", "huh?"."""
    return bool(_REPEAT.match(words))


def thing(words: str) -> str:
    """Return what the words are about, as the NPC would name it: "your stew" is "my stew". Empty when unsure."""
    best = ""
    for match in _DETERMINER.finditer(words):
        before, determiner = words[: match.start()], match[1].lower()
        if determiner in ("a", "an", "my", "some") and not _GOT.search(before):
            continue  # "like a ghost", "my feet are killing me": not what is talked about
        noun = _noun(words[match.end() : match.end() + 60])
        if len(noun) > 1 and _HELPER.search(before):
            noun.pop()  # "does the ferry run": the verb
        if noun and noun[-1].lower() not in _EMPTY and len(noun[-1]) > 2 and "'" not in noun[-1]:
            best = " ".join([_SWAP.get(determiner, determiner), *noun])
    return best


def _noun(text: str) -> list[str]:
    """Return the words up to the next small word or mark, three at most; empty when there are more."""
    noun: list[str] = []
    for token in _TOKEN.findall(text):
        lower = token.lower()
        if not token[0].isalpha() or lower in _BOUNDARY or lower.endswith(("ly", "ing", "ed")):
            break
        noun.append(lower if token.isupper() else token)
    return noun if len(noun) <= 3 else []
