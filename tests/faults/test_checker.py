"""The checker itself: each broken promise, made up in the evidence, is found, and nothing is found where all is well."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults.arena import Arena, Event
from tests.faults.checker import check
from tests.faults.history import History
from tests.faults.people import Human, Population
from tests.faults.record import Records, Told, What
from tests.support.promise import Promise

_ids = itertools.count(1)


@dataclass
class Made:
    """Evidence that was made up."""

    harmed: Human
    responsible: Human
    journal: dict[str, Event] = field(default_factory=dict)
    records: Records = field(default_factory=Records)
    lines: list[dict[str, Any]] = field(default_factory=list)
    converged_after: float = 1.0
    _last: dict[tuple[str, str, str], Event] = field(default_factory=dict)

    def tell(self, at: float, name: str, key: str = "anna", service: str = "consent", **data: Any) -> Event:
        """Add an event to a journal."""
        topic = {"consent": "consent", "intake": "people", "allocation": "cases"}[service]
        last = self._last.get((service, topic, key))
        number = next(_ids)
        sequence = last.sequence + 1 if last else 1
        previous = last.id if last else None
        event = Event(service, number, f"id-{number}", topic, key, sequence, previous, f"{name}.v1", data, at)
        self._last[service, topic, key] = self.journal[event.id] = event
        return event

    def note(self, at: float, what: What, about: str, status: int, **body: Any) -> None:
        """Add an answer to an agency's record."""
        self.records.told.append(Told("beacon", what, about, at - 0.1, at, status, body))

    def ring(self, at: float, permit: str) -> None:
        """Add a call to the provider's log."""
        self.lines.append({"at": at, "means": "call", "by": "x", "to": self.harmed.phone, "permit": permit})

    def attempt(
        self, at: float, permit: str, agency: str = "beacon", outcome: str | None = "no_answer"
    ) -> None:
        """Add a whole contact: granted, redeemed, rung, and its outcome unless that is None."""
        self.tell(at, "permit.granted", permit=permit, agency=agency)
        self.tell(at + 0.1, "permit.redeemed", permit=permit)
        self.ring(at + 0.2, permit)
        if outcome is not None:
            self.tell(at + 0.3, "attempt.recorded", permit=permit, outcome=outcome)

    def found(self) -> set[Promise]:
        """Return what the checker says is broken."""
        humans = {self.harmed.phone: self.harmed, self.responsible.phone: self.responsible}
        arena = SimpleNamespace(
            onefriend=SimpleNamespace(shift=0.0),
            journal=self.journal,
            pairs={"case": (self.harmed, self.responsible)},
            records=self.records,
            humans=humans,
            contacts=lambda: self.lines,
        )
        history = History(
            1, ("made up",), [self.harmed, self.responsible], converged_after=self.converged_after
        )
        return {violation.promise for violation in check(cast("Arena", arena), history)}


@pytest.fixture
def made() -> Made:
    population = Population(1)
    one = Made(population.human(), population.human())
    one.tell(1, "person.referred", service="intake", case="case", role="harmed")
    one.tell(2, "lead.assigned", agency="beacon")
    return one


def test_nothing_is_found_where_all_is_well(made: Made) -> None:
    made.attempt(10, "p1")
    made.attempt(20, "p2", outcome="declined")
    made.tell(30, "consent.withdrawn", scope="everything")
    made.note(31, "feed", "anna", 200, case="case", kind="consent.withdrawn", data={})
    made.note(31, "withdrawal", made.harmed.phone, 201, state="in_force", outcome="clean", in_flight=[])
    assert made.found() == set()


def test_another_agency_contacts_the_same_human(made: Made) -> None:
    made.attempt(10, "p1")
    made.attempt(20, "p2", agency="victims-first-northumbria")
    assert made.found() == {Promise.N1}


def test_whoever_has_answered_is_approached_again(made: Made) -> None:
    made.attempt(10, "p1", outcome="agreed")
    made.attempt(20, "p2")
    assert made.found() == {Promise.N1}


def test_a_contact_after_clean(made: Made) -> None:
    made.tell(10, "permit.granted", permit="p1", agency="beacon")
    made.tell(11, "permit.redeemed", permit="p1")
    made.note(12, "withdrawal", made.harmed.phone, 201, state="in_force", outcome="clean", in_flight=[])
    made.ring(13, "p1")
    assert made.found() == {Promise.N2}


def test_in_flight_allows_the_one_that_it_names(made: Made) -> None:
    made.tell(10, "permit.granted", permit="p1", agency="beacon")
    made.tell(11, "permit.redeemed", permit="p1")
    named = [{"permit": "p1"}]
    made.note(
        12, "withdrawal", made.harmed.phone, 201, state="in_force", outcome="in_flight", in_flight=named
    )
    made.ring(13, "p1")
    assert made.found() == set()


def test_details_are_handed_out_after_a_no_that_is_only_recorded(made: Made) -> None:
    made.tell(10, "permit.granted", permit="p1", agency="beacon")
    made.tell(11, "permit.redeemed", permit="p1")
    made.note(12, "withdrawal", made.harmed.phone, 202, state="recorded")
    made.note(14, "release", "p1", 200)
    assert made.found() == {Promise.N2}


def test_a_redemption_after_the_commit_of_a_no_on_the_same_and_on_another_record(made: Made) -> None:
    made.tell(5, "person.referred", key="anne", service="intake", case="case", role="harmed")
    made.tell(10, "consent.withdrawn", scope="everything")
    made.tell(11, "permit.redeemed", permit="p1")
    made.tell(12, "permit.redeemed", key="anne", permit="p2")
    assert made.found() >= {Promise.N2, Promise.N6}


def test_what_was_redeemed_before_the_no_while_the_clock_was_ahead_is_no_redemption_after_it(
    made: Made,
) -> None:
    made.tell(300, "permit.granted", permit="p1", agency="beacon")
    made.tell(301, "permit.redeemed", permit="p1")
    made.tell(302, "attempt.recorded", permit="p1", outcome="no_answer")
    made.tell(20, "consent.withdrawn", scope="everything")
    assert not made.found()


def test_a_permit_is_redeemed_or_handed_out_twice(made: Made) -> None:
    made.attempt(10, "p1")
    made.note(11, "release", "p1", 200)
    made.note(12, "release", "p1", 200)
    assert made.found() == {Promise.N3}


def test_a_contact_without_a_redemption(made: Made) -> None:
    made.tell(10, "permit.granted", permit="p1", agency="beacon")
    made.ring(11, "p1")
    assert made.found() == {Promise.N3}


def test_a_hole_in_a_history_and_an_outcome_that_is_lost(made: Made) -> None:
    event = made.tell(10, "case.noted")
    made.journal[event.id] = replace(event, sequence=event.sequence + 1)
    assert made.found() == {Promise.N4}
    made.journal[event.id] = event
    assert made.found() == set()
    made.note(12, "outcome", "p1", 200)
    assert made.found() == {Promise.N4}


def test_another_attempt_while_the_last_is_unknown_and_one_permit_for_two_calls(made: Made) -> None:
    made.attempt(10, "p1", outcome="unknown")
    made.attempt(20, "p2")
    assert made.found() == {Promise.N5}


def test_one_permit_leads_to_two_calls(made: Made) -> None:
    made.attempt(10, "p1")
    made.ring(12, "p1")
    assert made.found() == {Promise.N5}


def test_two_leads_at_once(made: Made) -> None:
    made.tell(5, "person.referred", key="anne", service="intake", case="case", role="harmed")
    made.tell(10, "lead.assigned", key="anne", agency="victims-first-northumbria")
    assert made.found() == set(), "nobody knows yet that they are one human"
    made.tell(11, "person.linked", service="intake")
    made.tell(11, "person.linked", key="anne", service="intake")
    assert made.found() == {Promise.N7}
    made.tell(12, "lead.ended", key="anne", agency="victims-first-northumbria")
    assert made.found() == set()
    made.tell(13, "lead.assigned", agency="victims-first-northumbria")
    assert made.found() == {Promise.N7}


def test_a_permit_that_consent_never_granted(made: Made) -> None:
    made.note(10, "permit", "case", 201, permit="p1", fence=1)
    assert made.found() == {Promise.N8}


def test_whoever_leads_is_not_told_of_a_no(made: Made) -> None:
    made.tell(30, "consent.withdrawn", scope="everything")
    assert made.found() == set(), "it never knew that it led"
    made.note(29, "led", "anna", 200)
    assert made.found() == {Promise.N9}
    made.tell(28, "person.referred", service="intake", case="joined", role="harmed")
    made.note(31, "feed", "anna", 200, kind="consent.withdrawn", case="joined")
    assert made.found() == set(), "in a case of hers, whichever referral it is of by now"


def test_allocation_and_consent_name_different_leads(made: Made) -> None:
    parties = [{"person": "anna", "agency": "northumbria-crc"}]
    made.tell(10, "case.allocated", key="case", service="allocation", parties=parties)
    assert made.found() == {Promise.N9}
    made.tell(11, "case.needs_decision", key="case", service="allocation", reason="linked")
    assert made.found() == set(), "whom another agency leads is nobody's here until the hub has decided"
    made.tell(12, "case.allocated", key="case", service="allocation", parties=parties)
    assert made.found() == {Promise.N9}
    made.tell(13, "case.closed", key="case", service="allocation")
    assert made.found() == set()


def test_something_never_came_together(made: Made) -> None:
    made.converged_after = -1
    assert made.found() == {Promise.N9}
