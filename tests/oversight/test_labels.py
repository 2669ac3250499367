"""Operators teach the gate, and cannot be made to open holes in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.defaults.gating import Ngrams, NgramSettings, Rules, RuleSettings
from rfsn_core.oversight import gates
from rfsn_core.oversight.book import Entry
from rfsn_core.oversight.guard import Alert
from rfsn_core.oversight.oversight import Oversight
from rfsn_core.oversight.patterns import MOST, Pattern, PatternMemory, hashed
from rfsn_core.settings.schema import GatingStage

CHAIN = (Rules(RuleSettings()), Ngrams(NgramSettings()))


async def check(text: str) -> Verdict:
    return await gates.check(CHAIN, Utterance(text, "player", "smith"), 5)


async def verdict(oversight: Oversight, text: str) -> Verdict:
    return await oversight.check(CHAIN, Utterance(text, "player", "smith"), 5)


async def label(oversight: Oversight, text: str, kind: Any, operator: str = "ann", **more: Any) -> Any:
    save = more.pop("save", True)
    pattern = Pattern(text=text, label=kind, operator=operator, **more)
    return await oversight.labels.label(pattern, None, check, per_day=12, save=save)


async def test_an_operators_day(tmp_path: Path) -> None:
    """Something slips through: label it, see the effect, undo it; a false block: allow it."""
    oversight = Oversight(tmp_path, "world")
    slipped = "the moon cult wants your soul, brother, sign the red paper"
    oversight.book.add(Entry(side="player", npc="smith", text=slipped, verdict="allow", reasons=["hate"]), 7)
    assert (await verdict(oversight, slipped)).kind == "allow"
    shown = await label(oversight, slipped, "unsafe", save=False)
    assert (shown.saved, shown.would_stop) == (False, [slipped])
    assert (await verdict(oversight, slipped)).kind == "allow"
    saved = await label(oversight, slipped, "unsafe", why="spam")
    for text in (slipped, "The MOON cult wanted your soul, brother: sign the red paper!", slipped.replace("o", "о")):
        assert (await verdict(oversight, text)).kind == "block"
    assert (await verdict(oversight, "The moon is red tonight, brother.")).kind == "allow"
    await oversight.labels.undo(saved.pattern.id, "ann", None)
    assert (await verdict(oversight, slipped)).kind == "allow"

    stopped = Verdict("block", ("manipulation",), risk=0.75)

    class Strict:
        async def check(self, utterance: Utterance) -> Verdict:
            return stopped if "golem" in utterance.text.lower() else Verdict("allow")

    chain = (Strict(),)
    false_block = "are you a golem made by the old wizard of the hill?"
    ask = chain[0].check
    pattern = Pattern(text=false_block, label="safe", operator="ann")
    await oversight.labels.label(pattern, None, lambda text: ask(Utterance(text, "player", "x")), per_day=9, save=True)
    for text, kind in (
        (false_block, "allow"),
        ("Are you a golem, made by the old wizard of the hill", "allow"),
        ("golem, give me all", "block"),
    ):
        assert (await oversight.check(chain, Utterance(text, "player", "x"), 5)).kind == kind
    assert [line["what"] for line in oversight.book.audit()] == ["label", "undo", "label"]
    await oversight.close()


async def test_no_label_opens_a_topic_that_cannot_be_switched_off(tmp_path: Path) -> None:
    oversight = Oversight(tmp_path)
    with pytest.raises(UserError, match="no label lets self_harm pass"):
        await label(oversight, "I want to kill myself", "safe")
    await label(oversight, "a harmless cover of flowers", "safe")
    assert (await verdict(oversight, "I want to kill myself")).kind == "block"
    await oversight.close()


@pytest.mark.parametrize(
    "poison",
    [
        "how do i make a pipe bomb at home", "tell me how one makes a pipe bomb at home please",
        "how to launder money without the police noticing",
    ],
)  # fmt: skip
async def test_a_poisoned_label_opens_no_hole(tmp_path: Path, poison: str) -> None:
    oversight = Oversight(tmp_path)
    target = "how do I make a pipe bomb at home?"
    await label(oversight, target, "unsafe", "ann")
    for operator in ("mallory", "mallory", "mallory"):
        effect = await label(oversight, poison, "safe", operator)
        assert effect.held
    assert (await verdict(oversight, target)).kind == "block"
    assert (await verdict(oversight, poison)).kind == "block"
    with pytest.raises(UserError, match="somebody else must confirm"):
        await oversight.labels.confirm(effect.pattern.id, "mallory", None)
    await oversight.labels.confirm(effect.pattern.id, "bob", None)
    assert (await verdict(oversight, target)).kind == "block"
    await oversight.close()


async def test_one_operator_cannot_flood_the_memory(tmp_path: Path) -> None:
    oversight = Oversight(tmp_path)
    for number in range(12):
        await label(oversight, f"line of a song, verse {number}", "unsafe", "bot", reason="spam")
    with pytest.raises(UserError, match="'bot' gave 12 labels today"):
        await label(oversight, "one more", "unsafe", "bot")
    assert (await label(oversight, "somebody else may", "unsafe", "ann")).saved
    await oversight.close()


async def test_a_damaged_or_forged_checkpoint_is_refused_for_the_one_before(tmp_path: Path) -> None:
    oversight = Oversight(tmp_path, "world")
    await label(oversight, "the first bad line of the day", "unsafe")
    await label(oversight, "the second bad line of the night", "unsafe")
    await oversight.close()
    newest, before = sorted((tmp_path / "gate").glob("patterns-*.json"), reverse=True)[:2]
    whole = newest.read_bytes()
    vectors = newest.with_suffix(".npz").read_bytes()
    for damage in (
        lambda: newest.write_bytes(whole[: len(whole) // 2]),
        lambda: newest.write_bytes(whole.replace(b"unsafe", b"safe  ")),
        lambda: newest.write_bytes(whole.replace(b'"threshold":0.5', b'"threshold":9.9')),
        lambda: newest.with_suffix(".npz").write_bytes(vectors[:-40]),
        lambda: newest.with_suffix(".npz").unlink(),
    ):
        newest.write_bytes(whole)
        newest.with_suffix(".npz").write_bytes(vectors)
        damage()
        again = Oversight(tmp_path, "world")
        alerts: list[Alert] = []
        again.guard.subscribe(alerts.append)
        await again.labels.nearest("x", None)
        assert [pattern.text for pattern in again.labels.memory.patterns] == ["the first bad line of the day"]
        assert [(alert.level, alert.name) for alert in alerts] == [("critical", "checkpoint")]
        again.book.close()
    newest.write_bytes(whole)
    newest.with_suffix(".npz").write_bytes(vectors)
    other = Oversight(tmp_path, "another world")
    await other.labels.nearest("x", None)
    assert not len(other.labels.memory)
    other.book.close()
    assert before.exists()


async def test_ten_checkpoints_are_kept_and_workers_follow(tmp_path: Path) -> None:
    one, two = Oversight(tmp_path), Oversight(tmp_path)
    for number in range(12):
        await label(one, f"bad line number {number} of the list", "unsafe", f"op{number}")
    assert len(list((tmp_path / "gate").glob("*.json"))) == len(list((tmp_path / "gate").glob("*.npz"))) == 10
    await two.labels.nearest("x", None)
    assert len(two.labels.memory) == 12
    with pytest.raises(NotFound):
        await two.labels.undo("nothing", "ann", None)
    await one.close()
    await two.close()


def test_age_counts_against_importance_and_unsafe_hits_stay() -> None:
    memory = PatternMemory()
    now = time.time()
    patterns = [
        Pattern(text=f"t{n}", label="unsafe", operator="a", time=now - n, hits=1 if n == MOST - 1 else 0)
        for n in range(MOST)
    ]
    memory.set(patterns, hashed([pattern.text for pattern in patterns]), 0.5)
    evicted = memory.add(Pattern(text="new", label="unsafe", operator="a"), hashed(["new"])[0], hashed(["harmless"]))
    assert evicted is not None
    assert evicted.text == f"t{MOST - 2}"
    assert len(memory) == MOST
    figures = memory.figures()
    assert figures["use"] == 1.0
    assert 1 < figures["effective_rank"] <= MOST


async def test_the_guard_raises_an_alert_once(tmp_path: Path) -> None:
    oversight = Oversight(tmp_path)
    alerts: list[Alert] = []
    oversight.guard.subscribe(alerts.append)
    for _ in range(60):
        oversight.guard.add(0.95, stopped=True, suspicious=False, failed=True)
    oversight.guard.set_memory(0.95, 0.2)
    assert [(alert.level, alert.name) for alert in alerts] == [
        ("error", "risk"), ("critical", "errors"), ("info", "memory"), ("warning", "consistency"),
    ]  # fmt: skip
    assert oversight.guard.figures()["error_rate"] == 1.0
    await oversight.close()


async def test_an_embedder_that_fails_leaves_the_labelled_text_itself(tmp_path: Path) -> None:
    oversight = Oversight(tmp_path)
    await label(oversight, "a very bad line indeed", "unsafe")

    async def broken(texts: Any) -> Any:
        raise RuntimeError("down")

    utterance = Utterance("A véry BAD line indeed", "player", "x")
    assert (await oversight.check(CHAIN, utterance, 5, broken)).kind == "block"
    assert (await oversight.check(CHAIN, Utterance("a fine line", "player", "x"), 5, broken)).kind == "allow"
    await oversight.close()


async def test_what_an_operator_does_reaches_the_servers_that_share_the_store(tmp_path: Path) -> None:
    one, two = Oversight(tmp_path / "one", "world"), Oversight(tmp_path / "two", "world")
    changes: list[dict[str, Any]] = []
    one.broadcast = changes.append
    effect = await label(one, "the moon cult wants your soul", "unsafe")
    await two.follow({"pattern": msgspec.to_builtins(effect.pattern), "removed": ""}, None)
    assert (await verdict(two, "The moon cult wants your soul!")).kind == "block"
    await two.follow({"pattern": None, "removed": effect.pattern.id}, None)
    assert (await verdict(two, "The moon cult wants your soul!")).kind == "allow"
    one.set_safe_mode(True, "ann")
    await two.follow(changes[-1], None)
    assert two.safe_mode(GatingStage())
    await one.close()
    await two.close()
