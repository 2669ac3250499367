"""Sentences that the model says as itself and not as the NPC: refusals, and talk about being a program."""

from __future__ import annotations

import re

REASON = "out_of_character"
_MODEL = (
    r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|chat ?bot|virtual assistant|digital assistant|llm)"
)
_PATTERNS = (
    rf"\b(?:as|i am|i'm|i am just|i'm just|i'm only|being) an? (?:[\w-]+ ){{0,3}}{_MODEL}\b",
    r"\b(?:large language model|openai|anthropic|my training data|knowledge cut-?off|my programming|my guidelines"
    r"|content polic(?:y|ies)|usage polic(?:y|ies)|safety guidelines|ethical guidelines|as a chatbot)\b",
    r"^\W*(?:i'?m |i am )?(?:very |so |really )?(?:sorry|apologi[sz]e)\b[\w' ,]{0,40}\b(?:i"
    r"|but i) (?:can't|cannot|can not|won't"
    r"|am unable to|'?m unable to|'?m not able to|am not able to) (?:\w+ )?(?:assist|help you with that"
    r"|help with (?:that|this)"
    r"(?: request)?\W*$|comply|fulfil|engage|generate|create|continue (?:this|the|with)|provide (?:that"
    r"|this|any|assistance"
    r"|information)|participate|roleplay|role-play|discuss)",
    r"\bi(?: can't|'m unable to| cannot| can not| won't| am unable to|'m not able to| am not able to) (?:assist|comply"
    r"|help) with (?:that|this|your)(?: kind of| type of)? request(?! of yours)",
    r"\bi (?:can't|cannot|won't|am unable to) (?:fulfil|fulfill|generate|create|produce|continue"
    r"|engage in)\b[\w' ]{0,30}"
    r"\b(?:request|content|role-?play|conversation|scenario|response|story)",
    r"\b(?:this|that|the) (?:request|prompt|scenario|content|conversation) (?:goes against|violates|is against|is"
    r" inappropriate|involves)",
    r"\bi(?:'m| am) (?:unable|not able) to (?:continue|take part in|engage in) th(?:is|e) (?:conversation|role-?play"
    r"|scene|scenario)|\bi (?:can't|cannot|won't) (?:role-?play|pretend to be)\b"
    r"|\bfictional (?:scenario|character|world|story)\b"
    r"|\ben tant qu(?:e |')(?:ia|assistant|modèle)\b",
    r"\b(?:break|breaking|out of|stay in|staying in|remain in) character\b",
    r"\b(?:the user|the prompt|the system prompt|your prompt|the assistant|the role-?play)\b(?= (?:is|has"
    r"|asks?|wants?|says|said"
    r"|requires?|instructions?))",
    r"^\W*(?:i hope this helps\W*$|let me know if (?:you(?:'d| would) like (?:me to|any|more|a different)"
    r"|you need (?:any|more|further|me to)|this works)"
    r"|feel free to ask|would you like me"
    r" to (?:continue|rewrite|change|adjust))",
    r"\b(?:ki-sprachmodell|sprachmodell|als (?:eine )?ki\b|künstliche intelligenz|mod[eè]le de langage|intelligence"
    r" artificielle|modelo de (?:lenguaje|linguagem)|inteligencia artificial)",
    r"作为一个?(?:人工智能|ai|语言模型)|言語モデル",
)
_FOUND = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)


def is_out_of_character(sentence: str) -> bool:
    """Return whether no NPC says this, but the model itself."""
    return _FOUND.search(sentence.replace("’", "'")) is not None
