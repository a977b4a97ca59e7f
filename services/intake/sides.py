"""What a reviewer is shown of two people: what identifies them, sent by agencies that share with the reviewer's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from services.intake.core import Intake
from services.intake.crypto import Unreadable
from services.intake.doorstep import version_owner
from services.intake.matching import Incident
from services.intake.store import matching as candidates
from services.intake.store import people as store
from services.intake.store import reading
from services.intake.store.people import Held
from shared.contracts.sharing import agreements
from shared.runtime.auth import Caller
from shared.runtime.work import Work

# What tells people apart. Needs, safety, what was admitted, notes: none of it is needed to compare two records.
_OF_HUMAN: Final = ("name", "aliases", "date_of_birth", "sex", "addresses", "phones", "emails", "identifiers")
_OF_PART: Final[Mapping[str, tuple[str, ...]]] = {
    "addresses": ("lines", "postcode"),
    "phones": ("number",),
    "emails": ("address",),
}
_SELF: Final = "self"  # a person's own referral: no agency's data
_INCIDENT: Final = msgspec.json.Decoder(Incident)


def may_see(caller: Caller, agency: str, day: date) -> bool:
    """Whether a reviewer may see what an agency sent: their own agency's, or under an agreement that both are party to.

    Operators keep the software going, and see nobody's details.
    """
    if caller.kind == "operator":
        return False
    return agency in (caller.agency, _SELF) or any(
        {agency, caller.agency} <= set(agreement.between) and agreement.in_force(day)
        for agreement in agreements().values()
    )


async def of_people(
    work: Work, service: Intake, caller: Caller, people: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the records say of each person, under every id that is linked with theirs. Every reading is recorded.

    Two of these people may be linked too, by the very decision that a second person is to look at: each has their own side.
    """
    sides = []
    for person in people:
        ids = await store.group_of(work, [person], [other for other in people if other != person])
        for one in ids:
            await reading.note_read(work, caller.agency, caller.worker, "match_review", one)
        held = await store.held_about(work, service.keyring, ids)
        sides.append({"person": person, "records": [_record(caller, one, work.now.date()) for one in held]})
    return sides


def _record(caller: Caller, held: Held, day: date) -> dict[str, Any]:
    if not may_see(caller, held.agency, day):
        return {"agency": None, "referral": None, "role": held.role, "sent": None}
    sent = {name: _narrow(name, held.sent[name]) for name in _OF_HUMAN if held.sent.get(name)}
    return {"agency": held.agency, "referral": held.referral, "role": held.role, "sent": sent}


def _narrow(name: str, value: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    keep = _OF_PART.get(name)
    return value if keep is None else [{k: one[k] for k in keep if one.get(k)} for one in value]


async def of_cases(
    work: Work, service: Intake, caller: Caller, person: str, cases: Iterable[str]
) -> list[dict[str, Any]]:
    """Return what referrals say of the incidents of these cases."""
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in cases}
    for row in await candidates.incidents(work, await store.group_of(work, [person])):
        if row["case_id"] not in found:
            continue
        if not may_see(caller, row["agency"], work.now.date()):
            found[row["case_id"]].append({"agency": None, "incident": None})
            continue
        owner = version_owner(row["agency"], row["reference_tag"], row["version"])
        try:
            opened = service.keyring.unwrap(row["key"], owner).open(row["incident"], owner, "incident")
        except Unreadable:
            continue
        incident = msgspec.to_builtins(_INCIDENT.decode(opened))
        found[row["case_id"]].append({"agency": row["agency"], "incident": incident})
    return [{"case": case, "records": records} for case, records in found.items()]
