"""Who is told what. The order in which events of different topics arrive must not decide who knows."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notifications.domain import LAST_WORDS, Book, Entry, Notice, Part, tell
from services.notifications.handlers import TOLD
from shared.contracts import cases, consent, referrals
from shared.contracts.envelope import Payload

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def happened(
    book: Book, subject: str, payload: Payload, *, after: int = 0, event: str | None = None
) -> list[Entry]:
    at = AT + timedelta(minutes=after)
    kind = type(payload).__name__
    return list(tell(payload, Notice(event or f"{kind}-{after}", kind, subject, at, at, payload), book))


def allocation(
    *leads: tuple[str, str | None], hub: str | None = "hub", worker: str | None = None
) -> cases.CaseAllocated:
    return cases.CaseAllocated(
        claim="c",
        incident="i",
        parties=tuple(
            cases.AllocatedParty(party=party, person=party, role="harmed", agency=agency, worker=worker)
            for party, agency in leads
        ),
        partnership="P1",
        policy_version="1",
        rule="r",
        why=("beacon leads because nps does not",),
        hub=hub,
    )


def withdrawal(*of: str) -> consent.ConsentWithdrawn:
    return consent.ConsentWithdrawn(
        scope="case" if of else "everything", by="person", via="prison", withdrawal="w", cases=of
    )


def told(entries: list[Entry]) -> set[tuple[str, str | None]]:
    return {(entry.agency, entry.party) for entry in entries}


def test_every_event_that_is_handled_has_somebody_to_tell_it() -> None:
    assert all(payload in tell.registry for payload in TOLD)


def test_an_event_that_nobody_is_told_of_is_an_error_and_not_silence() -> None:
    with pytest.raises(TypeError):
        happened(Book(), "m", consent.LeadAssigned(claim="c", case="k", party="m", agency="a"))


def test_why_a_lead_was_chosen_is_not_sent_because_it_names_others() -> None:
    entries = happened(Book(), "k", allocation(("mary", "beacon"), ("frank", "nps")))
    assert "because" not in str(entries)
    assert told(entries) == {("beacon", "mary"), ("nps", "frank"), ("hub", None)}


def test_an_agency_that_leads_for_two_parties_is_told_of_each() -> None:
    entries = happened(Book(), "k", allocation(("mary", "beacon"), ("frank", "beacon")))
    assert told(entries) == {("beacon", "mary"), ("beacon", "frank"), ("hub", None)}


def test_the_same_allocation_again_tells_no_lead() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    assert told(happened(book, "k", allocation(("mary", "beacon")), after=1)) == {("hub", None)}


def test_a_new_worker_is_news_for_the_lead() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    assert ("beacon", "mary") in told(
        happened(book, "k", allocation(("mary", "beacon"), worker="w"), after=1)
    )


def test_a_lead_that_comes_back_is_told_again() -> None:
    book = Book()
    for after, lead in enumerate(("beacon", "nps", "beacon")):
        entries = happened(book, "k", allocation(("mary", lead)), after=after)
        assert (lead, "mary") in told(entries)
    assert [part.agency for part in book.of("k", "lead")] == ["beacon"]


@pytest.mark.parametrize("of", [(), ("k",)])
@pytest.mark.parametrize("first", ["withdrawal", "allocation"])
def test_a_lead_learns_of_a_withdrawal_whichever_comes_first(first: str, of: tuple[str, ...]) -> None:
    book = Book()
    steps = {"withdrawal": ("mary", withdrawal(*of)), "allocation": ("k", allocation(("mary", "beacon")))}
    order = [first, *(name for name in steps if name != first)]
    entries = [e for n, name in enumerate(order) for e in happened(book, *steps[name], after=n)]
    assert [e.kind for e in entries if e.agency == "beacon"].count("ConsentWithdrawn") == 1


def test_a_withdrawal_from_another_case_is_not_told_to_this_ones_lead() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    assert "beacon" not in {
        agency for agency, _ in told(happened(book, "mary", withdrawal("other"), after=1))
    }


def kinds_of(agency: str, entries: list[Entry]) -> list[str]:
    return [entry.kind for entry in entries if entry.agency == agency]


@pytest.mark.parametrize("of", [(), ("k",)])
def test_a_withdrawal_heard_after_the_closure_that_it_caused_reaches_the_lead(of: tuple[str, ...]) -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon"), ("frank", "nps")))
    happened(book, "k", cases.CaseClosed(reason="withdrawn"), after=3)
    entries = happened(book, "mary", withdrawal(*of), after=2)
    assert kinds_of("beacon", entries) == ["ConsentWithdrawn"]
    assert kinds_of("hub", entries) == ["ConsentWithdrawn"]
    assert kinds_of("nps", entries) == []  # its case is over, and the person is not its party


def test_who_led_before_learns_that_she_withdrew_and_not_what_is_in_flight() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "police")))
    happened(book, "k", allocation(("mary", "beacon")), after=1)
    gone = consent.ConsentWithdrawn(
        scope="everything", by="person", via="prison", withdrawal="w", in_flight=("permit-1",)
    )
    data = {entry.agency: entry.data for entry in happened(book, "mary", gone, after=2)}
    assert data["beacon"] == {"scope": "everything", "in_flight": ["permit-1"]}
    assert data["police"] == {"scope": "everything"}


def test_a_withdrawal_is_sent_though_the_agencys_part_is_over() -> None:
    assert "consent.withdrawn" in LAST_WORDS


def test_a_case_without_a_hub_that_needs_a_decision_is_told_to_who_referred_it() -> None:
    book = Book()
    book.know(Part("k", "referrer", "police", "ref-1", since=AT))
    undecided = cases.CaseNeedsDecision(claim=None, why=("w",), reason="jurisdiction", options=("nps",))
    [entry] = happened(book, "k", undecided)
    assert (entry.agency, entry.data) == ("police", {"reason": "jurisdiction"})
    with_hub = cases.CaseNeedsDecision(claim=None, why=("w",), reason="jurisdiction", hub="hub")
    assert told(happened(book, "k", with_hub, after=1)) == {("hub", None)}


def test_an_overdue_check_is_told_to_who_was_asked_and_to_the_hub() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    late = cases.CheckOverdue(check="c", kind="research", of="police", party="mary", due=AT)
    assert told(happened(book, "k", late, after=1)) == {("police", "mary"), ("hub", "mary")}


def test_a_queue_is_told_to_the_hub_that_may_not_have_heard_of_the_case_yet() -> None:
    assert told(happened(Book(), "k", cases.CaseQueued(agency="beacon", hub="hub"))) == {("hub", None)}


def test_a_missed_clock_is_told_to_leads_and_hub() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    missed = cases.ClockMissed(clock="information", due=AT)
    assert told(happened(book, "k", missed, after=1)) == {("beacon", "mary"), ("hub", None)}


def test_after_reopening_a_new_lead_is_not_told_of_the_old_withdrawal() -> None:
    book = Book()
    happened(book, "mary", withdrawal("k"))
    reopened = consent.StandingReopened(cases=("k",), evidence="e", reason="person_asked")
    happened(book, "mary", reopened, after=1)
    entries = happened(book, "k", allocation(("mary", "beacon")), after=2)
    assert {entry.kind for entry in entries} == {"CaseAllocated"}


def test_a_restrictive_event_applied_twice_leaves_the_book_as_it_was() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon"), ("frank", "nps")))
    ended = consent.LeadEnded(agency="beacon", reason="r", cases=("k",))
    happened(book, "mary", ended, after=1, event="e")
    first = {key: part for part in book.of("k", "lead", "hub") for key in [part.key]}
    happened(book, "mary", ended, after=1, event="e")
    assert first == {key: part for part in book.of("k", "lead", "hub") for key in [part.key]}
    assert [part.agency for part in book.of("k", "lead")] == ["nps"]


def test_an_end_that_arrives_late_does_not_end_what_began_after_it() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "nps")), after=0)
    happened(book, "k", allocation(("mary", "beacon")), after=5)
    happened(book, "mary", consent.LeadEnded(agency="beacon", reason="r", cases=("k",)), after=3)
    assert [part.agency for part in book.of("k", "lead")] == ["beacon"]


SHARED = {"isa-1": (frozenset({"CaseClosed"}), frozenset({"police", "beacon"}))}


def test_an_agreement_tells_nothing_to_an_agency_that_is_no_party_to_it() -> None:
    book = Book(shared=SHARED)
    book.know(Part("k", "referrer", "police", "ref-1", sharing="isa-1", since=AT))
    book.know(Part("k", "referrer", "court", "ref-2", sharing="isa-1", since=AT))
    assert told(happened(book, "k", cases.CaseClosed(reason="r"))) == {("police", None)}


def test_a_referrer_is_told_what_its_agreement_allows_and_no_more() -> None:
    book = Book(shared=SHARED, agreements={"police": "isa-1"})
    book.know(Part("k", "referrer", "police", "ref-1", since=AT))
    book.know(Part("k", "referrer", "court", "ref-2", since=AT))
    assert "police" not in str(happened(book, "k", cases.CasePaused(reason="r")))
    assert told(happened(book, "k", cases.CaseClosed(reason="r"), after=1)) == {("police", None)}


def test_the_agreement_that_the_referral_was_sent_under_counts_before_the_agencys_own() -> None:
    book = Book(shared=SHARED, agreements={"police": "isa-1"})
    book.know(Part("k", "referrer", "police", "ref-1", sharing="isa-none", since=AT))
    assert happened(book, "k", cases.CaseClosed(reason="r")) == []


def test_both_who_reached_one_human_are_told_without_each_others_name() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon")))
    found = consent.DoubleReachFound(other="maria", agencies=("beacon", "nps"))
    entries = happened(book, "mary", found, after=1)
    leads = [entry for entry in entries if entry.agency != "hub"]
    assert {entry.agency for entry in leads} == {"beacon", "nps"}
    assert all(entry.data == {} for entry in leads)
    assert [entry.data["other"] for entry in entries if entry.agency == "hub"] == ["maria"]


def test_referrers_move_with_a_joined_case_file() -> None:
    book = Book()
    book.know(Part("old", "referrer", "police", "ref-1", since=AT))
    happened(book, "old", referrals.CaseFileJoined(into="new"))
    held = referrals.ReferralHeld(referral="ref-1", hold="h", reason="r")
    assert told(happened(book, "new", held, after=1)) == {("police", None)}


def test_who_led_a_party_that_has_left_hears_that_and_no_more_of_the_others() -> None:
    book = Book()
    happened(book, "k", allocation(("mary", "beacon"), ("frank", "nps")))
    left = cases.CasePartyLeft(party="frank", person="frank", reason="retracted")
    assert told(happened(book, "k", left, after=1)) == {("nps", "frank"), ("hub", "frank")}
    assert ("nps", "frank") not in told(happened(book, "k", cases.CasePaused(reason="r"), after=2))
    # He is named again: then it is theirs again.
    happened(book, "k", allocation(("mary", "beacon"), ("frank", "nps")), after=3)
    assert ("nps", "frank") in told(happened(book, "k", cases.CasePaused(reason="r"), after=4))


def test_a_referral_that_has_left_does_not_come_back_with_a_joining_heard_late() -> None:
    """The joining is told under the one case, what followed under the other: either can be heard first."""
    book = Book()
    book.know(Part("old", "referrer", "police", "ref-1", since=AT))
    gone = referrals.ReferralRetracted(referral="ref-1", agency="police", remaining=1)
    happened(book, "new", gone, after=1)
    happened(book, "old", referrals.CaseFileJoined(into="new"), after=0)
    stuck = cases.CaseNeedsDecision(claim="c", why=(), reason="r")
    assert happened(book, "new", stuck, after=2) == []


def test_heirs_are_followed_to_the_end_and_a_circle_ends() -> None:
    book = Book(heirs={"crc": "nps", "nps": "ps"})
    assert book.heir("crc") == "ps"
    assert Book(heirs={"a": "b", "b": "a"}).heir("a") in {"a", "b"}
