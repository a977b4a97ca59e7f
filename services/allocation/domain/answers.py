"""What consent answers to a claim, and what follows for the case. Consent disposes: its last word about a party counts."""

from __future__ import annotations

from services.allocation.domain.evolve import Placed, Story
from services.allocation.domain.reasons import LINKED
from services.allocation.domain.route import NOT_CONTACTABLE
from services.allocation.domain.state import LED_ELSEWHERE


def answered(story: Story, party: str, claim_id: str, agency: str, worker: str | None) -> bool:
    """Consent made this agency the lead of the party. False if that changes nothing.

    Consent disposes, whatever has been asked since: a lead that is given back after an unlink comes under its old claim, and
    the answer to a claim can be overtaken by the next one, which is then refused because of it. And a case that closed and
    goes on may be the agency's whose lead for it has never ended, whoever is asked for: then no worker is known but its own.
    """
    known = story.state.parties.get(party)
    if known is None or story.state.closed or (known.place == "out" and known.reason != LINKED):
        return False
    asked = known.claim == claim_id and known.place == "claimed"
    if not asked and known.place == "led" and known.agency == agency:
        return False
    own = known.worker if asked and known.agency == agency else None
    story.tell(Placed(party, "led", agency=agency, worker=worker or own))
    return True


def refused(
    story: Story, party: str, claim_id: str, reason: str, elsewhere: tuple[str, str | None] | None
) -> bool:
    """Consent refused the party's claim. `elsewhere`: the agency and worker who lead the person in another case.

    None where the person is led by no case of ours: under another id, that turned out to be the same human's. Nobody would
    tell us when that lead is over, so somebody has to decide.
    """
    known = story.state.parties.get(party)
    if known is None or known.claim != claim_id or known.place != "claimed":
        return False
    if reason == LED_ELSEWHERE and elsewhere is not None:
        agency, worker = elsewhere
        story.tell(Placed(party, "elsewhere", reason=reason, agency=agency, worker=worker))
    else:
        story.tell(Placed(party, "out" if reason in NOT_CONTACTABLE else "refused", reason=reason))
    return True
