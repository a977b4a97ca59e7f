"""Which details are handed out for one contact: the safe ones of the permit's channel, and the rules for using them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from services.intake import identifiers
from services.intake.crypto import Keyring
from services.intake.domain import merge_safety
from services.intake.referral import Address, ContactPerson, Human, Whose
from services.intake.safe_contact import ContactPoints, safe_emails, safe_phones, shared_with
from services.intake.store.people import Held, for_contact
from shared.contracts.envelope import Channel
from shared.contracts.people import Safety
from shared.runtime.work import Work

_NEEDS: dict[Channel, tuple[str, ...]] = {
    "phone": ("phones",),
    "text": ("phones",),
    "email": ("emails",),
    "letter": ("addresses",),
    "visit": ("addresses",),
    "video": ("emails", "phones"),
}


async def details_for(
    work: Work, keyring: Keyring, own: list[str], case: str, channel: Channel
) -> dict[str, Any] | None:
    """Return the details of one human (`own`: every id that is them) for one channel; None if none is safe."""
    found = await for_contact(work, keyring, own, case)
    merged = merge_safety(found.safety)
    # What holds for one of a human's ids holds for all of them: a linked one may allow letters only, or be a child's.
    if not found.known or merged.minor or channel not in merged.channels:
        return None
    held, humans = [one for one, _ in found.known], [human for _, human in found.known]
    # One referral knows that they live together, and others give the telephone of that home: it counts for all of them.
    shared = [shared_with(human, found.others) for human in humans]
    together = any(
        human.safe_contact.lives_with_responsible or of.homes
        for human, of in zip(humans, shared, strict=True)
    )
    numbers = _safe(humans, shared, partial(safe_phones, together=together), _unsafe_phones(humans))
    if channel == "text":
        numbers = [number for number in numbers if identifiers.is_mobile(number)]
    points = {
        "phones": numbers,
        "emails": _safe(humans, shared, partial(safe_emails, together=together), _unsafe_emails(humans)),
    }
    ways = {**points, "addresses": [] if together else _addresses(humans)}
    needed = _NEEDS[channel]
    if not any(ways[kind] for kind in needed):
        return None
    return {
        "name": _name(humans),
        "speaks_for": _relation(held),
        **{kind: ways[kind] for kind in needed},
        "whose": _whose(humans, [point for kind in needed for point in points.get(kind, ())]),
        "safe_contact": {**_safety(merged), **_wishes(humans)},
    }


def _safe(
    humans: Sequence[Human],
    shared: Sequence[ContactPoints],
    pick: Callable[[Human, ContactPoints], list[str]],
    never: set[str],
) -> list[str]:
    """Return what any referral says is safe, the newest first, but nothing that any referral says is not."""
    said = reversed([pick(human, of) for human, of in zip(humans, shared, strict=True)])
    return [
        value for value in dict.fromkeys(value for values in said for value in values) if value not in never
    ]


def _unsafe_phones(humans: Sequence[Human]) -> set[str]:
    return {phone.number for human in humans for phone in human.phones if not phone.safe}


def _unsafe_emails(humans: Sequence[Human]) -> set[str]:
    return {email.address for human in humans for email in human.emails if not email.safe}


def _whose(humans: Sequence[Human], points: Sequence[str]) -> dict[str, Whose]:
    """Return whose each number or e-mail address is: the person's own, if nobody has said that it is somebody else's.

    Whoever rings has to know that a parent may answer. The newest word counts, of those that name somebody else.
    """
    found: dict[str, Whose] = dict.fromkeys(points, "own")
    for human in humans:
        said = [(phone.number, phone.whose) for phone in human.phones]
        said += [(email.address, email.whose) for email in human.emails]
        found |= {point: whose for point, whose in said if point in found and whose != "own"}
    return found


def _addresses(humans: Sequence[Human]) -> list[dict[str, Any]]:
    """Return the safe ones, the newest first. Lines are written in many ways, so one that is not safe bars its postcode."""
    never = {_place(address) for human in humans for address in human.addresses if not address.safe}
    found = []
    for human in reversed(humans):
        for address in human.addresses:
            if (
                _place(address) not in never
                and address.kind != "previous"
                and address.postcode not in identifiers.NO_FIXED_ABODE
            ):
                entry = {"lines": list(address.lines), "postcode": address.postcode, "kind": address.kind}
                if (address.lines or address.postcode) and entry not in found:
                    found.append(entry)
    return found


def _place(address: Address) -> str:
    return address.postcode or "".join("".join(address.lines).casefold().split())


def _safety(merged: Safety) -> dict[str, Any]:
    said: dict[str, Any] = {"flags": list(merged.flags), "hours": None}
    if merged.hours is not None:
        said["hours"] = {
            "days": list(merged.hours.days),
            "start": merged.hours.start.isoformat("minutes"),
            "until": merged.hours.until.isoformat("minutes"),
        }
    return said


def _name(humans: Sequence[Human]) -> dict[str, Any] | None:
    named = next((human.name for human in reversed(humans) if human.name is not None), None)
    return named.model_dump(exclude_none=True) if named else None


def _relation(held: Sequence[Held]) -> str | None:
    """Return how a contact person is related to those they speak for; None for a party."""
    return next((one.human.relation for one in reversed(held) if isinstance(one.human, ContactPerson)), None)


def _wishes(humans: Sequence[Human]) -> dict[str, Any]:
    newest = list(reversed(humans))
    return {
        "language": next((human.language for human in newest if human.language), None),
        "interpreter": any(human.safe_contact.interpreter for human in humans),
        "accessible_format": next(
            (f for human in newest if (f := human.safe_contact.accessible_format)), None
        ),
        "no_voicemail": any(
            human.safe_contact.no_voicemail or any(not p.voicemail for p in human.phones) for human in humans
        ),
    }
