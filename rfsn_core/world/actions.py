"""What an NPC can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rfsn_core.contract.actions import Action, Situation
from rfsn_core.contract.errors import WorldError
from rfsn_core.world.fit import TONE, conditions, fits


def _a(
    name: str, instruction: str, affinity: float = 0.0, trust: float = 0.0, fear: float = 0.0, of: str = ""
) -> Action:
    return Action(name, instruction, affinity, trust, fear, tone=TONE[name], hostile=TONE[name] <= -0.9, variant_of=of)


BUILT_IN: tuple[Action, ...] = (
    _a("greet", "Greet the player.", 0.03, 0.01, -0.01),
    _a("farewell", "Say goodbye.", 0.01),
    _a("acknowledge", "Show that you listened, in a few words of your own; no question is asked of you.", 0.03, 0.02),
    _a("agree", "Agree with what the player said.", 0.04, 0.03),
    _a("agree_reluctant", "Agree, but let it be heard that you would rather not.", 0.01, 0.02, of="agree"),
    _a("agree_enthusiastic", "Agree with all your heart.", 0.07, 0.03, of="agree"),
    _a("disagree", "Disagree, and say why in a few words.", -0.03),
    _a("apologize", "Apologize to the player.", 0.04, 0.02),
    _a("insult", "Insult the player; no slurs, nothing of the real world.", -0.15, -0.05),
    _a("compliment", "Compliment the player on something that fits.", 0.06, 0.02),
    _a("threaten", "Threaten the player.", -0.12, -0.08),
    _a("stern_warning", "Warn the player sternly, without a threat yet.", -0.04, of="threaten"),
    _a("request", "Ask the player to do something for you.", 0.0, 0.02),
    _a("offer", "Offer the player something: goods, work, or a deal.", 0.05, 0.03),
    _a("refuse", "Refuse what the player wants.", -0.04),
    _a("refuse_polite", "Refuse politely, and leave the door open.", -0.01, 0.01, of="refuse"),
    _a("refuse_firm", "Refuse so that no one would ask again.", -0.06, of="refuse"),
    _a("accept", "Accept what the player offers or asks.", 0.06, 0.05),
    _a("comply_hesitant", "Do as you are told, with hesitation.", 0.0, 0.0, 0.05, of="accept"),
    _a("attack", "Attack the player: a battle cry, a few words.", -0.4, -0.3),
    _a("defend", "Stand your ground and say so.", -0.02, 0.0, -0.05),
    _a("flee", "Run for safety; a few breathless words.", -0.02, -0.02, -0.05),
    _a("help", "Help the player as best you can.", 0.08, 0.06),
    _a("help_grudging", "Help, and grumble about it.", 0.02, 0.04, of="help"),
    _a("help_eager", "Help at once and gladly.", 0.1, 0.06, of="help"),
    _a("betray", "Turn against the player's trust.", -0.5, -0.6),
    _a("ignore", "Pay the player no attention; at most a mutter.", -0.03, -0.01),
    _a("inquire", "Ask the player a question about what was said.", 0.02, 0.02),
    _a("probe", "Sound the player out, without showing why.", of="inquire"),
    _a("explain", "Explain what the player asks about.", 0.03, 0.03),
    _a("unsure", "Say that you do not know it; of yourself, that you would rather not say.", 0.0, 0.01, of="explain"),
    _a("refer", "Say who would know it better, and where to find them.", 0.03, 0.02, of="explain"),
    _a("deflect", "Turn the talk to something else.", -0.01, of="explain"),
    _a("confide", "Tell the player something that you tell few.", 0.08, 0.08, of="explain"),
    _a("hint", "Hint at what you know, without saying it.", 0.02, 0.02, of="explain"),
)

STYLES: dict[str, str] = {
    "neutral_balanced": "Plain and even.",
    "terse_direct": "Few words, straight to the point.",
    "warm_friendly": "Warm and friendly.",
    "lore_rich": "Rich in what you know of the place and its past.",
    "playful_witty": "Playful, with a joke.",
    "formal_respectful": "Formal and respectful.",
}
"""Style → what it means, as the prompt says it."""


_MOST_COVERED = 1000


class Actions:
    """The actions of a runtime: built in, from the world's settings, and from plugins."""

    def __init__(self, added: Iterable[Action] = ()) -> None:
        self._by_name = {action.name: action for action in BUILT_IN}
        self._added: dict[str, dict[str, float]] = {}
        for action in added:
            if not action.tone and action.affinity:
                action = replace(action, tone=max(-1.0, min(1.0, 8 * action.affinity)))
            self._by_name[action.name] = action
            for rank, signal in enumerate(action.answers):
                self._added.setdefault(signal, {})[action.name] = max(0.3, 1.1 - 0.15 * rank)
        for action in self._by_name.values():
            if action.variant_of and action.variant_of not in self._by_name:
                raise WorldError(f"action '{action.name}' is a variant of '{action.variant_of}', which does not exist")
        self.with_arguments = tuple(name for name, action in self._by_name.items() if action.arguments)
        """The actions that need more than their name."""
        self._covered: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __getitem__(self, name: str) -> Action:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def answering(self, situation: Situation) -> Mapping[str, float]:
        """Return the actions that answer what was said → how well each fits, the best first."""
        built_in = fits(situation.signal, conditions(situation))
        added = self._added.get(situation.signal)
        if not added:
            return built_in
        return dict(sorted({**built_in, **added}.items(), key=lambda item: -item[1]))

    def covered(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return these actions and their variants."""
        covered = self._covered.get(names)
        if covered is None:
            if len(self._covered) > _MOST_COVERED:
                self._covered.clear()
            covered = tuple(name for name in self._by_name if name in names or self.plain(name) in names)
            self._covered[names] = covered
        return covered

    def plain(self, name: str) -> str:
        """Return the plain action behind a variant, or the action itself."""
        return self._by_name[name].variant_of or name
