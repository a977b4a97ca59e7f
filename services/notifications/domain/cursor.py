"""How far somebody has read a feed: a number, and a witness of what all the numbers up to it stood for.

A number alone is not enough. A restore of the database takes a feed's last entries away; what they told of comes again
from the topics, perhaps in another order, and somebody who read on from the number would miss an entry and never know. The
witness of a number is the sum of the marks of all entries up to it: it is the same exactly if they are the same entries,
in whatever order, and then nobody can miss one by reading on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

# Two sums fit into PostgreSQL's bigint.
MASK: Final = (1 << 62) - 1
PATTERN: Final = r"^[0-9]{1,18}(\.[0-9a-f]{1,16})?$"


@dataclass(frozen=True)
class Cursor:
    """The number of the last entry read, 0 for none; `witness` None: a number alone, which nothing is known of."""

    number: int
    witness: int | None = None

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Return what a cursor says. Raises ValueError if it is none."""
        if not re.fullmatch(PATTERN, text, re.ASCII):
            message = "not a cursor of a feed"
            raise ValueError(message)
        number, _, witness = text.partition(".")
        return cls(int(number), int(witness, 16) if witness else None)

    def __str__(self) -> str:
        """Return it as a reader keeps it."""
        return str(self.number) if self.witness is None else f"{self.number}.{self.witness:016x}"


def mark(*identity: str | None) -> int:
    """Return the mark of one entry: what it tells of, whom, and of which case and party."""
    text = "\n".join(part or "" for part in identity)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) & MASK


def total(marks: Iterable[int]) -> int:
    """Return the sum of marks."""
    return sum(marks) & MASK


def witnesses(end: int, marks: list[int]) -> Iterator[int]:
    """Return the witness of each of the last entries, from that of the last one and the marks of them all."""
    witness = (end - total(marks)) & MASK
    for each in marks:
        witness = (witness + each) & MASK
        yield witness
