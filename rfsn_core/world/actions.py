"""What an NPC can do, and what each action does to how it feels about the player."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rfsn_core.contract.actions import Action
from rfsn_core.contract.errors import WorldError


def _a(
    name: str,
    instruction: str,
    effect: tuple[float, float, float] = (0, 0, 0),
    answers: str = "",
    *,
    hostile: bool = False,
    of: str = "",
) -> Action:
    return Action(name, instruction, *effect, answers=tuple(answers.split()), hostile=hostile, variant_of=of)


BUILT_IN: tuple[Action, ...] = (
    _a("greet", "Greet the player.", (0.03, 0.01, -0.01), "greet"),
    _a("farewell", "Say goodbye.", (0.01, 0.0, 0.0), "farewell"),
    _a("agree", "Agree with what the player said.", (0.04, 0.03, 0.0), "agree compliment request"),
    _a(
        "agree_reluctant",
        "Agree, but let it be heard that you would rather not.",
        (0.01, 0.02, 0.0),
        "request command",
        of="agree",
    ),
    _a("agree_enthusiastic", "Agree with all your heart.", (0.07, 0.03, 0.0), "offer agree", of="agree"),
    _a("disagree", "Disagree, and say why in a few words.", (-0.03, 0.0, 0.0), "disagree command insult"),
    _a("apologize", "Apologize to the player.", (0.04, 0.02, 0.0), "disagree insult"),
    _a(
        "insult", "Insult the player; no slurs, nothing of the real world.", (-0.15, -0.05, 0.0), "insult", hostile=True
    ),
    _a("compliment", "Compliment the player on something that fits.", (0.06, 0.02, 0.0), "compliment help"),
    _a("threaten", "Threaten the player.", (-0.12, -0.08, 0.0), "threaten insult attack betray", hostile=True),
    _a(
        "stern_warning",
        "Warn the player sternly, without a threat yet.",
        (-0.04, 0.0, 0.0),
        "threaten insult betray command",
        of="threaten",
    ),
    _a("request", "Ask the player to do something for you.", (0.0, 0.02, 0.0), "offer agree"),
    _a("offer", "Offer the player something: goods, work, or a deal.", (0.05, 0.03, 0.0), "request help"),
    _a("refuse", "Refuse what the player wants.", (-0.04, 0.0, 0.0), "request command offer"),
    _a(
        "refuse_polite",
        "Refuse politely, and leave the door open.",
        (-0.01, 0.01, 0.0),
        "request command offer",
        of="refuse",
    ),
    _a("refuse_firm", "Refuse so that no one would ask again.", (-0.06, 0.0, 0.0), "command threaten", of="refuse"),
    _a("accept", "Accept what the player offers or asks.", (0.06, 0.05, 0.0), "offer apologize accept request"),
    _a("comply_hesitant", "Do as you are told, with hesitation.", (0.0, 0.0, 0.05), "command threaten", of="accept"),
    _a("attack", "Attack the player: a battle cry, a few words.", (-0.4, -0.3, 0.0), "attack", hostile=True),
    _a("defend", "Stand your ground and say so.", (-0.02, 0.0, -0.05), "attack threaten"),
    _a("flee", "Run for safety; a few breathless words.", (-0.02, -0.02, -0.05), "attack threaten"),
    _a("help", "Help the player as best you can.", (0.08, 0.06, 0.0), "help request"),
    _a("help_grudging", "Help, and grumble about it.", (0.02, 0.04, 0.0), "help request", of="help"),
    _a("help_eager", "Help at once and gladly.", (0.1, 0.06, 0.0), "help", of="help"),
    _a("betray", "Turn against the player's trust.", (-0.5, -0.6, 0.0), "", hostile=True),
    _a("ignore", "Pay the player no attention; at most a mutter.", (-0.03, -0.01, 0.0), "ignore insult"),
    _a(
        "inquire",
        "Ask the player a question about what was said.",
        (0.02, 0.02, 0.0),
        "ignore refuse disagree greet agree question",
    ),
    _a("probe", "Sound the player out, without showing why.", (0.0, 0.0, 0.0), "offer question", of="inquire"),
    _a("explain", "Explain what the player asks about.", (0.03, 0.03, 0.0), "question"),
    _a("deflect", "Turn the talk to something else.", (-0.01, 0.0, 0.0), "insult compliment question", of="explain"),
    _a("confide", "Tell the player something that you tell few.", (0.08, 0.08, 0.0), "agree question", of="explain"),
    _a("hint", "Hint at what you know, without saying it.", (0.02, 0.02, 0.0), "request question", of="explain"),
)

STYLES: dict[str, str] = {
    "neutral_balanced": "Plain and even.",
    "terse_direct": "Few words, straight to the point.",
    "warm_friendly": "Warm, as to someone you like.",
    "lore_rich": "Rich in what you know of the place and its past.",
    "playful_witty": "Playful, with a joke.",
    "formal_respectful": "Formal and respectful.",
}
"""Style → what it means, as the renderer is told."""


class Actions:
    """The actions of a runtime: built in, from the world's settings, and from plugins."""

    def __init__(self, added: Iterable[Action] = ()) -> None:
        self._by_name = {action.name: action for action in BUILT_IN}
        for action in added:
            self._by_name[action.name] = action
        for action in self._by_name.values():
            if action.variant_of and action.variant_of not in self._by_name:
                raise WorldError(f"action '{action.name}' is a variant of '{action.variant_of}', which does not exist")
        self._covered: dict[tuple[str, ...], tuple[str, ...]] = {}
        answers: dict[str, dict[str, float]] = {}
        for action in self._by_name.values():
            for rank, signal in enumerate(action.answers):
                answers.setdefault(signal, {})[action.name] = max(0.0, 1.0 - 0.2 * rank)
        self._answers = {
            signal: dict(sorted(fits.items(), key=lambda fit: -fit[1])) for signal, fits in answers.items()
        }

    def __getitem__(self, name: str) -> Action:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def answering(self, signal: str) -> Mapping[str, float]:
        """Return the actions that answer a signal naturally → how well each fits, 0…1, the best first."""
        return self._answers.get(signal, {})

    def covered(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return these actions and their variants."""
        covered = self._covered.get(names)
        if covered is None:
            covered = tuple(name for name in self._by_name if name in names or self.plain(name) in names)
            self._covered[names] = covered
        return covered

    def plain(self, name: str) -> str:
        """Return the plain action behind a variant, or the action itself."""
        return self._by_name[name].variant_of or name
