"""A person comes of age: from now on they are spoken to themselves, and whoever was spoken to for them is so no longer.

Both are restrictions, and take effect with intake's word. The lead for the person is another thing: allocation claims it for
the agency that led through the contact person. What that one refused on the child's behalf was recorded in the child's own
ledger when it was said, and stays there until the person asks to take part after all.
"""

from __future__ import annotations

from typing import Final

from services.consent.domain.decision import Decision
from services.consent.domain.facts import OwnVoice, SpeaksNoMore
from services.consent.domain.state import PersonState, find
from shared.contracts.consent import LeadEnded
from shared.contracts.people import Safety

OF_AGE: Final = "came_of_age"
THROUGH: Final = "contact_person_changed"


def is_news(state: PersonState, safety: Safety) -> bool:
    """Say whether intake knows this person as an adult from now on, whom it knew as a child."""
    return state.safety.minor and not safety.minor


def voices(state: PersonState) -> set[str]:
    """Return who is spoken to for this person: they have to be locked before it comes of age."""
    return {contact for part in state.parts for contact in part.contact_persons}


def come_of_age(d: Decision, person: str, case: str | None = None) -> None:
    """Let nobody be spoken to for this person any more, in one case or in all."""
    for part in d.person(person).parts:
        if case in {None, part.id}:
            for contact in part.contact_persons:
                _speaks_no_more(d, contact, part.id, person, OF_AGE)
            d.note(person, OwnVoice(part.id))


def speak_through(d: Decision, person: str, case: str, contact: str) -> None:
    """Let this contact person be who is spoken to for a person in a case: nobody else is, themselves included."""
    part = find(d.person(person).parts, case)
    for other in (person, *(part.contact_persons if part else ())):
        if other != contact:
            _speaks_no_more(d, other, case, person, THROUGH)
    d.note(person, OwnVoice(case))


def _speaks_no_more(d: Decision, contact: str, case: str, party: str, reason: str) -> None:
    for key in d.group(contact):
        state = d.person(key)
        if state.permit is not None and (state.permit.case, state.permit.party) == (case, party):
            d.revoke((key,), reason)  # what was redeemed before ends by its outcome, as always
        d.note(key, SpeaksNoMore(case, party))
        lead = d.person(key).lead
        if state.lead is not None and lead is not None and state.lead.covers and not lead.covers:
            d.tell(key, LeadEnded(agency=lead.agency, reason=reason, cases=state.lead.cases))
