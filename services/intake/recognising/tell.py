"""What the others are told of a recognised referral, and the rows that go with it; all in the matcher's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import msgspec

from services.intake import domain, facts, safe_contact
from services.intake.core import CASE_FILE, PERSON
from services.intake.crypto import Keyring
from services.intake.explaining import Decided, decided, encoded, lines, of_others
from services.intake.recognising.cases import Cases, Place
from services.intake.recognising.load import Pending, Someone, encode_record, seal_record
from services.intake.recognising.people import Crowd
from services.intake.referral import ContactPerson, Party
from services.intake.store.matching import HOLD_OF_REVIEW, Result
from shared.contracts.envelope import Actor
from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import ReferralFacts
from shared.runtime.identifiers import new_id
from shared.runtime.telemetry import span
from shared.runtime.work import Work

LONDON = ZoneInfo("Europe/London")


def local_day(moment: datetime) -> date:
    """Return the date in Britain."""
    return moment.astimezone(LONDON).date()


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins in Britain."""
    return datetime.combine(day, time(0), LONDON).astimezone(UTC)


class Teller:
    """Records the events and gathers the rows of one batch."""

    def __init__(self, work: Work, keyring: Keyring, crowd: Crowd, cases: Cases) -> None:
        """The people are recognised, the cases placed, and every key that will be recorded is locked."""
        self._work = work
        self._keyring = keyring
        self._crowd = crowd
        self._cases = cases
        self._today = local_day(work.now)
        self._shared: dict[str, safe_contact.ContactPoints] = {}
        self.rows = Result(
            parties=[], keys=set(), points=set(), speaks=set(), cases=[], holds=[], lifted=[], reviews=[], done=[], moved=[],
            set_by=msgspec.json.encode(Actor("intake")).decode(), at=work.now,
        )  # fmt: skip

    def tell(self, pending: Pending, places: Sequence[Place], other_safety: dict[str, list[Safety]]) -> None:
        """Tell of one referral. `other_safety`: what other referrals say of people whom an earlier version named."""
        due, work = pending.due, self._work
        service = work.actor
        work.actor = Actor(due.agency)
        try:
            with span("match", parent=due.trace):
                self._shared = {
                    one.party: safe_contact.shared_with_responsible(pending.referral, one.human)
                    for one in pending.people
                }
                said = {one.party: self._safety(one) for one in pending.people}
                for place in places:
                    self._tell_case(pending, place, said, other_safety)
                self._dropped_cases(pending, places)
                for one in pending.people:
                    self._keep(one, said[one.party])
        finally:
            work.actor = service
        self.rows.done.append((due.id, due.version))

    # --- safe contact

    def _safety(self, one: Someone) -> Safety:
        return safe_contact.safety_said(one.human, self._shared[one.party], self._today)

    # --- a case and its people

    def _tell_case(
        self, pending: Pending, place: Place, said: dict[str, Safety], other_safety: dict[str, list[Safety]]
    ) -> None:
        work, due = self._work, pending.due
        file = work.state(CASE_FILE, place.case)
        incident = self._cases.incident_id(pending, file.incident)
        parties = []
        for position in place.positions:
            one = pending.party(position)
            contacts = [c.person for c in pending.contacts(position) if not self._outgrown(pending, c)]
            assert isinstance(one.human, Party)  # noqa: S101 - contacts are not at party()
            fact = facts.party_fact(pending.referral, one.human, one.person, contacts, self._today)
            parties.append(msgspec.structs.replace(fact, position=position))
            if one.identified:
                self._refer(pending, place.case, incident, one, said, other_safety, contacts=contacts)
        self._refer_contacts(pending, place, incident, said, other_safety)
        posted = facts.Posted(due.id, due.agency, due.received_at, pending.referral)
        births = [pending.party(position).human.date_of_birth for position in place.positions]
        adult = facts.coming_of_age(births, self._today)
        current = facts.referral_facts(posted, incident, parties, adult)
        self._file(pending, place, msgspec.structs.replace(current, reference_tag=due.reference_tag.hex()))
        self._hold_case(pending, place)
        for position in place.positions:
            self._hold_people(pending, place, pending.party(position))
            for contact in pending.contacts(position):
                self._hold_people(pending, place, contact)

    def _refer(
        self,
        pending: Pending,
        case: str,
        incident: str,
        one: Someone,
        said: dict[str, Safety],
        other_safety: dict[str, list[Safety]],
        *,
        contacts: Sequence[str] = (),
        speaks_for: Sequence[str] = (),
    ) -> None:
        """Say that the referral names this person. A later version replaces what the earlier one said of safe contact."""
        state = self._work.state(PERSON, one.person)
        others = other_safety.get(one.person, []) if one.previous else [state.safety] if one.known else []
        party = one.human if isinstance(one.human, Party) else None
        self._work.record(
            PERSON,
            one.person,
            PersonReferred(
                case=case,
                incident=incident,
                referral=pending.due.id,
                referrer=pending.due.agency,
                role=party.role if party else "contact",
                safety=domain.merge_safety([*others, said[one.party]]),
                speaks_for=tuple(speaks_for),
                contact_persons=tuple(contacts),
                prior_contact=facts.prior_contact_of(pending.referral, party) if party else None,
                agreement=facts.agreement_of(pending.referral, party) if party else None,
            ),
        )
        for side, other in ((one.person, one.link_to), (one.link_to, one.person)):
            if side and other and one.link_to not in (None, one.person):
                linked = domain.link(self._work.state(PERSON, side), side, other, "matched")
                self._work.record(PERSON, side, *linked)

    def _refer_contacts(
        self,
        pending: Pending,
        place: Place,
        incident: str,
        said: dict[str, Safety],
        other_safety: dict[str, list[Safety]],
    ) -> None:
        speaking: dict[str, tuple[Someone, list[str]]] = {}
        for position in place.positions:
            for contact in pending.contacts(position):
                parties = speaking.setdefault(contact.person, (contact, []))[1]
                if not self._outgrown(pending, contact):
                    parties.append(pending.party(position).person)
        for person, (contact, parties) in speaking.items():
            self._refer(pending, place.case, incident, contact, said, other_safety, speaks_for=parties)
            self.rows.speaks |= {(person, party) for party in parties}

    def _outgrown(self, pending: Pending, contact: Someone) -> bool:
        party = pending.referral.parties[contact.position]
        human = contact.human
        received = local_day(pending.due.received_at)
        return isinstance(human, ContactPerson) and facts.outgrown(human, party, received, self._today)

    def _file(self, pending: Pending, place: Place, current: ReferralFacts) -> None:
        before = next((facts for case, facts in pending.cases.values() if case == place.case), None)
        published = msgspec.json.decode(before, type=ReferralFacts) if before else None
        state = self._work.state(CASE_FILE, place.case)
        self._work.record(CASE_FILE, place.case, *domain.receive(state, current, published))
        self.rows.cases.append(
            (
                pending.due.id, place.positions[0], place.case, place.harmed, pending.due.version,
                msgspec.json.encode(current).decode(), self._cases.seal_incident(pending),
            )
        )  # fmt: skip

    def _dropped_cases(self, pending: Pending, places: Sequence[Place]) -> None:
        """A later version that no longer names a harmed party no longer supports that party's case."""
        for position, (case, _) in pending.cases.items():
            if case not in {place.case for place in places}:
                state = self._work.state(CASE_FILE, case)
                self._work.record(CASE_FILE, case, *domain.retract(state, pending.due.id))
            elif position not in {place.positions[0] for place in places}:
                self.rows.moved.append((pending.due.id, position))

    # --- holds

    def _hold_case(self, pending: Pending, place: Place) -> None:
        referral = pending.due.id
        base = f"{referral}:{place.positions[0]}"
        harmed = pending.party(place.positions[0])
        assert isinstance(harmed.human, Party)  # noqa: S101 - as above
        missing = facts.agreement_missing(pending.referral, harmed.human)
        self._answered_elsewhere(pending, place, base)
        self._case_hold(pending, place, f"{base}:agreement", "agreement_to_share_missing", missing)
        self._case_hold(pending, place, domain.lost_hold(referral, place.case), domain.LOST, ())
        ask = self._asked(harmed)
        self._case_hold(pending, place, f"{base}:identity", "identity_incomplete", ask)
        self._case_hold(pending, place, f"{base}:incident:asked", "incident_doubtful", ())
        if place.doubt:
            hold = f"{base}:incident"
            self._case_hold(pending, place, hold, "incident_doubtful", (), wanted=True)
            self.rows.reviews.append(
                (
                    new_id(), place.harmed, [], place.case, list(place.doubt), "incident", [place.reason],
                    "The same person, and perhaps the same incident: " + place.reason.replace("_", " ") + ".",
                    0.0, "[]", "", "", hold, pending.due.agency, referral, self._work.now, "{}",
                )
            )  # fmt: skip

    def _answered_elsewhere(self, pending: Pending, place: Place, base: str) -> None:
        """Lift what an earlier version lacked of the harmed party while they stood elsewhere in the list."""
        for hold, why in self._work.state(CASE_FILE, place.case).holds.items():
            own = why.referral == pending.due.id and hold.endswith((":agreement", ":identity"))
            if own and not hold.startswith(f"{base}:"):
                self._case_hold(pending, place, hold, why.reason, ())

    def _case_hold(
        self,
        pending: Pending,
        place: Place,
        hold: str,
        reason: str,
        missing: tuple[str, ...],
        *,
        wanted: bool = False,
    ) -> None:
        """Set a hold of the case, or lift the one that a later version has answered."""
        state = self._work.state(CASE_FILE, place.case)
        if missing or wanted:
            events = domain.hold_referral(state, pending.due.id, hold, reason, missing=missing)
            if events:
                self.rows.holds.append((hold, None, place.case, pending.due.id, reason, None))
        else:
            events = domain.lift_referral(state, hold, "answered")
            if events:
                self.rows.lifted.append((hold, "answered"))
        self._work.record(CASE_FILE, place.case, *events)

    def _asked(self, one: Someone) -> tuple[str, ...]:
        """Return the paths of what the agency is asked for, because it alone would say who this is."""
        decision = one.decision
        if decision is None or not one.identified or decision.answer != "hold" or not decision.ask:
            return ()
        where = f"parties[{one.position}]" + (".contact_person" if one.contact else "")
        return (f"{where}.{_FIELDS.get(decision.ask, decision.ask)}",)

    def _hold_people(self, pending: Pending, place: Place, one: Someone) -> None:
        decision = one.decision
        if not one.identified or decision is None:
            return
        base = f"{pending.due.id}:{one.position}{'c' if one.contact else ''}"
        asked = bool(self._asked(one))
        # What is not new raises no doubt: if somebody like them came meanwhile, it is that newer record which is on hold.
        doubtful = decision.answer == "hold" and not asked and not one.repeats
        shared = self._shared[one.party]
        responsible = {p.person for p in pending.people if p.role == "responsible"}
        harmed = one.role in ("harmed", "both", "contact")
        wanted = {
            "identity_incomplete": asked,
            "identity_doubtful": doubtful,
            "suppressed": one.suppressed,
            # A call to this number may be answered by the person who did the harm.
            "unsafe_contact": harmed and bool(shared.phones or shared.emails),
            "approached_before": facts.approached_before(pending.referral, one.human),
            "contact_person_unsafe": one.contact and one.person in responsible,
        }
        # A reviewer could not tell and had the agency asked: this is its answer.
        self._case_hold(pending, place, f"{base}:identity_doubtful:asked", "identity_incomplete", ())
        for reason, holds in wanted.items():
            self._person_hold(pending, place, one, f"{base}:{reason}", reason, holds=holds)
        if doubtful:
            self._review(pending, one, f"{base}:identity_doubtful")

    def _person_hold(
        self, pending: Pending, place: Place, one: Someone, hold: str, reason: str, *, holds: bool
    ) -> None:
        state = self._work.state(PERSON, one.person)
        if holds:
            events = domain.hold_person(
                state, hold, reason, case=place.case if reason == "unsafe_contact" else None
            )
            if events:
                self.rows.holds.append((hold, one.person, place.case, pending.due.id, reason, None))
        elif reason in domain.ANSWERABLE or (one.link_to is not None and reason == "identity_doubtful"):
            events = domain.lift_person(state, hold, "answered")
            if events:
                self.rows.lifted.append((hold, "answered"))
        else:
            return
        self._work.record(PERSON, one.person, *events)

    def _review(self, pending: Pending, one: Someone, hold: str) -> None:
        decision = one.decision
        assert decision is not None  # noqa: S101 - only doubtful ones are reviewed
        if any(review[HOLD_OF_REVIEW] == hold for review in self.rows.reviews):
            return  # somebody responsible is in the case of everybody harmed: one question all the same
        evidence = msgspec.json.encode(lines(decision.evidence)).decode()
        self.rows.reviews.append(
            (
                new_id(), one.person, list(decision.people), None, [], "identity", list(decision.reasons), decision.sentence,
                decision.score, evidence, decision.ask, decision.model, hold,
                pending.due.agency, pending.due.id, self._work.now, msgspec.json.encode(of_others(decision)).decode(),
            )
        )  # fmt: skip

    # --- rows of each human

    def _keep(self, one: Someone, said: Safety) -> None:
        """Stage what is kept of one human: who they are, how to find them again, how they may be reached."""
        if not one.identified:
            self.rows.parties.append((one.party, None, None, None, None, None))
            return
        record = encode_record(one.record)
        tag = self._keyring.tag("content", record)
        new = (one.person, tag) not in self._crowd.record_tags
        self._crowd.record_tags.add((one.person, tag))
        sealed = seal_record(self._keyring, one, record) if new else None
        safety = msgspec.json.encode(said).decode()
        row = (one.party, one.person, tag if new else None, sealed, safety, encoded(self._decided(one)))
        self.rows.parties.append(row)
        self.rows.keys.update(
            (tag, one.person)
            for tag in one.keys.values()
            if not one.known or not self._crowd.is_keyed(tag, one.person)
        )
        points = safe_contact.contact_points(one.human).texts()
        self.rows.points |= {(self._keyring.tag("contact-point", point), one.person) for point in points}
        self._birthday(one, said)

    def _decided(self, one: Someone) -> Decided:
        assert one.decision is not None  # noqa: S101 - only those who were recognised are kept
        stays = one.previous is not None and one.person == one.previous
        return decided(
            one.decision,
            stays=stays,
            repeats=one.repeats,
            record=one.like,
            linked=one.link_to if stays else None,
        )

    def _birthday(self, one: Someone, said: Safety) -> None:
        if said.minor:
            born = facts.known_birth_date(one.human.date_of_birth, self._today)
            if born is not None:
                self._work.timer("eighteenth", one.person, midnight(facts.birthday(born, facts.ADULT)))


_FIELDS = {"postcode": "addresses[0].postcode", "telephone": "phones[0].number"}
