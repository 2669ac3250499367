"""Lines so short and common that rules know them for certain: yes, no, thanks, hello, goodbye in all their forms."""

from __future__ import annotations

import re

from rfsn_core.kit.plain_text import fold

_FILL = (
    r"(?:(?:ok|well|alright|right|so|anyway|and|then|oh|ah|um|uh|hmm|now|hey|guess|sorry|ugh|fine|thanks"
    r"|thank you|thx|ty|great|cool|good|it was (?:nice|good|great|lovely|fun) (?:to see|seeing|meeting"
    r"|talking to|talking with|chatting(?: with)?|speaking with|speaking to) you|it has been fun|i think"
    r"|i guess|i suppose|that is it|that is all) (?:for (?:now|today) )?)*"
)
_NAMED = (
    r"(?: (?:sir|madam|maam|lady|my lady|my lord|lord|friend|my friend|friends|mate|man|bro|dude|buddy"
    r"|pal|all|everyone|everybody|folks|guys|there|old friend|sergeant|captain|love|dear|partner|then|now"
    r"|for now|again|please|really))*"
)

_TABLE = (
    (
        "farewell",
        r"(?:bye+|bye bye|goodbye|good bye|bai|buhbye|cya|c ya|c you|c u|cu|ttyl|gtg|g0g|gn|nite|night night"
        r"|toodles|toodle oo|tata|ta ta|cheerio|adios|ciao|au revoir|sayonara|farewell|fare (?:thee|you) well"
        r"|so long|peace out|over and out|laters?|l0r|i am (?:out|off|leaving|done here|gone|leaving now"
        r"|off now|heading (?:home|out|off)|out of here)|(?:i will )?(?:see|catch|talk to|talk with|speak to"
        r"|speak with|meet) you(?: (?:later|soon|around|tomorrow|again|then|next time|another time"
        r"|in the morning|on the road|when i see you))*|(?:i will )?be (?:seeing you|going|off|back(?: later"
        r"| soon)?)|(?:we will )?(?:speak|talk|meet|chat)(?: again)?(?: (?:later|soon|another time"
        r"|some other time|next time|again))+|(?:i )?(?:got to|have to|must|need to|should|had better|better"
        r"|will|am going to) (?:go|run|leave|dash|be going|be off|get going|head (?:out|off|home)"
        r"|hit the road|get back)(?: now| soon| then)?|(?:it is )?time (?:to|for me to) (?:go|leave|get going"
        r"|head out)|(?:until|till) (?:next time|we meet again|then|later|tomorrow)|good ?night|goodnight"
        r"|(?:have|enjoy) (?:a|the|your) (?:nice|good|great|lovely|wonderful|safe|pleasant|rest of (?:the"
        r"|your))* ?(?:day|night|one|evening|weekend|trip|journey|afternoon|time)|take care(?: of yourself)?"
        r"|safe (?:travels?|journey|trip)|stay safe|be (?:well|safe)|godspeed"
        r"|(?:may )?(?:the )?(?:gods?|lord|force|light|stars?|luck) (?:be with|go with"
        r"|guide|keep|watch over|protect) (?:you|us)|glad i could talk to you|that is (?:it|all) for (?:today"
        r"|now)|smell you later|i (?:will|shall) (?:be on my way|take my leave|leave you to it)"
        r"|it was (?:nice|good|great|lovely) (?:talking|chatting|speaking|meeting)(?: (?:to|with))?(?: you)?"
        r"|tschuss|auf wiedersehen|bis (?:bald|spater|dann|morgen)|gute nacht|ade|salut a plus|a plus"
        r"|a bientot|bonne nuit|bonne journee|adieu|hasta (?:luego|la vista|manana|pronto)|buenas noches|chao"
        r"|nos vemos|tchau|ate (?:logo|mais|amanha|breve)|adeus|arrivederci|a presto|buona notte|buonanotte"
        r"|addio|ci vediamo|пока|прощаи|до свидания|до встречи|спокоинои ночи|увидимся|do widzenia|zegnaj"
        r"|na razie|papa|dobranoc|do zobaczenia|再见|拜拜"
        r"|晚安|回头见|下次见|さようなら|またね|じゃあね|おやすみ|おやすみなさい|では失礼します)",
    ),
    (
        "insult",
        r"(?!.* (?:no|not|never) )(?:you|ya|thou) (?:are )?(?:(?:a|an|such a) )?(?:\w+ ){0,2}?(?:fool|idiot|moron"
        r"|imbecile|cretin|dolt|oaf|dunce|bastard|swine|scum|wretch|coward|scoundrel|cur|maggot|vermin|buffoon"
        r"|blockhead|halfwit|simpleton|nitwit|weasel|toad)(?: (?:i|we) hate you)?",
    ),
    (
        "refuse",
        r"(?:no thanks|no thank you|no i (?:do not|would not) want (?:that|it|to)|not interested|i will pass"
        r"|i would rather not|that will not work for me|no deal|not this time|not today|nein danke|non merci"
        r"|no gracias|nao obrigad[oa]|no grazie|нет спасибо|nie dziekuje|不用了|不要|結構です|いりません)",
    ),
    (
        "disagree",
        r"(?:no+|nope|nah|naw|nay|never|negative|nuh uh|n0|no way|no chance|not at all|not really"
        r"|of course not|(?:absolutely|certainly|definitely|surely|probably|obviously|clearly) not|(?:hell"
        r"|heck|god|oh|lord|good god) no|(?:i am )?afraid not|(?:i )?(?:would )?(?:have to )?sa[iy]d? no"
        r"|(?:that|it) (?:is|would be) (?:a|definitely a|a definite|a hard) no|it is definitely a no|(?:that"
        r"|it|this) is (?:false|wrong|incorrect|untrue|a lie|nonsense|not (?:true|right|correct|so|it"
        r"|what i want))|(?:that|it) is not|no (?:it|that|i|you|he|she|they|we) (?:is|am|are|do|does|did|was"
        r"|have|can|will) not|i do not(?: think so| agree| believe (?:so|that|you|it)| think that is right)?"
        r"|i (?:disagree|doubt (?:it|that))|wrong|false|incorrect|not true|not so|no no(?: no)*"
        r"|nope that is wrong|no that is wrong|nein|non|niet|нет|неа|nie|nao|не правда|неправда|неверно|不是|不对"
        r"|不|没有|いいえ|いや|違う|違います)",
    ),
    (
        "accept",
        r"(?:deal|it is a deal|you (?:have|got) a deal|i accept|i will (?:do it|take it)|count me in|i am in"
        r"|sold|apology accepted|abgemacht|einverstanden|marche conclu|trato hecho|negocio fechado"
        r"|affare fatto|по рукам|договорились|umowa stoi|成交|乗った)",
    ),
    (
        "agree",
        r"(?:yes+|yep|yup|yeah|yah|yas|aye|affirmative|correct|indeed|definitely|absolutely|certainly|sure"
        r"|sure thing|surely|of course|exactly|true"
        r"|totally|right|ja|oui|si|sim|да|tak|是|是的|对|はい|ええ|うん|そうです"
        r"|uh huh|mhm|mm|m hm|agreed|i agree|i do|i am|i did|i suppose(?: so)?|i guess(?: so)?|(?:that|it"
        r"|this) is (?:right|true|correct|so|a yes)|that (?:would|will) be a yes|it is a yes(?: from me)?"
        r"|(?:you|ye) are (?:right|correct)(?: about that)?|yes (?:it|that|i|he|she|they|we|you) (?:is|am|are"
        r"|do|does|did|was|have|will|can)|absolutely yes|ok(?:ay)? yes|i (?:believe|think|would say) (?:so"
        r"|that is (?:right|true|correct))|yeah i agree(?: with that)?|indeed it is(?: true)?|same here|ikr"
        r"|i know right)",
    ),
    (
        "thanks",
        r"(?:(?:many |much |a thousand |my |big |huge |cool |great |awesome )*(?:thanks|thank you|thank ye"
        r"|thank thee|thx|ty|tysm|tyvm|cheers|gratitude)(?: (?:so much|very much|a lot|a bunch|a ton|again"
        r"|kindly|loads|to you|indeed))*(?: for (?:the|your|that|this|doing|all|everything|being|saving"
        r"|helping|telling|coming)\b[\w ]*)?|much obliged|much appreciated|appreciated|(?:i )?(?:really "
        r"|truly |do )*appreciate (?:it|that|this|your \w+|you)|i am (?:so |very |truly "
        r"|really )*grateful(?: to you)?|you have been (?:very|so|really|most)? ?(?:helpful|kind)"
        r"|i can not thank you enough|that was (?:very |really |so )?helpful|i owe you(?: one)?|danke"
        r"|danke schon|vielen dank|danke sehr|merci|merci beaucoup|gracias|muchas gracias|obrigad[oa]"
        r"|muito obrigad[oa]|grazie|grazie mille|спасибо|большое спасибо|благодарю|dzieki|dziekuje|谢谢|多谢|谢谢你"
        r"|ありがとう|ありがとうございます|どうも)",
    ),
    (
        "greet",
        r"(?:hi+|hello+|hey+|hiya|heya|howdy|yo+|greetings|hail|hallo|hullo|ello|hola|well met"
        r"|good (?:morning|evening|day|afternoon|morrow)|morning|evening|afternoon|ahoy|salutations|aloha"
        r"|guten (?:tag|morgen|abend)|moin|servus|bonjour|salut|bonsoir|coucou|buenos dias|buenas tardes"
        r"|buenas|ola|bom dia|boa (?:tarde|noite)|buongiorno|buonasera|salve|привет|здравствуи|здравствуите"
        r"|добрыи (?:день|вечер)|доброе утро|czesc|witaj|witam|dzien dobry|dobry wieczor|你好|您好|早上好|こんにちは"
        r"|こんばんは|おはよう|おはようございます|やあ)(?: (?:hi|hello|there|again|to you|everyone))*",
    ),
)
_PATTERN = re.compile(
    f"{_FILL}(?:{'|'.join(f'(?P<{signal}>{fold(pattern)})' for signal, pattern in _TABLE)}){_NAMED}",
)
_TURNED = re.compile(r"\bfor nothing\b")
_TELL_ME = re.compile(
    r"(?:please |so |and |well |can you |could you |will you |now )*tell (?:me|us) (?:please )?"
    r"(?:what|where|when|who|why|how|which|if|whether|about|more)\b"
)
_OR_ELSE = re.compile(r"\bor\b")
_THANKING = re.compile(r"(?:thanks|thank you|thx|ty|cheers)\b")
_LEAVING = re.compile(
    r"\b(?:bye|goodbye|farewell|good ?night|later|see you|take care|(?:got to|have to|must|need to) (?:go|run)"
    r"|i am off)\b"
)
LONGEST = 60
"""Characters of a short line at most."""


_ANY = re.compile(r"(?:(?:got|have you|is there|are there) )?any (?:news|work|jobs?|rumou?rs|quests?|gossip|trouble)\b")
_WHAT_HAVE = re.compile(
    r"what (?!is (?:up|good|happening)\b)(?:have|did|has|do|does|can|could|should|would|will|are|is|was|were) "
)


def signal_of(text: str) -> str:
    """Return the signal of a short line that is known for certain; empty for any other.

    :param text: the plain words of a line without acts and without a question mark.
    """
    if len(text) > LONGEST or _TURNED.search(text):
        return ""
    match = _PATTERN.fullmatch(text)
    if match:
        signal = match.lastgroup or ""
        if signal in ("thanks", "agree") and _THANKING.match(text):
            return "farewell" if _LEAVING.search(text) else "thanks"
        return signal
    if _ANY.match(text) or _WHAT_HAVE.match(text):
        return "question"
    return "question" if _TELL_ME.match(text) and not _OR_ELSE.search(text) else ""
