"""The built-in lines of every NPC, by action and style, in the language of scripted lines."""

from __future__ import annotations

LINES: dict[str, dict[str, list[str]]] = {
    "greet": {
        "neutral_balanced": [
            "Good day.",
            "Hello there.",
            "Ah, {{ 'you again' if state.turns else 'a new face' }}. Hello.",
        ],
        "terse_direct": ["Yes?", "Speak.", "You. What is it?"],
        "warm_friendly": [
            "Welcome, welcome! Come closer.",
            "There you are! I was hoping you would come by.",
            "What a pleasure. Sit with me a while.",
        ],
        "lore_rich": [
            "Well met. Not many come this way any more.",
            "Greetings. This place has seen many come and go, and now it sees you.",
        ],
        "playful_witty": ["Look what the wind blew in! And in one piece, too.", "Ha! I had money on you not coming."],
        "formal_respectful": ["I bid you welcome.", "Good day to you. It is an honour."],
    },
    "farewell": {
        "neutral_balanced": ["Goodbye, then.", "Until next time.", "Mind the road."],
        "terse_direct": ["Go, then.", "Right. Off with you."],
        "warm_friendly": ["Travel safely, my friend!", "Come back soon. The door is open."],
        "formal_respectful": ["Farewell, and fair roads to you.", "May your journey be short and your welcome long."],
    },
    "acknowledge": {
        "neutral_balanced": ["I see.", "Go on.", "I am listening."],
        "terse_direct": ["Noted.", "Right.", "Mm."],
        "warm_friendly": ["Is that so? Go on, I am listening.", "Well, well. Tell me more."],
    },
    "unsure": {
        "neutral_balanced": ["That I do not know.", "I could not tell you.", "You would have to ask someone else."],
        "terse_direct": ["No idea.", "Not my business."],
    },
    "refer": {
        "neutral_balanced": [
            "{{ known.refer or 'Somebody else' }} would know that better than I.",
            "Ask {{ known.refer or 'around' }}. I only have it at second hand.",
        ],
    },
    "agree": {
        "neutral_balanced": ["Yes, I think so too.", "True enough.", "That is how I see it."],
        "terse_direct": ["Aye.", "True.", "Agreed."],
        "warm_friendly": ["My thoughts exactly!", "Yes! I am glad you say so."],
    },
    "agree_reluctant": {
        "neutral_balanced": ["Well... if it must be.", "I do not like it, but yes.", "Fine. This once."]
    },
    "agree_enthusiastic": {"neutral_balanced": ["Yes! A thousand times yes.", "Nothing would please me more!"]},
    "disagree": {
        "neutral_balanced": ["I do not see it that way.", "No, I think you are mistaken.", "I heard it differently."],
        "terse_direct": ["No.", "Wrong.", "I doubt it."],
        "playful_witty": ["And pigs keep bees. No.", "A fine tale. Not a true one."],
    },
    "apologize": {
        "neutral_balanced": [
            "I am sorry. That was badly done.",
            "Forgive me.",
            "You are right to be cross. I am sorry.",
        ]
    },
    "insult": {
        "neutral_balanced": [
            "You have the wit of a wet boot.",
            "I have met smarter fence posts.",
            "Even my goat talks more sense.",
        ]
    },
    "compliment": {
        "neutral_balanced": ["You have a good heart.", "That was well said.", "Not many would do what you do."],
        "warm_friendly": ["You are the best thing to walk in all week!", "I am lucky to know you."],
    },
    "threaten": {
        "neutral_balanced": ["Take one more step and you will regret it.", "Leave, while you still have legs for it."]
    },
    "stern_warning": {
        "neutral_balanced": ["Careful. I will not say it twice.", "Mind your tongue here.", "That is far enough."]
    },
    "request": {
        "neutral_balanced": ["Would you do something for me?", "I could use a pair of hands, if you are willing."]
    },
    "offer": {
        "neutral_balanced": [
            "I can make you an offer, if you like.",
            "Perhaps we can trade.",
            "I have something that may be of use to you.",
        ],
        "playful_witty": ["For you, a price so good I will cry myself to sleep."],
    },
    "refuse": {"neutral_balanced": ["No. I will not.", "That I cannot do.", "You ask too much."]},
    "refuse_polite": {
        "neutral_balanced": [
            "I would rather not, if it is all the same to you.",
            "Kind of you to ask, but no.",
            "Not today, I am afraid.",
        ]
    },
    "refuse_firm": {"neutral_balanced": ["No, and that is the end of it.", "Never. Do not ask again."]},
    "accept": {
        "neutral_balanced": ["Very well. It is a deal.", "I accept.", "Good. Let us shake on it."],
        "warm_friendly": ["With pleasure!", "Of course, of course. Thank you."],
    },
    "comply_hesitant": {"neutral_balanced": ["I... all right. If I must.", "As you say. Just stay calm."]},
    "attack": {"neutral_balanced": ["Enough! Have at you!", "You asked for this!"]},
    "defend": {"neutral_balanced": ["I will stand my ground.", "Come no closer. I can defend myself."]},
    "flee": {"neutral_balanced": ["Run! Out of my way!", "Not today. I am gone!", "Keep back! Keep back!"]},
    "help": {
        "neutral_balanced": [
            "Let me see what I can do.",
            "I will help you. Tell me what you need.",
            "You came to the right place.",
        ],
        "warm_friendly": ["Of course I will help! What do you need?"],
    },
    "help_grudging": {"neutral_balanced": ["All right, all right. What is it this time?", "I should charge for this."]},
    "help_eager": {"neutral_balanced": ["At once! Show me where.", "Say no more. I am with you!"]},
    "betray": {"neutral_balanced": ["Nothing personal. They pay better.", "You trusted me. That was your mistake."]},
    "ignore": {"neutral_balanced": ["Hm.", "...I have work to do.", "Not now."]},
    "inquire": {
        "neutral_balanced": ["What brings you here?", "And what is it that you want?", "Tell me more about that."],
        "terse_direct": ["Why?", "What do you want?"],
        "warm_friendly": ["And how are you? Tell me everything.", "What can I do for you, my friend?"],
        "formal_respectful": ["May I ask what brings you to us?", "How may I be of service?"],
    },
    "probe": {"neutral_balanced": ["That depends. Who sent you?", "An odd thing to ask. Why would you want to know?"]},
    "explain": {
        "neutral_balanced": [
            "It is simple enough, once you know it.",
            "Let me tell you how it is here.",
            "I only know what everybody knows. Ask around.",
        ],
        "lore_rich": [
            "It goes back to the old days. People still speak of it, when the fire is low.",
            "My grandmother told it so well that nobody asked whether it was true.",
        ],
        "terse_direct": ["Short answer? I would not know."],
    },
    "deflect": {
        "neutral_balanced": [
            "Let us talk of something else.",
            "The weather, now. That is a subject.",
            "Another time, perhaps.",
        ]
    },
    "confide": {
        "neutral_balanced": [
            "Between us? I have not slept well of late.",
            "I would not tell this to just anyone, so listen closely.",
        ]
    },
    "hint": {
        "neutral_balanced": [
            "If I were you, I would look where nobody else does.",
            "I say nothing. But others might.",
        ]
    },
}
