"""What a provider of the selection stage must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.selection import Arm, Context, Policy, Update
from rfsn_core.testing.suites.provider import ProviderSuite


def _context(number: int = 0, slot: str = "action") -> Context:
    abstraction = Abstraction("LOCATION:tavern", "v1", (1.0, 0.0, 0.5), ("bias", "a", "b"))
    return Context(f"d{number}", slot, "smith", "default/smith/player", abstraction)


class PolicySuite(ProviderSuite):
    """For providers of the selection stage."""

    stage = "selection"

    def test_it_selects_one_of_the_arms_with_propensities(self, tmp_path: Path) -> None:
        async def body(policy: Policy) -> None:
            for count in range(1, 10):
                arms = [Arm(f"arm{n}", n / 10) for n in range(count)]
                selection = policy.select(_context(count), arms)
                assert selection.arm in {arm.name for arm in arms}
                assert len(selection.propensities) == len(selection.scores) == count
                assert all(0 <= p <= 1 for p in selection.propensities)
                assert sum(selection.propensities) == pytest.approx(1, abs=1e-9)
                assert selection.propensities[[arm.name for arm in arms].index(selection.arm)] > 0

        self.run(tmp_path, body)

    def test_arms_may_come_and_go(self, tmp_path: Path) -> None:
        async def body(policy: Policy) -> None:
            for number, names in enumerate(("ab", "bc", "d", "abcd", "a")):
                selection = policy.select(_context(number), [Arm(name, 0.0) for name in names])
                policy.update(Update(_context(number), selection.arm, 0.0, 1.0, 1.0))
                assert selection.arm in names

        self.run(tmp_path, body)

    def test_a_second_run_selects_the_same_arms(self, tmp_path: Path) -> None:
        runs: list[list[str]] = []

        async def body(policy: Policy) -> None:
            arms = [Arm(name, 0.0) for name in "abcde"]
            runs.append([policy.select(_context(n), arms).arm for n in range(50)])

        self.run(tmp_path, body)
        self.run(tmp_path, body)
        assert runs[0] == runs[1]

    def test_a_restored_checkpoint_selects_the_same_arms(self, tmp_path: Path) -> None:
        saved: list[tuple[bytes, list[str]]] = []
        arms = [Arm(name, 0.0) for name in "abc"]

        async def learn(policy: Policy) -> None:
            for n in range(30):
                policy.update(Update(_context(n), "b", 0.0, 0.5, 1.0))
            saved.append((policy.checkpoint(), [policy.select(_context(n), arms).arm for n in range(20)]))

        async def restore(policy: Policy) -> None:
            policy.restore(saved[0][0])
            assert [policy.select(_context(n), arms).arm for n in range(20)] == saved[0][1]

        self.run(tmp_path / "one", learn)
        self.run(tmp_path / "two", restore)

    def test_a_foreign_checkpoint_is_refused(self, tmp_path: Path) -> None:
        async def body(policy: Policy) -> None:
            for foreign in (b"not ours", b"\x00" * 64):
                with pytest.raises(ValueError):  # noqa: PT011  the type is the contract, not the words
                    policy.restore(foreign)
            policy.select(_context(), [Arm("a", 0.0)])

        self.run(tmp_path, body)
