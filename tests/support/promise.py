"""The promise, named once: every proof checks these properties, by these names.

`tests/model/properties.md` says which words stand for what in each proof. A proof reports what it found as a `Violation`,
so that a broken promise reads the same whoever found it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Promise(Enum):
    """A property that must hold; its value is the sentence that it stands for."""

    N1 = (
        "No human has two uninvited approaches from two agencies, "
        "nor a second one without a separate incident and the policy's gap."
    )
    N2 = "No contact begins after a withdrawal was answered `clean`; after `in_flight`, none but the one that was named."
    N3 = "A permit is redeemed at most once, and a release is handed out at most once."
    N4 = "Nothing acknowledged is lost: no referral, withdrawal, outcome or event."
    N5 = "An outcome that is not known is never followed by a retry."
    N6 = "A link or an unlink never loosens what either record's own history says."
    N7 = "One human has one lead at any time."
    N8 = "A `may I contact` that cannot be answered is a no."
    N9 = (
        "Whatever was parked, lost or delayed: once faults stop, everything converges. "
        "All agencies agree on who leads and who said no, within a bound."
    )

    @property
    def sentence(self) -> str:
        """What it promises."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which, what happened in a sentence, and the story of it, line by line."""

    promise: Promise
    what: str
    story: Sequence[str] = ()

    def __str__(self) -> str:
        """Tell it as a person would read it."""
        lines = [f"{self.promise.name} broken: {self.what}", f"  ({self.promise.sentence})"]
        return "\n".join([*lines, *(f"    {line}" for line in self.story)])
