"""The grammar of a policy file: its sections, and the fields that a rule of each section may have.

One table, read by the loader (errors with line and remedy) and by the schema (completion in an editor).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from services.allocation.policy import model

Kind = Literal[
    "text", "code", "word", "words", "number", "yes_no", "agencies", "one_agency", "ask_each", "groups", "payer", "due",
    "hours", "days",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A field. `of` names the list of words (in the vocabulary) or the symbols allowed; `low` and `high` bound numbers."""

    kind: Kind
    of: str = ""
    required: bool = False
    low: int = 0
    high: int = 0
    always: bool = False  # the last agency listed must be one that can always be found


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a policy.

    `mode`: first match wins, or every rule that applies. `with_national`: whose rules count: `only` the nation's, the
    partnership's `own`, the nation's `after` the partnership's (a default), `both` (all of both, the nation's first) or the
    `strictest` of the two. `complete`: a case without a rule is an error. `not_about`: conditions that are not yet known.
    """

    name: str
    effect: type[model.Effect]
    fields: dict[str, Shape]
    says: str
    per: Literal["case", "harmed", "responsible", "party"] = "case"
    mode: Literal["first", "all"] = "first"
    with_national: Literal["only", "own", "after", "both", "strictest"] = "own"
    complete: bool = True
    not_about: frozenset[str] = frozenset()


CASE_AGENCIES: Final = ("supervising-agency", "referring-agency", "custody-agency", "liaison-agency")
COORDINATOR: Final = "coordinator"
DELIVERING: Final = "delivering-agency"
LEADING: Final = "lead-agency"
ALWAYS_FOUND: Final = (COORDINATOR, DELIVERING, LEADING)
SYMBOLS: Final = {
    "coordinator": CASE_AGENCIES,
    "deliver": (*CASE_AGENCIES, COORDINATOR),
    "lead": (*CASE_AGENCIES, COORDINATOR, DELIVERING),
    "all": (*CASE_AGENCIES, COORDINATOR, DELIVERING, LEADING),
}
_DECIDED = frozenset({"delivered_by", "led_by"})
_LED = frozenset({"led_by"})
_PARTY = frozenset({"party", "party_age", "party_in_custody"})


def _agency(symbols: str) -> dict[str, Shape]:
    return {
        "agency": Shape("agencies", symbols, required=True, always=True),
        "choose": Shape("word", "choose"),
        "team": Shape("text"),
    }


SECTIONS: Final[tuple[Section, ...]] = (
    Section("sensitive", model.Word, {"is": Shape("word", "sensitive", required=True)}, "Sensitive class", mode="all",
            with_national="only", complete=False,
            not_about=_DECIDED | _PARTY | {"sensitive", "complex", "supervised_by", "supervisor"}),
    Section("supervision", model.Word, {"is": Shape("word", "supervised_by", required=True)}, "Supervision", "responsible",
            with_national="only", not_about=_DECIDED | _PARTY | {"supervised_by", "supervisor"}),
    Section("coordinator", model.Choice, _agency("coordinator"), "Co-ordination", not_about=_DECIDED | _PARTY),
    Section("deliver", model.Choice, _agency("deliver"), "Delivery", not_about=_DECIDED | _PARTY),
    Section("lead_harmed", model.Choice, _agency("lead"), "Lead for the harmed party", "harmed", not_about=_LED | _PARTY),
    Section("lead_responsible", model.Choice, _agency("lead"), "Lead for the responsible party", "responsible",
            not_about=_PARTY),
    Section("hand_over", model.Path, {"to": Shape("agencies", "lead", required=True)}, "Hand-over", "party",
            with_national="after"),
    Section("duty", model.Word, {"is": Shape("word", "duty", required=True)}, "Duty to the harmed party", "harmed",
            with_national="strictest", not_about=_PARTY),
    Section("worker", model.Worker, {
        "roles": Shape("words", "worker_roles"),
        "training": Shape("word", "training"),
        "neutral_to": Shape("words", "relations"),
        "work_hours": Shape("number", low=0, high=80),
    }, "Named worker", "party", with_national="strictest"),
    Section("team", model.Team, {
        "facilitators": Shape("number", low=1, high=6),
        "different_agencies": Shape("yes_no"),
        "one_from_each": Shape("groups", "all"),
        "training": Shape("word", "training"),
        "experience": Shape("word", "experience"),
        "supervision": Shape("word", "supervision"),
        "specialism": Shape("words", "specialisms"),
        "neutral_to": Shape("words", "relations"),
        "travel_km": Shape("number", low=1, high=500),
    }, "Team", with_national="strictest", not_about=_PARTY),
    Section("fund", model.Fund, {
        "payer": Shape("payer", "all", required=True, always=True),
        "extras": Shape("payer", "all"),
        "basis": Shape("text"),
    }, "Funding", not_about=_PARTY),
    Section("holds", model.Hold, {
        "reason": Shape("code", required=True),
        "of": Shape("words", "roles", required=True),
        "review": Shape("due", required=True),
        "missing": Shape("words", "missing"),
    }, "On hold", mode="all", with_national="both", complete=False, not_about=_PARTY),
    Section("checks", model.Ask, {
        "check": Shape("word", "checks", required=True),
        "about": Shape("word", "abouts", required=True),
        "gates": Shape("words", "gates", required=True),
        "asks": Shape("agencies", "all", always=True),
        "asks_each": Shape("ask_each", "all"),
        "due": Shape("due", required=True),
        "remind": Shape("due"),
        "after": Shape("words", "checks"),
        "question": Shape("text", required=True),
    }, "Check", mode="all", with_national="both", complete=False, not_about=_PARTY),
    Section("limits", model.LimitRule, {
        "attempts": Shape("number", low=1, high=10),
        "gap_days": Shape("number", low=0, high=60),
        "approach_gap_days": Shape("number", low=0, high=730),
        "hours": Shape("hours"),
        "days": Shape("days"),
        "channels": Shape("words", "channels"),
        "outcome_due_hours": Shape("number", low=1, high=336),
        "sessions": Shape("number", low=1, high=60),
    }, "Limits", "party", with_national="strictest"),
    Section("clocks", model.ClockRule, {
        "clock": Shape("code", required=True),
        "due": Shape("due", required=True),
        "duty": Shape("text", required=True),
    }, "Clock", mode="all", with_national="both", complete=False, not_about=_PARTY),
    Section("forms", model.Forms, {
        "forms": Shape("words", "forms", required=True),
        "participants": Shape("number", low=2, high=60),
    }, "Forms", with_national="after", not_about=_PARTY),
    Section("told", model.Told, {
        "to": Shape("words", "audience", required=True),
        "say": Shape("text", required=True),
    }, "Told", mode="all", with_national="both", complete=False, not_about=_PARTY),
    Section("queue", model.Queue, {
        "queue": Shape("code", required=True),
        "order": Shape("word", "queue_orders", required=True),
    }, "Queue", complete=False, not_about=_PARTY),
    Section("meeting", model.Meeting, {
        "meeting": Shape("text", required=True),
        "every": Shape("text", required=True),
        "why": Shape("text", required=True),
    }, "Meeting", mode="all", complete=False, not_about=_PARTY),
)  # fmt: skip
BY_NAME: Final = {section.name: section for section in SECTIONS}
CONSTANT_WORDS: Final = {
    "choose": ("in_order", "least_loaded"),
    "roles": ("harmed", "responsible"),
    "abouts": ("harmed", "responsible", "case"),
    "gates": ("harmed", "responsible", "delivery", "closing"),
    "audience": ("harmed", "responsible", "referrer"),
    "missing": (
        "explicit_agreement",
        "responsible_identified",
        "responsible_admitted",
        "responsible_willing",
        "area",
    ),
}
