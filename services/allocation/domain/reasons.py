"""Why a case needs a person to decide, as a sentence with what there is to decide. The codes are stable."""

from __future__ import annotations

from typing import Final

# Why a party, or the whole case, has gone though nobody said no: no referral supports it.
RETRACTED: Final = "retracted"
# A "no" that counts because of a link, and only as long as it stands.
LINKED: Final = "linked"
_BECAUSE: Final = {
    "asked_again": "The case was closed, and a person of it has asked for it again: decide whether it goes on.",
    "jurisdiction": "Rules give this case to no partnership, or to several: say which one holds it.",
    "led_elsewhere": "Another agency leads the harmed party already: say what is to become of this case.",
    "linked": "The harmed party is somebody whom another agency leads: say what is to become of this case.",
    "no_agency_by_rule": "No agency is left that policy would ask to lead the harmed party: name one, or close the case.",
    "no_responsible_left": "Nobody responsible takes part any longer: go on without, or close the case.",
    "reassigned": "The lead was taken back, and nobody was named since: name an agency.",
    "returned": "The lead gave the case back after it had begun with the person: hand the lead over.",
}


def because(reason: str) -> str:
    """Return the sentence of a reason code."""
    if reason.startswith("check_"):
        kind = reason.removeprefix("check_").replace("_", " ")
        return f"A check ({kind}) was answered no: weigh it and let the case go on, or close it."
    lost = f"The harmed party has no lead ({reason.replace('_', ' ')}): name an agency, or close the case."
    return _BECAUSE.get(reason, lost)
