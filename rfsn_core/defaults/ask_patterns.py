"""What players ask in English: patterns over plain words, as `plain_text.plain` writes them."""

from __future__ import annotations

_JOB = r"(?:jobs?|work|quests?|tasks?|errands?|gigs?|bount(?:y|ies)|missions?|employment)"
_NEWS = r"(?:news|rumou?rs?|gossip|tips?|hints?|advice|tidings|word)"
_ART = r"(?:a |an |any |some |the |good |new |your |more |other |funny |little |another )*"
_BOT = (
    r"(?:robots?|bots?|ai|npc|program|machine|computer|chatbot|chatgpt|gpt|llm|software|language model|human|humans"
    r"|person|real|artificial|alive)"
)

PATTERNS: tuple[tuple[str, str, str], ...] = (
    # ask, words of which one must occur, pattern over the plain words
    (
        "player_name",
        "name",
        r"\bwhat is my name"
        r"|\b(?:know|remember|recall|forgot|forget|guess|say) my name"
        r"|^my name is what$"
        r"|^my name$",
    ),
    (
        "player_name",
        "am",
        r"^(?:so |and |do you know |you know |tell me )*who (?:i am|am i)$"
        r"|\bknow who i am$",
    ),
    (
        "player_name",
        "call",
        r"\bwhat (?:do|did|will|should) (?:you|they) call me$",
    ),
    (
        "name",
        "name names",
        r"\b(?:what|which|tell|give|know|ask|say|have|got|catch|learn|about)\b.* (?:your|the) (?:own |first "
        r"|last |real |full )?names?$"
        r"|\bwhat is your (?:(?:full|real|first|last|given|true|family|code) )?name\b"
        r"|^(?:and |so )?your name(?: is| please| again)?$"
        r"|^names?$"
        r"|^what name\b"
        r"|\b(?:your|you) name is what$"
        r"|\bdo you have a name\b"
        r"|\byour name (?:was|is) (?:what|again)$",
    ),
    (
        "name",
        "called",
        r"\b(?:what|how) (?:are|is) you called\b"
        r"|^you are called$",
    ),
    (
        "name",
        "call",
        r"\bwhat (?:do|should|can|may|shall|could|must|would) (?:i|we|they|people|folks?|everyone|your"
        r" friends) (?:\w+ )?call you\b"
        r"|\bhow (?:do|should|may|shall) (?:i|we) call you\b",
    ),
    (
        "name",
        "go",
        r"\bwhat (?:name )?do you go by\b",
    ),
    (
        "role",
        "who",
        r"^(?:hey |so |and |but |ok |wait |um |sorry |hello |hi |tell me |just )*who (?:exactly |the hell "
        r"|the heck |the fuck |on earth |in the world )?(?:are|is|might|would|be) (?:you|this|thou)(?: be|"
        r" again| anyway| exactly| really| then| to \w+| supposed to be)?$"
        r"|\bwho you are$"
        r"|^who you$",
    ),
    (
        "role",
        "what",
        r"^(?:and |so |hey |but )*what are you(?: anyway| exactly)?$"
        r"|\bwhat (?:exactly )?(?:do|is it) (?:you|that you) do(?: here| around here| in this \w+| for a"
        r" living| for work| for money| all day| exactly| then| anyway)*$"
        r"|\bwhat you do(?: here| for a living)?$"
        r"|\bwhat is your (?:job|trade|profession|role|craft|occupation|business|deal|story|line of work"
        r"|title|position|purpose)\b"
        r"|\bwhat (?:kind|sort) of (?:work|job|trade) (?:do|is) you\b"
        r"|\bwhat brings you here$"
        r"|\bwhat are you doing here$",
    ),
    (
        "role",
        "job work trade profession occupation",
        r"\b(?:about|describe|is this|like) your (?:job|work|trade|profession|occupation)\b"
        r"|\bdo you (?:work|live) here$"
        r"|^your (?:job|trade|profession)$"
        r"|\bwhat do you work as\b",
    ),
    (
        "role",
        "yourself",
        r"\b(?:about|introduce|describe|explain) yourself\b",
    ),
    (
        "mood",
        "how hows",
        r"\bhow (?:are|is|r|be) (?:you|ya|things|it|life|everything|business|your (?:day|evening|night"
        r"|morning|week|life|health|family)|the day)(?! (?:long|far|much|many|old|tall|sure|called|feeling"
        r" about|know|able|related|so))\b(?: (?:all|doing|going|feeling|holding up|keeping|been|today|tonight"
        r"|this \w+|with you|these days|lately|now|so far|my \w+|old \w+|then|faring|hanging|there|dear"
        r"|friend|sir|buddy|mate|man|bro))*$"
        r"|\bhow (?:have|has) (?:you|things|life|it|your \w+) been\b"
        r"|\bhow (?:do|does) (?:you|it|life|the day) (?:do|fare|feel|go)(?: today| now| tonight)?$"
        r"|^how do$"
        r"|\bhow you (?:doing|been|feeling|holding|keeping)\b"
        r"|\bhow fares? (?:you|thee|life|it)\b"
        r"|\bhow did you sleep\b"
        r"|\bhow goes (?:it|things|the \w+|life)\b"
        r"|^how life$",
    ),
    (
        "mood",
        "are you",
        r"^(?:hey |so |and |but )*(?:are |is )?(?:you|everything) (?:ok|alright|all right|good|well|fine"
        r"|doing ok|doing alright|doing well|sad|happy|angry|mad|tired|hurt|feeling ok|feeling well|feeling"
        r" better|in a (?:good|bad) mood|having a (?:good|nice|bad) (?:day|night|evening))(?: today| now|"
        r" there| with me| at me| sir| mate| friend| though)?$"
        r"|\bare you (?:afraid|scared|sick|upset|lonely|nervous|worried|bored|hungry)$",
    ),
    (
        "mood",
        "up",
        r"^(?:hey |yo |hi |so |hello )*(?:what is|what|was|wha|what are you) up(?: to)?(?: with you| today|"
        r" man| bro| dude| friend)?$"
        r"|\bwhat have you been up to\b",
    ),
    (
        "mood",
        "sup wassup whassup",
        r"^(?:hey |yo |hi )*(?:sup|wassup|whassup)(?: \w+)?$",
    ),
    (
        "mood",
        "wrong matter new feel feeling look",
        r"\bwhat is (?:wrong|the matter)(?: with you)?$"
        r"|\bwhat is new(?: with you)?$"
        r"|\bhow do you feel(?: today| now)?$"
        r"|\bhow (?:are you|you) feeling\b"
        r"|\bwhy (?:are you|do you look) so (?:sad|angry|happy|tired|glum|down|grumpy|nervous)\b"
        r"|\byou (?:look|seem) (?:sad|tired|worried|nervous|upset|happy|angry|down|pale)$",
    ),
    (
        "origin",
        "from",
        r"\bwhere (?:are|do|did|were|is|would|might) (?:you|ye) (?:come |came |originally |guys |all |be"
        r" )*from\b"
        r"|\bwhere you(?: come)? from\b"
        r"|\b(?:are|is) you (?:not )?from (?:here|around here|the area|this \w+|these parts)\b"
        r"|^you (?:not )?from (?:here|around here|these parts)$"
        r"|\b(?:which|what) (?:country|town|village|place|land|part|city|kingdom)\b.* you (?:come |are"
        r" )?from\b"
        r"|\bfrom where are you\b",
    ),
    (
        "origin",
        "born grow grew raised",
        r"\bwhere (?:were|are|was|did) you (?:born|grow up|grew up|raised)\b"
        r"|\b(?:were|are) you born (?:here|in)\b"
        r"|\bdid you grow up here\b",
    ),
    (
        "origin",
        "live home hometown homeland",
        r"\bwhere (?:do|did) you (?:live|call home)\b"
        r"|\bwhere is (?:your )?home(?:town|land)?(?: of yours)?$"
        r"|\bhow long have you (?:lived|been) here\b",
    ),
    (
        "wares",
        "sell selling sells",
        r"\bwhat(?: \w+)? (?:do|are|can|did|else do|would|kind of things do|stuff do) (?:you|ya) (?:guys"
        r" )?(?:\w+ )?sell(?:ing)?\b"
        r"|\bwhat you sell(?:ing)?\b"
        r"|\b(?:do|are|can) you sell(?:ing)?(?: anything| something| stuff| things| here| me anything| me"
        r" something| any goods)*$"
        r"|\b(?:got|have|is there|there) (?:anything|something|stuff|things|goods?)(?: to| you)?"
        r" sell(?:ing)?\b"
        r"|\bsell me (?:something|anything|stuff)$"
        r"|\bwhat is (?:for sale|sold)\b",
    ),
    (
        "wares",
        "sale wares stock goods merchandise inventory menu shop store",
        r"\b(?:what|show|see|have|got|anything|something|browse|look at|let me see|about|is|are)\b.* (?:for"
        r" sale|(?:your|the|any) (?:wares?|stock|goods|merchandise|inventory|menu|shop|store))(?: today|"
        r" please| here)?$"
        r"|\bin stock$"
        r"|\bon the menu\b"
        r"|^(?:the )?(?:wares|menu|goods|shop|inventory)(?: please)?$",
    ),
    (
        "wares",
        "buy purchase",
        r"\bwhat (?:can|could|may|might|should) (?:i|we|one) (?:buy|purchase)\b"
        r"|\b(?:can|could|may) (?:i|we) buy (?:something|anything|stuff|things)\b"
        r"|\b(?:anything|something|stuff|things) (?:\w+ )?(?:to|i can|worth|for me to) (?:buy|purchase)\b"
        r"|^(?:i )?(?:would like to|want to|wish to|need to|like to)? ?buy(?: something| stuff| things| from"
        r" you)?$"
        r"|\blooking to buy(?: something)?$",
    ),
    (
        "wares",
        "trade barter",
        r"^(?:do you |want to |can we |shall we |let us |i want to |i would like to |you |would you like to"
        r" )*(?:trade|barter)(?: with (?:you|me))?(?: please)?$"
        r"|\bup for (?:a )?trade\b",
    ),
    (
        "wares",
        "have got offer",
        r"^(?:so |ok |and |hey |well )*what (?:do you have|have you got|you got|you have|have you|do you got"
        r"|all do you have)(?: here| today| for me| to offer| in here| on offer| available| to eat| to"
        r" drink)*$"
        r"|\bwhat (?:do|can|could) you (?:offer|have to offer|serve)(?: me)?$"
        r"|\bwhat is on offer\b"
        r"|\bwhat (?:services|food|drinks?|beers?|weapons|potions|supplies) (?:do you|have you|are|you)\b",
    ),
    (
        "player",
        "remember recognize recognise forget forgotten recall",
        r"\b(?:do |did |you |don't )*(?:not )?(?:remember|recogni[sz]e|recall|forget|forgot|forgotten) (?:me"
        r"|who i am|what i (?:told|said)(?: to| you)*|our (?:talk|conversation|last \w+|deal|chat)|meeting me"
        r"|seeing me)(?: still| now| from \w+)?$",
    ),
    (
        "player",
        "me",
        r"\bwhat (?:\w+ )?(?:do|did|have|else do) you (?:know|remember|recall|heard?|learned) (?:of|about)"
        r" me\b"
        r"|\bwhat you know about me\b"
        r"|^(?:do )?you know (?:me|anything about me|something about me)$"
        r"|\btell me (?:something |what you know )?about (?:me|myself)$"
        r"|\bwhat do you (?:think|make) (?:of|about) me\b"
        r"|\bhave you (?:seen|met|heard of) me\b"
        r"|^do (?:i|you) (?:i )?know (?:you|me)$"
        r"|^do you (?:like|trust|hate) me$",
    ),
    (
        "player",
        "i we",
        r"\bwhat (?:did|have|was it) i (?:just |already )?(?:tell|told|say|said)(?: to)?(?: you)?\b"
        r"|\b(?:did|have) i (?:not )?(?:tell|told|mention|mentioned) (?:you |it |that )*(?:before|already"
        r"|about me)?$"
        r"|\b(?:have|did) we (?:\w+ )?(?:met|meet|spoken|talked|talk|speak)(?: before| already| yesterday)?$"
        r"|\bdo (?:we|i) know (?:each other|you)\b"
        r"|\bwhat did we (?:talk|speak|discuss)\b"
        r"|\bwhat (?:was|were) (?:i|we) (?:saying|talking)\b",
    ),
    (
        "real",
        "robot robots bot bots ai npc program machine computer chatbot chatgpt gpt llm software model human humans"
        " person real artificial alive",
        r"\b(?:are|is|am|be) (?:you|this|i|that|it|u|not you)(?: not)? (?:\w+ ){0,3}?(?:talking (?:to|with)"
        r" |speaking (?:to|with) |chatting with )?(?:a |an |some |the |just |really |actually |even |only "
        rf"|kind of )*{_BOT}\b(?! (?:name|question|reason|problem|deal|good|silver|gold|magic|leather|steel"
        r"|silk|wool|diamond|gems?|money|thing|one)\b)"
        r"|^(?:so |hey )*you (?:are )?(?:just )?(?:a |an )?(?:robot|bot|ai|npc|chatbot|program|machine"
        r"|computer|human|real)(?: right| or what| are you not)?$"
        r"|\b(?:language model|chat ?gpt)\b"
        r"|^(?:bot|robot|ai|npc)$",
    ),
    (
        "joke",
        "joke jokes riddle riddles song songs sing pun puns funny laugh",
        r"\b(?:tell|know|knows|got|have|hear|say|give|make|want|ask|another|share|crack|heard|sing|need|any"
        rf"|can|could|do|tell us)\b.*\b{_ART}(?:jokes?|riddles?|songs?|puns?)\b"
        r"|\b(?:can|will|could|would|do|please|want) you (?:please )?sing\b"
        r"|^(?:please )?sing(?: me| us| for| something| a|$)"
        r"|\b(?:something|anything) funny\b"
        r"|\bmake (?:me|us) laugh\b"
        r"|^(?:a |another |one more )?(?:joke|riddle|song)s?(?: please)?$",
    ),
    (
        "weather",
        "weather rain raining rains snow snowing storm sunny forecast",
        r"\b(?:how|what) (?:is|was|about|of|do you think of|will) the weather\b"
        r"|\bweather (?:like|today|tomorrow|forecast|report|going|gonna)\b"
        r"|\b(?:how|what) (?:is|about) (?:\w+ )?weather\b"
        r"|\b(?:will|is|does|think|going to|gonna|did) (?:it|the) (?:\w+ )*(?:rain(?:ing|s)?|snow(?:ing)?"
        r"|storm|sunny)\b"
        r"|\bis (?:it|there|a) (?:\w+ )*(?:storm|rain|snow|sunny|raining|snowing)\b"
        r"|\bforecast\b"
        r"|\b(?:nice|lovely|fine|awful|terrible|bad|good|foul|strange|odd|beautiful|horrible|dreadful"
        r"|miserable|some) weather\b"
        r"|^(?:the )?weather$"
        r"|^is it (?:cold|hot|warm|windy)",
    ),
    (
        "advice",
        "do",
        r"\bwhat (?:\w+ )?(?:should|can|could|must|do|shall|would|am) (?:i|we|one|a person)(?: \w+)? (?:do|to"
        r" do|supposed to do)(?: now| next| here| around here| first| then| in this \w+| for (?:you|work|fun"
        r"|money)| today| about (?:it|that|this))*$"
        r"|\bwhat (?:is|am i) (?:there )?(?:supposed )?to do(?: here| around here| now| next| in \w+)*$"
        r"|\b(?:anything|something|things|stuff)(?: \w+)? (?:to|i can|i could|for me to|we can|you need me to"
        r"|that i can|you want me to) do\b"
        r"|\bwhat do i do(?: now| next)*$"
        r"|\bwhat would you do\b"
        r"|\bwhat (?:do|would) you (?:want|need|like) me to do$",
    ),
    (
        "advice",
        "next now",
        r"^(?:so |and |ok |well )*what (?:is |now |comes |happens )?(?:next|now)$"
        r"|\bwhere (?:should|do|can|to|could|must|shall) (?:i|we)? ?(?:go|head|start)(?: to)?(?: now| next)?$"
        r"|\bwhat is next\b",
    ),
    (
        "advice",
        "strange weird odd unusual interesting suspicious exciting",
        r"\b(?:anything|something|what) (?:\w+ )?(?:strange|weird|odd|unusual|interesting|suspicious|exciting)\b"
        r"(?=.*\b(?:happen\w*|here|lately|around|recently|going on)\b|$)",
    ),
    (
        "advice",
        "go start begin",
        r"\bwhere (?:should|do|must|shall|could) (?:i|we) (?:go|start|begin|head|look)(?: first| now| next|"
        r" then| to)*$"
        r"|\bhow (?:do|should|can) i (?:start|begin)$",
    ),
    (
        "advice",
        "job jobs work quest quests task tasks errand errands gig bounty bounties mission employment hire hiring",
        r"\b(?:can|could|may|let) (?:i|me) work (?:for you|here)\b"
        r"|\b(?:any|got|have|need|looking for|look for|seeking|seek|want|find|is there|there|give me|what|some"
        rf"|after|offer|for|offering|know of|searching for)\b {_ART}(?:\w+ )?{_JOB}\b(?! (?:do you|is it you"
        r"|are you))(?: for me| for us| available| around| here| to do| to be done| today| going| of|$)*"
        r"|\b(?:are you |you |anyone |who is )?hiring\b"
        r"|\bneed (?:a |any )?(?:hired|extra) (?:hand|sword|help)\b"
        r"|\bfor hire$"
        r"|\blooking for (?:work|a job|a quest)\b",
    ),
    (
        "advice",
        "news rumor rumors rumour rumours gossip tip tips hint hints advice tidings word",
        r"\b(?:any|what|got|have|hear|heard|tell|is there|know|give|some|the latest|share|need|want|seen"
        rf"|spare)\b.*\b{_NEWS}(?! (?:of|about|on|from) )\b"
        rf"|^(?:the |any )?{_NEWS}$"
        rf"|\bany {_NEWS}\b"
        rf"|\bwhat {_NEWS}\b",
    ),
    (
        "advice",
        "work job",
        r"^(?:and |so |ok )?what (?:kind|sort|type)s? of (?:work|jobs?)$"
        r"|^what (?:work|job)s?$",
    ),
    (
        "advice",
        "happening going new heard talk",
        r"\bwhat (?:is|has been|have been) (?:happening|going on)(?: here| around here| in (?:town|the"
        r" village|the area|the city|these parts)| these days| lately)*$"
        r"|\b(?:anything|something) (?:new|interesting|going on|happening|exciting)(?: here| around here|"
        r" lately| in town| happen\w*| going on)*$"
        r"|\bheard (?:anything|something)(?: new| interesting| lately)?$"
        r"|\bwhat is the (?:latest|talk)\b"
        r"|\bwhat have you heard(?: lately)?$",
    ),
    (
        "advice",
        "help need",
        r"^(?:so |ok |hello |hi )*(?:how|what) (?:can|could|may|shall) (?:i|we) (?:help|assist|be of (?:help"
        r"|service|use))(?: you| around here| here| out)*$"
        r"|\bdo you need (?:any |some |my |a )?(?:help|assistance|hand)\b"
        r"|\bwhat do you need(?: me to do| help with| done)?$"
        r"|\bneed anything done\b",
    ),
)
