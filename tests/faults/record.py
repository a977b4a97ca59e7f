"""What an agency itself wrote down of what it asked and was told, and when by its own clock. The checker reads this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

What = Literal[
    "referral",
    "led",
    "feed",
    "permit",
    "release",
    "message",
    "outcome",
    "withdrawal",
    "link",
    "hand-over",
]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer. `about` is what was asked (a permit's id, a referral's); `body` what came back; times are wall clock."""

    agency: str
    what: What
    about: str
    asked_at: float
    answered_at: float
    status: int
    body: dict[str, Any]
    etag: str = ""

    def line(self) -> str:
        """Tell it in a line."""
        kind = str(self.body.get("type", "")).rsplit("/", 1)[-1]
        outcome = kind or self.body.get("outcome") or self.body.get("state") or ""
        return f"{self.agency}: {self.what} {self.about} -> {self.status} {outcome}"


@dataclass
class Records:
    """Everybody's records of one history, in the order in which answers came."""

    told: list[Told] = field(default_factory=list)

    def of(self, what: What) -> Iterator[Told]:
        """Return what was told of a kind."""
        return (t for t in self.told if t.what == what)
