"""The rules of intake: a person, the case file of the referrals that are one case, and a release.

Facts only, no personal data: what is held of whom, who is linked with whom, how each may safely be contacted.
"""

from __future__ import annotations

from services.intake.domain.case_files import (
    CaseFileState,
    KnownReferral,
    different,
    evolve_case_file,
    hold_referral,
    join,
    lift_referral,
    receive,
    retract,
)
from services.intake.domain.holds import ANSWERABLE, LOST, Hold, Refused, answered, lost_hold, set_by_a_human
from services.intake.domain.people import (
    PersonState,
    change_safety,
    erase,
    evolve_person,
    hold_person,
    lift_person,
    link,
    move_hold,
    unlink,
)
from services.intake.domain.safety import CHANNELS, merge_safety

__all__ = [
    "ANSWERABLE",
    "CHANNELS",
    "LOST",
    "CaseFileState",
    "Hold",
    "KnownReferral",
    "PersonState",
    "Refused",
    "answered",
    "change_safety",
    "different",
    "erase",
    "evolve_case_file",
    "evolve_person",
    "hold_person",
    "hold_referral",
    "join",
    "lift_person",
    "lift_referral",
    "link",
    "lost_hold",
    "merge_safety",
    "move_hold",
    "receive",
    "retract",
    "set_by_a_human",
    "unlink",
]
