"""Why a referral's human is who they are: kept with each of them when it is decided, told in words when somebody asks.

Nothing in it is a value of a record: fields, how they agree, weights, codes, ids. So it can be shown to whoever may see that
there was a decision. A decision by a person is kept where it was made, at the review; what is here is the machine's, and a
join parted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.intake.matching import Decision, Evidence, Line, Rule
from services.intake.matching.levels import ABSENT
from services.intake.matching.rules import sentence

Answer = Literal["new", "joined", "linked", "held", "kept", "parted"]
_RULES: Final = {rule.code: rule for rule in Rule}
_DIGITS: Final = 2
_WORDS: Final[dict[Answer | None, str]] = {
    None: "Decided before this was recorded.",
    "new": "Nobody known: nobody who is stored was enough like this record.",
    "kept": "A later version of a referral: it is about whom the referral was about.",
    "parted": "Two people: this record had been taken for somebody else's, and two people parted them.",
}


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """A join undone by two people: whose record it had been, why, who said so, who confirmed it."""

    person: str
    reason: str
    worker: str
    confirmed_by: str | None
    at: datetime


class Decided(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided of one human of one version of a referral; small, because there is one for each.

    `record`: whose table of evidence it is, by the row (party) that they were found to be like; `linked`: the id that theirs
    was linked with, of a later version. Both only of a join, as are score and evidence.
    """

    model: str = ""
    answer: Answer = "new"
    reasons: tuple[str, ...] = ()
    score: float | None = None
    evidence: tuple[dict[str, Any], ...] = ()
    record: str | None = None
    linked: str | None = None
    parting: Parting | None = None


def lines(evidence: Evidence | None) -> list[dict[str, Any]]:
    """Return a table of evidence to be kept. What either side does not say is left out, and weighs nothing."""
    return [
        {"field": line.field, "level": line.level, "bits": round(line.bits, _DIGITS)}
        for line in (evidence.lines if evidence else ())
        if line.level != ABSENT
    ]


def of_others(decision: Decision) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of whoever else is in doubt than the first, by person."""
    return {person: lines(table) for person, table in zip(decision.people[1:], decision.others, strict=True)}


def decided(decision: Decision, *, stays: bool, repeats: bool, record: str, linked: str | None) -> Decided:
    """Return what to keep of a decision.

    `stays`: a later version, about whom the earlier one was about; `repeats`: it says nothing new of them.
    """
    if decision.answer == "join":
        return Decided(
            model=decision.model,
            answer="linked" if linked else "joined",
            score=round(decision.score, _DIGITS),
            evidence=tuple(lines(decision.evidence)),
            record=record,
            linked=linked,
        )
    # The review has the rest, if a reviewer is asked.
    if decision.answer == "hold" and (decision.ask or not repeats):
        return Decided(model=decision.model, answer="held", reasons=decision.reasons)
    return Decided(model=decision.model, answer="kept" if stays else "new")


def encoded(what: Decided) -> str:
    """Return it as JSON text."""
    return msgspec.json.encode(what).decode()


_DECODER: Final = msgspec.json.Decoder(Decided)


def decoded(text: str | None) -> Decided | None:
    """Return what was kept; None of a row from before it was."""
    return _DECODER.decode(text) if text else None


def in_words(what: Decided | None) -> str:
    """Return the sentence: the same as a reviewer is shown, made of the same parts."""
    answer = what.answer if what else None
    if what is None or answer in _WORDS:
        return _WORDS[answer]
    if answer == "held":
        return sentence("hold", _rules(what.reasons), None, "")
    table = tuple(Line(**line) for line in what.evidence)
    return sentence("join", [Rule.ENOUGH], Evidence(table, sum(line.bits for line in table)), "")


def _rules(codes: Sequence[str]) -> list[Rule]:
    # A rule of an older version may be gone.
    return [_RULES[code] for code in codes if code in _RULES] or [Rule.DOUBTFUL]
