"""What every NPC can be asked, and the lines that only look like it."""

from __future__ import annotations

import pytest

from rfsn_core.contract.understanding import ASKS, Entity, UnderstandingContext
from rfsn_core.defaults.ask_patterns import PATTERNS
from rfsn_core.defaults.ask_people import SOMEBODY_PATTERNS
from rfsn_core.defaults.ask_phrases import PHRASES, SOMEBODY_PHRASES
from rfsn_core.defaults.understanding import Settings, Signals

SIGNALS = Signals(Settings())
TILDA, MAUD = Entity("npc", "innkeeper", "Tilda"), Entity("npc", "sergeant", "Maud Harrow")
NAMES = {"tilda": TILDA, "innkeeper": TILDA, "maud": MAUD, "maud harrow": MAUD, "sergeant": MAUD}


def asked(text: str) -> str:
    return SIGNALS.understand(text, UnderstandingContext(names=NAMES)).asks


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        ("name", "whats ur name"),
        ("name", "what's your name?"),
        ("name", "tell me your name"),
        ("name", "may i know your name"),
        ("name", "what do they call you"),
        ("name", "your name?"),
        ("name", "do you have a name"),
        ("name", "wie heißt du?"),
        ("name", "comment t'appelles-tu ?"),
        ("name", "¿cómo te llamas?"),
        ("name", "como você se chama?"),
        ("name", "come ti chiami?"),
        ("name", "как тебя зовут?"),
        ("name", "jak masz na imię?"),
        ("name", "你叫什么名字?"),
        ("name", "お名前は何ですか"),
        ("role", "who r u"),
        ("role", "who are you?"),
        ("role", "who the hell are you"),
        ("role", "what do you do"),
        ("role", "what do you do here"),
        ("role", "whats your job"),
        ("role", "tell me about yourself"),
        ("role", "hi who are you"),
        ("role", "what are you"),
        ("role", "wer bist du"),
        ("role", "qui es-tu?"),
        ("role", "кто ты?"),
        ("mood", "hows it going"),
        ("mood", "how are you today?"),
        ("mood", "hey how r u"),
        ("mood", "you ok?"),
        ("mood", "are you alright"),
        ("mood", "whats up"),
        ("mood", "sup"),
        ("mood", "how's business"),
        ("mood", "hows life"),
        ("mood", "wie geht's?"),
        ("mood", "ça va ?"),
        ("mood", "как дела"),
        ("mood", "jak się masz"),
        ("mood", "how have you been"),
        ("origin", "where u from"),
        ("origin", "where are you from?"),
        ("origin", "where do you come from"),
        ("origin", "are you from around here"),
        ("origin", "where were you born"),
        ("origin", "woher kommst du"),
        ("origin", "откуда ты?"),
        ("wares", "what do u sell"),
        ("wares", "got anything to sell"),
        ("wares", "what are you selling"),
        ("wares", "show me your wares"),
        ("wares", "what do you have for sale"),
        ("wares", "what can i buy here"),
        ("wares", "do you sell anything"),
        ("wares", "whats on the menu"),
        ("wares", "what do you have"),
        ("wares", "lets trade"),
        ("wares", "was verkaufst du?"),
        ("wares", "что продаешь?"),
        ("person", "do you know Tilda"),
        ("person", "who is Tilda"),
        ("person", "whos tilda"),
        ("person", "tell me about Tilda"),
        ("person", "what do you know about tilda"),
        ("person", "know a tilda?"),
        ("person", "wer ist Tilda?"),
        ("person", "кто такая Tilda"),
        ("place_of", "where is Tilda"),
        ("place_of", "wheres tilda"),
        ("place_of", "do you know where tilda is"),
        ("place_of", "have you seen Tilda?"),
        ("place_of", "im looking for tilda"),
        ("place_of", "where is the sergeant"),
        ("place_of", "where can i find Maud"),
        ("place_of", "wo ist Tilda?"),
        ("place_of", "is Tilda here?"),
        ("place_of", "is tilda around"),
        ("opinion_of", "what do you think of Tilda"),
        ("opinion_of", "do you trust tilda?"),
        ("opinion_of", "do u like tilda"),
        ("opinion_of", "can i trust Tilda"),
        ("opinion_of", "what's your opinion on Maud Harrow"),
        ("opinion_of", "is tilda a good person"),
        ("opinion_of", "why do you hate Tilda"),
        ("opinion_of", "is Maud a liar"),
        ("player_name", "whats my name"),
        ("player_name", "do you know my name?"),
        ("player_name", "who am i"),
        ("player_name", "do you remember my name"),
        ("player_name", "wie heiße ich"),
        ("player_name", "как меня зовут?"),
        ("player", "do you remember me"),
        ("player", "remember me?"),
        ("player", "what did i tell you"),
        ("player", "what do you know about me"),
        ("player", "have we met before"),
        ("player", "do you know me"),
        ("player_name", "do you know who i am?"),
        ("player", "what have i told you"),
        ("real", "are you a bot"),
        ("real", "are u real?"),
        ("real", "are you human"),
        ("real", "am i talking to an ai"),
        ("real", "r u a robot"),
        ("real", "are you an npc"),
        ("real", "you're a bot right"),
        ("real", "bist du ein roboter"),
        ("joke", "tell me a joke"),
        ("joke", "know any riddles"),
        ("joke", "do you know a good joke"),
        ("joke", "got any jokes?"),
        ("joke", "sing me a song"),
        ("joke", "make me laugh"),
        ("joke", "tell me a riddle"),
        ("joke", "erzähl mir einen witz"),
        ("joke", "расскажи анекдот"),
        ("weather", "hows the weather"),
        ("weather", "whats the weather like"),
        ("weather", "nice weather today"),
        ("weather", "will it rain"),
        ("weather", "think itll rain?"),
        ("advice", "any work"),
        ("advice", "any work for me?"),
        ("advice", "I'm looking for work"),
        ("advice", "what should i do now"),
        ("advice", "what now"),
        ("advice", "any news"),
        ("advice", "got any news from the road?"),
        ("advice", "heard any rumors"),
        ("advice", "whats going on"),
        ("advice", "do you have a quest for me"),
        ("advice", "what is there to do around here"),
        ("advice", "how can i help"),
        ("advice", "what kind of work"),
        ("advice", "got any quests"),
        ("advice", "Any news from the road?"),
        ("advice", "was gibt's Neues?"),
        ("advice", "есть работа?"),
        ("", "how much do you pay"),
        ("", "where are the marker stones"),
        ("", "who moved them?"),
        ("", "what happened to Corin?"),
        ("", "what happened to tilda"),
        ("", "do you have a room for the night?"),
        ("", "why did tilda lie"),
        ("", "when does the ferry run"),
        ("", "how do you answer a light?"),
        ("", "what is the name of the ferry"),
        ("", "what's his name"),
        ("", "who was your grandmother"),
        ("", "i love you"),
        ("", "is the rope really rotten"),
        ("", "what did you see that night"),
        ("", "is that your real name"),
        ("", "Tilda sent me"),
        ("", "Tilda told me to find the rope"),
        ("", "how long does it take"),
        ("", "are you afraid of the lights?"),
        ("", "who lives in the mill"),
        ("", "what do you know about the green lights"),
        ("", "how do i get to the mines"),
        ("", "can you help me"),
        ("", "my name is Aldric"),
        ("", "do you want to die"),
        ("", "what did tilda tell you"),
        ("", "are you a witch?"),
        ("", "what do you do when the lights come"),
        ("", "do you have anything for a headache"),
        ("", "i saw tilda at the river"),
        ("", "i like tilda"),
        ("", "what year is it"),
        ("", "I work for Tilda"),
        ("", "what is the real reason"),
        ("", "how is Tilda"),
        ("", "where did Tilda hide the key"),
        ("", "who did Tilda meet"),
    ],
)
def test_what_is_asked(ask: str, text: str) -> None:
    assert asked(text) == ask


def test_nobody_is_asked_about_whom_the_world_does_not_know() -> None:
    assert asked("where is Tilda") == "place_of"
    assert SIGNALS.understand("where is Tilda", UnderstandingContext()).asks == ""


def test_everything_that_can_be_asked_is_asked_by_some_rule_in_english_and_in_other_languages() -> None:
    english = {row[0] for row in (*PATTERNS, *SOMEBODY_PATTERNS)}
    others = {line.partition("|")[0] for line in (PHRASES + SOMEBODY_PHRASES).strip().splitlines() if line}
    assert english == others == set(ASKS)


def test_what_is_asked_is_heard_as_asking() -> None:
    for text in ("do you know a good joke", "tell me a riddle", "whats ur name", "who r u", "what do u sell"):
        assert SIGNALS.understand(text, UnderstandingContext()).signal in ("question", "request"), text


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("what is your son's name", ""),
        ("what is your real name", "name"),
        ("is it real silver?", ""),
        ("are you real?", "real"),
        ("has anything weird happened lately", "advice"),
        ("can i work for you", "advice"),
    ],
)
def test_words_of_an_ask_that_mean_something_else(text: str, ask: str) -> None:
    assert asked(text) == ask
