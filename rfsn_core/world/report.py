"""What became of the parts of an imported file: used, kept for export only, or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Report:
    """The report of one file."""

    mapped: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def map(self, what: str) -> None:
        """Note something that NPCs use."""
        self.mapped[what] += 1

    def keep(self, what: str) -> None:
        """Note something that is kept for export and not used."""
        self.kept[what] += 1

    def ignore(self, what: str) -> None:
        """Note something that is not used, and why."""
        self.ignored.append(what)

    def note(self, what: str) -> None:
        """Note something worth knowing."""
        self.notes.append(what)

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        for title, counts in (("used", self.mapped), ("kept for export", self.kept)):
            if counts:
                parts = ", ".join(f"{what} ({count})" if count > 1 else what for what, count in sorted(counts.items()))
                yield f"  {title}: {parts}"
        yield from (f"  left out: {what}" for what in self.ignored)
        yield from (f"  note: {what}" for what in self.notes)
